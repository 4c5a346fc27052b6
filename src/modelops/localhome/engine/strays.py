"""Ends what a step left running: processes that left its group, its session and its parent.

Called after every step, and when the engine starts. A step and all that it starts know their scratch by $TMPDIR; what
hides even that is ended by the step itself, which adopts its orphans (`modelops.steps.own.process`).
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_PATIENCE: Final = 5.0


def end_strays(scratch: Path) -> None:
    """Kill every process whose $TMPDIR lies below a directory; what forks faster than it is killed gets 5 s."""
    deadline = time.monotonic() + _PATIENCE
    while (found := list(_below(scratch))) and time.monotonic() < deadline:
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _below(scratch: Path) -> Iterator[int]:
    """Yield living processes of a scratch; a zombie has no environment any more."""
    mark = f"TMPDIR={scratch}/".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if any(word.startswith(mark) for word in (entry / "environ").read_bytes().split(b"\0")):
                    yield int(entry.name)

"""code: runs the team's training code, with its inputs and nothing else: no address, no credential, bounded output.

Called by `main` as an init container of train. What the code does is bounded by the container (memory, time), and by
what is counted here: files, disk and words.
"""

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

from modelops.steps import context as contexts
from modelops.steps.context import TrainingInput
from modelops.steps.own.inputs import entry
from modelops.steps.own.places import Places

MAX_OUTPUT: Final = 4 << 30
"""Bytes below its directories while it runs."""
MAX_WORDS: Final = 5 << 20
"""Bytes of its own words that are kept in the log."""
NOT_GIVEN: Final = ("MODELOPS_", "MLFLOW_", "KUBE", "GIT_", "AWS_", "AZURE_", "GOOGLE_")
_LOOK: Final = 0.5


def run(
    step: TrainingInput, places: Places, environment: Mapping[str, str], *, max_output: int = MAX_OUTPUT
) -> tuple[int, str]:
    """Run it to its end; return the exit code that the step is to have, and one line if it failed.

    Args:
        step: names the code.
        places: holds its inputs; gets its output.
        environment: of this process; what is no secret is handed on.
        max_output: bytes that may lie in its directories.
    """
    assert step.code is not None
    names = [str(path.relative_to(places.code)) for path in places.code.rglob("*") if path.is_file()]
    script = entry(step.code, names)
    given = {name: value for name, value in environment.items() if not name.startswith(NOT_GIVEN)}
    given |= {
        "MODELOPS_INPUT": str(places.input),
        "MODELOPS_OUTPUT": str(places.output),
        "PYTHONUNBUFFERED": "1",
        "HOME": str(places.root),
    }
    process = subprocess.Popen(
        [sys.executable, script],
        cwd=places.code,
        env=given,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (max_output, max_output)),  # noqa: PLW1509
    )
    assert process.stdout is not None
    words = _Words(process.stdout)
    too_large = _watch(process, places, max_output)
    words.join()
    where = step.code.path
    if too_large:
        return contexts.BAD_INPUT, f"{where}: wrote more than {max_output >> 20} MiB and was ended; write less"
    code = process.returncode
    if code == 0:
        return 0, ""
    if code < 0:
        return 1, f"{where}: was ended by signal {-code}{' (out of memory?)' if code == -9 else ''}: {words.last}"
    return code, f"{where}: exited with {code}: {words.last or 'without a word'}"


def _watch(process: "subprocess.Popen[bytes]", places: Places, max_output: int) -> bool:
    """Wait for its end; True if it had to be ended because it fills the disk."""
    while True:
        try:
            process.wait(_LOOK)
        except subprocess.TimeoutExpired:
            if _size(places.root) > max_output:
                process.kill()
                process.wait()
                return True
        else:
            return False


def _size(directory: Path) -> int:
    total = 0
    for path, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(path, name)).st_size  # noqa: PTH118 - a hot loop
            except OSError:
                continue
    return total


class _Words:
    """Hands on what the code says, up to a limit, and remembers the last line."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._tail = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until everything was read; a grandchild that holds the pipe open is not waited for."""
        self._thread.join(5)

    @property
    def last(self) -> str:
        """The last line that says something."""
        lines = [line.strip() for line in self._tail.decode("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1][:500] if lines else ""

    def _read(self) -> None:
        left = MAX_WORDS
        while chunk := os.read(self._source.fileno(), 65536):
            self._tail = (self._tail + chunk)[-4096:]
            sys.stderr.buffer.write(chunk[:left])
            if 0 < left <= len(chunk):
                sys.stderr.buffer.write(b"\n... what it says beyond this is left out\n")
            sys.stderr.buffer.flush()
            left = max(0, left - len(chunk))

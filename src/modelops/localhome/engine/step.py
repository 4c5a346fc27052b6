"""One try of one step: a process with a scratch directory of its own as its root, ended as a group."""

import errno
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelops.localhome import children
from modelops.localhome.engine.strays import end_strays

LATE: Final = "Step exceeded its deadline"
_GRACE: Final = 10.0
_OUTPUT_LIMIT: Final = 256 * 1024
_MESSAGE_LIMIT: Final = 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a try ended."""

    exit_code: int | None
    """None: it was ended by us, or never started."""
    message: str
    outputs: Mapping[str, str]


def run_step(
    argv: tuple[str, ...],
    env: Mapping[str, str],
    *,
    root: Path,
    outputs: Mapping[str, str],
    message_path: str,
    log: Path,
    record: Path,
    cancelled: threading.Event,
    deadline: float | None,
) -> Outcome:
    """Run a step to its end.

    Args:
        argv: program and arguments.
        env: its environment; MODELOPS_ROOT is added.
        root: what every absolute path of the step lies under.
        outputs: output parameter → path.
        message_path: where the step leaves one line when it fails.
        log: gets its output.
        record: where pid and start time are written.
        cancelled: ends it.
        deadline: monotonic time at which it is ended, or None.
    """
    children.end_recorded(record)
    try:
        (root / "tmp" / "modelops").mkdir(parents=True, exist_ok=True)
        process = children.spawn(
            argv, env={**env, "MODELOPS_ROOT": str(root), "TMPDIR": str(root / "tmp")}, log=log, cwd=root
        )
    except (OSError, ValueError) as error:  # a ValueError: a NUL or the like among the words
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            return Outcome(None, f"{root}: {getattr(error, 'strerror', error)}; free space there", {})
        return Outcome(None, f"{argv[0]} does not start: {getattr(error, 'strerror', error)}", {})
    why = ""
    try:
        children.record(record, process.pid)
        while process.poll() is None:
            if cancelled.is_set():
                why = "cancelled"
                break
            if deadline is not None and time.monotonic() >= deadline:
                why = LATE
                break
            cancelled.wait(0.05)
    finally:
        children.end_group(process.pid, grace_seconds=_GRACE)
        end_strays(root)
        code = process.poll()
        record.unlink(missing_ok=True)
    if why:
        return Outcome(None, why, {})
    if code != 0:
        code = code if code is None or code > 0 else 128 - code  # a signal's number, as Kubernetes tells it
        line = _text(root, message_path, _MESSAGE_LIMIT) or _last_line(log)
        return Outcome(code, f"Error (exit code {code}): {line}".rstrip(": "), {})
    found = {name: _text(root, path, _OUTPUT_LIMIT) for name, path in outputs.items()}
    missing = [f"{name} ({outputs[name]})" for name, value in found.items() if value is None]
    if missing:
        return Outcome(None, f"the step left no output {', '.join(missing)}", {})
    return Outcome(0, "", {name: value for name, value in found.items() if value is not None})


def _text(root: Path, path: str, limit: int) -> str | None:
    try:
        with (root / path.lstrip("/")).open("rb") as source:
            return source.read(limit).decode("utf-8", "replace").strip()
    except OSError:
        return None


def _last_line(log: Path) -> str:
    try:
        with log.open("rb") as source:
            source.seek(max(0, log.stat().st_size - _MESSAGE_LIMIT))
            lines = source.read(_MESSAGE_LIMIT).decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""

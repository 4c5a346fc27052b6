"""Logs that do not grow for ever. Called by the supervisor now and then, and by `modelops local prune`.

Whoever writes a log holds it open for appending, so a log is copied and truncated, never moved away.
"""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

LIMIT: Final = 10 * 1024 * 1024
"""Bytes of one log; one older piece of the same size is kept beside it."""
KEPT_FILES: Final = 400
"""Logs of steps and servers that ended: this many files, the newest."""


def rotate(logs: Path, *, limit: int = LIMIT) -> None:
    """Cut every log that is over the limit: what it held lies in `<name>.1`, which replaces the one before."""
    for log in logs.glob("*.log"):
        with suppress(FileNotFoundError):
            if log.stat().st_size > limit:
                shutil.copyfile(log, log.with_name(f"{log.name}.1"))
                with log.open("r+b") as held:
                    held.truncate(0)


def retire(logs: Path, *, kept: int = KEPT_FILES) -> list[Path]:
    """Remove the oldest logs beyond so many; those of the home's parts stay. Returns what was removed."""
    # A part's log has a plain name; those of steps and servers begin with their namespace.
    ours = sorted((log for log in logs.glob("*.*.log*")), key=_age, reverse=True)
    removed = ours[kept:]
    for log in removed:
        log.unlink(missing_ok=True)
    return removed


def _age(log: Path) -> float:
    try:
        return log.stat().st_mtime
    except FileNotFoundError:
        return 0.0

"""The bearer token of an API server. A pod's own lasts an hour and is replaced on disk long before: it is read again.

Used by `cluster` for every request and by `shell.session` for every watch. It must never be logged.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from modelops.adapters.clock import steady

_MOST_SECONDS: Final = 60.0


class Token:
    """Thread-safe.

    Args:
        text: the token, where it never changes.
        file: where it stands, where it may change; read at once.
        now: a clock.

    Raises:
        OSError: the file cannot be read at all.
    """

    def __init__(self, text: str = "", *, file: Path | None = None, now: Callable[[], float] = steady) -> None:
        self._text = text
        self._file = file
        self._now = now
        self._stamp = (0, 0)
        self._due = 0.0
        self._lock = threading.Lock()
        if file is not None:
            self._stamp = _stamp(file)
            self._read(file)

    def headers(self) -> Mapping[str, str]:
        """Return what a request carries; the file is read again if it was written since, and once a minute anyway."""
        if self._file is not None:
            with self._lock:
                self._look(self._file)
        return {"Authorization": f"Bearer {self._text}"} if self._text else {}

    def renewed(self) -> bool:
        """Read the file again, because the token was refused; return whether there is another one now."""
        if self._file is None:
            return False
        with self._lock:
            before = self._text
            self._due = self._now()
            self._look(self._file)
            return self._text != before

    def _look(self, file: Path) -> None:
        try:
            stamp = _stamp(file)
            if stamp != self._stamp or self._now() >= self._due:
                self._read(file)
                self._stamp = stamp
        except OSError:
            # Between two tokens, or for good: the API server will say what it thinks of the old one.
            return

    def _read(self, file: Path) -> None:
        self._text = file.read_text(encoding="utf-8").strip() or self._text
        self._due = self._now() + _MOST_SECONDS


def _stamp(file: Path) -> tuple[int, int]:
    # A projected volume replaces a link: the inode changes even if the clock does not.
    found = file.stat()
    return found.st_mtime_ns, found.st_ino

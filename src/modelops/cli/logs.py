"""`modelops local logs [PART] [-f]`: the last lines of every part's log; -f goes on with what is written."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from modelops.cli.suggest import hint
from modelops.errors import Stalled

_EVERY: Final = 0.2
_CHUNK: Final = 64 * 1024


def show_logs(directory: Path, part: str | None, lines: int, *, follow: bool) -> None:
    """Print the last lines of the logs in a directory, then what is added until Ctrl-C.

    Args:
        directory: of the logs.
        part: only its log.
        lines: how many of each.
        follow: go on.

    Raises:
        Stalled: there is no log of that part.
    """
    names = [path.stem for path in _files(directory)]
    if part is not None and part not in names:
        there = hint(part, names) or f"; there are: {', '.join(names) or 'none'}"
        raise Stalled("NoLog", f"there is no log of {part!r} in {directory}{there}")
    tails: dict[Path, _Tail] = {}
    for path in _files(directory):
        if part in (None, path.stem):
            tails[path] = _Tail(path)
            click.echo(f"== {path}")
            for line in tails[path].last(lines, unended=not follow):
                click.echo(line)
    if follow:
        _go_on(directory, part, tails)


def _go_on(directory: Path, part: str | None, tails: "dict[Path, _Tail]") -> None:
    while True:
        for path in _files(directory):
            if part in (None, path.stem):
                tail = tails.setdefault(path, _Tail(path))
                for line in tail.fresh():
                    click.echo(f"{path.stem}: {line}" if part is None else line)
        time.sleep(_EVERY)


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.log"))


@dataclass(slots=True)
class _Tail:
    """One file that grows; one that was replaced or cut begins anew."""

    path: Path
    _at: int = 0
    _inode: int = 0
    _rest: bytes = field(default=b"")

    def last(self, count: int, *, unended: bool) -> list[str]:
        """Return the last lines, reading the file from its end; also one that is not ended yet, when asked."""
        with self.path.open("rb") as file:
            self._inode = self.path.stat().st_ino
            end = file.seek(0, 2)
            content, at = b"", end
            while at > 0 and content.count(b"\n") <= count:
                size = min(_CHUNK, at)
                at -= size
                file.seek(at)
                content = file.read(size) + content
        *lines, rest = content.split(b"\n")
        self._at, self._rest = end, rest
        if unended and rest:
            lines.append(rest)
        return [_text(line) for line in lines[-count:]] if count else []

    def fresh(self) -> Iterator[str]:
        """Yield the whole lines that were added."""
        try:
            found = self.path.stat()
            if found.st_ino != self._inode or found.st_size < self._at:
                self._inode, self._at, self._rest = found.st_ino, 0, b""
            if found.st_size == self._at:
                return
            with self.path.open("rb") as file:
                file.seek(self._at)
                content = file.read()
        except FileNotFoundError:
            return
        self._at += len(content)
        *lines, self._rest = (self._rest + content).split(b"\n")
        yield from map(_text, lines)


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace")

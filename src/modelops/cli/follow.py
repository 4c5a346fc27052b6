"""`modelops get -w`: a table that stays up to date on a terminal; when piped, a line for each change, as kubectl.

One thread a kind watches and fills a queue; only the main thread asks for rows and prints.
"""

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import click

from modelops.adapters.watch import Change, watch
from modelops.api.kinds import Kind
from modelops.cli import show
from modelops.cli.rows import Columns, headers_of, rows_of
from modelops.cli.target import Target, page_of
from modelops.errors import ModelopsError, Stalled

if TYPE_CHECKING:
    from rich.table import Table

_TOGETHER: Final = 0.05
"""Changes within so many seconds are drawn at once."""
_Key = tuple[str, str, str]


@dataclass(slots=True)
class _Feed:
    """What the watches have told and nobody has shown yet."""

    target: Target
    kinds: Sequence[Kind]
    namespace: str | None
    selector: str
    name: str | None
    stopped: threading.Event = field(default_factory=threading.Event)
    changes: "queue.Queue[tuple[Kind, Change] | str]" = field(default_factory=queue.Queue)

    def start(self) -> None:
        for kind in self.kinds:
            threading.Thread(target=self._run, args=(kind,), name=f"watch-{kind.singular}", daemon=True).start()

    def batches(self) -> Iterator[list[tuple[Kind, Change]]]:
        """Yield what came together; what the watches complain about goes to stderr."""
        while True:
            batch, first = [], self.changes.get()
            waiting: list[tuple[Kind, Change] | str] = [first]
            while waiting:
                one = waiting.pop()
                if isinstance(one, str):
                    click.echo(f"modelops: {one}", err=True)
                else:
                    batch.append(one)
                try:
                    waiting.append(self.changes.get(timeout=_TOGETHER))
                except queue.Empty:
                    break
            if batch:
                yield batch

    def _run(self, kind: Kind) -> None:
        where = self.namespace if kind.resource.namespaced else None
        said: list[str] = []

        def complain(message: str) -> None:
            if message not in said:
                said.append(message)
                self.changes.put(message)

        for change in watch(
            self.target.client,
            kind.resource,
            namespace=where,
            selector=self.selector,
            stopped=self.stopped,
            complain=complain,
        ):
            if change.type == "synced" or self.name in (None, change.obj["metadata"]["name"]):
                said.clear()
                self.changes.put((kind, change))


def follow(
    target: Target, kinds: Sequence[Kind], namespace: str | None, columns: Columns, name: str | None, selector: str
) -> None:
    """Show what is, then what changes, until Ctrl-C.

    Raises:
        Stalled: the API server does not know a kind.
    """
    feed = _Feed(target, kinds, namespace, selector, name)
    columns = replace(columns, several=len(kinds) > 1)
    for kind in kinds:
        # A watch would try again for ever; who is away or unknown from the beginning is said at once.
        page_of(target, kind, namespace, selector)
    if show.fancy():
        _draw(feed, columns)
    else:
        _Lines(feed, columns).run()


def _table(feed: _Feed, kind: Kind, columns: Columns, name: str | None = None) -> tuple[list[str], list[list[str]]]:
    about = replace(columns, everywhere=columns.everywhere and kind.resource.namespaced)
    where = feed.namespace if kind.resource.namespaced else None
    answer = feed.target.client.table(kind.resource, where, name, selector="" if name else feed.selector)
    return headers_of(answer, about), rows_of(answer, kind, about)


class _Lines:
    """Appends a line for each change; a header whenever the kind is another than before."""

    def __init__(self, feed: _Feed, columns: Columns) -> None:
        self._feed, self._columns = feed, columns
        self._versions: dict[_Key, str] = {}
        self._width: dict[str, list[int]] = {}
        self._last: Kind | None = None

    def run(self) -> None:
        self._feed.start()
        for batch in self._feed.batches():
            newest = {(kind.singular, *_named(change)): (kind, change) for kind, change in batch if change.obj}
            for key, (kind, change) in newest.items():
                self._tell(key, kind, change)

    def _tell(self, key: _Key, kind: Kind, change: Change) -> None:
        meta = change.obj["metadata"]
        if change.type == "deleted":
            if self._versions.pop(key, None) is not None:
                self._print(kind, None, [[*self._prefix(kind, meta), "deleted"]])
            return
        if self._versions.get(key) == meta["resourceVersion"]:
            return
        self._versions[key] = meta["resourceVersion"]
        try:
            feed = replace(self._feed, namespace=meta.get("namespace"))
            headers, rows = _table(feed, kind, self._columns, meta["name"])
        except Stalled:
            return  # gone since; the watch will say so
        self._print(kind, headers, rows)

    def _print(self, kind: Kind, headers: list[str] | None, rows: list[list[str]]) -> None:
        if headers is not None:
            known = self._width.get(kind.singular) or [len(name) for name in headers]
            self._width[kind.singular] = [max(pair) for pair in zip(known, show.widths([headers, *rows]), strict=True)]
            if self._last is not kind:
                click.echo(show.line(headers, self._width[kind.singular]))
            self._last = kind
        for row in rows:
            click.echo(show.line(row, self._width.get(kind.singular, [])))

    def _prefix(self, kind: Kind, meta: Mapping[str, Any]) -> list[str]:
        name = f"{kind.singular}/{meta['name']}" if self._columns.several else meta["name"]
        everywhere = self._columns.everywhere and kind.resource.namespaced
        return [meta.get("namespace", ""), name] if everywhere else [name]


def _draw(feed: _Feed, columns: Columns) -> None:
    from rich.console import Group  # noqa: PLC0415 - on a terminal only
    from rich.live import Live  # noqa: PLC0415

    tables: dict[str, Table] = {}

    def refresh(kinds: Sequence[Kind]) -> Group:
        for kind in kinds:
            try:
                found = _table(feed, kind, columns, feed.name)
            except Stalled:
                if feed.name is None:
                    raise
                found = ([], [])
            tables[kind.singular] = _rich(*found)
        return Group(*(tables[kind.singular] for kind in feed.kinds if kind.singular in tables))

    with Live(refresh(feed.kinds), auto_refresh=False) as live, _quiet_stop(feed):
        feed.start()
        for batch in feed.batches():
            changed = [kind for kind in feed.kinds if any(kind is one for one, _ in batch)]
            try:
                live.update(refresh(changed), refresh=True)
            except ModelopsError as error:
                live.console.print(f"modelops: {error.message}", style="red")


@contextmanager
def _quiet_stop(feed: _Feed) -> Iterator[None]:
    try:
        yield
    finally:
        feed.stopped.set()


def _rich(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> "Table":
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in headers:
        made.add_column(name, no_wrap=True)
    for row in rows:
        made.add_row(*(Text(cell, style=show.colour_of(cell) or "") for cell in row))
    return made


def _named(change: Change) -> tuple[str, str]:
    meta = change.obj["metadata"]
    return str(meta.get("namespace", "")), str(meta["name"])

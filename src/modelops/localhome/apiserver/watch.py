"""Watches: a stream of the changes of one resource, filtered, from any version that is still known.

`web` serves one per request. A client that does not read fast enough is cut off and starts again, as in Kubernetes.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from modelops.localhome.apiserver.answers import Obj, expired
from modelops.localhome.apiserver.resources import Key
from modelops.localhome.apiserver.selectors import Predicate
from modelops.localhome.apiserver.store import Change, Store, Stored

_BACKLOG = 20_000
"""Changes that may wait for one slow client."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a list or watch asks for."""

    key: Key
    namespace: str | None
    selects: Predicate

    def takes(self, stored: Stored | None) -> bool:
        """Tell whether an object is asked for."""
        if stored is None:
            return False
        if self.namespace is not None and (stored.obj["metadata"].get("namespace") or "") != self.namespace:
            return False
        return self.selects(stored.obj)


Render = Callable[[Stored], bytes]
"""How a client wants objects: as they are, or as rows of a table."""


def line(kind: str, body: bytes) -> bytes:
    """Return one event of a stream."""
    return b'{"type":"' + kind.encode() + b'","object":' + body + b"}\n"


def bookmark(api_version: str, kind: str, version: int, *, initial_end: bool = False) -> bytes:
    """Return the event that tells a client how far it has seen everything."""
    metadata: Obj = {"resourceVersion": str(version)}
    if initial_end:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    return line("BOOKMARK", orjson.dumps({"kind": kind, "apiVersion": api_version, "metadata": metadata}))


class Watch:
    """One running watch; `close` it."""

    def __init__(self, store: Store, scope: Scope, render: Render) -> None:
        self._store = store
        self._scope = scope
        self._render = render
        self._waiting: list[Change] = []
        self._woken = asyncio.Event()
        self._stop = store.listen(self._hear)
        self.seen = store.version

    def close(self) -> None:
        """Stop listening."""
        self._stop()

    def _hear(self, change: Change) -> None:
        if len(self._waiting) <= _BACKLOG:
            self._waiting.append(change)
        self._woken.set()

    def resume(self, version: int) -> bytes:
        """Return the events since a version.

        Raises:
            ApiError: 410, that version is compacted or still to come.
        """
        if version < self._store.compacted:
            raise expired(f"too old resource version: {version} ({self._store.compacted})")
        if version > self._store.version:
            # Only a file that was replaced can bring this about: the client must start over.
            raise expired(f"too large resource version: {version}, current: {self._store.version}")
        return b"".join(self._event(change) for change in self._store.since(version))

    def initial(self) -> bytes:
        """Return an ADDED event for every object there is."""
        found = self._store.objects(self._scope.key, self._scope.namespace)
        return b"".join(line("ADDED", self._render(stored)) for stored in found if self._scope.takes(stored))

    async def next(self, seconds: float) -> bytes:
        """Return the events since the last call; empty after that many seconds without one.

        Raises:
            BufferError: the client fell too far behind.
        """
        if not self._waiting:
            self._woken.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._woken.wait()
            except TimeoutError:
                return b""
        changes, self._waiting = self._waiting, []
        if len(changes) > _BACKLOG:
            raise BufferError
        self.seen = max(self.seen, changes[-1].version)
        return b"".join(self._event(change) for change in changes)

    def _event(self, change: Change) -> bytes:
        if change.key != self._scope.key:
            return b""
        before, now = self._scope.takes(change.old), self._scope.takes(change.new)
        if now and change.new:
            return line("MODIFIED" if before else "ADDED", self._render(change.new))
        if before and change.old:
            last = change.old
            if change.new is not None:
                # It left the selection: the client gets the old state with the version of the change.
                metadata = {**last.obj["metadata"], "resourceVersion": str(change.version)}
                obj = {**last.obj, "metadata": metadata}
                last = Stored(obj, orjson.dumps(obj), change.version)
            return line("DELETED", self._render(last))
        return b""

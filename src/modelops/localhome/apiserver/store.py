"""Objects in memory over one SQLite file, and the stream of their changes.

Every write is one committed transaction (WAL) before it is acknowledged, so that killing the process loses nothing that
a client was told. Reads never touch the file. Used by `verbs`, `lifecycle` and `watch`; knows nothing of schemas.
Objects in here are never changed in place: a write puts a new one.
"""

import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from modelops.localhome.apiserver.answers import Obj
from modelops.localhome.apiserver.resources import Key

HISTORY = 20_000
"""Changes that a watch can be resumed from."""

_FIRST = 100
"""A new file's version: small numbers, as clients make them up, are too old from the start."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it is kept: parsed, and as the bytes that answers are made of."""

    obj: Obj
    raw: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Change:
    """One write."""

    key: Key
    version: int
    new: Stored | None
    """None when it was deleted."""
    old: Stored | None
    """None when it was created. Of a deletion: the last state, with the version of the deletion."""


LAYOUT: Final = 1
"""Of the tables; a newer one is refused, an older one is brought here when the file is opened."""

Name = tuple[str, str]
"""Namespace (empty for cluster-scoped objects) and name."""


class StoreRefused(Exception):
    """The file cannot be served from; the message says why, and what to do."""


class WriteFailed(Exception):
    """Nothing was written, and everything is as it was before; the message says why."""


class Store:
    """All objects of all resources."""

    def __init__(self, path: Path) -> None:
        """Open or create the file.

        Raises:
            StoreRefused: another process has it open, it is from a newer version, or it cannot be read or written.
        """
        self._path = path
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=0.5)
            found = self._db.execute("PRAGMA user_version").fetchone()[0]
            if found > LAYOUT:
                raise StoreRefused(
                    f"{path} was written by a newer modelops (layout {found}, this one knows {LAYOUT}); "
                    "install that version again, or give another --state-dir"
                )
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("BEGIN EXCLUSIVE")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS objects (grp TEXT, plural TEXT, namespace TEXT, name TEXT, body BLOB,"
                " PRIMARY KEY (grp, plural, namespace, name)) WITHOUT ROWID"
            )
            self._db.execute("CREATE TABLE IF NOT EXISTS revision (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER)")
            self._db.execute("INSERT OR IGNORE INTO revision VALUES (1, ?)", (_FIRST,))
            self._db.execute(f"PRAGMA user_version = {LAYOUT}")
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreRefused(_refusal(path, error)) from error
        self.version: int = self._db.execute("SELECT at FROM revision").fetchone()[0]
        self.compacted = self.version
        """The oldest version that a watch can start from."""
        self._objects: dict[Key, dict[Name, Stored]] = {}
        self._history: deque[Change] = deque()
        self._listeners: list[Callable[[Change], None]] = []
        for group, plural, namespace, name, body in self._db.execute("SELECT * FROM objects ORDER BY namespace, name"):
            obj = orjson.loads(body)
            stored = Stored(obj, body, int(obj["metadata"]["resourceVersion"]))
            self._objects.setdefault(Key(group, plural), {})[namespace, name] = stored

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def get(self, key: Key, namespace: str, name: str) -> Stored | None:
        """Return an object or None."""
        return self._objects.get(key, {}).get((namespace, name))

    def objects(self, key: Key, namespace: str | None = None) -> list[Stored]:
        """Return the objects of a resource (in one namespace), by namespace and name."""
        found = self._objects.get(key, {})
        names = sorted(found) if namespace is None else sorted(name for name in found if name[0] == namespace)
        return [found[name] for name in names]

    def everything(self) -> Iterator[tuple[Key, Stored]]:
        """Yield every object there is."""
        for key, found in list(self._objects.items()):
            for stored in list(found.values()):
                yield key, stored

    def put(self, key: Key, obj: Obj) -> Stored:
        """Create or replace an object; it gets the next resourceVersion."""
        version = self.version + 1
        metadata = obj["metadata"]
        name: Name = (metadata.get("namespace") or "", metadata["name"])
        obj = {**obj, "metadata": {**metadata, "resourceVersion": str(version)}}
        new = Stored(obj, orjson.dumps(obj), version)
        self._write(version, "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)", (*key, *name, new.raw))
        found = self._objects.setdefault(key, {})
        old, found[name] = found.get(name), new
        self._publish(Change(key, version, new, old))
        return new

    def delete(self, key: Key, obj: Obj) -> Stored | None:
        """Remove an object, whose last state is given; return that with the version of its deletion, None if absent."""
        namespace, name = obj["metadata"].get("namespace") or "", obj["metadata"]["name"]
        if (namespace, name) not in self._objects.get(key, {}):
            return None
        version = self.version + 1
        removal = "DELETE FROM objects WHERE grp = ? AND plural = ? AND namespace = ? AND name = ?"
        self._write(version, removal, (*key, namespace, name))
        del self._objects[key][namespace, name]
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}
        last = Stored(obj, orjson.dumps(obj), version)
        self._publish(Change(key, version, None, last))
        return last

    def since(self, version: int) -> list[Change]:
        """Return the changes after a version that has not been compacted, oldest first."""
        recent: list[Change] = []
        for change in reversed(self._history):
            if change.version <= version:
                break
            recent.append(change)
        return recent[::-1]

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call the listener at every change, within the write; return what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _write(self, version: int, statement: str, values: tuple[object, ...]) -> None:
        """Execute one statement and the step of the version, both or neither.

        Raises:
            WriteFailed: the disk is full, read-only or gone.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(statement, values)
            self._db.execute("UPDATE revision SET at = ?", (version,))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise WriteFailed(_refusal(self._path, error)) from error

    def _publish(self, change: Change) -> None:
        self.version = change.version
        self._history.append(change)
        if len(self._history) > HISTORY:
            self.compacted = self._history.popleft().version
        for listener in tuple(self._listeners):
            listener(change)


def _refusal(path: Path, error: sqlite3.Error) -> str:
    """Return in one line why SQLite does not do what it is asked, and what helps."""
    match getattr(error, "sqlite_errorname", "").removeprefix("SQLITE_").partition("_")[0]:
        case "BUSY" | "LOCKED":
            return f"{path}: another API server has this file open; stop it first"
        case "FULL":
            return f"{path}: the disk is full; free some space (modelops local prune), nothing was lost"
        case "READONLY" | "CANTOPEN" | "PERM":
            return (
                f"{path}: the state directory cannot be written to; check its permissions, or give another --state-dir"
            )
        case "NOTADB" | "CORRUPT":
            return f"{path}: not a database, or a damaged one; move it away to begin anew"
        case name:
            return f"{path}: {error} ({name or 'sqlite'})"

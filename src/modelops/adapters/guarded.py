"""Writes over what was seen: whoever decided about an object that has become another since, decides again.

Used by every implementation of `ports.Cluster` that has a cache. Most of what changes an object is its own status,
which no apply of ours depends on; only what somebody else did to the rest is a Conflict.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeVar

from modelops.api.kinds import Resource
from modelops.errors import Conflict

_T = TypeVar("_T")
_Obj = Mapping[str, Any]
_OF_EVERY_WRITE: Final = frozenset({"resourceVersion", "managedFields"})


class Source(Protocol):
    """What is needed of an API server."""

    def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        """Return an object or None."""
        ...


class Cache(Protocol):
    """What is needed of a cache."""

    def held(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        """Return a cached object, or None."""
        ...

    def remember(self, resource: Resource, obj: dict[str, Any]) -> dict[str, Any]:
        """Take what the API server answered; return it."""
        ...

    def forget(self, resource: Resource, namespace: str | None, name: str) -> None:
        """Drop an object."""
        ...


def write_over_seen(
    resource: Resource, seen: _Obj | None, write: Callable[[_Obj | None], _T], *, source: Source, cache: Cache
) -> _T:
    """Return what the write answers; over nothing in particular if nothing was seen.

    Args:
        resource: of the object.
        seen: the object that was decided about, if there was one.
        write: writes over exactly the object that it is given.
        source: where the object is read again after a conflict.
        cache: what knows the object by now, and is told.

    Raises:
        Conflict: as of `write_over`.
    """
    if seen is None:
        return write(None)
    namespace, name = seen["metadata"].get("namespace"), seen["metadata"]["name"]

    def reread() -> dict[str, Any] | None:
        found = source.get(resource, namespace, name)
        if found is None:
            cache.forget(resource, namespace, name)
            return None
        return cache.remember(resource, found)

    return write_over(seen, cache.held(resource, namespace, name), write, reread)


def write_over(seen: _Obj, held: _Obj | None, write: Callable[[_Obj], _T], reread: Callable[[], _Obj | None]) -> _T:
    """Return what the write answers.

    Args:
        seen: the object that was decided about.
        held: the object as a cache has it by now.
        write: writes over exactly the object that it is given.
        reread: brings the object from the API server into the cache, or drops it there, and returns it.

    Raises:
        Conflict: it is another object now, or gone; the cache knows by then.
    """
    try:
        return write(held if held is not None and same_but_status(held, seen) else seen)
    except Conflict:
        found = reread()
        if found is None or not same_but_status(found, seen):
            raise
        return write(found)


def same_but_status(left: _Obj, right: _Obj) -> bool:
    """Return whether nobody has changed anything between the two but the status."""
    return left is right or _without_status(left) == _without_status(right)


def _without_status(obj: _Obj) -> dict[str, Any]:
    meta = {key: value for key, value in obj["metadata"].items() if key not in _OF_EVERY_WRITE}
    rest = {key: value for key, value in obj.items() if key not in {"apiVersion", "kind", "metadata", "status"}}
    return {**rest, "metadata": meta}

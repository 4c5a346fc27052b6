"""The Cluster port: reads from a cache that the shell's watches feed, writes through to the API server.

A reconcile never reads an object older than what it wrote itself: every write's answer goes into the cache at once,
and an older event never replaces it.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from modelops.adapters.acting import ActingCluster
from modelops.adapters.cluster import KubeClient
from modelops.adapters.finalizers import take_off
from modelops.adapters.write_through import WriteThrough
from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import Resource
from modelops.api.labels import GROUP, MANAGED_BY, MANAGER, OWNER_KIND, OWNER_NAME
from modelops.errors import Conflict

_Key = tuple[str, str, str]
_Owned = tuple[str, str, str, str]
"""Plural, namespace, kind and name of the owner, as its labels have it."""
_REMEMBERED: Final = 10_000
"""Deletions that are remembered, so that an older event does not bring the object back."""


class CachedCluster(WriteThrough):
    """Implements `ports.Cluster`. Thread-safe; cached objects are shared and must not be changed.

    Args:
        client: the API server.
        watched: resources that the shell feeds; others are always read live.
    """

    def __init__(self, client: KubeClient, watched: Iterable[Resource]) -> None:
        super().__init__(client, self)
        self._watched = {resource.plural for resource in watched}
        # By plural: a reader of one kind does not pass all of another's objects.
        self._objects: dict[str, dict[_Key, dict[str, Any]]] = defaultdict(dict)
        # Children by whose they are: a parent does not pass everybody's.
        self._owned: dict[_Owned, dict[_Key, None]] = defaultdict(dict)
        self._deleted: dict[_Key, int] = {}
        self._said: dict[_Key, int] = {}
        """Version of each object that our own status write left."""
        self._synced: set[str] = set()
        self._lock = threading.Lock()

    # --- fed by the shell --------------------------------------------------------------------------------------

    def feed(self, resource: Resource, obj: Mapping[str, Any], *, deleted: bool = False) -> bool:
        """Take what a watch says of an object; return whether it tells more than that our own status was written."""
        key = _key(resource, obj)
        version = _version(obj)
        with self._lock:
            if deleted:
                held = self._objects[resource.plural].get(key)
                if held is None or held["metadata"].get("uid") == obj["metadata"].get("uid"):
                    self._drop(key)
                self._bury(key, version)
            else:
                self._put(key, obj, version)
            return self._said.get(key) != version

    def prime(
        self, resource: Resource, namespace: str | None, labels: Mapping[str, str] | None
    ) -> Sequence[dict[str, Any]] | None:
        """List a watched resource into the cache; return what vanished since, or None if nobody serves the resource."""
        page = self._client.list_page(resource, namespace, labels)
        if page is None:
            self.replace(resource, (), "")
            return None
        return self.replace(resource, page["items"], page["metadata"].get("resourceVersion", ""))

    def replace(self, resource: Resource, items: Iterable[Mapping[str, Any]], version: str) -> Sequence[dict[str, Any]]:
        """Let a list replace what is cached of a resource; return the cached objects that it does not have any more.

        What a watch has told since the list was read is younger, and stays: objects and deletions alike.

        Args:
            resource: what was listed, everywhere that is watched.
            items: all of them; an item of a list need not say its apiVersion and kind.
            version: of the list; empty if it is younger than anything.
        """
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        present = {_key(resource, item): kind | dict(item) for item in items}
        read = _number(version) if version else None
        gone = []
        with self._lock:
            held = self._objects[resource.plural]
            for key in [key for key in held if key not in present]:
                if read is None or _version(held[key]) <= read:
                    gone.append(held[key])
                    self._drop(key)
                    self._bury(key, read or 0)
            for key, item in present.items():
                self._put(key, item, _version(item))
            self._synced.add(resource.plural)
        return gone

    def cached(self, resource: Resource) -> list[dict[str, Any]]:
        """Return every cached object of a resource."""
        with self._lock:
            return list(self._objects[resource.plural].values())

    def held(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        """Return a cached object, or None; the API server is not asked."""
        with self._lock:
            return self._objects[resource.plural].get((resource.plural, namespace or "", name))

    # --- ports.Cluster -----------------------------------------------------------------------------------------

    def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        """Return an object or None; a miss is asked of the API server."""
        if resource.plural in self._watched:
            held = self.held(resource, namespace, name)
            if held is not None:
                return held
        found = self._client.get(resource, namespace, name)
        if found is not None:
            self.remember(resource, found)
        return found

    def list(
        self, resource: Resource, namespace: str | None, labels: Mapping[str, str] | None = None
    ) -> Sequence[dict[str, Any]]:
        """Return the objects of a namespace (None: of all) that carry all the labels."""
        if resource.plural not in self._synced:
            return self._client.list(resource, namespace, labels)
        wanted = (labels or {}).items()
        return [
            obj
            for obj in self._candidates(resource, namespace, labels or {})
            if (namespace is None or obj["metadata"].get("namespace") == namespace)
            and wanted <= (obj["metadata"].get("labels") or {}).items()
        ]

    def replace_status(self, resource: Resource, obj: Mapping[str, Any]) -> dict[str, Any]:
        """Put `/status`; on a conflict the cached object is dropped, so that the next read is live."""
        try:
            written = self._client.replace_status(resource, obj)
            with self._lock:
                self._said[_key(resource, written)] = _version(written)
            return self.remember(resource, written)
        except Conflict:
            self.forget(resource, obj["metadata"].get("namespace"), obj["metadata"]["name"])
            raise

    def let_go(self, resource: Resource, obj: Mapping[str, Any]) -> None:
        """Take our finalizers off an object."""
        left = take_off(self._client, resource, obj)
        if left is not None:
            self.remember(resource, left)

    def emit(self, resource: Resource, about: Mapping[str, Any], reason: str, message: str, type_: str) -> None:
        """Record an Event, best effort."""
        self._client.emit(resource, about, reason, message, type_)

    def acting_as(self, account: ServiceAccount) -> ActingCluster:
        """Return the objects as an account may see and change them, for one pass."""
        return ActingCluster(self._client.acting_as(account), self, self._watched)

    def has_account(self, account: ServiceAccount) -> bool:
        """Return whether the account exists, asked live; True where the API server knows no accounts."""
        return self._client.has_account(account)

    def may(self, account: ServiceAccount | None, namespace: str, verb: str, resource: Resource) -> bool | None:
        """Return whether an account (None: the operator) may do something, asked live; None if nobody can tell."""
        return self._client.may(account, namespace, verb, resource)

    # --- what a write leaves -----------------------------------------------------------------------------------

    def forget(self, resource: Resource, namespace: str | None, name: str) -> None:
        """Drop an object, so that the next read is live."""
        with self._lock:
            self._drop((resource.plural, namespace or "", name))

    def remember(self, resource: Resource, obj: dict[str, Any]) -> dict[str, Any]:
        """Take what the API server answered to a write or a live read; return it."""
        # Of what others made no watch tells (of routes one does), so that it would stay here as it is now.
        ours = resource.group == GROUP or (obj["metadata"].get("labels") or {}).get(MANAGED_BY) == MANAGER
        if resource.plural in self._watched and ours:
            with self._lock:
                self._put(_key(resource, obj), obj, _version(obj))
        return obj

    def _bury(self, key: _Key, version: int) -> None:
        self._said.pop(key, None)
        self._deleted[key] = max(version, self._deleted.get(key, 0))
        while len(self._deleted) > _REMEMBERED:
            self._deleted.pop(next(iter(self._deleted)))

    def _put(self, key: _Key, obj: Mapping[str, Any], version: int) -> None:
        objects = self._objects[key[0]]
        held = objects.get(key)
        if version <= self._deleted.get(key, -1) or (held is not None and _version(held) > version):
            return
        self._drop(key)
        # Half of an object, and nobody decides by it; a status that is put without it leaves it as it is.
        meta = {field: value for field, value in obj["metadata"].items() if field != "managedFields"}
        objects[key] = {**obj, "metadata": meta}
        owner = _owner(key, obj)
        if owner is not None:
            self._owned[owner][key] = None

    def _drop(self, key: _Key) -> None:
        gone = self._objects[key[0]].pop(key, None)
        owner = None if gone is None else _owner(key, gone)
        if owner is not None:
            siblings = self._owned[owner]
            siblings.pop(key, None)
            if not siblings:
                del self._owned[owner]

    def _candidates(
        self, resource: Resource, namespace: str | None, labels: Mapping[str, str]
    ) -> Sequence[dict[str, Any]]:
        """Return cached objects, all that carry the labels among them."""
        kind, name = labels.get(OWNER_KIND), labels.get(OWNER_NAME)
        if namespace is None or kind is None or name is None:
            return self.cached(resource)
        objects = self._objects[resource.plural]
        with self._lock:
            return [objects[key] for key in self._owned.get((resource.plural, namespace, kind, name), ())]


def _owner(key: _Key, obj: Mapping[str, Any]) -> _Owned | None:
    labels = obj["metadata"].get("labels") or {}
    kind, name = labels.get(OWNER_KIND), labels.get(OWNER_NAME)
    return None if kind is None or name is None else (key[0], key[1], kind, name)


def _key(resource: Resource, obj: Mapping[str, Any]) -> _Key:
    meta = obj["metadata"]
    return resource.plural, meta.get("namespace") or "", meta["name"]


def _version(obj: Mapping[str, Any]) -> int:
    return _number(obj["metadata"].get("resourceVersion", "0"))


def _number(version: object) -> int:
    """Return a resourceVersion as what it is on every API server: a number that grows."""
    return int(str(version)) if str(version).isdigit() else 0

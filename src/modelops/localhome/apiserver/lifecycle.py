"""The end of objects: deletion, finalizers, owners and dependents, namespaces, the retention of Events.

Deletions answer at once; what follows from them (dependents, contents of a namespace) is done by `collect`, which `app`
runs soon after and once at the start, so that a killed process leaves no orphans.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from modelops.localhome.apiserver import answers, metadata
from modelops.localhome.apiserver.answers import Obj
from modelops.localhome.apiserver.resources import CRD_GROUP, Key, ResourceType
from modelops.localhome.apiserver.store import Change, Store, Stored

NAMESPACES = Key("", "namespaces")
EVENTS = Key("", "events")
DEFINITIONS = Key(CRD_GROUP, "customresourcedefinitions")
FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
KEPT_EVENTS = 2000
EVENT_AGE = timedelta(hours=1)
_FINALIZER_OF = {"Foreground": FOREGROUND, "Orphan": ORPHAN}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Lifecycle:
    """Deletions over a store."""

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        """Take the store and what asks for `collect` to run soon."""
        self._store = store
        self._wake = wake
        self._dependents: dict[str, set[tuple[Key, str, str]]] = {}
        self._uids: set[str] = set()
        for key, stored in store.everything():
            self._index(Change(key, stored.version, stored, None))
        store.listen(self._index)

    def _index(self, change: Change) -> None:
        for stored, present in ((change.old, False), (change.new, True)):
            if stored is None:
                continue
            meta = stored.obj["metadata"]
            identity = (change.key, meta.get("namespace") or "", meta["name"])
            (self._uids.add if present else self._uids.discard)(meta["uid"])
            for reference in meta.get("ownerReferences") or ():
                group = self._dependents.setdefault(reference["uid"], set())
                (group.add if present else group.discard)(identity)
                if present and reference["uid"] not in self._uids:
                    self._wake()
                if not group:
                    del self._dependents[reference["uid"]]
        if change.new is None or change.new.obj["metadata"].get("deletionTimestamp"):
            self._wake()

    def require_namespace(self, kind: ResourceType, namespace: str, name: str) -> None:
        """Refuse to create in a namespace that is not there or going.

        Raises:
            ApiError: 404 or 403.
        """
        if not kind.namespaced:
            return
        found = self._store.get(NAMESPACES, "", namespace)
        if found is None:
            raise answers.not_found("", "namespaces", namespace)
        if found.obj["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            cause = {"reason": "NamespaceTerminating", "message": f"namespace {namespace} is being terminated"}
            raise answers.forbidden(kind.group, kind.plural, name, why, [{**cause, "field": "metadata.namespace"}])

    def delete(self, kind: ResourceType, stored: Stored, options: Obj, *, dry_run: bool = False) -> tuple[Stored, bool]:
        """Delete an object, or mark it where finalizers hold it; return its last state and whether it is gone.

        Raises:
            ApiError: 409, a precondition does not hold.
        """
        meta = stored.obj["metadata"]
        wanted = options.get("preconditions") or {}
        for field, label, happened in (
            ("uid", "UID", "deleted and then recreated"),
            ("resourceVersion", "ResourceVersion", "modified"),
        ):
            if wanted.get(field) and wanted[field] != meta[field]:
                why = (
                    f"the {label} in the precondition ({wanted[field]}) does not match the {label} in record"
                    f" ({meta[field]}). The object might have been {happened}"
                )
                raise answers.conflict(kind.group, kind.kind, meta["name"], why)
        policy = options.get("propagationPolicy") or ("Orphan" if options.get("orphanDependents") else "Background")
        finalizers = list(meta.get("finalizers") or ())
        if policy in _FINALIZER_OF and _FINALIZER_OF[policy] not in finalizers:
            finalizers = [item for item in finalizers if item not in {FOREGROUND, ORPHAN}] + [_FINALIZER_OF[policy]]
        held = bool(finalizers) or kind.key == NAMESPACES
        if not held:
            return self.remove(kind.key, stored.obj, dry_run=dry_run), True
        if meta.get("deletionTimestamp") and finalizers == list(meta.get("finalizers") or ()):
            return stored, False
        new = {**meta, "deletionGracePeriodSeconds": 0, "deletionTimestamp": meta.get("deletionTimestamp") or _now()}
        if finalizers:
            new["finalizers"] = finalizers
        if kind.has_generation and not meta.get("deletionTimestamp"):
            new["generation"] = meta.get("generation", 1) + 1
        obj = {**stored.obj, "metadata": new}
        if kind.key == NAMESPACES:
            obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
        return (metadata.unsaved(obj) if dry_run else self._store.put(kind.key, obj)), False

    def remove(self, key: Key, obj: Obj, *, dry_run: bool = False) -> Stored:
        """Take an object out of the store; return its last state."""
        if dry_run:
            return metadata.unsaved(obj)
        return self._store.delete(key, obj) or metadata.unsaved(obj)

    def collect(self) -> None:
        """Do what deletions left to do, until nothing is left that can be done now."""
        while any([self._collect_owners(), self._collect_dependents(), self._collect_namespaces()]):
            pass
        self._retire_events()

    def _stored(self, identity: tuple[Key, str, str]) -> Stored | None:
        return self._store.get(*identity)

    def _terminate(self, key: Key, stored: Stored) -> bool:
        """Delete in the background; tell whether that changed anything."""
        meta = stored.obj["metadata"]
        if not meta.get("finalizers"):
            self.remove(key, stored.obj)
            return True
        if meta.get("deletionTimestamp"):
            return False
        new = {**meta, "deletionTimestamp": _now(), "deletionGracePeriodSeconds": 0}
        self._store.put(key, {**stored.obj, "metadata": new})
        return True

    def _collect_owners(self) -> bool:
        """Finish the owners that wait for (Foreground), or let go of (Orphan), their dependents."""
        worked = False
        for key, stored in self._store.everything():
            meta = stored.obj["metadata"]
            finalizers = meta.get("finalizers") or ()
            if not meta.get("deletionTimestamp") or not {FOREGROUND, ORPHAN} & set(finalizers):
                continue
            dependents = set(self._dependents.get(meta["uid"], ()))
            if ORPHAN in finalizers:
                for identity in dependents:
                    self._disown(identity, {meta["uid"]})
            elif dependents:
                for identity in dependents:
                    child = self._stored(identity)
                    worked = (child is not None and self._terminate(identity[0], child)) or worked
                continue
            left = [item for item in finalizers if item not in {FOREGROUND, ORPHAN}]
            worked = True
            if left:
                self._store.put(key, {**stored.obj, "metadata": {**meta, "finalizers": left}})
            else:
                self.remove(key, stored.obj)
        return worked

    def _disown(self, identity: tuple[Key, str, str], uids: set[str]) -> None:
        stored = self._stored(identity)
        if stored is None:
            return
        meta = stored.obj["metadata"]
        kept = [reference for reference in meta.get("ownerReferences") or () if reference["uid"] not in uids]
        new = {key: value for key, value in meta.items() if key != "ownerReferences"}
        if kept:
            new["ownerReferences"] = kept
        self._store.put(identity[0], {**stored.obj, "metadata": new})

    def _collect_dependents(self) -> bool:
        """Delete what has lost all of its owners; forget single lost owners."""
        worked = False
        for uid in [uid for uid in self._dependents if uid not in self._uids]:
            for identity in list(self._dependents.get(uid, ())):
                stored = self._stored(identity)
                if stored is None:
                    continue
                owners = {reference["uid"] for reference in stored.obj["metadata"].get("ownerReferences") or ()}
                if owners & self._uids:
                    self._disown(identity, owners - self._uids)
                    worked = True
                else:
                    worked = self._terminate(identity[0], stored) or worked
        return worked

    def _collect_namespaces(self) -> bool:
        worked = False
        for namespace in self._store.objects(NAMESPACES):
            meta = namespace.obj["metadata"]
            if not meta.get("deletionTimestamp"):
                continue
            contents = [
                (key, stored)
                for key, stored in self._store.everything()
                if stored.obj["metadata"].get("namespace") == meta["name"]
            ]
            for key, stored in contents:
                worked = self._terminate(key, stored) or worked
            if not contents and not meta.get("finalizers"):
                self.remove(NAMESPACES, namespace.obj)
                worked = True
        return worked

    def _retire_events(self) -> None:
        """Drop Events that are old or too many."""
        events = sorted(self._store.objects(EVENTS), key=lambda stored: stored.version)
        oldest = (datetime.now(UTC) - EVENT_AGE).strftime("%Y-%m-%dT%H:%M:%SZ")
        surplus = len(events) - KEPT_EVENTS
        for index, stored in enumerate(events):
            if index < surplus or (stored.obj["metadata"]["creationTimestamp"] < oldest):
                self.remove(EVENTS, stored.obj)

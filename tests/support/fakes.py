"""Hand-written fakes of the ports, for tests that walk through reconciles without I/O.

FakeCluster keeps what an API server would make tests depend on: resourceVersion, generation, uid, conflicts on a stale
status, deep copies in and out, cascade to owned objects. It validates nothing; for that there is a real server.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import KINDS, SERVICE, Resource
from modelops.api.labels import finalizers_of
from modelops.errors import Conflict, Forbidden, ModelopsError, Transient
from modelops.ports import Answer, ModelServer, ModelVersion, Series
from tests.support.invariants import assert_invariants

_OURS = {kind.resource.plural for kind in KINDS}
_NOT_SPEC = {"metadata", "status"}


@dataclass
class FakeClock:
    """Time that moves only when told to."""

    time: datetime = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def advance(self, **delta: float) -> None:
        """Move on, by the arguments of timedelta."""
        self.time += timedelta(**delta)


@dataclass(frozen=True)
class Emitted:
    """An Event that was recorded."""

    name: str
    reason: str
    message: str
    type: str


Key = tuple[str, str, str]
"""(plural, namespace, name); the namespace is empty for cluster-scoped resources."""


@dataclass
class FakeCluster:
    """The Kubernetes API in memory.

    `calls` lists every write as `verb plural/name`; `failures` maps such a text to the error it raises once.
    """

    clock: FakeClock = field(default_factory=FakeClock)
    objects: dict[Key, dict[str, Any]] = field(default_factory=dict)
    events: list[Emitted] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    failures: dict[str, ModelopsError] = field(default_factory=dict)
    accounts: set[ServiceAccount] | None = None
    """Which exist; None knows no accounts, as the local home does."""
    rights: dict[str, set[str]] = field(default_factory=dict)
    """User → what it may, as `verb plural`; a user that is not here may do everything. The operator is `operator`."""
    asked: int = 0
    """How often somebody asked what may be done."""
    acted: list[str] = field(default_factory=list)
    """Every write made as an account, as `user: verb plural/name`."""
    _version: int = 0
    _uids: int = 0

    def has_account(self, account: ServiceAccount) -> bool:
        return self.accounts is None or account in self.accounts

    def may(self, account: ServiceAccount | None, namespace: str, verb: str, resource: Resource) -> bool | None:
        self.asked += 1
        allowed = self.rights.get("operator" if account is None else account.user)
        return allowed is None or f"{verb} {resource.plural}" in allowed

    def acting_as(self, account: ServiceAccount) -> "Acting":
        """Return the cluster as an account may see and change it."""
        return Acting(self, account)

    def put(self, resource: Resource, obj: Mapping[str, Any]) -> dict[str, Any]:
        """Let somebody else create or replace an object: keeps uid, counts the generation, keeps an absent status."""
        return self._store(resource, obj, keep_status="status" not in obj)

    def set_status(self, resource: Resource, namespace: str | None, name: str, status: Mapping[str, Any]) -> None:
        """Let another controller write a status."""
        stored = self.objects[_key(resource, namespace, name)]
        stored["status"] = copied(dict(status))
        self._touch(stored)

    def annotate(self, resource: Resource, namespace: str | None, name: str, **annotations: str) -> None:
        """Let a user set annotations; the generation stays."""
        stored = self.objects[_key(resource, namespace, name)]
        stored["metadata"].setdefault("annotations", {}).update(annotations)
        self._touch(stored)

    def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        return copied(self.look(resource, namespace, name))

    def look(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        """Return what `get` copies, for who only looks at it: spec and status stay as they are, others replace them."""
        return self.objects.get(_key(resource, namespace, name))

    def list(
        self, resource: Resource, namespace: str | None, labels: Mapping[str, str] | None = None
    ) -> Sequence[dict[str, Any]]:
        return [copied(obj) for obj in self.stored(resource, namespace, labels)]

    def stored(
        self, resource: Resource, namespace: str | None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Mapping[str, Any]]:
        """Return what `list` copies, for who only looks at it."""
        found = sorted(key for key in self.objects if key[0] == resource.plural and namespace in (None, key[1]))
        wanted = (labels or {}).items()
        return [
            self.objects[key]
            for key in found
            if not wanted or wanted <= (self.objects[key]["metadata"].get("labels") or {}).items()
        ]

    def apply(
        self, resource: Resource, obj: Mapping[str, Any], *, seen: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        self._called("apply", resource, obj["metadata"]["name"])
        key = _key(resource, obj["metadata"].get("namespace"), obj["metadata"]["name"])
        self._require_unchanged(key, seen)
        merged = _merge(self.objects.get(key, {}), obj)
        if resource is SERVICE:
            merged["spec"]["selector"] = copied(obj["spec"]["selector"])  # an atomic map
        if merged == self.objects.get(key):
            return copied(merged)
        return self._store(resource, merged, keep_status=True)

    def create(self, resource: Resource, obj: Mapping[str, Any]) -> dict[str, Any] | None:
        self._called("create", resource, obj["metadata"]["name"])
        if _key(resource, obj["metadata"].get("namespace"), obj["metadata"]["name"]) in self.objects:
            return None
        return self._store(resource, obj, keep_status=False)

    def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        seen: Mapping[str, Any] | None = None,
    ) -> None:
        self._called("delete", resource, name)
        key = _key(resource, namespace, name)
        self._require_unchanged(key, seen)
        found = self.objects.get(key)
        if found is None or (uid is not None and found["metadata"]["uid"] != uid):
            return
        self._remove(key)

    def let_go(self, resource: Resource, obj: Mapping[str, Any]) -> None:
        meta = obj["metadata"]
        self._called("let-go", resource, meta["name"])
        key = _key(resource, meta.get("namespace"), meta["name"])
        found = self.objects.get(key)
        if found is None or found["metadata"]["uid"] != meta["uid"]:
            return
        ours = finalizers_of(found)
        found["metadata"]["finalizers"] = [f for f in found["metadata"].get("finalizers") or () if f not in ours]
        self._touch(found)
        if found["metadata"].get("deletionTimestamp"):
            self._remove(key)

    def _remove(self, key: Key) -> None:
        """Remove an object and what it owns; what a finalizer holds is only marked."""
        found = self.objects.get(key)
        if found is None:
            return
        if found["metadata"].get("finalizers"):
            found["metadata"].setdefault("deletionTimestamp", self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"))
            self._touch(found)
            return
        del self.objects[key]
        for other, obj in list(self.objects.items()):
            owners = obj["metadata"].get("ownerReferences") or []
            if any(owner.get("uid") == found["metadata"]["uid"] for owner in owners):
                self._remove(other)

    def replace_status(self, resource: Resource, obj: Mapping[str, Any]) -> dict[str, Any]:
        meta = obj["metadata"]
        self._called("status", resource, meta["name"])
        stored = self.objects.get(_key(resource, meta.get("namespace"), meta["name"]))
        if stored is None or stored["metadata"]["resourceVersion"] != meta["resourceVersion"]:
            raise Conflict("Conflict", f"{resource.kind} {meta['name']}: the object has been modified")
        if resource.plural in _OURS:
            assert_invariants({**stored, "status": obj["status"]}, stored)
        stored["status"] = copied(obj["status"])
        self._touch(stored)
        return copied(stored)

    def emit(self, resource: Resource, about: Mapping[str, Any], reason: str, message: str, type_: str) -> None:
        self.events.append(Emitted(about["metadata"]["name"], reason, message, type_))

    def _called(self, verb: str, resource: Resource, name: str) -> None:
        call = f"{verb} {resource.plural}/{name}"
        self.calls.append(call)
        if failure := self.failures.pop(call, None):
            raise failure

    def _require_unchanged(self, key: Key, seen: Mapping[str, Any] | None) -> None:
        found = self.objects.get(key)
        if seen is not None and (found is None or _without_status(found) != _without_status(seen)):
            raise Conflict("Conflict", f"{key[2]}: the object has been modified")

    def _touch(self, obj: dict[str, Any]) -> None:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)

    def _store(self, resource: Resource, obj: Mapping[str, Any], *, keep_status: bool) -> dict[str, Any]:
        fresh = copied(dict(obj))
        meta = fresh.setdefault("metadata", {})
        key = _key(resource, meta.get("namespace"), meta["name"])
        old = self.objects.get(key)
        fresh.setdefault("apiVersion", resource.api_version)
        fresh.setdefault("kind", resource.kind)
        if old is None:
            self._uids += 1
            meta.setdefault("uid", f"00000000-0000-4000-8000-{self._uids:012d}")
            meta["generation"] = 1
            meta.setdefault("creationTimestamp", self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"))
        else:
            meta["uid"], meta["creationTimestamp"] = old["metadata"]["uid"], old["metadata"]["creationTimestamp"]
            meta["generation"] = old["metadata"]["generation"] + (_spec_of(fresh) != _spec_of(old))
            if keep_status and "status" in old:
                fresh["status"] = old["status"]
        self._touch(fresh)
        self.objects[key] = fresh
        return copied(fresh)


@dataclass(frozen=True)
class Acting:
    """FakeCluster under an account; apply needs `patch`, and `create` too where nothing is."""

    cluster: FakeCluster
    account: ServiceAccount

    def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        self._require("get", resource, resource.kind)
        return self.cluster.get(resource, namespace, name)

    def apply(
        self, resource: Resource, obj: Mapping[str, Any], *, seen: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        name = obj["metadata"]["name"]
        self._require("patch", resource, name)
        if self.cluster.get(resource, obj["metadata"].get("namespace"), name) is None:
            self._require("create", resource, name)
        self.cluster.acted.append(f"{self.account.user}: apply {resource.plural}/{name}")
        return self.cluster.apply(resource, obj, seen=seen)

    def create(self, resource: Resource, obj: Mapping[str, Any]) -> dict[str, Any] | None:
        self._require("create", resource, obj["metadata"]["name"])
        self.cluster.acted.append(f"{self.account.user}: create {resource.plural}/{obj['metadata']['name']}")
        return self.cluster.create(resource, obj)

    def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        seen: Mapping[str, Any] | None = None,
    ) -> None:
        self._require("delete", resource, name)
        self.cluster.acted.append(f"{self.account.user}: delete {resource.plural}/{name}")
        self.cluster.delete(resource, namespace, name, uid=uid, seen=seen)

    def _require(self, verb: str, resource: Resource, name: str) -> None:
        allowed = self.cluster.rights.get(self.account.user)
        if allowed is not None and f"{verb} {resource.plural}" not in allowed:
            said = f"{resource.kind} {name}: {self.account} may not {verb} {resource.plural}"
            raise Forbidden("Forbidden", said, remedy="grant it: so")


@dataclass
class FakeRegistry:
    """MLflow's registry in memory. `down` makes every call fail as an unreachable server does."""

    versions: dict[tuple[str, str], ModelVersion] = field(default_factory=dict)
    aliases: dict[tuple[str, str], str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    down: bool = False

    def add(self, model: str, version: str, *, digest: str = "", run_id: str = "", **tags: str) -> ModelVersion:
        """Register a version whose artifact digest and tags are given."""
        digests = {"modelops.artifactDigest": digest} if digest else {}
        named = {f"modelops.{key}": value for key, value in tags.items()}
        added = ModelVersion(model, version, run_id or f"run-{version}", "READY", digests | named)
        self.versions[model, version] = added
        return added

    def version(self, model: str, version: str) -> ModelVersion | None:
        self._called("version")
        return self.versions.get((model, version))

    def alias(self, model: str, alias: str) -> ModelVersion | None:
        self._called("alias")
        number = self.aliases.get((model, alias))
        return None if number is None else self.versions.get((model, number))

    def set_alias(self, model: str, alias: str, version: str) -> None:
        self._called("set_alias")
        self.aliases[model, alias] = version

    def _called(self, call: str) -> None:
        self.calls.append(call)
        if self.down:
            raise Transient("RegistryUnreachable", "MLflow does not answer")


@dataclass
class FakeMetrics:
    """Prometheus in memory: an answer per query, found by a part of its text; a query without one answers nothing."""

    answers: dict[str, float | ModelopsError | Sequence[Series]] = field(default_factory=dict)
    queries: list[str] = field(default_factory=list)

    def query(self, promql: str, at: datetime) -> Sequence[Series]:
        self.queries.append(promql)
        for part, answer in self.answers.items():
            if part in promql:
                if isinstance(answer, ModelopsError):
                    raise answer
                return [Series({}, float(answer))] if isinstance(answer, int | float) else answer
        return []


@dataclass
class FakeServers:
    """Model servers in memory, which all answer alike: with 200 and an empty object, unless told otherwise."""

    answer: Answer | ModelopsError = Answer(200, b"{}", 0.01)  # noqa: RUF009 - frozen
    asked: list[str] = field(default_factory=list)
    """Address, path and body of every request."""

    @contextmanager
    def at(self, address: str, *, within: timedelta) -> Iterator[ModelServer]:
        yield _FakeServer(self, address)


@dataclass
class _FakeServer:
    servers: FakeServers
    address: str

    def ask(self, path: str, body: bytes | None, timeout: timedelta, bearer: str = "") -> Answer:
        self.servers.asked.append(f"{self.address}{path} {(body or b'').decode()}".strip())
        answer = self.servers.answer
        if isinstance(answer, ModelopsError):
            raise answer.with_traceback(None)
        return answer


def copied(value: Any) -> Any:
    """Return a deep copy of plain data, as an API server gives it: through JSON, which is also the fastest way."""
    return orjson.loads(orjson.dumps(value))


def _key(resource: Resource, namespace: str | None, name: str) -> Key:
    return resource.plural, (namespace or "default") if resource.namespaced else "", name


def _without_status(obj: Mapping[str, Any]) -> dict[str, Any]:
    meta = {name: value for name, value in obj["metadata"].items() if name != "resourceVersion"}
    return {**{name: value for name, value in obj.items() if name != "status"}, "metadata": meta}


def _spec_of(obj: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in obj.items() if name not in _NOT_SPEC}


def _merge(old: Any, new: Any) -> Any:
    """Merge mappings deeply; lists and scalars of the new side win (our applies own whole lists)."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return copied(new)
    kept = {name: _merge(value, new[name]) if name in new else copied(value) for name, value in old.items()}
    return kept | {name: copied(value) for name, value in new.items() if name not in old}

"""Holds manifests against the API server without writing: what would be created, changed, refused, pruned.

Called by `plan`. The API server fills in defaults and says what it refuses, by dry runs; nothing is ever written.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from modelops.api.kinds import COMPUTEPOOL, CONFIGMAP, GITSOURCE, KINDS, Resource
from modelops.api.manifest import Manifest
from modelops.api.v1alpha1.computepool import ComputePoolSpec
from modelops.api.v1alpha1.gitsource import GitSourceSpec, GitSourceStatus
from modelops.cli import compare
from modelops.cli.foresee import Key, Obj, World, consequences
from modelops.cli.target import Target
from modelops.domain.gitsync.decide import Observed, decide_gitsync
from modelops.domain.gitsync.desired import desired
from modelops.domain.plan import DeleteObject
from modelops.errors import Conflict, Stalled, Transient

Action = Literal["create", "change", "unchanged", "prune", "invalid"]
_ORDER: Final = ("ComputePool", "GitSource", "ConfigMap", "Dataset", "TrainingRun", "MetricTemplate", "ModelRelease")
_RESOURCES: Final[Mapping[tuple[str, str], Resource]] = {
    (resource.api_version, resource.kind): resource for resource in (*(kind.resource for kind in KINDS), CONFIGMAP)
}
_SERVERS: Final = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")


@dataclass(frozen=True, slots=True)
class Planned:
    """What would happen to one object."""

    action: Action
    resource: Resource
    namespace: str
    name: str
    where: str = ""
    """file:line; empty for what is pruned."""
    fields: tuple[compare.Field, ...] = ()
    consequences: tuple[str, ...] = ()
    error: str = ""
    result: Obj | None = field(default=None, repr=False)
    """The object as it would be."""

    @property
    def key(self) -> Key:
        """Kind, namespace, name."""
        return self.resource.kind, self.namespace, self.name


def make(target: Target, manifests: Sequence[Manifest], directory: Path | None) -> list[Planned]:
    """Return what would happen, causes before effects.

    Args:
        target: where.
        manifests: valid by themselves.
        directory: that they are all of, for what would be pruned; None if they are not a whole directory.

    Raises:
        ModelopsError: the API server does not answer, or refuses to be read.
    """
    live = _Live(target)
    planned = sorted((_one(live, manifest) for manifest in manifests), key=_order)
    pruned = [*_pruned(live, manifests, directory)] if directory is not None else []
    world = live.world({one.key: one.result for one in planned if one.result is not None}, {one.key for one in pruned})
    explained = [
        replace(one, consequences=tuple(consequences(*one.key, one.fields, world))) if one.result is not None else one
        for one in planned
    ]
    return [*sorted([*explained, *_touched(world, {one.key for one in [*planned, *pruned]})], key=_order), *pruned]


def _touched(world: World, known: set[Key]) -> Iterator[Planned]:
    """Yield live objects that no manifest is about, yet for which the plan means something."""
    as_it_is = replace(world, after=world.before)
    for key, obj in world.before.items():
        if key in known:
            continue
        anyway = consequences(*key, (), as_it_is)
        told = tuple(line for line in consequences(*key, (), world) if line not in anyway)
        if told:
            resource = _RESOURCES[obj["apiVersion"], obj["kind"]]
            yield Planned("unchanged", resource, key[1], key[2], consequences=told, result=obj)


@dataclass(slots=True)
class _Live:
    """The objects as they are, read once per kind and namespace."""

    target: Target
    _read: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)

    def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any] | None:
        if resource is CONFIGMAP:
            return self.target.client.get(resource, namespace, name)
        return next((one for one in self.all(resource, namespace) if one["metadata"]["name"] == name), None)

    def all(self, resource: Resource, namespace: str) -> list[dict[str, Any]]:
        key = (resource.plural, namespace)
        if key not in self._read:
            page = self.target.client.list_page(resource, namespace if resource.namespaced else None)
            if page is None:
                raise Stalled(
                    "NotInstalled",
                    f"this API server has no {resource.plural}; install modelops' CRDs: kubectl apply -f crds/",
                )
            about = {"apiVersion": resource.api_version, "kind": resource.kind}
            self._read[key] = [about | item for item in page["items"]]
        return self._read[key]

    def world(self, planned: Mapping[Key, Obj], gone: set[Key]) -> World:
        namespaces = {namespace for _, namespace, _ in planned if namespace} | {self.target.namespace}
        before: dict[Key, Obj] = {}
        for kind in KINDS:
            for namespace in sorted(namespaces) if kind.resource.namespaced else [""]:
                for obj in self._readable(kind.resource, namespace):
                    before[kind.resource.kind, namespace, obj["metadata"]["name"]] = obj
        after = {key: obj for key, obj in before.items() if key not in gone} | dict(planned)
        pools = {
            name: ComputePoolSpec.model_validate(obj["spec"])
            for (kind_name, _, name), obj in after.items()
            if kind_name == COMPUTEPOOL.resource.kind
        }
        known = (COMPUTEPOOL.resource.plural, "") in self._read
        return World(before, after, pools if known else None, "local" if self.target.local else None)

    def _readable(self, resource: Resource, namespace: str) -> list[dict[str, Any]]:
        """Return what a tenant may read; ComputePools are the platform team's."""
        try:
            return self.all(resource, namespace)
        except Transient as error:
            if error.reason == "ApiForbidden" and not resource.namespaced:
                return []
            raise


def _one(live: _Live, manifest: Manifest) -> Planned:
    obj, meta = manifest.obj, manifest.obj["metadata"]
    where = f"{manifest.path}:{manifest.line}"
    resource = _RESOURCES.get((obj["apiVersion"], obj["kind"]))
    if resource is None:
        group, _, version = obj["apiVersion"].rpartition("/")
        unknown = Resource(group, version, obj["kind"], "")
        known = ", ".join(kind for _, kind in _RESOURCES)
        return Planned("invalid", unknown, "", meta["name"], where, error=f"plan knows {known} only")
    namespace = str(meta.get("namespace") or live.target.namespace) if resource.namespaced else ""
    one = Planned("unchanged", resource, namespace, meta["name"], where)
    before = live.get(resource, namespace, meta["name"])
    try:
        after = live.target.client.dry_run(resource, _as_sent(obj, before, namespace))
    except (Stalled, Conflict) as error:
        return replace(one, action="invalid", error=error.message)
    if after is None:
        return replace(one, action="invalid", error=f"there is no namespace {namespace}; create it first")
    after = _as_it_would_be(after, before, resource)
    if before is None:
        return replace(one, action="create", result=after)
    fields = compare.differences(before, after)
    # An object that stays is the very one that is there, so that nothing seems to follow from it.
    return replace(one, action="change" if fields else "unchanged", fields=fields, result=after if fields else before)


def _as_sent(obj: Obj, before: Obj | None, namespace: str) -> dict[str, Any]:
    """Return what replaces the live object: its body from the manifest, the labels and annotations of others kept."""
    meta = dict(obj["metadata"])
    if namespace:
        meta["namespace"] = namespace
    body = {key: value for key, value in obj.items() if key not in ("metadata", "status")}
    if before is None:
        return {**body, "metadata": meta}
    merged = copy.deepcopy(dict(before["metadata"]))
    for section in ("labels", "annotations"):
        merged[section] = {**_others(before, section), **(meta.get(section) or {})}
    merged.pop("managedFields", None)
    return {**body, "metadata": merged}


def _others(before: Obj, section: str) -> dict[str, str]:
    """Return labels or annotations that no manifest said: they stay. What ours or kubectl's apply said would go."""
    applied: set[str] = set()
    meta = before["metadata"]
    for entry in meta.get("managedFields") or ():
        if entry.get("operation") == "Apply" or "kubectl" in str(entry.get("manager")):
            said = ((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get(f"f:{section}") or {}
            applied |= {key.removeprefix("f:") for key in said}
    return {
        key: value
        for key, value in (meta.get(section) or {}).items()
        if key not in applied or key.partition("/")[0] in ("modelops.dev", "kubectl.kubernetes.io")
    }


def _as_it_would_be(after: Obj, before: Obj | None, resource: Resource) -> dict[str, Any]:
    """Return a dry run's answer with the status that stays, and without what only a write would give."""
    result = {"apiVersion": resource.api_version, "kind": resource.kind} | dict(after)
    if before is None:
        result["metadata"] = {key: value for key, value in after["metadata"].items() if key not in _SERVERS}
    elif "status" in before:
        result["status"] = before["status"]
    return result


def _order(one: Planned) -> tuple[int, str, str]:
    kind = one.resource.kind
    return (_ORDER.index(kind) if kind in _ORDER else len(_ORDER), one.namespace, one.name)


def _pruned(live: _Live, manifests: Sequence[Manifest], directory: Path) -> Iterator[Planned]:
    """Yield what the GitSource whose directory this is would remove."""
    for source in live.all(GITSOURCE.resource, live.target.namespace):
        spec = GitSourceSpec.model_validate(source["spec"])
        if spec.prune and _is_of(spec, directory):
            yield from _dropped(live, source, spec, manifests)


def _is_of(spec: GitSourceSpec, directory: Path) -> bool:
    """Return whether a directory can be the one that a GitSource reads."""
    path = Path(spec.path)
    parts = path.parts
    if not parts:
        return (directory / ".git").exists()
    root = directory.parents[len(parts) - 1] if len(directory.parents) >= len(parts) else directory
    return directory.parts[-len(parts) :] == parts and (root / ".git").exists()


def _dropped(
    live: _Live, source: Mapping[str, Any], spec: GitSourceSpec, manifests: Sequence[Manifest]
) -> Iterator[Planned]:
    meta = source["metadata"]
    status = GitSourceStatus.model_validate(source.get("status") or {})
    wanted, problems = desired(manifests, meta["name"], meta["namespace"], "")
    there: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in status.inventory:
        resource = _RESOURCES.get((entry.api_version, entry.kind))
        found = live.get(resource, meta["namespace"], entry.name) if resource is not None else None
        if found is not None:
            there[entry.kind, entry.name] = found
    seen = Observed(
        name=meta["name"],
        namespace=meta["namespace"],
        spec=spec,
        status=status,
        commit="planned",
        wanted=wanted,
        problems=problems,
        files=len(manifests),
        live=there,
        confirmed="planned",
        now=datetime.now(UTC),
    )
    deletes = [one for one in decide_gitsync(seen).actions if isinstance(one, DeleteObject)]
    blocked = ""
    if 2 * len(deletes) > len(status.inventory):
        blocked = "blocked until somebody confirms it, because that is more than half of what it applied"
    for one in deletes:
        why = f"GitSource {meta['name']} applied it, and it is not in the directory any more"
        words = (why, blocked) if blocked else (why,)
        yield Planned("prune", one.resource, meta["namespace"], one.name, consequences=words)

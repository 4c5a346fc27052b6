"""The objects of a release as they should be: a revision's servers, Service, budget and record; one HTTPRoute.

Pure. `covers` says whether what exists already is as wanted, so that nothing is written that need not be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from modelops.api.kinds import CONTROLLERREVISION, DEPLOYMENT, DISRUPTIONBUDGET, HTTPROUTE, SERVICE
from modelops.api.labels import MANAGED_BY, MANAGER, OWNER_KIND, OWNER_NAME, RELEASE
from modelops.api.v1alpha1.common import format_duration
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.api.v1alpha1.modelrelease_status import RevisionStatus
from modelops.domain.plan import Action, ApplyObject
from modelops.domain.release import routing
from modelops.domain.release.revision import ServingDefaults, child_name, labels_of, pod_template, selector_of
from modelops.domain.release.routing import Routing
from modelops.workflows.render import Owner

_PORT: Final = 80
NOBODY: Final = "/.well-known/modelops/idle"
"""A path that nobody asks for."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """The Gateway a route attaches to."""

    name: str
    namespace: str


def covers(found: Any, wanted: Any) -> bool:
    """Return whether everything that is wanted is there; what the server added does not matter."""
    if found == wanted:
        return True
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            key in found and covers(found[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return (
            isinstance(found, list | tuple)
            and len(found) == len(wanted)
            and all(covers(one, other) for one, other in zip(found, wanted, strict=True))
        )
    return False


def revision_objects(
    owner: Owner,
    spec: ModelReleaseSpec,
    revision: RevisionStatus,
    defaults: ServingDefaults,
    record: Mapping[str, Any] | None,
    replicas: int,
) -> tuple[ApplyObject, ...]:
    """Return the objects of a revision in the order they are made: record, Service, budget, Deployment.

    Args:
        owner: the release.
        spec: as it is now.
        revision: which one.
        defaults: the operator's configuration.
        record: the revision's ControllerRevision, once there is one: its template holds, whatever the spec says now.
        replicas: how many servers.
    """
    name = child_name(owner.name, revision.revision)
    kept = ((record or {}).get("data") or {}).get("template")
    template = kept or pod_template(spec, owner.name, owner.uid, revision, defaults)
    selector = selector_of(owner.name, revision.revision)
    metadata = _metadata(owner, name, labels_of(owner.name, revision.revision))
    deployment = {"selector": {"matchLabels": selector}, "template": template, "replicas": replicas}
    return (
        ApplyObject(
            CONTROLLERREVISION,
            {
                "apiVersion": CONTROLLERREVISION.api_version,
                "kind": CONTROLLERREVISION.kind,
                "metadata": metadata,
                "revision": 1,
                "data": {
                    "version": revision.version,
                    "digest": revision.digest,
                    "lineage": revision.lineage.model_dump(mode="json", by_alias=True),
                    "template": template,
                },
            },
        ),
        service_object(owner, name, labels_of(owner.name, revision.revision), selector),
        ApplyObject(
            DISRUPTIONBUDGET,
            {
                "apiVersion": DISRUPTIONBUDGET.api_version,
                "kind": DISRUPTIONBUDGET.kind,
                "metadata": metadata,
                # A node is drained server by server; a single server never holds one up.
                "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector}},
            },
        ),
        ApplyObject(
            DEPLOYMENT,
            {
                "apiVersion": DEPLOYMENT.api_version,
                "kind": DEPLOYMENT.kind,
                "metadata": metadata,
                "spec": deployment,
            },
        ),
    )


def service_object(owner: Owner, name: str, labels: Mapping[str, str], selector: Mapping[str, str]) -> ApplyObject:
    """Return a Service over the pods that a selector finds."""
    ports = [{"name": "http", "port": _PORT, "targetPort": "http", "protocol": "TCP"}]
    return ApplyObject(
        SERVICE,
        {
            "apiVersion": SERVICE.api_version,
            "kind": SERVICE.kind,
            "metadata": _metadata(owner, name, labels),
            "spec": {"selector": dict(selector), "ports": ports},
        },
    )


def release_labels(owner: Owner) -> dict[str, str]:
    """Return the labels of what belongs to a release, and to none of its revisions."""
    return {MANAGED_BY: MANAGER, OWNER_KIND: owner.kind, OWNER_NAME: owner.name, RELEASE: owner.name}


def shares(stable: str | None, canary: str | None, weight: int) -> tuple[tuple[str, int], ...]:
    """Return (revision, percent) of every backend of the route; they sum to 100, none is without traffic."""
    if canary is None or weight == 0:
        return ((stable, 100),) if stable is not None else ()
    if stable is None or weight == 100:
        return ((canary, 100),)
    return ((stable, 100 - weight), (canary, weight))


def route_object(
    owner: Owner,
    spec: ModelReleaseSpec,
    backends: Sequence[tuple[str, int]],
    default: Gateway,
    extra: Routing,
    canary: str | None,
    idle: Sequence[str] = (),
) -> ApplyObject:
    """Return the HTTPRoute that gives each revision its share.

    Args:
        owner: the release.
        spec: as it is now.
        backends: (revision, percent), see `shares`.
        default: the gateway of the operator's configuration.
        extra: what the canary gets other than by weight.
        canary: name of its Service; None where there is nothing extra.
        idle: names of Services that the gateway is to know although they get no requests. Envoy Gateway gives its
            proxies new backends with the rules that need them, and takes old ones before: some requests would fail.
    """
    gateway = gateway_of(spec, default)
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": path_of(owner.name, spec.traffic.hostnames)}}],
        "backendRefs": [
            {"name": child_name(owner.name, revision), "port": _PORT, "weight": weight} for revision, weight in backends
        ],
        "timeouts": {"request": format_duration(spec.traffic.timeout)},
    }
    body: dict[str, Any] = {
        "parentRefs": [{"name": gateway.name, "namespace": gateway.namespace}],
        "rules": [rule] if canary is None else routing.rules(rule, extra, canary),
    }
    if idle:
        refs = [{"name": name, "port": _PORT, "weight": 1} for name in idle]
        body["rules"].append({"matches": [{"path": {"type": "Exact", "value": NOBODY}}], "backendRefs": refs})
    if spec.traffic.hostnames:
        body["hostnames"] = list(spec.traffic.hostnames)
    return ApplyObject(
        HTTPROUTE,
        {
            "apiVersion": HTTPROUTE.api_version,
            "kind": HTTPROUTE.kind,
            "metadata": _metadata(owner, owner.name, release_labels(owner)),
            "spec": body,
        },
    )


def gateway_of(spec: ModelReleaseSpec, default: Gateway) -> Gateway:
    """Return the gateway of a release; `default` is that of the operator's configuration."""
    named = spec.traffic.gateway
    return Gateway(named.name, named.namespace) if named is not None else default


def path_of(name: str, hostnames: Sequence[str]) -> str:
    """Return the path below which requests are the release's: all of its own hosts, or its model's anywhere."""
    return "/" if hostnames else f"/v2/models/{name}"


def needed(wanted: ApplyObject, found: Mapping[str, Any] | None) -> tuple[Action, ...]:
    """Return the apply over what exists, unless it is as wanted. Route rules are compared whole: one owner's."""
    if found is None:
        return (wanted,)
    same = covers(found, {key: value for key, value in wanted.obj.items() if key != "metadata"})
    # No server adds a filter, or a percentage: what is not wanted, such as an earlier step's mirror, has to go.
    same = same and _filters(found) == _filters(wanted.obj)
    # A selector that has one label more selects something else.
    same = same and (wanted.resource is not SERVICE or _selector(found) == _selector(wanted.obj))
    labelled = covers(found["metadata"].get("labels") or {}, wanted.obj["metadata"]["labels"])
    return () if same and labelled else (replace(wanted, seen=found),)


def _filters(obj: Mapping[str, Any]) -> list[list[tuple[str, int]]]:
    """Return what each rule of a route has of filters: their type, and how many percent of the requests they copy."""
    return [
        [(one["type"], (one.get("requestMirror") or {}).get("percent", 100)) for one in rule.get("filters") or ()]
        for rule in (obj.get("spec") or {}).get("rules") or ()
    ]


def _selector(service: Mapping[str, Any]) -> dict[str, str]:
    return dict(service["spec"].get("selector") or {})


def confirmed(route: Mapping[str, Any] | None) -> bool:
    """Return whether the gateway has put the route as it is now into force."""
    if route is None:
        return False
    generation = route["metadata"].get("generation", 0)
    parents = (route.get("status") or {}).get("parents") or ()
    return bool(parents) and all(
        {
            condition["type"]
            for condition in parent.get("conditions") or ()
            if condition["status"] == "True" and condition.get("observedGeneration", generation) == generation
        }
        >= {"Accepted", "ResolvedRefs"}
        for parent in parents
    )


def refusal(route: Mapping[str, Any] | None) -> str:
    """Return why the gateway does not accept the route, or nothing."""
    for parent in ((route or {}).get("status") or {}).get("parents") or ():
        for condition in parent.get("conditions") or ():
            if condition["status"] == "False":
                return f"the gateway says {condition['reason']}: {condition.get('message', '')}"[:300]
    return ""


def backends_of(route: Mapping[str, Any] | None) -> dict[str, int]:
    """Return Service name → weight as the route has it."""
    found: dict[str, int] = {}
    for rule in ((route or {}).get("spec") or {}).get("rules") or ():
        for backend in rule.get("backendRefs") or ():
            found[backend["name"]] = int(backend.get("weight", 1))
    return found


def is_ready(deployment: Mapping[str, Any] | None) -> bool:
    """Return whether every wanted replica answers its readiness probe."""
    if deployment is None:
        return False
    wanted = deployment["spec"].get("replicas", 1)
    return bool(is_current(deployment) and wanted > 0 and ready_servers(deployment) >= wanted)


def is_current(deployment: Mapping[str, Any]) -> bool:
    """Return whether a Deployment's status speaks of the Deployment as it is now."""
    observed = (deployment.get("status") or {}).get("observedGeneration", 0)
    return bool(observed >= deployment["metadata"].get("generation", 0))


def ready_servers(deployment: Mapping[str, Any]) -> int:
    """Return how many replicas answer."""
    return int((deployment.get("status") or {}).get("readyReplicas", 0))


def servers(deployment: Mapping[str, Any] | None) -> int:
    """Return how many replicas there are, ready or not."""
    return int(((deployment or {}).get("status") or {}).get("replicas", 0))


def serves(deployment: Mapping[str, Any] | None) -> bool:
    """Return whether at least one replica answers."""
    return deployment is not None and ready_servers(deployment) > 0


def trouble(deployment: Mapping[str, Any] | None) -> str:
    """Return what a Deployment says is wrong, or nothing."""
    for condition in ((deployment or {}).get("status") or {}).get("conditions") or ():
        if condition["type"] == "Progressing" and condition["status"] == "False":
            return f"{condition['reason']}: {condition.get('message', '')}"[:400]
    return ""


def _metadata(owner: Owner, name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": owner.namespace,
        "labels": dict(labels),
        "ownerReferences": [
            {
                "apiVersion": owner.api_version,
                "kind": owner.kind,
                "name": owner.name,
                "uid": owner.uid,
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }

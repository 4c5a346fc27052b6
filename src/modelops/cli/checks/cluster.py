"""What an API server has of what modelops needs: CRDs of this version, other kinds, permissions, a living operator."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import CONTROLLERREVISION, DEPLOYMENT, EVENT, HTTPROUTE, KINDS, WORKFLOW, Kind, Resource
from modelops.cli.checks import Finding
from modelops.cli.checks.tenants import OPERATOR, may, operator_deployment, tenants
from modelops.errors import ModelopsError
from modelops.localhome.parts import crd_directory

_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
_LATE: Final = timedelta(seconds=30)
_INSTALL: Final = "install the CRDs: kubectl apply -f crds/"


def cluster(client: KubeClient, namespace: str, *, local: bool) -> Iterator[Finding]:
    """Yield what is found; nothing more once the API server does not answer.

    Args:
        client: of the API server.
        namespace: for which permissions are asked.
        local: whether it is a local home, whose operator and parts are looked at on this machine.
    """
    try:
        answer = client.request("GET", "/version", what="version") or {}
    except ModelopsError as error:
        yield Finding("api", "missing", error.message, "start a local home (modelops local up), or give --context")
        return
    yield Finding("api", "ok", f"answers, version {answer.get('gitVersion', '?')}")
    installed = [*_definitions(client)]
    yield from installed
    if any(finding.state == "missing" for finding in installed):
        return
    yield from _others(client)
    yield from _permissions(client, namespace)
    yield _looked_at(client, namespace)
    if not local:
        yield from _operator(client)
        yield from tenants(client, namespace)


def _definitions(client: KubeClient) -> Iterator[Finding]:
    differs, lacking = [], []
    for kind in KINDS:
        name = f"{kind.resource.plural}.{kind.resource.group}"
        served = _serves(client, kind.resource)
        if served:
            lacking.append(f"{name}: {served}")
            continue
        try:
            found = client.request("GET", _CRDS + name, what=name)
        except ModelopsError:
            continue  # who may not read definitions can still use them
        if found is not None and (missing := _lacks(found, kind)):
            differs.append(f"{name} lacks {', '.join(missing[:3])}")
    if lacking:
        yield Finding("crds", "missing", "; ".join(lacking), _INSTALL)
    elif differs:
        yield Finding("crds", "warn", f"of another version than this program: {'; '.join(differs)}", _INSTALL)
    else:
        yield Finding("crds", "ok", f"all {len(KINDS)} kinds are served, as this program knows them")


def _lacks(found: Mapping[str, Any], kind: Kind) -> list[str]:
    """Return the fields that our definition has and the installed one has not."""
    path = crd_directory() / f"{kind.resource.plural}.yaml"
    ours = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe
    there = _fields(_schema(found, kind), "")
    return [field for field in _fields(_schema(ours, kind), "") if field not in there]


def _schema(definition: Mapping[str, Any], kind: Kind) -> Mapping[str, Any]:
    for version in definition["spec"]["versions"]:
        if version["name"] == kind.resource.version:
            return dict(version.get("schema", {}).get("openAPIV3Schema") or {})
    return {}


def _fields(schema: Mapping[str, Any], path: str) -> dict[str, None]:
    """Return the paths of all properties, in order."""
    found: dict[str, None] = {}
    for name, inner in (schema.get("properties") or {}).items():
        where = f"{path}.{name}" if path else name
        found[where] = None
        found |= _fields(inner, where) | _fields(inner.get("items") or {}, f"{where}[]")
    return found


def _others(client: KubeClient) -> Iterator[Finding]:
    for resource, purpose, how in (
        (WORKFLOW, "training runs", "install Argo Workflows"),
        (HTTPROUTE, "traffic of releases", "install the Gateway API and an implementation of it"),
        (DEPLOYMENT, "model servers", "use a cluster that serves apps/v1"),
    ):
        refused = _serves(client, resource)
        if refused:
            yield Finding(resource.plural, "missing", f"{refused}; needed for {purpose}", how)
        else:
            yield Finding(resource.plural, "ok", f"served, for {purpose}")


def _permissions(client: KubeClient, namespace: str) -> Iterator[Finding]:
    """Ask whether verbs of this program would be allowed; reading is needed, steering may be somebody else's."""
    asked: list[tuple[str, Resource]] = [(verb, kind.resource) for kind in KINDS for verb in ("get", "list", "watch")]
    steer = [("patch", kind.resource) for kind in KINDS if kind.resource.namespaced]
    steer += [("list", EVENT), ("list", CONTROLLERREVISION)]
    denied: list[str] = []
    for verb, resource in [*asked, *steer]:
        try:
            allowed = may(client, verb, resource, namespace)
        except ModelopsError as error:
            yield Finding("permissions", "warn", f"cannot be asked for: {error.message}")
            return
        if allowed is None:
            yield Finding("permissions", "warn", "this API server does not tell what is allowed")
            return
        if not allowed:
            denied.append(f"{verb} {resource.plural}")
    where = f"in namespace {namespace}"
    advice = "ask for a role that allows it; operator/rbac.yaml shows which verbs there are"
    if any(not one.startswith("patch") and "computepools" not in one for one in denied):
        yield Finding("permissions", "missing", f"not allowed {where}: {', '.join(denied)}", advice)
    elif denied:
        yield Finding("permissions", "warn", f"not allowed {where}: {', '.join(denied)}", advice)
    else:
        yield Finding("permissions", "ok", f"reading and steering are allowed {where}")


def _looked_at(client: KubeClient, namespace: str) -> Finding:
    """Return whether the operator keeps up: an object that it has not seen for a while says that it does not."""
    now, waiting, count = datetime.now(UTC), [], 0
    for kind in KINDS:
        try:
            objects = client.list(kind.resource, namespace if kind.resource.namespaced else None)
        except ModelopsError:
            continue
        for obj in objects:
            count += 1
            meta, status = obj["metadata"], obj.get("status") or {}
            seen = int(status.get("observedGeneration", 0)) >= int(meta.get("generation", 0))
            old = now - datetime.fromisoformat(meta["creationTimestamp"]) > _LATE
            if not seen and old:
                waiting.append(f"{kind.singular}/{meta['name']}")
    if waiting:
        shown = ", ".join(waiting[:3]) + (f" and {len(waiting) - 3} more" if len(waiting) > 3 else "")
        advice = "see its log: modelops local logs operator, or kubectl -n modelops-system logs deployment/modelops"
        return Finding("operator", "missing", f"has not looked at the newest spec of {shown}", advice)
    if not count:
        return Finding("operator", "warn", "there is no object yet by which to tell whether it keeps up")
    return Finding("operator", "ok", f"has looked at the newest spec of all {count} objects here")


def _operator(client: KubeClient) -> Iterator[Finding]:
    """Yield whether the Deployment is ready, and whether what it is configured with answers."""
    try:
        found = operator_deployment(client)
    except ModelopsError as error:
        yield Finding("deployment", "warn", f"the operator's cannot be looked for: {error.message}")
        return
    if found is None:
        advice = "install it: helm install modelops charts/modelops, or run it elsewhere"
        yield Finding("deployment", "warn", f"no Deployment with label {OPERATOR}", advice)
        return
    meta, ready = found["metadata"], int((found.get("status") or {}).get("readyReplicas", 0))
    about = f"{meta.get('namespace')}/{meta['name']}"
    if ready:
        yield Finding("deployment", "ok", f"{about} has {ready} ready")
    else:
        advice = f"see: kubectl -n {meta.get('namespace')} describe deployment {meta['name']}"
        yield Finding("deployment", "missing", f"{about} has none ready", advice)
    env = found["spec"]["template"]["spec"]["containers"][0].get("env") or ()
    said = {entry["name"]: str(entry.get("value", "")) for entry in env}
    for name, variable, path in (
        ("mlflow", "MODELOPS_MLFLOW_TRACKING_URI", "health"),
        ("prometheus", "MODELOPS_PROMETHEUS_URL", "-/ready"),
    ):
        yield _through(client, name, said.get(variable, ""), path, f"set {variable} of Deployment {about}")


def _through(client: KubeClient, name: str, url: str, path: str, advice: str) -> Finding:
    """Return whether a service in the cluster answers, asked through the API server."""
    if not url:
        return Finding(name, "missing", "the operator has no address of it", advice)
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 80
    service, _, rest = host.partition(".")
    space = rest.partition(".")[0]
    if not space or ".svc" not in f".{rest}.":
        return Finding(name, "warn", f"{url} is not a service of this cluster, so it is not asked from here")
    try:
        answer = client.ping(f"/api/v1/namespaces/{space}/services/{service}:{port}/proxy/{path}")
    except ModelopsError as error:
        return Finding(name, "warn", f"{url} cannot be asked through the API server: {error.message}", advice)
    if answer:
        return Finding(name, "ok", f"answers at {url}")
    return Finding(name, "missing", f"does not answer at {url}", advice)


def _serves(client: KubeClient, resource: Resource) -> str:
    """Return why a resource is not served, or nothing."""
    try:
        path = f"/apis/{resource.group}/{resource.version}/{resource.plural}?limit=1"
        return "" if client.request("GET", path, what=resource.plural) is not None else "not served"
    except ModelopsError as error:
        # Who may not list everywhere may still list in a namespace; permissions are asked for by themselves.
        return "" if error.reason == "ApiForbidden" else error.message

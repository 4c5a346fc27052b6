"""From HTTPRoutes to Envoy's clusters and routes. Pure: the same objects give the same files.

Called by the gateway controller. A rule keeps the Gateway API's meaning or is refused by name: a backend that does
not resolve answers 500 for its share, one without a ready endpoint 503 for its share.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelops.api.labels import LOCAL_ENDPOINTS, REVISION
from modelops.domain import re2
from modelops.localhome.gateway.bootstrap import ROUTES

Key = tuple[str, str]
"""Namespace and name."""
Obj = Mapping[str, Any]
UNRESOLVED: Final = "unresolved"
"""A cluster that never exists: Envoy answers 500 for the share that is sent there."""
_REQUEST_TIMEOUT: Final = "15s"
_DURATION: Final = re.compile(r"(\d{1,5})(h|ms|m|s)")
_MS: Final = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_PROTOCOL: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


class UnsupportedRouteError(Exception):
    """The route asks for something this gateway does not do."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything that the configuration is made of."""

    routes: Mapping[Key, Obj]
    services: Mapping[Key, Obj]
    deployments: Mapping[Key, Obj]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one HTTPRoute."""

    accepted: bool
    resolved: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class Translation:
    """What Envoy is to be told, and what is to be said of each route."""

    clusters: Mapping[str, Obj]
    """By name; their endpoints are told apart from them."""
    endpoints: Mapping[str, Obj]
    """By the cluster's name."""
    route_configuration: Obj
    verdicts: Mapping[Key, Verdict]


def cluster_name(namespace: str, service: str) -> str:
    """Return the Envoy cluster of a Service: no dots, since Envoy's figures use them as separators."""
    return f"{namespace}_{service}".replace(".", "-")


def translate(world: World) -> Translation:
    """Return Envoy's clusters and routes for all routes and Services."""
    clusters = {
        cluster_name(*key): _cluster(cluster_name(*key), _policy(service)) for key, service in world.services.items()
    }
    endpoints = {
        cluster_name(*key): _endpoints(cluster_name(*key), endpoints_of(key[0], service, world.deployments))
        for key, service in world.services.items()
    }
    verdicts: dict[Key, Verdict] = {}
    hosts: dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]] = {}
    for key, route in sorted(world.routes.items()):
        try:
            ranked, missing = _routes(key, route, world.services)
        except UnsupportedRouteError as error:
            verdicts[key] = Verdict(accepted=False, resolved=True, message=str(error))
            continue
        message = f"no such Service: {', '.join(sorted(missing))}" if missing else ""
        verdicts[key] = Verdict(accepted=True, resolved=not missing, message=message)
        for host in route["spec"].get("hostnames") or ("*",):
            hosts.setdefault(host, []).extend(ranked)
    for key in sorted(world.services):
        for host in dns_names(*key):
            hosts.setdefault(host, []).extend(_routes(key, _whole(key), world.services)[0])
    virtual = [
        {
            "name": f"host-{index}",
            "domains": [host],
            "routes": [entry for _, entry in sorted(hosts[host], key=lambda pair: pair[0])],
        }
        for index, host in enumerate(sorted(hosts))
    ]
    return Translation(clusters, endpoints, {"name": ROUTES, "virtual_hosts": virtual}, verdicts)


def dns_names(namespace: str, service: str) -> tuple[str, str]:
    """Return the names that a Service has in a cluster; here they are host names at the gateway."""
    return f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local"


def _whole(service: Key) -> Obj:
    """Return a route that sends everything to one Service and, like a cluster, knows no timeout."""
    rule = {"backendRefs": [{"name": service[1]}], "timeouts": {"request": "0s"}}
    return {"metadata": {}, "spec": {"rules": [rule]}}


def endpoints_of(namespace: str, service: Obj, deployments: Mapping[Key, Obj]) -> tuple[str, ...]:
    """Return host:port of the ready processes of every Deployment that a Service selects."""
    selector = (service.get("spec") or {}).get("selector") or {}
    if not selector:
        return ()
    found: list[str] = []
    for (where, _), deployment in sorted(deployments.items()):
        labels = (deployment["spec"]["template"].get("metadata") or {}).get("labels") or {}
        if where == namespace and selector.items() <= labels.items():
            written = (deployment["metadata"].get("annotations") or {}).get(LOCAL_ENDPOINTS, "")
            found += [address for address in written.split(",") if address]
    return tuple(found)


def _policy(service: Obj) -> str:
    """Return how endpoints are chosen: the less busy of one revision's, and of a whole release's any."""
    return "LEAST_REQUEST" if REVISION in (service["metadata"].get("labels") or {}) else "RANDOM"


def _endpoints(name: str, addresses: Sequence[str]) -> dict[str, Any]:
    hosts = []
    for address in addresses:
        host, _, port = address.rpartition(":")
        socket = {"address": host, "port_value": int(port)}
        hosts.append({"endpoint": {"address": {"socket_address": socket}}})
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]}


def _cluster(name: str, policy: str) -> dict[str, Any]:
    return {
        "name": name,
        "connect_timeout": "2s",
        "lb_policy": policy,
        "typed_extension_protocol_options": {
            _PROTOCOL: {
                "@type": f"type.googleapis.com/{_PROTOCOL}",
                # Shorter than the idle time of common servers (5 s), so that they never close on a request under way.
                "common_http_protocol_options": {"idle_timeout": "3s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def _routes(
    key: Key, route: Obj, services: Mapping[Key, Obj]
) -> tuple[list[tuple[tuple[Any, ...], dict[str, Any]]], set[str]]:
    missing: set[str] = set()
    ranked: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    age = route["metadata"].get("creationTimestamp", "")
    for number, rule in enumerate(route["spec"].get("rules") or ()):
        action = _action(key[0], rule, number, services, missing)
        if mirrors := _mirrors(key[0], rule, number, services, missing):
            action.get("route", {})["request_mirror_policies"] = mirrors
        matches: Sequence[Obj] = rule.get("matches") or [{}]
        for entry in matches:
            match, rank = _match(entry, number)
            ranked.append(((*rank, age, *key, number), {"match": match, **action}))
    return ranked, missing


def _match(entry: Obj, number: int) -> tuple[dict[str, Any], tuple[Any, ...]]:
    unknown = set(entry) - {"path", "headers", "method"}
    if unknown:
        raise UnsupportedRouteError(f"rules[{number}].matches: {', '.join(sorted(unknown))} is not done here")
    path = entry.get("path") or {}
    kind, value = path.get("type", "PathPrefix"), path.get("value", "/")
    match: dict[str, Any]
    if kind == "Exact":
        match = {"path": value}
    elif kind == "PathPrefix":
        bare = value.rstrip("/")
        match = {"path_separated_prefix": bare} if bare else {"prefix": "/"}
    else:
        raise UnsupportedRouteError(f"rules[{number}].matches: path type {kind} is not done here; use PathPrefix")
    headers = [_header(header, number) for header in entry.get("headers") or ()]
    if entry.get("method"):
        headers.append({"name": ":method", "string_match": {"exact": entry["method"]}})
    if headers:
        match["headers"] = headers
    return match, (0 if kind == "Exact" else 1, -len(value), -len(headers))


def _header(header: Obj, number: int) -> dict[str, Any]:
    kind, value = header.get("type", "Exact"), header["value"]
    if kind == "Exact":
        return {"name": header["name"], "string_match": {"exact": value}}
    # Envoy refuses a whole file for one pattern that it cannot compile.
    why = re2.refused(value) if kind == "RegularExpression" else f"type {kind} is not done here"
    if why:
        raise UnsupportedRouteError(f"rules[{number}].matches: header {header['name']}: {why}")
    return {"name": header["name"], "string_match": {"safe_regex": {"regex": value}}}


def _resolve(namespace: str, backend: Obj, services: Mapping[Key, Obj], missing: set[str]) -> str | None:
    """Return the cluster of a backend; None for one that is noted as missing."""
    known = (
        backend.get("kind", "Service") == "Service"
        and backend.get("namespace", namespace) == namespace
        and (namespace, backend["name"]) in services
    )
    if not known:
        missing.add(f"{backend.get('namespace', namespace)}/{backend['name']}")
    return cluster_name(namespace, backend["name"]) if known else None


def _mirrors(
    namespace: str, rule: Obj, number: int, services: Mapping[Key, Obj], missing: set[str]
) -> list[dict[str, Any]]:
    policies = []
    for entry in rule.get("filters") or ():
        asked = entry.get("requestMirror")
        if entry.get("type") != "RequestMirror" or not asked:
            raise UnsupportedRouteError(f"rules[{number}].filters: only RequestMirror is done here; leave others out")
        share = asked.get("fraction") or {"numerator": asked.get("percent", 100)}
        # Envoy has no denominators but a few; a millionth is as fine as any of them.
        parts = round(share["numerator"] * 1_000_000 / share.get("denominator", 100))
        name = _resolve(namespace, asked["backendRef"], services, missing)
        if name is not None and parts:
            fraction = {"default_value": {"numerator": parts, "denominator": "MILLION"}}
            policies.append({"cluster": name, "runtime_fraction": fraction})
    return policies


def _action(namespace: str, rule: Obj, number: int, services: Mapping[Key, Obj], missing: set[str]) -> dict[str, Any]:
    shares: dict[str, int] = {}
    for backend in rule.get("backendRefs") or ():
        if backend.get("filters"):
            raise UnsupportedRouteError(f"rules[{number}].backendRefs: this gateway has no filters; leave them out")
        weight = int(backend.get("weight", 1))
        name = _resolve(namespace, backend, services, missing) or UNRESOLVED
        if weight > 0:
            shares[name] = shares.get(name, 0) + weight
    if not shares:
        return {"direct_response": {"status": 500, "body": {"inline_string": "no backend has any weight\n"}}}
    return {
        "route": {
            "weighted_clusters": {
                "clusters": [{"name": name, "weight": weight} for name, weight in sorted(shares.items())]
            },
            "cluster_not_found_response_code": "INTERNAL_SERVER_ERROR",
            "timeout": _timeout((rule.get("timeouts") or {}).get("request"), number),
        }
    }


def _timeout(written: str | None, number: int) -> str:
    if written is None:
        return _REQUEST_TIMEOUT
    parts = _DURATION.findall(written)
    if "".join(amount + unit for amount, unit in parts) != written or not parts:
        raise UnsupportedRouteError(f"rules[{number}].timeouts.request: {written!r} is no duration such as 15s")
    # Zero means no limit, in the Gateway API as in Envoy.
    return f"{sum(int(amount) * _MS[unit] for amount, unit in parts) / 1000:g}s"

"""Where requests for a release come in, and whether another HTTPRoute has them already. Pure.

The Gateway API lets many routes ask for the same requests, calls all of them accepted, and sends the requests by the
oldest. The others are in force and get nothing, which no status tells.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.domain.release.objects import Gateway, gateway_of, path_of

Obj = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Address:
    """What a rule matches: all requests to a host below a path, at a gateway."""

    gateway: Gateway
    host: str
    """Empty: requests to hosts that no other route names."""
    path: str

    def __str__(self) -> str:
        return f"{self.host}{self.path}" if self.host else self.path


def wanted(name: str, spec: ModelReleaseSpec, default: Gateway) -> frozenset[Address]:
    """Return the addresses of a release.

    Args:
        name: of the release.
        spec: of the release; in mode replicas it has none.
        default: the gateway of the operator's configuration.
    """
    if spec.traffic.mode == "replicas":
        return frozenset()
    gateway, path = gateway_of(spec, default), path_of(name, spec.traffic.hostnames)
    return frozenset(Address(gateway, host, path) for host in spec.traffic.hostnames or ("",))


def older_route(mine: frozenset[Address], own: Obj | None, name: tuple[str, str], routes: Iterable[Obj]) -> str:
    """Return which older route takes the requests of a release, and which ones; or nothing.

    Args:
        mine: addresses of the release.
        own: its route; None before there is one, when every other is older.
        name: namespace and name of its route.
        routes: all that are known.
    """
    older: list[tuple[tuple[str, str], str]] = []
    for route in routes:
        both = mine.intersection(_addresses(route, mine))
        if not both or _name(route) == name or route["metadata"].get("deletionTimestamp"):
            continue
        if own is None or _age(route) < _age(own):
            found = min(both, key=str)
            where = f"at gateway {found.gateway.namespace}/{found.gateway.name}"
            words = f"HTTPRoute {'/'.join(_name(route))} is older and takes {found} {where}"
            older.append((_age(route), words))
    return min(older)[1] if older else ""


def in_common(route: Obj, hosts: set[str], paths: set[str]) -> tuple[set[str], set[str]]:
    """Return which of these hosts (empty: no host is named) and paths a route takes whole, at whatever gateway."""
    spec = route.get("spec") or {}
    both = hosts.intersection(spec.get("hostnames") or ("",))
    rules: Sequence[Obj] = spec.get("rules") or ({},)
    return both, paths.intersection(path for rule in rules for path in _paths(rule)) if both else set()


def _addresses(route: Obj, mine: frozenset[Address]) -> Iterator[Address]:
    """Yield what a route takes whole of some hosts and paths: narrower matches, and single listeners, leave the rest.

    Most routes have nothing in common with a release, so hosts and paths come first.
    """
    hosts, paths = in_common(route, {one.host for one in mine}, {one.path for one in mine})
    if not hosts or not paths:
        return
    for parent in route["spec"].get("parentRefs") or ():
        if parent.get("kind", "Gateway") == "Gateway" and not {"sectionName", "port"} & parent.keys():
            gateway = Gateway(parent["name"], parent.get("namespace") or _name(route)[0])
            yield from (Address(gateway, host, path) for host in hosts for path in paths)


def _paths(rule: Obj) -> Iterator[str]:
    matches: Sequence[Obj] = rule.get("matches") or ({},)
    for match in matches:
        path = match.get("path") or {}
        if match.keys() <= {"path"} and path.get("type", "PathPrefix") == "PathPrefix":
            # As the Gateway API reads it: with and without a slash at the end is the same.
            yield path.get("value", "/").rstrip("/") or "/"


def _age(route: Obj) -> tuple[str, str]:
    """Return what the Gateway API says is older: a time, then the name."""
    return str(route["metadata"].get("creationTimestamp", "")), "/".join(_name(route))


def _name(route: Obj) -> tuple[str, str]:
    return route["metadata"].get("namespace", ""), route["metadata"]["name"]

"""What a canary gets other than by weight: header routes and mirrored copies. Pure.

Steps add up: what a step set holds until another one changes it, the canary has all of the traffic, or it ends. Nothing
of it is remembered but what the gateway confirmed, so an abort cannot leave a route behind.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec, Step
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.api.v1alpha1.routing import CookieMatch, HeaderRoute, RequestMatch, RoutingStatus
from modelops.domain.release.steps import effective_steps


@dataclass(frozen=True, slots=True)
class Routing:
    """Header routes and mirror of a canary."""

    header_routes: tuple[HeaderRoute, ...] = ()
    """In the order in which they are tried."""
    mirror: int = 0
    """Percent of users' requests that are copied."""


def after(steps: Sequence[Step]) -> Routing:
    """Return what these steps add up to."""
    routes: dict[str, HeaderRoute] = {}
    mirror = 0
    for step in steps:
        if step.set_header_route is not None:
            routes.pop(step.set_header_route.name, None)
            if step.set_header_route.match:
                routes[step.set_header_route.name] = step.set_header_route
        if step.set_mirror is not None:
            mirror = step.set_mirror.percent
    return Routing(tuple(routes.values()), mirror)


def wanted(spec: ModelReleaseSpec, status: ModelReleaseStatus) -> Routing:
    """Return what is to be in force now. Nothing is while there is nothing to choose between."""
    alone = status.canary is None or status.stable is None or status.desired_weight == 100
    return Routing() if alone or status.undo_to is not None else after(effective_steps(spec.strategy)[: status.step])


def begun(routing: Routing, found: RoutingStatus | None) -> Routing:
    """Return of a routing what is in force already: routes of the same names, and no more copies."""
    names, percent = ((), 0) if found is None else (found.header_routes, found.mirror_percent)
    return Routing(tuple(one for one in routing.header_routes if one.name in names), min(routing.mirror, percent))


def told(routing: Routing) -> RoutingStatus | None:
    """Return what the status says of a routing that is in force; None for nothing but weights."""
    if routing == Routing():
        return None
    written = [route.model_dump(mode="json", by_alias=True, exclude_none=True) for route in routing.header_routes]
    digest = hashlib.sha256(json.dumps(written, sort_keys=True).encode()).hexdigest()[:10] if written else ""
    names = tuple(route.name for route in routing.header_routes)
    return RoutingStatus(header_routes=names, mirror_percent=routing.mirror, digest=digest)


def gets_requests(status: ModelReleaseStatus) -> bool:
    """Return whether the gateway confirmed anything that sends requests to the canary."""
    return status.weight > 0 or status.routing is not None


def gets_copies(status: ModelReleaseStatus) -> bool:
    """Return whether the gateway confirmed that the canary gets copies of users' requests, and nothing else."""
    return status.routing is not None and status.routing.mirror_percent > 0


def split_weight(status: ModelReleaseStatus) -> int | None:
    """Return the percent of all requests that the canary should see; None where weights do not tell."""
    return None if status.routing is not None else status.weight


def words(routing: RoutingStatus | None) -> str:
    """Return what is in force besides the weight, to stand behind it: `, header route insiders`, or nothing."""
    if routing is None:
        return ""
    named = f", header route {' and '.join(routing.header_routes)}" if routing.header_routes else ""
    return named + (f", mirror {routing.mirror_percent} %" if routing.mirror_percent else "")


def step_words(step: Step) -> str:
    """Return what a step sets, to be told in an Event."""
    route, mirror = step.set_header_route, step.set_mirror
    if route is not None:
        return f"header route {route.name}" + ("" if route.match else " is taken away")
    assert mirror is not None
    return f"mirror {mirror.percent} %"


def rules(main: Mapping[str, Any], routing: Routing, canary: str) -> list[dict[str, Any]]:
    """Return the rules of an HTTPRoute: one for each header route, then the one by weights, which is mirrored.

    Args:
        main: the rule by weights; the others take path and timeout from it.
        routing: what is added.
        canary: name of the canary's Service.
    """
    (backend,) = (ref for ref in main["backendRefs"][:1])
    port = backend["port"]
    found: list[dict[str, Any]] = []
    for route in routing.header_routes:
        headers = [_header(match) for match in route.match]
        matches = [{**match, "headers": headers} for match in main["matches"]]
        found.append({**main, "matches": matches, "backendRefs": [{"name": canary, "port": port, "weight": 1}]})
    if not routing.mirror:
        return [*found, dict(main)]
    mirror: dict[str, Any] = {"backendRef": {"name": canary, "port": port}}
    if routing.mirror < 100:
        # All is the default; a Gateway API before 1.3 knows nothing else.
        mirror["percent"] = routing.mirror
    return [*found, {**main, "filters": [{"type": "RequestMirror", "requestMirror": mirror}]}]


def _header(match: RequestMatch) -> dict[str, str]:
    if match.cookie is not None:
        return {"name": "Cookie", "type": "RegularExpression", "value": _cookie(match.cookie)}
    assert match.header is not None
    if match.exact is not None:
        return {"name": match.header, "type": "Exact", "value": match.exact}
    return {"name": match.header, "type": "RegularExpression", "value": match.regex or ""}


def _cookie(cookie: CookieMatch) -> str:
    """Return the pattern of a whole Cookie header that has this cookie anywhere in it."""
    value = re.escape(cookie.exact) if cookie.exact is not None else f"(?:{cookie.regex})"
    return rf"(?:.*;\s*)?{re.escape(cookie.name)}={value}(?:;.*)?"

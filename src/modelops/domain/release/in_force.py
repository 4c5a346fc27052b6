"""The route as the status wants it, and whether the gateway has put it into force. Pure; part of decide."""

from typing import Final

from modelops.api.v1alpha1.modelrelease import ModelReleaseStatus
from modelops.domain.plan import ApplyObject
from modelops.domain.release import objects, routing
from modelops.domain.release.measure import fresh_step
from modelops.domain.release.observed import Observed

_BY_WEIGHT: Final = routing.Routing()


def route_of(seen: Observed, status: ModelReleaseStatus) -> ApplyObject | None:
    """Return the HTTPRoute that the status asks for; None while nothing is to be served."""
    canary, weight = status.canary, status.desired_weight if status.canary is not None else 0
    stable, other = (None if one is None else one.revision for one in (status.stable, canary))
    backends = objects.shares(stable, other, weight)
    if not backends:
        return None
    wanted = routing.wanted(seen.spec, status)
    extra = None if other is None or wanted == _BY_WEIGHT else seen.name_of(other)
    routed = {seen.name_of(revision) for revision, _ in backends} | {extra}
    idle = _idle(seen, status, routed)
    return objects.route_object(seen.owner, seen.spec, backends, seen.gateway, wanted, extra, idle)


def is_routed(seen: Observed, status: ModelReleaseStatus) -> bool:
    """Return whether the gateway has confirmed the route that the status asks for, or none is asked for."""
    route = route_of(seen, status)
    return route is None or (not objects.needed(route, seen.route) and objects.confirmed(seen.route))


def _idle(seen: Observed, status: ModelReleaseStatus, routed: set[str | None]) -> tuple[str, ...]:
    """Return the Services of the revisions that have no requests yet, or none any more."""
    live = (one.revision for one in (status.stable, status.canary) if one is not None)
    names = (seen.name_of(revision) for revision in dict.fromkeys((*live, *status.retiring)))
    return tuple(name for name in names if name in seen.services and name not in routed)


def confirm(seen: Observed, status: ModelReleaseStatus) -> ModelReleaseStatus:
    """Return the status with what the gateway has put into force since: the wanted weight and routing."""
    told = routing.told(routing.wanted(seen.spec, status))
    same = status.weight == status.desired_weight and status.routing == told
    if same and (status.weight_verified_at is not None or not routing.gets_requests(status)):
        return status
    route = route_of(seen, status)
    if route is None or objects.needed(route, seen.route) or not objects.confirmed(seen.route):
        return status
    exposed = status.desired_weight > 0 or told is not None
    return status.model_copy(
        update={
            "weight": status.desired_weight,
            "routing": told,
            "weight_verified_at": seen.now,
            # What waits for a routing begins with it; a step that sets a weight is left once it is in force.
            "step_started_at": status.step_started_at if status.routing == told else seen.now,
            "last_measured_at": None,
            "analysis_started_at": status.analysis_started_at or (seen.now if exposed else None),
            "analysis": fresh_step(status.analysis),
        }
    )


def awaited(seen: Observed, status: ModelReleaseStatus) -> str:
    """Return what the gateway has not confirmed yet, or why it refuses; nothing once all is in force."""
    told = routing.told(routing.wanted(seen.spec, status))
    if status.weight == status.desired_weight and status.routing == told:
        return ""
    what = f"weight {status.desired_weight}" if status.routing == told else f"the routes{routing.words(told)}"
    return objects.refusal(seen.route) or f"the gateway to confirm {what}"

"""The route as the status wants it, and whether it is in force: a gateway has confirmed it, or the servers are there.

Pure; part of decide.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.domain.analysis.split import at_new_weight
from modelops.domain.plan import ApplyObject
from modelops.domain.release import objects, placing, routing
from modelops.domain.release.gate import shut_for
from modelops.domain.release.leaving import staying
from modelops.domain.release.measure import fresh_step
from modelops.domain.release.observed import Observed
from modelops.domain.release.smoke_test import is_awaited

_BY_WEIGHT: Final = routing.Routing()


def route_of(seen: Observed, status: ModelReleaseStatus) -> ApplyObject | None:
    """Return the HTTPRoute that the status asks for, or in mode replicas the Service; None while nothing serves."""
    if placing.is_used(seen.spec):
        chosen = placing.selection(seen, status)
        return None if chosen is None else placing.service(seen, chosen)
    canary, weight = status.canary, status.desired_weight if status.canary is not None else 0
    stable, other = (None if one is None else one.revision for one in (status.stable, canary))
    backends = objects.shares(stable, other, weight)
    if not backends:
        return None
    wanted = _wanted(seen, status)
    extra = None if other is None or wanted == _BY_WEIGHT else seen.name_of(other)
    # Copies make nothing known: Envoy Gateway keeps them apart from requests.
    routed = {seen.name_of(revision) for revision, _ in backends} | ({extra} if wanted.header_routes else set())
    idle = _idle(seen, status, routed)
    return objects.route_object(seen.owner, seen.spec, backends, seen.gateway, wanted, extra, idle)


def is_routed(seen: Observed, status: ModelReleaseStatus) -> bool:
    """Return whether the route that the status asks for is in force, and nothing that retires gets requests."""
    route = route_of(seen, status)
    return route is None or (not objects.needed(route, seen.route) and _is_rid_of(seen, status.retiring))


def _idle(seen: Observed, status: ModelReleaseStatus, routed: set[str | None]) -> tuple[str, ...]:
    """Return the Services of the revisions that have no requests yet, or none any more."""
    there = dict.fromkeys((*(one.revision for one in staying(status)), *status.retiring))
    names = map(seen.name_of, there)
    return tuple(name for name in names if name in seen.services and name not in routed)


def confirm(seen: Observed, status: ModelReleaseStatus) -> ModelReleaseStatus:
    """Return the status with what was put into force since: the wanted weight and routing."""
    told, weight = routing.told(_wanted(seen, status)), _reached(seen, status)
    same = status.weight == weight and status.routing == told
    if same and status.unconfirmed_since is not None:
        status = status.model_copy(update={"unconfirmed_since": None})
    if same and (status.weight_verified_at is not None or not routing.gets_requests(status)):
        return status
    if not _is_brought(seen, status):
        return status
    exposed = status.desired_weight > 0 or told is not None
    return status.model_copy(
        update={
            "weight": weight,
            "routing": told,
            "weight_verified_at": seen.now,
            "unconfirmed_since": None,
            # What waits for a routing begins with it; a step that sets a weight is left once it is in force.
            "step_started_at": status.step_started_at if status.routing == told else seen.now,
            "last_measured_at": None,
            "analysis_started_at": status.analysis_started_at or (seen.now if exposed else None),
            "analysis": fresh_step(status.analysis),
            "split": at_new_weight(status.split),
        }
    )


def awaited(seen: Observed, status: ModelReleaseStatus) -> str:
    """Return what is not in force yet, or why the gateway refuses; nothing once all is."""
    told = routing.told(_wanted(seen, status))
    if status.weight == _reached(seen, status) and status.routing == told:
        return ""
    if placing.is_used(seen.spec):
        return placing.awaited(seen, status)
    what = f"weight {status.desired_weight}" if status.routing == told else f"the routes{routing.words(told)}"
    return objects.refusal(seen.route) or f"the gateway to confirm {what}"


def given_up_at(seen: Observed, status: ModelReleaseStatus) -> datetime | None:
    """Return when a canary is given up that waits for a weight or a routing; None while it waits for none.

    What undo brings back waits on: to give it up would be to go back to what is worse.
    """
    since = status.unconfirmed_since
    if since is None or status.undo_to is not None:
        return None
    if placing.is_used(seen.spec):
        # Until its own servers are ready the deadline is theirs.
        since = max(since, status.ready_since or seen.now)
    return since + seen.spec.progress_deadline


def _is_rid_of(seen: Observed, revisions: Sequence[str]) -> bool:
    """Return whether revisions that are to have no traffic get none, once the route is as wanted."""
    return placing.is_rid_of(seen, revisions) if placing.is_used(seen.spec) else objects.confirmed(seen.route)


def _reached(seen: Observed, status: ModelReleaseStatus) -> int:
    """Return the percent that the wanted weight comes to."""
    wanted = status.desired_weight
    return placing.reached(seen.spec, wanted) if placing.is_used(seen.spec) else wanted


def _is_brought(seen: Observed, status: ModelReleaseStatus) -> bool:
    if placing.is_used(seen.spec):
        return placing.is_placed(seen, status)
    route = route_of(seen, status)
    return route is not None and not objects.needed(route, seen.route) and objects.confirmed(seen.route)


def withholds(seen: Observed, status: ModelReleaseStatus) -> bool:
    """Return whether a header route or a mirror may not begin now that the steps so far ask for."""
    return _wanted(seen, status) != _asked(seen, status)


def _wanted(seen: Observed, status: ModelReleaseStatus) -> routing.Routing:
    asked = _asked(seen, status)
    # Steps that changed under a canary may ask at once for what a step would have waited with.
    shut = status.paused_reason is not None or shut_for(seen, status) is not None
    return routing.begun(asked, status.routing) if shut else asked


def _asked(seen: Observed, status: ModelReleaseStatus) -> routing.Routing:
    # Steps that changed under a canary may bring it a route before it has passed the smoke test.
    return _BY_WEIGHT if is_awaited(seen.spec, status) else routing.wanted(seen.spec, status)

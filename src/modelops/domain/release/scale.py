"""How many servers a canary needs, and whether they are there. Pure.

Until the first setCanaryScale, and before all of the traffic, it has as many as stable, which is never scaled here.
Servers come before traffic: a step that raises the weight is counted with the weight that it asks for. Where
weights are made of servers all of it is otherwise, see `placing`.
"""

from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.domain.release import lending, objects, placing
from modelops.domain.release.observed import Observed
from modelops.domain.release.routing import after
from modelops.domain.release.steps import effective_steps


def canary_replicas(seen: Observed, status: ModelReleaseStatus) -> int:
    """Return how many servers the canary needs at the step that it is at."""
    if placing.is_used(seen.spec):
        return placing.canary_servers(seen, status)
    if lending.is_used(seen.spec) and status.stable is not None:
        return lending.servers(seen.spec, status).canary
    full, steps = seen.spec.serving.replicas, effective_steps(seen.spec.strategy)
    if status.stable is None or status.step >= len(steps):
        return full
    asked = next((s.set_canary_scale for s in reversed(steps[: status.step + 1]) if s.set_canary_scale), None)
    weight = max(status.weight, status.desired_weight, steps[status.step].set_weight or 0)
    if asked is None or weight == 100 or full == 0:
        return full
    if asked.replicas is not None:
        return asked.replicas
    routing = after(steps[: status.step + 1])
    # Nobody knows how many requests a header route matches.
    share = 100 if routing.header_routes else max(weight, routing.mirror)
    percent = share if asked.percent is None else asked.percent
    return max(1, -(-full * percent // 100))


def stable_replicas(seen: Observed, status: ModelReleaseStatus) -> int:
    """Return how many servers stable has now."""
    if placing.is_used(seen.spec):
        return placing.stable_servers(seen, status)
    lent = lending.is_used(seen.spec) and status.canary is not None
    return lending.servers(seen.spec, status).stable if lent else seen.spec.serving.replicas


def is_scaled(spec: ModelReleaseSpec) -> bool:
    """Return whether the canary's servers depend on the step."""
    return lending.is_used(spec) or any(step.set_canary_scale is not None for step in effective_steps(spec.strategy))


def is_staffed(seen: Observed, status: ModelReleaseStatus) -> bool:
    """Return whether as many of the canary's servers as it needs answer their readiness probe."""
    deployment = seen.deployment(status.canary)
    if deployment is None or not objects.is_ready(deployment):
        return False
    return bool(deployment["spec"].get("replicas", 1) >= canary_replicas(seen, status))


def noted(seen: Observed, status: ModelReleaseStatus) -> ModelReleaseStatus:
    """Return the status with since when the canary's servers are ready.

    The progressDeadline begins anew when more servers are asked for, and when they were ready for longer than it; so
    servers that come and go before it are given up in time.
    """
    staffed = is_staffed(seen, status)
    if staffed:
        if status.ready_since is not None:
            return status
        return status.model_copy(update={"ready_since": seen.now, "capacity_missing_since": None})
    if status.ready_since is None:
        return status
    deployment = seen.deployment(status.canary) or {"spec": {}}
    more = deployment["spec"].get("replicas", 1) < canary_replicas(seen, status)
    lasted = seen.now - status.ready_since >= seen.spec.progress_deadline
    anew = {"starting_since": seen.now} if more or lasted else {}
    return status.model_copy(update={"ready_since": None, **anew})

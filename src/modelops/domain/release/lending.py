"""Surge none: each server of a canary is one that stable gave up before, because there are no more. Pure.

A weight rises by one server at a time, so that stable is short of one at most while the canary's starts. Together they
are as many as are wanted. The last one stays stable's until the promotion.
"""

from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.domain.release.placing import Servers, split
from modelops.domain.release.steps import effective_steps, weight_after


def is_used(spec: ModelReleaseSpec) -> bool:
    """Return whether a canary's servers are taken from stable."""
    return spec.serving.surge == "none"


def servers(spec: ModelReleaseSpec, status: ModelReleaseStatus) -> Servers:
    """Return how many servers either side is to have now: those of the weight that comes next, if one does.

    Args:
        spec: of the release.
        status: with stable and a canary.
    """
    full, steps = spec.serving.replicas, effective_steps(spec.strategy)
    given = max(status.weight, status.desired_weight)
    if status.weight != status.desired_weight:
        # The gateway confirms it first: until then stable may have the requests of the weight before.
        return _split(full, given)
    if status.step >= len(steps):
        aim = 100
    elif given == 0:
        aim = next((step.set_weight for step in steps[status.step :] if step.set_weight), 100)
    else:
        aim = max(given, weight_after(steps[: status.step + 1]))
    return _split(full, rising(full, given, aim))


def rising(full: int, weight: int, aim: int) -> int:
    """Return the next weight on the way up to an aim: that of one server more, and a percent more at least.

    Args:
        full: how many servers both sides have together.
        weight: percent that is asked for now.
        aim: percent, not less.
    """
    found = 0 if weight == 0 else _split(full, weight).canary
    if _split(full, aim).canary <= found + 1:
        return aim
    return min(aim, max(weight + 1, round(100 * (found + 1) / full)))


def _split(full: int, weight: int) -> Servers:
    return Servers(1, full - 1) if weight == 100 else split(full, weight, more=0)

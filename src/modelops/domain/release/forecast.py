"""When a canary is promoted, or asks a human, at the earliest. Pure.

Foreseen from the end of what it waits for now, as far as that has one: times of the steps that are left, warm-ups, the
looks that a metric needs, and windows. Servers and the gateway are taken to need no time.
"""

from datetime import datetime, timedelta

from modelops.api.v1alpha1.analysis import Analysis
from modelops.api.v1alpha1.modelrelease import Step
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.domain.release.gate import closed
from modelops.domain.release.looks import interval_of
from modelops.domain.release.observed import Observed
from modelops.domain.release.steps import effective_steps, waits_for_human


def foreseen(seen: Observed, status: ModelReleaseStatus) -> ModelReleaseStatus:
    """Return the status whose eta is that of the rollout, not that of the step."""
    if status.canary is None or status.eta is None:
        return status
    return status.model_copy(update={"eta": _end(seen, status, status.eta)})


def _end(seen: Observed, status: ModelReleaseStatus, at: datetime) -> datetime | None:
    steps, weight, warm = effective_steps(seen.spec.strategy), status.desired_weight, True
    rising = status.held_by is not None
    for step in steps[status.step + (0 if rising else 1) :]:
        if waits_for_human(step):
            return at
        if step.set_weight is not None and step.set_weight != weight:
            opened = at if step.set_weight < weight else _risen(seen, at)
            if opened is None:
                return None
            at, weight, warm = opened, step.set_weight, False
            continue
        at, warm = at + _lasts(step, seen.spec.analysis, warm=warm), warm or step.analyze is not None
    return at if weight == 100 else _risen(seen, at)


def _risen(seen: Observed, at: datetime) -> datetime | None:
    shut = closed(seen, at)
    return at if shut is None else shut.until


def _lasts(step: Step, analysis: Analysis, *, warm: bool) -> timedelta:
    """Return how long a step lasts.

    Args:
        step: one that does not wait for a human.
        analysis: of the release.
        warm: whether there was an analysis at this weight before.
    """
    if step.pause is not None:
        return step.pause.duration or timedelta(0)
    if step.bake is not None:
        return step.bake.duration
    if step.analyze is None:
        return timedelta(0)
    if warm:
        return step.analyze.duration
    deciding = [metric for metric in analysis.metrics if not metric.dry_run]
    looks = [interval_of(one, analysis) * max(1, one.count or one.consecutive_success_limit) for one in deciding]
    return analysis.warm_up + max([step.analyze.duration, *looks])

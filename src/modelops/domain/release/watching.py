"""The time after a promotion in which a Fail still takes it back. Pure; called by decide.

The promoted revision is looked at as if it were a canary with all of the traffic: by the bounds of its metrics, since
the version before has no traffic to compare with. Only a Fail counts; what has no answer takes nothing back.
"""

from datetime import datetime

from modelops.api.v1alpha1.analysis import Analysis, Metric
from modelops.api.v1alpha1.analysis_status import MetricStatus
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus, RollbackWindowStatus
from modelops.domain.analysis.verdicts import has_bounds, is_of_both
from modelops.domain.release import objects, settle
from modelops.domain.release.looks import is_alone, next_look
from modelops.domain.release.measure import closed, fresh_step, tally, weigh
from modelops.domain.release.observed import Observed
from modelops.domain.release.turn import Turn


def opened(seen: Observed, before: ModelReleaseStatus, promoted: ModelReleaseStatus) -> ModelReleaseStatus:
    """Return the status after a promotion with its rollback window, if the spec wants one.

    Args:
        seen: the release.
        before: the status with the canary.
        promoted: the status without it. What undo brought back was proven before.
    """
    wanted, previous = seen.spec.rollback_window, before.stable
    if wanted is None or previous is None or before.undo_to is not None:
        return promoted
    window = RollbackWindowStatus(previous=previous, since=seen.now, until=seen.now + wanted.duration)
    return promoted.model_copy(
        update={
            "rollback_window": window,
            "retiring": tuple(one for one in promoted.retiring if one != previous.revision),
            "analysis": fresh_step(promoted.analysis),
        }
    )


def by_bounds(spec: ModelReleaseSpec, status: ModelReleaseStatus) -> ModelReleaseSpec:
    """Return the spec as it holds for the weight in force: with all of the traffic, bounds alone judge what has any."""
    if not is_alone(status):
        return spec
    metrics = tuple(
        metric.model_copy(update={"compare_to": None}) if has_bounds(metric) else metric
        for metric in spec.analysis.metrics
    )
    return spec.model_copy(update={"analysis": spec.analysis.model_copy(update={"metrics": metrics})})


def measured_as(spec: ModelReleaseSpec, status: ModelReleaseStatus) -> tuple[ModelReleaseSpec, ModelReleaseStatus]:
    """Return spec and status as far as metrics are concerned: in a rollback window, what was promoted is measured."""
    window = status.rollback_window
    if window is None or status.canary is not None:
        return by_bounds(spec, status), status
    view = {
        "canary": status.stable,
        "stable": None,
        "weight": 100,
        "weight_verified_at": window.since,
        "analysis_started_at": window.since,
    }
    return spec.model_copy(update={"analysis": _watched(spec.analysis)}), status.model_copy(update=view)


def watch(seen: Observed, turn: Turn) -> Turn:
    """Take the readings in; a Fail gives all of the traffic back at once, and the end of the window ends it."""
    status = turn.status
    window, stable = status.rollback_window, status.stable
    assert window is not None
    assert stable is not None
    wanted = seen.spec.rollback_window
    if wanted is None or seen.now >= window.since + wanted.duration:
        over = settle.window_over(status).model_copy(update={"analysis": closed(status.analysis, promoted=True)})
        message = f"version {stable.version} has outlived its rollback window; the servers before it go"
        return Turn(over, turn.actions, turn.events, turn.decisive).saying("RollbackWindowOver", message)
    turn = turn.with_status(
        rollback_window=window.model_copy(update={"until": window.since + wanted.duration}),
        analysis=_measured(seen, status),
    )
    spec, _ = measured_as(seen.spec, status)
    watched = {metric.name for metric in spec.analysis.metrics}
    figures = tuple(one for one in turn.status.analysis if one.name in watched)
    failed = weigh(turn.status.model_copy(update={"analysis": figures}), spec.analysis, seen.now).failed
    if not failed:
        return turn
    if not objects.serves(seen.deployment(window.previous)):
        return turn.with_status(waiting_for=f"servers of version {window.previous.version} to roll back to: {failed}")
    message = f"after its promotion: {failed}"
    back = settle.taken_back(turn.status, seen.now, message)
    words = f"version {stable.version} {message}; version {window.previous.version} serves again"
    return Turn(back, turn.actions, turn.events, decisive=True).saying("RolledBack", words, warning=True)


def next_watch(seen: Observed, status: ModelReleaseStatus) -> list[datetime]:
    """Return when the rollback window needs a look."""
    window = status.rollback_window
    if window is None or status.canary is not None:
        return []
    spec, view = measured_as(seen.spec, status)
    look = next_look(view, spec.analysis)
    return [window.until] if look is None else [window.until, look]


def _measured(seen: Observed, status: ModelReleaseStatus) -> tuple[MetricStatus, ...]:
    spec, view = measured_as(seen.spec, status)
    same = seen.status.canary is None and seen.status.stable == status.stable
    same = same and seen.status.rollback_window == status.rollback_window
    asked = {one.name: one for one in tally(view, spec.analysis, seen.readings if same else {}, seen.now)}
    before = {one.name: one for one in status.analysis}
    return tuple((before | asked).values())


def _watched(analysis: Analysis) -> Analysis:
    metrics = tuple(_unlimited(metric) for metric in analysis.metrics if has_bounds(metric) and not is_of_both(metric))
    return analysis.model_copy(update={"metrics": metrics})


def _unlimited(metric: Metric) -> Metric:
    """Return a metric that is asked to the end, by its own bounds, and that no want of answers fails."""
    return metric.model_copy(
        update={
            "count": 0,
            "consecutive_success_limit": 0,
            "compare_to": None,
            "no_data_policy": "Hold",
            "error_policy": "Hold",
        }
    )

"""Whether a weight is believed: not while the gateway's own counts of requests contradict it. Pure.

A gateway says that a route is in force before, or although, requests go elsewhere. While the counts contradict the
weight, its step begins anew at every look: samples and times count from when they do not. The evidence of all looks
together pauses the release for a human.
"""

from datetime import datetime, timedelta

from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.domain.analysis.sequential import alarm_level
from modelops.domain.analysis.split import (
    MISMATCH,
    Requests,
    contradicts,
    counted,
    is_mismatch,
    is_too_few,
)
from modelops.domain.release import placing
from modelops.domain.release.looks import interval_of, window_start
from modelops.domain.release.measure import fresh_step
from modelops.domain.release.observed import Observed
from modelops.domain.release.routing import split_weight
from modelops.domain.release.steps import is_past_all
from modelops.domain.release.turn import Turn


def weight_to_show(spec: ModelReleaseSpec, status: ModelReleaseStatus) -> int | None:
    """Return the percent of all requests that should come to the canary, 1-99.

    None where there is nothing to hold counts against: requests come to one side only, or other than by weight; servers
    make the weight, and get connections; no metric is asked, so that there may be nobody to ask.
    """
    weight = None if placing.is_used(spec) else split_weight(status)
    asks = status.canary is not None and status.stable is not None and spec.analysis.metrics
    return weight if asks and weight is not None and 0 < weight < 100 else None


def next_count(spec: ModelReleaseSpec, status: ModelReleaseStatus) -> datetime | None:
    """Return when the gateway's counts are asked next: as often as the metric that is asked most often."""
    start = window_start(status, spec.analysis)
    if start is None or weight_to_show(spec, status) is None:
        return None
    interval: timedelta = min(interval_of(metric, spec.analysis) for metric in spec.analysis.metrics)
    last = None if status.split is None else status.split.measured_at
    return (start if last is None else max(start, last)) + interval


def counts_from(spec: ModelReleaseSpec, status: ModelReleaseStatus, now: datetime) -> datetime | None:
    """Return from when on requests are to be counted now; None while it is not time to.

    That is where the last look ended, but at the earliest warmUp after the weight was confirmed.
    """
    start, look = window_start(status, spec.analysis), next_count(spec, status)
    if start is None or look is None or look > now:
        return None
    until = None if status.split is None else status.split.counted_until
    return start if until is None else max(start, until)


def taken(spec: ModelReleaseSpec, status: ModelReleaseStatus, requests: Requests, now: datetime) -> ModelReleaseStatus:
    """Return the status with one look more at the gateway's counts; a step whose weight they contradict begins anew."""
    weight, level = weight_to_show(spec, status), alarm_level(spec.analysis)
    if weight is None:
        return status
    split = counted(status.split, requests, weight, level).model_copy(update={"measured_at": now})
    status = status.model_copy(update={"split": split, "last_measured_at": now})
    if not contradicts(split, weight, level):
        return status
    anew = {"weight_verified_at": now, "step_started_at": now, "analysis": fresh_step(status.analysis)}
    return status.model_copy(update=anew)


def alarm(spec: ModelReleaseSpec, status: ModelReleaseStatus) -> str:
    """Return why a human is to look at how the requests are split, or nothing: for all that is known, it is well."""
    split = status.split
    if split is None or weight_to_show(spec, status) is None or not is_mismatch(split, alarm_level(spec.analysis)):
        return ""
    both = split.canary + split.stable
    share = f"{split.canary / max(1.0, both):.1%} of the requests came to the canary"
    return f"{MISMATCH}: {share} ({split.canary:.0f} of {both:.0f}), which is not as weighted"


def doubt(spec: ModelReleaseSpec, status: ModelReleaseStatus) -> str:
    """Return what is waited for while the counts contradict the weight, or nothing.

    Nothing is asked of a canary that is past all steps.
    """
    weight, split = weight_to_show(spec, status), status.split
    if weight is None or split is None or is_past_all(status):
        return ""
    if not contradicts(split, weight, alarm_level(spec.analysis)):
        return ""
    both = split.canary + split.stable
    came = f"{split.canary:.0f} of {both:.0f} came to the canary"
    return f"requests as weighted: {came}, where weight {weight} asks for {both * weight / 100:.0f}"


def held(seen: Observed, turn: Turn, doubt: str) -> Turn:
    """Return the turn waiting until requests come as weighted, saying so once."""
    told = turn.with_status(waiting_for=doubt, held_by=MISMATCH, eta=None)
    return told if seen.status.held_by == MISMATCH else told.saying(MISMATCH, doubt, warning=True)


def unshown(spec: ModelReleaseSpec, status: ModelReleaseStatus) -> str:
    """Return how many requests are too few to show the weight, to stand behind it, or nothing."""
    weight, split = weight_to_show(spec, status), status.split
    if weight is None or split is None or split.counted_until is None or split.measured_at is None:
        return ""
    few = is_too_few(split, weight, alarm_level(spec.analysis))
    return f", which {split.canary + split.stable:.0f} requests are too few to show" if few else ""

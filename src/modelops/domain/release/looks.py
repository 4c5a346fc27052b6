"""When each metric of a canary is asked: every one by a clock of its own. Pure.

Windows begin warmUp after the gateway confirmed the weight; the first look at a weight comes one interval later. Looks
go on in pauses. After an Error the next look comes sooner, then ever later, up to the interval. What is compared with
stable is not asked where stable has no traffic, and answers to the same requests not where there are no copies of them.
"""

from datetime import datetime, timedelta
from typing import Final

from modelops.api.v1alpha1.analysis import Analysis, Metric
from modelops.api.v1alpha1.analysis_status import MetricStatus
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.domain.analysis.verdicts import is_paired, needs_stable
from modelops.domain.release.routing import gets_copies, gets_requests

_RETRY: Final = timedelta(seconds=10)


def window_start(status: ModelReleaseStatus, analysis: Analysis) -> datetime | None:
    """Return from when on figures count for this weight and routing; None while the canary gets no requests."""
    if not gets_requests(status) or status.weight_verified_at is None:
        return None
    return status.weight_verified_at + analysis.warm_up


def counts_from(status: ModelReleaseStatus, analysis: Analysis, metric: Metric) -> datetime | None:
    """Return from when on a test sequential counts at its next look: where the last one at this weight ended."""
    found = next((one.comparison for one in status.analysis if one.name == metric.name), None)
    counted_until = None if found is None else found.counted_until
    return counted_until or window_start(status, analysis)


def interval_of(metric: Metric, analysis: Analysis) -> timedelta:
    """Return the time from one look at a metric to the next."""
    return metric.interval or analysis.interval


def next_look(status: ModelReleaseStatus, analysis: Analysis) -> datetime | None:
    """Return when the first of the metrics is asked next; None while there is nothing to ask."""
    return min((look for look in _looks(status, analysis).values() if look is not None), default=None)


def due(status: ModelReleaseStatus, analysis: Analysis, now: datetime) -> tuple[Metric, ...]:
    """Return the metrics whose time to be asked has come."""
    looks = _looks(status, analysis)
    return tuple(m for m in analysis.metrics if (look := looks.get(m.name)) is not None and look <= now)


def look_at(status: ModelReleaseStatus, analysis: Analysis, metric: Metric) -> datetime | None:
    """Return when a metric is asked next.

    None while no weight is in force, once its looks at this one are over, and while its MetricTemplate does not fit.
    """
    return _looks(status, analysis).get(metric.name)


def is_alone(status: ModelReleaseStatus) -> bool:
    """Return whether all of the traffic is the canary's, so that nothing can be compared with stable."""
    return status.weight == 100


def lacks_copies(status: ModelReleaseStatus, metric: Metric) -> bool:
    """Return whether a metric would compare answers to the same requests, and the canary gets none of stable's now."""
    return is_paired(metric) and not gets_copies(status)


def is_measured(status: ModelReleaseStatus, metric: Metric) -> bool:
    """Return whether a metric can be measured with what the gateway confirmed: requests, stable's, copies."""
    lacks_stable = needs_stable(metric) and is_alone(status)
    return gets_requests(status) and not lacks_stable and not lacks_copies(status, metric)


def is_complete(found: MetricStatus, metric: Metric) -> bool:
    """Return whether a metric has had all of its looks at this weight."""
    in_a_row = metric.consecutive_success_limit
    return bool(
        (in_a_row and found.consecutive_passes >= in_a_row) or (metric.count and found.step_looks >= metric.count)
    )


def _looks(status: ModelReleaseStatus, analysis: Analysis) -> dict[str, datetime | None]:
    start = window_start(status, analysis)
    if start is None or status.canary is None:
        return {}
    begun = status.analysis_started_at or status.weight_verified_at or start
    found = {one.name: one for one in status.analysis}
    return {
        m.name: _look(m, found.get(m.name), start, begun, interval_of(m, analysis))
        for m in analysis.metrics
        if is_measured(status, m)
    }


def _look(
    metric: Metric, found: MetricStatus | None, start: datetime, begun: datetime, interval: timedelta
) -> datetime | None:
    if metric.template is not None or (found is not None and is_complete(found, metric)):
        return None
    look = start + interval
    if found is not None and found.measured_at is not None and found.measured_at >= start:
        look = found.measured_at + _wait(found.consecutive_errors, interval)
    return max(look, begun + metric.initial_delay)


def _wait(errors: int, interval: timedelta) -> timedelta:
    """Return the time to the next look after so many Errors in a row."""
    if errors == 0:
        return interval
    doubled: timedelta = min(interval, _RETRY) * (1 << min(errors - 1, 16))
    return min(max(interval, _RETRY), doubled)

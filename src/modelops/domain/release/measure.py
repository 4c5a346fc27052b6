"""When a canary is measured, and what the measurements add up to. Pure.

Windows begin warmUp after the gateway confirmed the weight. One look at every metric each interval, also in pauses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from modelops.api.v1alpha1.modelrelease import Analysis, Measurement, Metric, MetricStatus, ModelReleaseStatus
from modelops.domain.analysis.verdicts import Judgement, Reading, bound, judge_of

_KEPT: Final = 10


@dataclass(frozen=True, slots=True)
class Tally:
    """What all metrics together say of the canary."""

    metrics: tuple[MetricStatus, ...]
    failed: str = ""
    """Why it is to be rolled back, or nothing."""
    hold: str = ""
    """Why it is to pause for a human, or nothing."""
    waiting: str = ""
    """Which metrics have not passed at this weight yet, or nothing: all have, and their last look was a Pass."""


def window_start(status: ModelReleaseStatus, analysis: Analysis) -> datetime | None:
    """Return from when on figures count for this weight; None while no weight is in force."""
    if status.weight == 0 or status.weight_verified_at is None:
        return None
    return status.weight_verified_at + analysis.warm_up


def next_look(status: ModelReleaseStatus, analysis: Analysis) -> datetime | None:
    """Return when the metrics are asked next; None while there is nothing to ask."""
    start = window_start(status, analysis)
    if start is None or status.canary is None or not analysis.metrics:
        return None
    last = status.last_measured_at
    since = start if last is None or last < start else last
    return since + analysis.interval


def tally(
    status: ModelReleaseStatus, analysis: Analysis, readings: Mapping[str, Reading], now: datetime
) -> tuple[MetricStatus, ...]:
    """Return every metric's figures with one more measurement of those that were read."""
    before = {metric.name: metric for metric in status.analysis}
    return tuple(
        _measured(before.get(metric.name), metric, readings.get(metric.name), now) for metric in analysis.metrics
    )


def weigh(metrics: tuple[MetricStatus, ...], analysis: Analysis, now: datetime) -> Tally:
    """Return what the metrics' figures mean under the policies."""
    failed, hold, waiting = "", "", []
    specs = {metric.name: metric for metric in analysis.metrics}
    for found in metrics:
        spec = specs[found.name]
        last = found.measurements[-1] if found.measurements else None
        if found.failures > spec.failure_limit:
            failed = failed or _failure(found, spec)
        if last is not None and last.verdict == "NoData" and found.no_data_since is not None:
            if analysis.no_data_policy == "Fail":
                failed = failed or f"{found.name}: NoData: {last.message}"
            elif analysis.no_data_policy == "Pause" or now - found.no_data_since >= analysis.no_data_deadline:
                hold = hold or f"NoData: {found.name}: {last.message}"
        if last is not None and last.verdict == "Error":
            if analysis.error_policy == "Fail":
                failed = failed or f"{found.name}: Error: {last.message}"
            elif analysis.error_policy == "Pause":
                hold = hold or f"Error: {found.name}: {last.message}"
        if last is None or last.verdict != "Pass" or found.step_passes == 0:
            waiting.append(f"{found.name}: {_last_words(last)}")
    return Tally(metrics, failed, hold, "; ".join(waiting)[:400])


def fresh_step(metrics: tuple[MetricStatus, ...]) -> tuple[MetricStatus, ...]:
    """Return the figures at the beginning of a new weight: nothing has passed at it, no data is missing yet."""
    return tuple(
        metric.model_copy(update={"step_passes": 0, "no_data_since": None, "error_since": None}) for metric in metrics
    )


def _measured(before: MetricStatus | None, spec: Metric, reading: Reading | None, now: datetime) -> MetricStatus:
    found = before or MetricStatus(name=spec.name)
    found = found.model_copy(update={"bound": bound(spec)})
    if reading is None:
        return found
    judged: Judgement = judge_of(spec).judge(reading)
    measurement = Measurement(
        time=now.replace(microsecond=0),
        verdict=judged.verdict,
        value=judged.value,
        samples=judged.samples,
        message=judged.message[:500],
    )
    passed, failed = judged.verdict == "Pass", judged.verdict == "Fail"
    return found.model_copy(
        update={
            "query": reading.query[:8192],
            "passes": found.passes + passed,
            "failures": found.failures + failed,
            "step_passes": found.step_passes + passed,
            "no_data_since": (found.no_data_since or now) if judged.verdict == "NoData" else None,
            "error_since": (found.error_since or now) if judged.verdict == "Error" else None,
            "measurements": (*found.measurements, measurement)[-_KEPT:],
        }
    )


def _failure(found: MetricStatus, spec: Metric) -> str:
    worst = next((m for m in reversed(found.measurements) if m.verdict == "Fail"), None)
    seen = f" of {worst.samples:.0f} requests" if worst is not None and worst.samples and spec.builtin else ""
    words = worst.message if worst is not None else "failed"
    limit = f", {found.failures} failures where {spec.failure_limit} are tolerated" if spec.failure_limit else ""
    return f"{found.name} is {words}{seen}{limit}"


def _last_words(last: Measurement | None) -> str:
    return "not measured yet" if last is None else f"{last.verdict} ({last.message})" if last.message else last.verdict


def overdue(since: datetime | None, limit: timedelta, now: datetime) -> bool:
    """Return whether a limit has passed."""
    return since is not None and now - since >= limit

"""What the looks at a canary add up to: counters, limits, policies. Pure.

Limits that end badly (failures, inconclusive looks, errors in a row) count over the whole revision: a new weight
forgives nothing. What ends well (count, passes in a row) counts at one weight: a new weight has to be earned anew.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from modelops.api.v1alpha1.analysis import Analysis, Metric
from modelops.api.v1alpha1.analysis_status import ComparisonStatus, Measurement, MetricStatus, Outcome, RangeStatus
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.domain.analysis.sequential import alarm_level, compared, counted
from modelops.domain.analysis.verdicts import Judgement, Reading, bound, counts_requests, is_sequential, judge_of
from modelops.domain.release.fitting import fitted
from modelops.domain.release.looks import is_complete, lacks_copies

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


def tally(
    status: ModelReleaseStatus, analysis: Analysis, readings: Mapping[str, Reading], now: datetime
) -> tuple[MetricStatus, ...]:
    """Return every metric's figures with one more measurement of those that were read.

    Args:
        status: as it is.
        analysis: of the release.
        readings: by metric.
        now: the time.
    """
    before = {metric.name: metric for metric in status.analysis}
    return fitted(
        tuple(
            _measured(
                before.get(metric.name) or MetricStatus(name=metric.name),
                metric,
                readings.get(metric.name),
                analysis,
                now,
            )
            for metric in analysis.metrics
        )
    )


def looked(
    found: MetricStatus, spec: Metric, reading: Reading, analysis: Analysis
) -> tuple[Judgement, ComparisonStatus | None]:
    """Return what one look comes to, and the comparison with stable that has taken it in.

    Args:
        found: the metric's figures before.
        spec: the metric.
        reading: what was answered.
        analysis: of the release.
    """
    judge = judge_of(spec)
    if not is_sequential(spec):
        return judge.judge(reading), None
    comparison = counted(found.comparison, spec, reading.counts)
    return judge.judge(reading, compared(spec, comparison, alarm_level(analysis))), comparison


def weigh(status: ModelReleaseStatus, analysis: Analysis, now: datetime) -> Tally:
    """Return what the metrics' figures mean under the limits and policies; a dry run means nothing."""
    metrics = status.analysis
    failed, hold, waiting = "", "", []
    specs = {metric.name: metric for metric in analysis.metrics}
    for found in metrics:
        spec = specs[found.name]
        if spec.dry_run:
            continue
        failed = failed or _why_failed(found, spec, analysis)
        hold = hold or _why_held(found, spec, analysis, now)
        if not lacks_copies(status, spec) and (words := _still_waiting(found, spec)):
            waiting.append(f"{found.name}: {words}")
    return Tally(metrics, failed, hold, "; ".join(waiting)[:400])


def outcome_of(found: MetricStatus, spec: Metric) -> Outcome:
    """Return what a metric has come to: Argo Rollouts' rules, but for a count without a Pass, which is Inconclusive."""
    if 0 <= spec.failure_limit < found.failures:
        return "Failed"
    if found.inconclusive > spec.inconclusive_limit:
        return "Inconclusive"
    if found.consecutive_errors > spec.consecutive_error_limit:
        return "Error"
    in_a_row = spec.consecutive_success_limit
    if in_a_row and found.consecutive_passes >= in_a_row:
        return "Successful"
    if not is_complete(found, spec):
        return "Running"
    if in_a_row:
        return "Inconclusive" if spec.failure_limit >= 0 else "Failed"
    return "Successful" if found.step_passes else "Inconclusive"


def fresh_step(metrics: tuple[MetricStatus, ...]) -> tuple[MetricStatus, ...]:
    """Return the figures at the beginning of a new weight: nothing has passed at it, no data is missing yet.

    Evidence stays: it is about the revision.
    """
    fresh = {
        "step_passes": 0,
        "step_looks": 0,
        "consecutive_passes": 0,
        "measured_at": None,
        "no_data_since": None,
        "error_since": None,
    }
    return tuple(metric.model_copy(update=fresh | {"comparison": _begun_anew(metric.comparison)}) for metric in metrics)


def another_chance(metrics: tuple[MetricStatus, ...]) -> tuple[MetricStatus, ...]:
    """Return the figures after a human's word: what paused the release may be tolerated anew; failures stay."""
    anew = {"inconclusive": 0, "consecutive_errors": 0, "no_data_since": None, "error_since": None}
    looks = {"step_looks": 0, "consecutive_passes": 0}

    def tolerated(metric: MetricStatus) -> MetricStatus:
        return metric.model_copy(update=anew | (looks if metric.outcome == "Inconclusive" else {}))

    return tuple(tolerated(metric) for metric in metrics)


def closed(metrics: tuple[MetricStatus, ...], *, promoted: bool) -> tuple[MetricStatus, ...]:
    """Return the figures at the end of the canary: what came to nothing was Skipped, whatever the others said."""
    return tuple(
        metric.model_copy(update={"outcome": "Successful" if promoted and metric.passes else "Skipped"})
        if metric.outcome in (None, "Running")
        else metric
        for metric in metrics
    )


def _begun_anew(comparison: ComparisonStatus | None) -> ComparisonStatus | None:
    if comparison is None:
        return None
    return ComparisonStatus(evidence=comparison.evidence)


def _measured(
    found: MetricStatus, spec: Metric, reading: Reading | None, analysis: Analysis, now: datetime
) -> MetricStatus:
    if reading is not None:
        judged, comparison = looked(found, spec, reading, analysis)
        found = _counted(found, judged, reading, now).model_copy(update={"comparison": comparison})
    limits = spec.threshold_range and RangeStatus(min=spec.threshold_range.min, max=spec.threshold_range.max)
    judged_by = {"bound": bound(spec), "threshold_range": limits}
    return found.model_copy(update={**judged_by, "outcome": outcome_of(found, spec)})


def _counted(found: MetricStatus, judged: Judgement, reading: Reading, now: datetime) -> MetricStatus:
    passed, failed, error = (judged.verdict == verdict for verdict in ("Pass", "Fail", "Error"))
    counts = passed or failed or judged.inconclusive
    no_data_since = None if counts else found.no_data_since
    if judged.verdict == "NoData" and not judged.inconclusive:
        no_data_since = found.no_data_since or now
    return found.model_copy(
        update={
            "query": reading.query[:8192],
            "passes": found.passes + passed,
            "failures": found.failures + failed,
            "inconclusive": found.inconclusive + judged.inconclusive,
            "step_passes": found.step_passes + passed,
            "step_looks": found.step_looks + counts,
            "consecutive_passes": found.consecutive_passes + 1 if passed else 0,
            "consecutive_errors": found.consecutive_errors + 1 if error else 0,
            "measured_at": now,
            "no_data_since": no_data_since,
            "error_since": (found.error_since or now) if error else None,
            "measurements": (*found.measurements, _measurement(judged, now))[-_KEPT:],
        }
    )


def _measurement(judged: Judgement, now: datetime) -> Measurement:
    return Measurement(
        time=now.replace(microsecond=0),
        verdict=judged.verdict,
        value=_finite(judged.value),
        samples=_finite(judged.samples),
        stable=_finite(judged.stable),
        message=judged.message[:500],
    )


def _finite(value: float | None) -> float | None:
    """Return the value; JSON has no infinity, the message has."""
    return value if value is not None and math.isfinite(value) else None


def _why_failed(found: MetricStatus, spec: Metric, analysis: Analysis) -> str:
    outcome, (verdict, words) = outcome_of(found, spec), _last(found)
    if outcome == "Failed":
        return _failure(found, spec)
    if verdict == "NoData" and found.no_data_since and _no_data_policy(found, spec, analysis) == "Fail":
        return f"{found.name}: NoData: {words}"
    if outcome == "Error" and _error_policy(spec, analysis) == "Fail":
        return f"{found.name}: Error: {_errors(found)}{words}"
    return ""


def _why_held(found: MetricStatus, spec: Metric, analysis: Analysis, now: datetime) -> str:
    outcome, (verdict, words) = outcome_of(found, spec), _last(found)
    if outcome == "Inconclusive":
        return f"Inconclusive: {found.name}: {_undecided(found, spec)}"
    if outcome == "Error" and _error_policy(spec, analysis) == "Pause":
        return f"Error: {found.name}: {_errors(found)}{words}"
    if verdict == "NoData" and found.no_data_since is not None:
        overdue = now - found.no_data_since >= (spec.no_data_deadline or analysis.no_data_deadline)
        if overdue or _no_data_policy(found, spec, analysis) == "Pause":
            return f"NoData: {found.name}: {words}"
    return ""


def _still_waiting(found: MetricStatus, spec: Metric) -> str:
    """Return what a metric has to show yet before the weight may rise, or nothing."""
    if is_complete(found, spec) and outcome_of(found, spec) == "Successful":
        return ""
    verdict, words = _last(found)
    seen = f"{verdict} ({words})" if words else verdict or "not measured yet"
    if spec.consecutive_success_limit:
        return f"{found.consecutive_passes} of {spec.consecutive_success_limit} passes in a row; {seen}"
    if spec.count:
        return f"{found.step_looks} of {spec.count} looks; {seen}"
    return seen if verdict != "Pass" or found.step_passes == 0 else ""


def _failure(found: MetricStatus, spec: Metric) -> str:
    if found.failures <= spec.failure_limit or spec.failure_limit < 0:
        return f"{found.name} had no {spec.consecutive_success_limit} passes in a row in {found.step_looks} looks"
    worst = next((m for m in reversed(found.measurements) if m.verdict == "Fail"), None)
    told = counts_requests(spec) and not is_sequential(spec)
    seen = f" of {worst.samples:.0f} requests" if worst is not None and worst.samples and told else ""
    words = worst.message if worst is not None else "failed"
    limit = f", {found.failures} failures where {spec.failure_limit} are tolerated" if spec.failure_limit else ""
    return f"{found.name} is {words}{seen}{limit}"


def _undecided(found: MetricStatus, spec: Metric) -> str:
    if found.inconclusive <= spec.inconclusive_limit:
        wanted = f"{spec.consecutive_success_limit} passes in a row" if spec.consecutive_success_limit else "a Pass"
        return f"{found.step_looks} looks without {wanted}"
    seen = (
        m.message.removeprefix("inconclusive: ") for m in reversed(found.measurements) if "inconclusive" in m.message
    )
    return next(seen, "neither good nor bad")


def _errors(found: MetricStatus) -> str:
    return f"{found.consecutive_errors} in a row, the last: " if found.consecutive_errors > 1 else ""


def _no_data_policy(found: MetricStatus, spec: Metric, analysis: Analysis) -> str:
    if is_sequential(spec) and compared(spec, found.comparison, alarm_level(analysis)).undecided:
        # There is no want of data. To fail half way to an alarm would be another test.
        return "Hold"
    return spec.no_data_policy or analysis.no_data_policy


def _error_policy(spec: Metric, analysis: Analysis) -> str:
    return spec.error_policy or analysis.error_policy


def _last(found: MetricStatus) -> tuple[str, str]:
    """Return verdict and words of the last look; nothing and nothing before the first."""
    last = found.measurements[-1] if found.measurements else None
    return ("", "") if last is None else (last.verdict, last.message)

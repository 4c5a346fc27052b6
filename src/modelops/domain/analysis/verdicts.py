"""From what Prometheus answered to one of four verdicts. See docs/analysis.md for the table this is.

Called by release.measure. It must never make a Pass of an answer that is missing.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, get_args

from modelops.api.v1alpha1.analysis import GatewayBuiltin, Metric, StableComparison
from modelops.api.v1alpha1.analysis_status import Verdict
from modelops.api.v1alpha1.metrictemplate import MetricTemplateSpec
from modelops.domain.analysis.expressions import ExpressionError, compile_expression
from modelops.domain.analysis.means import Moments, Pair
from modelops.errors import Stalled

_DEFAULT_MIN_SAMPLES: Final = 20
_DEFAULT_MIN_ANSWERS: Final = 200
"""Of prediction-drift; fewer show little."""
_AGGREGATES: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "avg": lambda values: sum(values) / len(values),
    "max": max,
    "min": min,
    "sum": sum,
}
_SEVERITY: Final[Sequence[Verdict]] = ("Pass", "NoData", "Error", "Fail")


@dataclass(frozen=True, slots=True)
class Counts:
    """What canary and stable counted in the same time, by differences of their counters."""

    since: datetime
    until: datetime
    events: float
    """Of the canary's samples, so many were bad; of a mean: their sum."""
    samples: float
    stable_events: float
    stable_samples: float
    pairs: tuple[Pair, ...] = ()
    """Of a mean: the same with the sums of squares, by the age of labels."""

    @classmethod
    def of(cls, since: datetime, until: datetime, pairs: Sequence[Pair]) -> "Counts":
        """Return what pairs come to together."""
        mine = sum((pair.mine for pair in pairs), Moments())
        other = sum((pair.other for pair in pairs), Moments())
        return cls(since, until, mine.total, mine.count, other.total, other.count, tuple(pairs))


@dataclass(frozen=True, slots=True)
class Reading:
    """What came back for one metric."""

    query: str = ""
    """As it was sent last."""
    values: tuple[float, ...] = ()
    """One per series: empty is no answer."""
    samples: float | None = None
    """How many samples stand behind the value; None when nobody asked, or nobody knows; infinite: surely enough."""
    error: str | None = None
    """Why the question could not be asked or answered."""
    stable: "Reading | None" = None
    """The same question about stable's revision; None when it was not asked."""
    counts: Counts | None = None
    """For test sequential; None when nobody counted."""
    squares: float | None = None
    """The sum of squares behind a mean that was written down; None when nobody knows."""
    note: str = ""
    """What else there is to say of the answer, or of why there is none."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reason."""

    verdict: Verdict
    value: float | None = None
    """What was judged; infinite at most, never NaN."""
    samples: float | None = None
    message: str = ""
    stable: float | None = None
    """What it was compared with."""
    inconclusive: bool = False
    """NoData although there was data: neither the success nor the failure condition holds."""
    undecided: bool = False
    """NoData although there were samples: evidence half way to an alarm."""


@dataclass(frozen=True, slots=True)
class Judge:
    """A metric whose conditions are compiled."""

    metric: Metric
    success: Callable[[Sequence[float]], bool] | None
    failure: Callable[[Sequence[float]], bool] | None

    def judge(self, reading: Reading, evidence: Judgement | None = None) -> Judgement:
        """Return the verdict of one reading.

        Args:
            reading: of one look.
            evidence: what test sequential says of all looks; it needs no reading, if there are no fixed bounds.
        """
        if evidence is not None and reading.error is None and not has_bounds(self.metric):
            return evidence
        found = _answer(self.metric, reading)
        if found.value is None:
            return found if evidence is None or reading.error is not None else _worse(found, evidence)
        judged = self._against_bounds(found.value, found.samples)
        if is_drift(self.metric):
            return replace(judged, message=f"{judged.message}{_of_both(reading)}")
        if reading.note:
            return replace(judged, message=f"{judged.message}, {reading.note}")
        if evidence is not None:
            return _worse(judged, evidence)
        if self.metric.compare_to is None:
            return judged
        compared = _against_stable(self.metric, self.metric.compare_to.stable, found, reading.stable)
        return _worse(judged, compared) if has_bounds(self.metric) else compared

    def _against_bounds(self, value: float, samples: float | None) -> Judgement:
        words = f"{value:.6g} against {_own_bound(self.metric)}"
        limits = self.metric.threshold_range
        if limits is not None:
            low = -math.inf if limits.min is None else limits.min
            high = math.inf if limits.max is None else limits.max
            return Judgement("Pass" if low <= value <= high else "Fail", value, samples, words)
        try:
            if self.failure is not None and self.failure((value,)):
                return Judgement("Fail", value, samples, words)
            if self.success is None or self.success((value,)):
                return Judgement("Pass", value, samples, words)
        except ExpressionError as error:
            return Judgement("Error", value, samples, str(error))
        if self.failure is None:
            return Judgement("Fail", value, samples, words)
        return Judgement("NoData", value, samples, f"inconclusive: {words}", inconclusive=True)


def judge_of(metric: Metric) -> Judge:
    """Return a metric's judge.

    Raises:
        Stalled: a condition does not compile (InvalidSpec).
    """
    success, failure = metric.success_condition, metric.failure_condition
    try:
        return Judge(
            metric,
            None if success is None else compile_expression(success),
            None if failure is None else compile_expression(failure),
        )
    except Stalled as error:
        raise Stalled(error.reason, f"spec.analysis.metrics[{metric.name}]: {error.message}") from error


def unsound_conditions(judged: Metric | MetricTemplateSpec) -> Iterator[tuple[str, str]]:
    """Yield every condition that does not compile, as (field, what is wrong and what to do)."""
    conditions = {"successCondition": judged.success_condition, "failureCondition": judged.failure_condition}
    for field, text in conditions.items():
        try:
            if text is not None:
                compile_expression(text)
        except Stalled as error:
            yield field, error.message


def is_sequential(metric: Metric) -> bool:
    """Return whether a metric gathers evidence over all looks."""
    return metric.compare_to is not None and metric.compare_to.stable.test == "sequential"


def is_mean(metric: Metric) -> bool:
    """Return whether a metric is the mean of what was counted, not the share of it."""
    return metric.builtin == "labelled-error" or (metric.prometheus is not None and bool(metric.prometheus.sum_query))


def is_drift(metric: Metric) -> bool:
    """Return whether a metric's value is how far canary and stable are apart, by what each of them answered."""
    return metric.builtin == "prediction-drift"


def is_paired(metric: Metric) -> bool:
    """Return whether a metric compares what canary and stable answered to the same requests."""
    return metric.builtin == "answer-difference"


def is_of_both(metric: Metric) -> bool:
    """Return whether a metric's value is one of canary and stable together."""
    return is_drift(metric) or is_paired(metric)


def needs_stable(metric: Metric) -> bool:
    """Return whether a metric asks for stable's figures, too."""
    return metric.compare_to is not None or is_of_both(metric)


def counts_requests(metric: Metric) -> bool:
    """Return whether a metric's samples are the requests that came through the gateway."""
    return metric.builtin in get_args(GatewayBuiltin)


def min_samples(metric: Metric) -> int:
    """Return how many samples make an answer conclusive; 0 when nothing counts them."""
    if metric.min_samples is not None:
        return metric.min_samples
    if is_drift(metric):
        return _DEFAULT_MIN_ANSWERS
    shares = metric.builtin or (metric.prometheus is not None and metric.prometheus.events_query)
    return _DEFAULT_MIN_SAMPLES if shares or is_mean(metric) else 0


def bound(metric: Metric) -> str:
    """Return the condition in words."""
    parts = [_own_bound(metric)] if has_bounds(metric) else []
    if metric.compare_to is not None:
        what, stable = "", metric.compare_to.stable
        if metric.builtin == "success-rate":
            what = "share of failures "
        if stable.max_relative_increase is not None:
            parts.append(f"{what}≤ {1 + stable.max_relative_increase:g} × stable's")
        if stable.max_absolute_increase is not None:
            parts.append(f"{what}≤ stable's + {stable.max_absolute_increase:g}")
        if stable.max_absolute_decrease is not None:
            parts.append(f"≥ stable's - {stable.max_absolute_decrease:g}")
    return " and ".join(parts) + (", by all looks together" if is_sequential(metric) else "")


def has_bounds(metric: Metric | MetricTemplateSpec) -> bool:
    """Return whether a value is held against bounds of its own, whatever stable's is."""
    return bool(metric.threshold_range or metric.success_condition or metric.failure_condition)


def _worse(judged: Judgement, compared: Judgement) -> Judgement:
    """Return the worse of two verdicts, of which the second knows stable's value."""
    worse = max((judged, compared), key=lambda one: _SEVERITY.index(one.verdict))
    words = f"{judged.message}; {compared.message}" if judged.verdict == compared.verdict else worse.message
    return replace(worse, stable=compared.stable, message=words)


def _own_bound(metric: Metric) -> str:
    limits = metric.threshold_range
    if limits is not None:
        low = [] if limits.min is None else [f"≥ {limits.min:g}"]
        high = [] if limits.max is None else [f"≤ {limits.max:g}"]
        return " and ".join(low + high)
    good = [metric.success_condition] if metric.success_condition else []
    bad = [f"not ({metric.failure_condition})"] if metric.failure_condition else []
    return " and ".join(good + bad)


def _answer(metric: Metric, reading: Reading) -> Judgement:
    """Return the one number that was answered; without a number the verdict, NoData or Error, is final."""
    if reading.error is not None:
        return Judgement("Error", message=reading.error)
    counted = _counted(reading)
    samples = counted if math.isfinite(counted) else None
    if len(reading.values) > 1 and metric.aggregate is None:
        words = f"{len(reading.values)} series; aggregate in the query"
        return Judgement("Error", samples=samples, message=f"{words}, or set aggregate" if metric.prometheus else words)
    needed = min_samples(metric)
    if needed and counted < needed:
        why = f": {reading.note}" if reading.note and not reading.values else ""
        return Judgement("NoData", samples=samples, message=f"{samples or 0:.0f} of {needed} samples{why}")
    if is_drift(metric) and (others := _counted(reading.stable or Reading())) < (wanted := max(1, needed)):
        return Judgement("NoData", samples=samples, message=f"stable: {max(0, others):.0f} of {wanted} samples")
    if not reading.values:
        return Judgement("NoData", samples=samples, message=reading.note or "no series")
    # One series that is not a number makes the whole not a number: it might have been the worst.
    value = math.nan if any(map(math.isnan, reading.values)) else _AGGREGATES[metric.aggregate or "max"](reading.values)
    if math.isnan(value):
        return Judgement("NoData", samples=samples, message="NaN")
    return Judgement("NoData", value, samples)


def _counted(reading: Reading) -> float:
    """Return how many samples there are; fewer than none when nobody knows."""
    return -math.inf if reading.samples is None or math.isnan(reading.samples) else reading.samples


def _of_both(reading: Reading) -> str:
    """Return how many answers of either side were compared, as far as somebody counted them."""
    sides = _counted(reading), _counted(reading.stable or Reading())
    return ", of {:.0f} answers (stable {:.0f})".format(*sides) if all(map(math.isfinite, sides)) else ""


def _against_stable(
    metric: Metric, limits: StableComparison, canary: Judgement, stable_reading: Reading | None
) -> Judgement:
    """Return whether the canary's value is at most so much higher, and at most so much lower, than stable's."""
    value, samples = canary.value, canary.samples
    assert value is not None
    if stable_reading is None:
        return Judgement("NoData", value, samples, "there is no stable revision to compare with")
    found = _answer(metric, stable_reading)
    if found.value is None:
        return Judgement(found.verdict, value, samples, f"stable: {found.message}")
    base, mine = found.value, value
    if metric.builtin == "success-rate":
        base, mine = 1 - base, 1 - mine
    relative, absolute = limits.max_relative_increase, limits.max_absolute_increase
    if not math.isfinite(base):
        return Judgement("NoData", value, samples, f"stable is {base:g}: nothing can be compared with it", found.value)
    allowed = [] if absolute is None else [base + absolute]
    if relative is not None and base != 0:
        allowed.append(base + abs(base) * relative)
    least = -math.inf if limits.max_absolute_decrease is None else base - limits.max_absolute_decrease
    words = _compared_words(metric, mine, base, allowed, least)
    if relative is not None and base == 0 and absolute is None and mine > 0:
        message = f"{words}: stable is 0, so a relative increase says nothing; add maxAbsoluteIncrease"
        return Judgement("NoData", value, samples, message, found.value)
    # A hair of tolerance: 1 - 0.9 is not quite 0.1.
    most = min(allowed, default=0.0 if relative is not None else math.inf)
    good = least - 1e-12 <= mine <= most + 1e-12
    return Judgement("Pass" if good else "Fail", value, samples, words, found.value)


def _compared_words(metric: Metric, mine: float, base: float, allowed: Sequence[float], least: float) -> str:
    what = "share of failures " if metric.builtin == "success-rate" else ""
    limits = [f"≤ {min(allowed):.6g}"] if allowed else []
    limits += [f"≥ {least:.6g}"] if math.isfinite(least) else []
    limit = f" against {' and '.join(limits)}" if limits else ""
    return f"{what}{mine:.6g}{limit} (stable {base:.6g})"

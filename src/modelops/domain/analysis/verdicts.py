"""From what Prometheus answered to one of four verdicts. See docs/analysis.md for the table this is.

Called by decide. It must never make a Pass of an answer that is missing.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from modelops.api.v1alpha1.modelrelease import Metric, Verdict
from modelops.domain.analysis.expressions import ExpressionError, compile_expression

_DEFAULT_MIN_SAMPLES: Final = 20


@dataclass(frozen=True, slots=True)
class Reading:
    """What came back for one metric."""

    query: str = ""
    """As it was sent last."""
    values: tuple[float, ...] = ()
    """One per series: empty is no answer."""
    samples: float | None = None
    """How many samples stand behind the value; None when nobody asked, or nobody knows."""
    error: str | None = None
    """Why the question could not be asked or answered."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reason."""

    verdict: Verdict
    value: float | None = None
    samples: float | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Judge:
    """A metric whose conditions are compiled."""

    metric: Metric
    success: Callable[[Sequence[float]], bool] | None
    failure: Callable[[Sequence[float]], bool] | None

    def judge(self, reading: Reading) -> Judgement:
        """Return the verdict of one reading."""
        if reading.error is not None:
            return Judgement("Error", message=reading.error)
        samples = reading.samples
        if len(reading.values) > 1:
            return Judgement("Error", samples=samples, message=f"{len(reading.values)} series; aggregate in the query")
        needed = min_samples(self.metric)
        if needed and (samples is None or math.isnan(samples) or samples < needed):
            found = 0 if samples is None or math.isnan(samples) else samples
            finite = None if samples is None or not math.isfinite(samples) else samples
            return Judgement("NoData", samples=finite, message=f"{found:.0f} of {needed} samples")
        if not reading.values:
            return Judgement("NoData", samples=samples, message="no series")
        value = reading.values[0]
        if math.isnan(value):
            return Judgement("NoData", samples=samples, message="NaN")
        return self._compare(value, samples)

    def _compare(self, value: float, samples: float | None) -> Judgement:
        shown = value if math.isfinite(value) else None  # JSON has no infinity; the message has
        words = f"{value:.6g} against {bound(self.metric)}"
        limits = self.metric.threshold_range
        if limits is not None:
            low = -math.inf if limits.min is None else limits.min
            high = math.inf if limits.max is None else limits.max
            return Judgement("Pass" if low <= value <= high else "Fail", shown, samples, words)
        try:
            if self.failure is not None and self.failure((value,)):
                return Judgement("Fail", shown, samples, words)
            if self.success is None:
                return Judgement("Pass", shown, samples, words)
            if self.success((value,)):
                return Judgement("Pass", shown, samples, words)
        except ExpressionError as error:
            return Judgement("Error", shown, samples, str(error))
        if self.failure is None:
            return Judgement("Fail", shown, samples, words)
        return Judgement("NoData", shown, samples, f"inconclusive: {words}")


def judge_of(metric: Metric) -> Judge:
    """Return a metric's judge.

    Raises:
        Stalled: a condition does not compile (InvalidSpec).
    """
    success, failure = metric.success_condition, metric.failure_condition
    return Judge(
        metric,
        None if success is None else compile_expression(success),
        None if failure is None else compile_expression(failure),
    )


def min_samples(metric: Metric) -> int:
    """Return how many samples make an answer conclusive; 0 when nothing counts them."""
    if metric.min_samples is not None:
        return metric.min_samples
    return _DEFAULT_MIN_SAMPLES if metric.builtin else 0


def bound(metric: Metric) -> str:
    """Return the condition in words."""
    limits = metric.threshold_range
    if limits is not None:
        low = [] if limits.min is None else [f"≥ {limits.min:g}"]
        high = [] if limits.max is None else [f"≤ {limits.max:g}"]
        return " and ".join(low + high)
    good = [metric.success_condition] if metric.success_condition else []
    bad = [f"not ({metric.failure_condition})"] if metric.failure_condition else []
    return " and ".join(good + bad)

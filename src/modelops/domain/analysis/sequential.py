"""`test: sequential`: a share or mean of the canary against stable's, tick by tick, as evidence over looks and weights.

Every tick is compared within itself, so neither a new weight nor a change in what all requests are like misleads.
Pure; called by release.measure.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from modelops.api.v1alpha1.analysis import Analysis, Metric
from modelops.api.v1alpha1.analysis_status import ComparisonStatus, EvidenceStatus
from modelops.domain.analysis.evidence import Allowance, Tick, advanced, better, worse
from modelops.domain.analysis.means import Pair, compared_means
from modelops.domain.analysis.verdicts import (
    Counts,
    Judgement,
    is_mean,
    is_sequential,
    min_samples,
)

_Tick = TypeVar("_Tick", Tick, Pair)


def alarm_level(analysis: Analysis) -> float:
    """Return the probability of a false alarm that each test of a release may have: its part of the budget.

    One is the check of the split.
    """
    deciding = sum(is_sequential(metric) and not metric.dry_run for metric in analysis.metrics)
    return analysis.false_alarm_budget / (deciding + 1)


def counted(before: ComparisonStatus | None, metric: Metric, counts: Counts | None) -> ComparisonStatus | None:
    """Return the comparison with one tick more; what was counted already, or not at all, changes nothing.

    Args:
        before: until now.
        metric: with a comparison with stable.
        counts: what both sides counted.
    """
    found = before or ComparisonStatus()
    if counts is None or (found.counted_until is not None and counts.since < found.counted_until):
        return before
    if is_mean(metric):
        return _counted_mean(found, metric, counts)
    samples, stable_samples = max(0.0, counts.samples), max(0.0, counts.stable_samples)
    tick = Tick(
        max(0.0, min(counts.events, samples)),
        samples,
        max(0.0, min(counts.stable_events, stable_samples)),
        stable_samples,
    )
    return _added(found, counts.until, tick, advanced(found.evidence, _bets(metric, tick), contrary=True))


def _counted_mean(found: ComparisonStatus, metric: Metric, counts: Counts) -> ComparisonStatus:
    evidence = found.evidence
    for pair in counts.pairs:
        evidence = compared_means(evidence, _bets(metric, pair))
    tick = Tick(counts.events, counts.samples, counts.stable_events, counts.stable_samples)
    return _added(found, counts.until, tick, evidence)


def _added(found: ComparisonStatus, until: datetime, tick: Tick, evidence: EvidenceStatus) -> ComparisonStatus:
    return ComparisonStatus(
        counted_until=until,
        samples=found.samples + tick.samples,
        events=found.events + tick.events,
        stable_samples=found.stable_samples + tick.other_samples,
        stable_events=found.stable_events + tick.other_events,
        evidence=evidence,
    )


def compared(metric: Metric, comparison: ComparisonStatus | None, level: float) -> Judgement:
    """Return what the evidence so far comes to.

    An alarm is a Fail whatever the number of samples. A Pass needs enough of them on both sides, and no evidence half
    way to an alarm, unless there is as much evidence that all is well as an alarm would need.

    Args:
        metric: with `test: sequential`.
        comparison: None while nothing was counted.
        level: see alarm_level.
    """
    if comparison is None or comparison.counted_until is None:
        return Judgement("NoData", message="nothing was counted of canary and stable")
    needed = max(1, min_samples(metric))
    samples, stable_samples = comparison.samples, comparison.stable_samples
    value, stable = _share(metric, comparison.events, samples), _share(metric, comparison.stable_events, stable_samples)
    alarm, evidence = 1 / level, worse(comparison.evidence)
    words = _words(metric, comparison, evidence, alarm)
    if evidence >= alarm:
        return Judgement("Fail", value, samples, words, stable)
    if samples < needed:
        return Judgement("NoData", value, samples, f"{samples:.0f} of {needed} samples", stable)
    if stable_samples < needed:
        return Judgement("NoData", value, samples, f"stable: {stable_samples:.0f} of {needed} samples", stable)
    if evidence >= math.sqrt(alarm) and better(comparison.evidence) < alarm:
        return Judgement("NoData", value, samples, f"undecided: {words}", stable, undecided=True)
    return Judgement("Pass", value, samples, words, stable)


def _bets(metric: Metric, tick: _Tick) -> Sequence[tuple[_Tick, Allowance]]:
    """Return one bet for each limit; that the canary has too little is that stable has too much more."""
    assert metric.compare_to is not None
    limits, bets = metric.compare_to.stable, list[tuple[_Tick, Allowance]]()
    if limits.max_relative_increase is not None:
        bets.append((tick, Allowance(times=1 + limits.max_relative_increase)))
    if limits.max_absolute_increase is not None:
        bets.append((tick, Allowance(plus=limits.max_absolute_increase)))
    if limits.max_absolute_decrease is not None:
        bets.append((tick.swapped(), Allowance(plus=limits.max_absolute_decrease)))
    return bets


def _share(metric: Metric, events: float, samples: float) -> float | None:
    if samples <= 0:
        return None
    return 1 - events / samples if metric.builtin == "success-rate" else events / samples


def _words(metric: Metric, comparison: ComparisonStatus, evidence: float, alarm: float) -> str:
    mean = is_mean(metric)
    what = "share of failures " if metric.builtin == "success-rate" else "mean " if mean else ""
    mine, others = (
        f"{events / max(1.0, samples):.4g} of {samples:.0f}" if mean else f"{events:.0f} of {samples:.0f}"
        for events, samples in (
            (comparison.events, comparison.samples),
            (comparison.stable_events, comparison.stable_samples),
        )
    )
    assert metric.compare_to is not None
    change = "an increase" if metric.compare_to.stable.max_absolute_decrease is None else "a change"
    so_far = f"{evidence:.3g}" if evidence < 100 else f"{evidence:.0f}"
    return f"{what}{mine} (stable {others}), evidence {so_far} of {change}, alarm at {alarm:.0f}"

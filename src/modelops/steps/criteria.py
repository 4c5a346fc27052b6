"""Holds a scored model against the team's criteria.

Called by evaluate. Pure. No answer is not a good answer: a metric that is not defined on the test part fails its
criterion, and says so.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelops.api.v1alpha1 import trainingrun
from modelops.steps import metrics


@dataclass(frozen=True, slots=True)
class Reference:
    """What `against` compares with, or why there is nothing to compare with."""

    scored: metrics.Scored | None
    message: str = ""
    passes: bool = False
    """Whether a criterion passes when there is nothing: yes before the first champion, no when it cannot be read."""
    version: str = ""
    """Which registered version it is."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One bound and what became of it."""

    criterion: str
    value: float | None
    bound: float | None
    passed: bool
    message: str = ""


def judge(
    scored: metrics.Scored, criteria: Sequence[trainingrun.Criterion], references: Mapping[str, Reference]
) -> list[Outcome]:
    """Return one outcome per bound that the criteria set.

    Args:
        scored: The model on the test part.
        criteria: The team's.
        references: `champion` and `baseline` on the same test part.
    """
    outcomes = []
    for criterion in criteria:
        name = criterion.metric if criterion.percent is None else f"{criterion.metric} {criterion.percent:g}"
        value = scored.value(criterion.metric, criterion.percent)
        if criterion.confidence is not None:
            value = metrics.wilson_lower(scored.hits(criterion.metric, criterion.percent), criterion.confidence)
            name += f" (lower bound at {criterion.confidence:.0%})"
        if criterion.min is not None:
            outcomes.append(_bound(f"{name} ≥ {criterion.min:g}", value, criterion.min, at_most=False))
        if criterion.max is not None:
            outcomes.append(_bound(f"{name} ≤ {criterion.max:g}", value, criterion.max, at_most=True))
        if criterion.against is not None:
            outcomes.append(_against(name, value, criterion, references[criterion.against]))
    return outcomes


def _bound(text: str, value: float, bound: float, *, at_most: bool) -> Outcome:
    if not math.isfinite(value):
        return Outcome(text, None, bound, passed=False, message="the metric is not defined on this test part")
    return Outcome(text, value, bound, passed=value <= bound if at_most else value >= bound)


def _against(name: str, value: float, criterion: trainingrun.Criterion, reference: Reference) -> Outcome:
    at_most = criterion.metric in metrics.LOWER_IS_BETTER
    text = f"{name} {'≤' if at_most else '≥'} {criterion.against}"
    share = criterion.max_relative_regression or 0.0
    if share:
        text += f" {'+' if at_most else '-'} {share:.3g} of it"
    if reference.scored is None:
        return Outcome(text, value if math.isfinite(value) else None, None, reference.passes, reference.message)
    other = reference.scored.value(criterion.metric, criterion.percent)
    if not math.isfinite(other):
        return Outcome(text, None, None, passed=False, message=f"{criterion.against} has no such metric on this part")
    slack = share * abs(other)
    return _bound(text, value, other + slack if at_most else other - slack, at_most=at_most)

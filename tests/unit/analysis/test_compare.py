"""Canary against stable: how much higher is too much, and what is said when stable's value is 0 or missing."""

from typing import Any

import pytest

from modelops.api.v1alpha1.analysis import Metric
from modelops.domain.analysis.verdicts import Reading, bound, judge_of
from tests.unit.analysis.playing import AWAY, NAN, QUERY, Answer, outcome, reading, release

RELATIVE = {"maxRelativeIncrease": 0.5}
ABSOLUTE = {"maxAbsoluteIncrease": 0.01}
EITHER = RELATIVE | ABSOLUTE
LESS = {"maxAbsoluteDecrease": 0.02}


def compared(limits: dict[str, float], **more: Any) -> Metric:
    return Metric.model_validate({"name": "m", **QUERY, "compareTo": {"stable": limits}, **more})


def both(canary: float, stable: Answer) -> Reading:
    return Reading(values=(canary,), stable=reading(stable))


@pytest.mark.parametrize(
    ("limits", "canary", "stable", "verdict", "said"),
    [
        pytest.param(RELATIVE, 0.15, 0.1, "Pass", "0.15 against ≤ 0.15 (stable 0.1)", id="just within the share"),
        pytest.param(RELATIVE, 0.16, 0.1, "Fail", "0.16 against ≤ 0.15 (stable 0.1)", id="beyond the share"),
        pytest.param(RELATIVE, 0.01, 0.1, "Pass", "stable 0.1", id="a decrease is good"),
        pytest.param(ABSOLUTE, 0.11, 0.1, "Pass", "≤ 0.11", id="just within the difference"),
        pytest.param(ABSOLUTE, 0.12, 0.1, "Fail", "≤ 0.11", id="beyond the difference"),
        pytest.param(EITHER, 0.12, 0.1, "Fail", "≤ 0.11", id="both limits must hold"),
        pytest.param(EITHER, 0.009, 0.004, "Fail", "≤ 0.006", id="both limits, the share is the stricter"),
        pytest.param(RELATIVE, 0.0, 0.0, "Pass", "stable 0", id="stable 0, canary 0"),
        pytest.param(RELATIVE, 0.01, 0.0, "NoData", "add maxAbsoluteIncrease", id="a share of 0 says nothing"),
        pytest.param(EITHER, 0.01, 0.0, "Pass", "≤ 0.01", id="stable 0: the difference alone"),
        pytest.param(EITHER, 0.02, 0.0, "Fail", "≤ 0.01", id="stable 0: the difference alone fails"),
        pytest.param(LESS, 0.08, 0.1, "Pass", "0.08 against ≥ 0.08 (stable 0.1)", id="just not too little"),
        pytest.param(LESS, 0.07, 0.1, "Fail", "0.07 against ≥ 0.08 (stable 0.1)", id="too little"),
        pytest.param(LESS, 0.9, 0.1, "Pass", "≥ 0.08", id="any more"),
        pytest.param(LESS | ABSOLUTE, 0.12, 0.1, "Fail", "≤ 0.11 and ≥ 0.08", id="between two limits, too much"),
        pytest.param(LESS | ABSOLUTE, 0.07, 0.1, "Fail", "≤ 0.11 and ≥ 0.08", id="between two limits, too little"),
        pytest.param(LESS | RELATIVE, 0.01, 0.0, "NoData", "relative increase says", id="a share of 0 and too little"),
        pytest.param(LESS, float("-inf"), 0.1, "Fail", "-inf against ≥ 0.08", id="infinitely less"),
        pytest.param(RELATIVE, -0.6, -1.0, "Pass", "≤ -0.5", id="below zero a share is of the size"),
        pytest.param(RELATIVE, -0.4, -1.0, "Fail", "≤ -0.5", id="below zero, beyond"),
        pytest.param(RELATIVE, 0.1, None, "NoData", "stable: no series", id="stable has no series"),
        pytest.param(RELATIVE, 0.1, NAN, "NoData", "stable: NaN", id="stable is not a number"),
        pytest.param(RELATIVE, 0.1, float("inf"), "NoData", "stable is inf", id="stable is infinite"),
        pytest.param(RELATIVE, float("inf"), 0.1, "Fail", "inf against", id="the canary is infinite"),
        pytest.param(RELATIVE, 0.1, AWAY, "Error", f"stable: {AWAY}", id="stable could not be asked"),
        pytest.param(RELATIVE, 0.1, (0.1, 0.2), "Error", "stable: 2 series", id="stable has several series"),
    ],
)
def test_comparison(limits: dict[str, float], canary: float, stable: Answer, verdict: str, said: str) -> None:
    """An increase is bad; both values are said; what is missing is no verdict."""
    found = judge_of(compared(limits)).judge(both(canary, stable))
    assert found.verdict == verdict
    assert said in found.message


@pytest.mark.parametrize(
    ("canary", "stable", "verdict"),
    [
        pytest.param(0.985, 0.99, "Pass", id="half as many failures again"),
        pytest.param(0.984, 0.99, "Fail", id="more than that"),
        pytest.param(1.0, 0.99, "Pass", id="a higher success rate is good"),
        pytest.param(0.999, 1.0, "NoData", id="stable never fails: a share says nothing"),
    ],
)
def test_of_success_rate_the_failures_are_compared(canary: float, stable: float, verdict: str) -> None:
    """Where high is good, the complement is what may not increase."""
    metric = Metric.model_validate(
        {"name": "m", "builtin": "success-rate", "minSamples": 0, "compareTo": {"stable": RELATIVE}}
    )
    found = judge_of(metric).judge(both(canary, stable))
    assert found.verdict == verdict
    assert found.message.startswith("share of failures ")
    assert (found.value, found.stable) == (canary, stable)


def test_stable_needs_samples_too() -> None:
    """A comparison with three requests is none."""
    metric = Metric.model_validate({"name": "m", "builtin": "success-rate", "compareTo": {"stable": ABSOLUTE}})
    few = Reading(values=(0.99,), samples=3)
    found = judge_of(metric).judge(Reading(values=(0.99,), samples=100, stable=few))
    assert (found.verdict, found.message) == ("NoData", "stable: 3 of 20 samples")


@pytest.mark.parametrize(
    ("canary", "stable", "verdict"),
    [
        pytest.param(0.3, 0.1, "Fail", id="the fixed bound fails, whatever stable says"),
        pytest.param(0.3, None, "Fail", id="the fixed bound fails without stable"),
        pytest.param(0.15, 0.1, "Fail", id="within the bound, but worse than stable"),
        pytest.param(0.15, None, "NoData", id="within the bound, stable missing"),
        pytest.param(0.1, 0.1, "Pass", id="both hold"),
    ],
)
def test_fixed_bound_and_comparison_must_both_hold(canary: float, stable: Answer, verdict: str) -> None:
    """The worse of the two counts: Fail, then Error, then NoData."""
    metric = compared(ABSOLUTE, thresholdRange={"max": 0.2})
    assert judge_of(metric).judge(both(canary, stable)).verdict == verdict
    assert bound(metric) == "≤ 0.2 and ≤ stable's + 0.01"


def test_worse_than_stable_is_rolled_back() -> None:
    """A whole release: the same share of failures on both sides is promoted, twice stable's is not."""
    spec = release({**QUERY, "compareTo": {"stable": RELATIVE}})
    assert outcome(spec, both(0.1, 0.1)).outcome == "Promoted"
    assert outcome(spec, both(0.2, 0.1)).outcome == "RolledBack"
    assert outcome(spec, both(0.2, None)).outcome == "Holding"

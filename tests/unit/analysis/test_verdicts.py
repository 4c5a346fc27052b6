"""Four verdicts: what every kind of answer comes to. No answer is never a Pass."""

import math
from typing import Any

import pytest

from modelops.api.v1alpha1.analysis import Metric
from modelops.domain.analysis.expressions import compile_expression
from modelops.domain.analysis.verdicts import Reading, bound, judge_of
from modelops.errors import Stalled

RANGE = {"builtin": "success-rate", "thresholdRange": {"min": 0.99}, "minSamples": 10}
QUERY = {"prometheus": {"query": "up"}}
BOTH = {**QUERY, "successCondition": "result[0] >= 0.95", "failureCondition": "result[0] < 0.90"}


def verdict(metric: dict[str, Any], *values: float, samples: float | None = None, error: str | None = None) -> str:
    judge = judge_of(Metric.model_validate({"name": "m", **metric}))
    return judge.judge(Reading("q", values, samples, error)).verdict


@pytest.mark.parametrize(
    ("metric", "values", "samples", "expected"),
    [
        pytest.param(RANGE, (0.995,), 100, "Pass", id="within the range"),
        pytest.param(RANGE, (0.98,), 100, "Fail", id="below the range"),
        pytest.param(RANGE, (0.995,), 9, "NoData", id="too few samples"),
        pytest.param(RANGE, (0.5,), 9, "NoData", id="too few samples are no Fail either"),
        pytest.param(RANGE, (), 100, "NoData", id="no series"),
        pytest.param(RANGE, (math.nan,), 100, "NoData", id="NaN"),
        pytest.param(RANGE, (0.995,), None, "NoData", id="samples unknown"),
        pytest.param(RANGE, (1.0, 1.0), 100, "Error", id="several series"),
        pytest.param(BOTH, (0.97,), None, "Pass", id="good by the condition"),
        pytest.param(BOTH, (0.85,), None, "Fail", id="bad by the condition"),
        pytest.param(BOTH, (0.92,), None, "NoData", id="neither is inconclusive"),
        pytest.param(BOTH, (math.nan,), None, "NoData", id="NaN under a condition"),
        pytest.param(
            {**QUERY, "failureCondition": "result[0] < 0.95"}, (math.nan,), None, "NoData", id="NaN only fails"
        ),
        pytest.param({**QUERY, "failureCondition": "result[0] < 0.95"}, (0.97,), None, "Pass", id="only a failure"),
        pytest.param({**QUERY, "successCondition": "result[0] >= 0.95"}, (0.9,), None, "Fail", id="only a success"),
        pytest.param({**QUERY, "successCondition": "result[1] > 0"}, (1.0,), None, "Error", id="index out of range"),
        pytest.param({**QUERY, "successCondition": "result[0] > 0"}, (math.inf,), None, "Pass", id="infinity compares"),
    ],
)
def test_verdict(metric: dict[str, Any], values: tuple[float, ...], samples: float | None, expected: str) -> None:
    """The table of docs/analysis.md."""
    assert verdict(metric, *values, samples=samples) == expected


def test_error_of_the_question_is_an_error() -> None:
    """An unreachable Prometheus is Error whatever else is known."""
    assert verdict(RANGE, 1.0, samples=100, error="away") == "Error"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("result[0] >=", id="incomplete"),
        pytest.param("result[0].matches('(a+)+$')", id="regular expression"),
        pytest.param("[1,2].map(x, x)", id="macro"),
        pytest.param("secret > 0", id="unknown name"),
        pytest.param("(" * 40 + "1" + ")" * 40 + " > 0", id="too deep"),
    ],
)
def test_bad_expression_is_refused_in_one_line(text: str) -> None:
    """What is no comparison of numbers is refused, with an example of what is."""
    with pytest.raises(Stalled, match=r"result\[0\] >= 0\.95"):
        compile_expression(text)


@pytest.mark.parametrize(
    ("text", "result", "expected"),
    [
        pytest.param("result[0] >= 0.95", [0.95], True, id="as promised"),
        pytest.param("result[0] >= 1", [1.0], True, id="whole number against a double"),
        pytest.param("isNaN(result[0]) || result[0] < 3", [2.0], True, id="function"),
        pytest.param("len(result) > 0 && result[0] != 0", [0.5], True, id="length"),
        pytest.param("result[0] * 2 + 1 <= 2", [0.5], True, id="arithmetic"),
        pytest.param("result[0] > 0.5 ? true : false", [0.4], False, id="choice"),
        pytest.param("default(result[0], 0) >= 0.5", [0.5], True, id="default of what is there"),
        pytest.param("isNil(result[0]) || result[0] > 1", [0.5], False, id="a number is not nil"),
        pytest.param("asInt(result[0]) == 2", [2.9], True, id="asInt cuts the fraction off"),
        pytest.param("asFloat(result[0]) / 2 > 1", [2.5], True, id="asFloat"),
        pytest.param("isInf(result[0])", [math.inf], True, id="isInf"),
    ],
)
def test_expression(text: str, result: list[float], expected: bool) -> None:
    """Conditions compute and compare numbers."""
    assert compile_expression(text)(result) is expected


@pytest.mark.parametrize("text", ["asInt(result[0]) > 0", "default(result[1], 0.0) > 0", "isNaN(result)"])
def test_helper_that_cannot_answer_is_an_error(text: str) -> None:
    """Infinity has no whole number, and an index out of range is none of Argo's nil either: Error, never a Pass."""
    assert verdict({**QUERY, "successCondition": text}, math.inf) == "Error"


def test_bound_is_said_in_words() -> None:
    """A person reads the bound as it was written."""
    metric = Metric.model_validate({"name": "m", "builtin": "success-rate", "thresholdRange": {"min": 0.9, "max": 1}})
    assert bound(metric) == "≥ 0.9 and ≤ 1"

"""Releases judged by what their models answer, whole: prediction-drift and class-share, as Prometheus is asked."""

from typing import Any

import pytest

from modelops.api.v1alpha1.analysis import Metric
from modelops.domain.analysis.verdicts import Reading, bound, judge_of
from modelops.errors import Transient
from modelops.ports import Series
from tests.unit.analysis.playing import AWAY, NAN, Answer, outcome, reading, release
from tests.unit.release.world import NAME, NAMESPACE, World

DRIFT = {"name": "drift", "builtin": "prediction-drift", "thresholdRange": {"max": 0.1}}
STEPS = [{"setWeight": 20}, {"analyze": {"duration": "30s"}}]
AWAY_FROM = [{"setWeight": 100}, {"pause": {"duration": "30s"}}]
USUAL = {"4": 500, "4.362": 300, "4.757": 200}
SHIFTED = {"4.757": 50, "5.187": 60, "5.657": 90}


def world(*metrics: dict[str, Any], steps: list[dict[str, Any]] = STEPS, **more: Any) -> World:
    """Return a release with a stable version and a canary, both with servers."""
    found = World()
    found.release(strategy={"canary": {"steps": steps}}, analysis={"interval": "10s", "metrics": list(metrics)}, **more)
    found.first()
    found.canary()
    return found


def answered(found: World, **sides: dict[str, float] | Transient) -> None:
    """Let Prometheus answer how often canary and stable answered what."""
    for side, bins in sides.items():
        match = f'predictions_total{{namespace="{NAMESPACE}",release="{NAME}",revision="{revision(found, side)}"}}'
        series = bins if isinstance(bins, Transient) else [Series({"bin": name}, n) for name, n in bins.items()]
        found.metrics.answers[f"sum by (bin) ((((modelops_server_{match}"] = series


def revision(found: World, side: str) -> str:
    return str(found.status[side]["revision"])


def last(found: World, name: str = "drift") -> dict[str, Any]:
    metric = next(one for one in found.status["analysis"] if one["name"] == name)
    return dict(metric["measurements"][-1])


def test_shifted_answers_roll_back_and_the_history_says_how_far() -> None:
    """Value, bound and how many answers of either side."""
    found = world(DRIFT)
    answered(found, canary=SHIFTED, stable=USUAL)
    found.settle(seconds=50)
    record = found.status["history"][-1]
    assert record["outcome"] == "RolledBack"
    assert record["message"].startswith("drift is 2.")
    assert record["message"].endswith(" against ≤ 0.1, of 200 answers (stable 1000)")


def test_like_answers_are_promoted() -> None:
    """A fifth of them, in the same shares. At weight 100 stable answers nobody, and nothing is compared."""
    found = world(DRIFT, steps=[*STEPS, *AWAY_FROM])
    answered(found, canary={name: count / 5 for name, count in USUAL.items()}, stable=USUAL)
    found.settle(seconds=60)
    assert found.status["weight"] == 100
    assert found.route() == {revision(found, "canary"): 100}
    looks = len(found.metrics.queries)
    found.settle(seconds=60)
    assert found.status["history"][-1]["outcome"] == "Promoted"
    assert "drift 0 against ≤ 0.1, of 200 answers (stable 1000)" in found.status["history"][-1]["message"]
    assert len(found.metrics.queries) == looks


@pytest.mark.parametrize(
    ("sides", "verdict", "said"),
    [
        pytest.param({"canary": {}, "stable": USUAL}, "NoData", "0 of 200 samples", id="no canary"),
        pytest.param({"canary": {"4": 199}, "stable": USUAL}, "NoData", "199 of 200 samples", id="few"),
        pytest.param({"canary": USUAL, "stable": {}}, "NoData", "stable: 0 of 200 samples", id="no stable"),
        pytest.param({"canary": USUAL, "stable": {"4": 20}}, "NoData", "stable: 20 of 200", id="few of stable"),
        pytest.param({"canary": USUAL, "stable": {"4": NAN}}, "Error", "stable: a count is nan", id="no count"),
        pytest.param(
            {"canary": USUAL, "stable": Transient("Away", "nobody answers")}, "Error", "stable: nobody", id="away"
        ),
    ],
)
def test_what_is_missing_is_no_verdict(sides: dict[str, Any], verdict: str, said: str) -> None:
    """Both sides need samples; nothing is promoted."""
    found = world(DRIFT)
    answered(found, **sides)
    found.settle(seconds=50)
    assert last(found)["verdict"] == verdict
    assert said in last(found)["message"]
    assert found.status["weight"] == 20


def test_all_answers_at_a_weight_are_compared() -> None:
    """The window is no interval, but the time since figures count for this weight."""
    found = world(DRIFT, steps=[{"setWeight": 20}, {"analyze": {"duration": "2m"}}])
    answered(found, canary=USUAL, stable=USUAL)
    found.settle(seconds=60)
    windows = {
        query.partition("offset ")[2].partition(")")[0] for query in found.metrics.queries if "by (bin)" in query
    }
    assert {"10000ms", "20000ms", "30000ms"} <= windows


def test_promoted_version_is_not_compared_with_itself() -> None:
    """In a rollback window there is no stable version beside it."""
    found = world(DRIFT, rollbackWindow={"duration": "5m"})
    answered(found, canary=USUAL, stable=USUAL)
    found.settle(seconds=60)
    assert found.status["phase"] == "Promoted"
    asked = len(found.metrics.queries)
    found.settle(seconds=60)
    assert "rollbackWindow" in found.status
    assert len(found.metrics.queries) == asked


@pytest.mark.parametrize(
    ("answer", "verdict", "said"),
    [
        pytest.param(0.05, "Promoted", "0.05 against ≤ 0.1", id="a number is of enough answers"),
        pytest.param(0.2, "RolledBack", "0.2 against ≤ 0.1", id="beyond"),
        pytest.param(
            Reading(values=(0.2,), samples=512, stable=Reading(samples=2048)),
            "RolledBack",
            "0.2 against ≤ 0.1, of 512 answers (stable 2048)",
            id="with samples",
        ),
        pytest.param(Reading(values=(0.2,), samples=12), "Holding", "12 of 200 samples", id="few"),
        pytest.param(None, "Holding", "no series", id="nothing"),
        pytest.param(AWAY, "Holding", "503", id="no answer"),
    ],
)
def test_replay(answer: Answer, verdict: str, said: str) -> None:
    """`modelops analyze` takes drift as any other number."""
    played = outcome(release({**DRIFT, "name": "m"}), reading(answer))
    assert (played.outcome, said in played.ticks[0].metrics["m"].reason) == (verdict, True)


def test_bound_in_words() -> None:
    """As of any range; a condition will do."""
    assert bound(Metric.model_validate(DRIFT)) == "≤ 0.1"
    metric = Metric.model_validate({"name": "d", "builtin": "prediction-drift", "failureCondition": "result[0] > 0.1"})
    given = Reading(values=(0.2,), samples=500, stable=Reading(samples=500))
    assert judge_of(metric).judge(given).verdict == "Fail"


def test_class_that_nobody_knows_is_an_error() -> None:
    """A misspelt class is no share of 0, by either test; of a class that is known, none is 0."""
    share = {"name": "cats", "builtin": "class-share", "class": "cat"}
    limits = {"maxAbsoluteIncrease": 0.1}
    found = world(
        {**share, "compareTo": {"stable": {**limits, "test": "sequential"}}},
        {**share, "name": "bound", "thresholdRange": {"max": 0.5}},
    )
    found.metrics.answers = {'bin="cat"': [], "round(": 500}
    found.settle(seconds=50)
    assert last(found, "cats")["message"] == "no server has answered with class 'cat'"
    assert last(found, "cats")["verdict"] == "Error"
    assert last(found, "bound")["verdict"] == "NoData"

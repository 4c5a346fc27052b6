"""The truth tables of Argo Rollouts and Flagger, row by row: their outcome, ours, and why ours differs where it does.

Theirs come from their source and from runs of the real controllers beside a scripted Prometheus; they stand here to be
read. Ours is run: single measurements through the judge, whole releases through the replay.
"""

import math
from typing import Any

import pytest
from click.testing import CliRunner

from modelops.api.v1alpha1.analysis import Metric
from modelops.cli.main import cli
from modelops.domain.analysis.verdicts import judge_of
from modelops.domain.release.replay import play
from tests.unit.analysis.playing import (
    AWAY,
    BOTH,
    FAILURE,
    INF,
    NAN,
    QUERY,
    RANGE,
    SUCCESS,
    Answer,
    outcome,
    reading,
    release,
    ticks,
)


@pytest.mark.parametrize(
    ("answer", "metric", "argo", "flagger", "ours"),
    [
        pytest.param(0.97, SUCCESS, "Successful", "-", "Pass", id="0.97, success"),
        pytest.param(0.92, SUCCESS, "Failed", "-", "Fail", id="0.92, success"),
        pytest.param(0.97, FAILURE, "Successful", "-", "Pass", id="0.97, failure"),
        pytest.param(0.92, FAILURE, "Failed", "-", "Fail", id="0.92, failure"),
        pytest.param(0.97, BOTH, "Successful", "-", "Pass", id="0.97, both"),
        pytest.param(0.92, BOTH, "Inconclusive", "-", "NoData", id="0.92, both: ours says inconclusive, as Argo"),
        pytest.param(0.85, BOTH, "Failed", "-", "Fail", id="0.85, both: failure is tested first"),
        pytest.param(NAN, SUCCESS, "Failed", "-", "NoData", id="NaN, success: no traffic is no failure"),
        pytest.param(NAN, FAILURE, "Successful", "-", "NoData", id="NaN, failure: Argo passes silently"),
        pytest.param(NAN, BOTH, "Inconclusive", "-", "NoData", id="NaN, both"),
        pytest.param(None, SUCCESS, "Error", "-", "NoData", id="empty, success: asked and answered, so no error"),
        pytest.param(None, FAILURE, "Error", "-", "NoData", id="empty, failure"),
        pytest.param(None, BOTH, "Error", "-", "NoData", id="empty, both"),
        pytest.param(INF, SUCCESS, "Successful", "-", "Pass", id="+Inf, success: infinity compares"),
        pytest.param(INF, FAILURE, "Successful", "-", "Pass", id="+Inf, failure"),
        pytest.param(INF, BOTH, "Successful", "-", "Pass", id="+Inf, both"),
        pytest.param(AWAY, SUCCESS, "Error", "-", "Error", id="away, success"),
        pytest.param(AWAY, FAILURE, "Error", "-", "Error", id="away, failure"),
        pytest.param(AWAY, BOTH, "Error", "-", "Error", id="away, both"),
        pytest.param(0.97, RANGE, "-", "passed", "Pass", id="0.97, range"),
        pytest.param(0.92, RANGE, "-", "failed check", "Fail", id="0.92, range"),
        pytest.param(NAN, RANGE, "-", "failed check", "NoData", id="NaN, range: Flagger rolls a quiet night back"),
        pytest.param(None, RANGE, "-", "failed check", "NoData", id="empty, range"),
        pytest.param(INF, RANGE, "-", "passed", "Pass", id="+Inf, range"),
        pytest.param(AWAY, RANGE, "-", "failed check", "Error", id="away, range: an outage is not the canary's fault"),
        pytest.param((0.99, 0.1), SUCCESS, "first counts", "-", "Error", id="two series: nobody said which"),
        pytest.param((0.99, 0.1), RANGE, "-", "last counts", "Error", id="two series, range"),
    ],
)
def test_one_measurement(answer: Answer, metric: dict[str, Any], argo: str, flagger: str, ours: str) -> None:
    """One answer, one verdict."""
    assert judge_of(Metric.model_validate({"name": "m", **metric})).judge(reading(answer)).verdict == ours


def test_neither_condition_is_refused_where_argo_is_always_successful(tmp_path: Any) -> None:
    """Argo: Successful whatever comes, Flagger without metrics too; ours: the object is invalid."""
    (tmp_path / "release.yaml").write_text(
        "apiVersion: modelops.dev/v1alpha1\nkind: ModelRelease\nmetadata: {name: price}\nspec:\n"
        "  model: {name: price, version: '1'}\n"
        "  strategy: {canary: {steps: [{setWeight: 50}, {analyze: {duration: 1m}}]}}\n"
        "  analysis: {metrics: [{name: m, builtin: success-rate}]}\n"
    )
    found = CliRunner().invoke(cli, ["validate", str(tmp_path)])
    assert found.exit_code == 1
    assert "a metric needs thresholdRange, successCondition, failureCondition or compareTo" in found.output


_TOLERANT = {"failureLimit": 3}


@pytest.mark.parametrize(
    ("metric", "answers", "argo", "flagger", "ours"),
    [
        pytest.param(RANGE, [0.99], "promoted", "promoted", "Promoted", id="0.99"),
        pytest.param(RANGE, [0.5], "aborted", "rolled back", "RolledBack", id="0.5"),
        pytest.param(RANGE, [None], "aborted", "rolled back", "Holding", id="empty: held until there is data"),
        pytest.param(SUCCESS, [NAN], "aborted", "-", "Holding", id="NaN with a success condition: held"),
        pytest.param(RANGE, [NAN], "-", "rolled back", "Holding", id="NaN with a range: held"),
        pytest.param(FAILURE, [NAN], "promoted", "-", "Holding", id="NaN with a failure condition: Argo promotes"),
        pytest.param(
            RANGE, [AWAY] * 8 + [0.99], "aborted", "rolled back", "Promoted", id="503 for 40 s, then 0.99: an outage"
        ),
        pytest.param(BOTH, [0.92], "paused", "-", "Paused", id="0.92 between the bounds: a human decides"),
        pytest.param(
            {**RANGE, "initialDelay": "1h"}, [0.5], "promoted", "-", "Holding", id="initialDelay 1h: Argo never looks"
        ),
        pytest.param(RANGE, [(0.99, 0.1)], "promoted", "rolled back", "Holding", id="two series: first and last"),
        pytest.param(RANGE, [(0.1, 0.99)], "aborted", "promoted", "Holding", id="two series, the other way round"),
        pytest.param(RANGE, [INF], "promoted", "promoted", "Promoted", id="+Inf"),
    ],
)
def test_whole_release(metric: dict[str, Any], answers: list[Answer], argo: str, flagger: str, ours: str) -> None:
    """The scripted Prometheus that all three were run against."""
    assert outcome(release(metric), *answers).outcome == ours


@pytest.mark.parametrize(
    ("limit", "failures", "ours", "at"),
    [
        pytest.param(0, 1, "RolledBack", 5, id="limit 0: the first"),
        pytest.param(3, 3, "Promoted", 20 + 15, id="limit 3: three are tolerated"),
        pytest.param(3, 4, "RolledBack", 20, id="limit 3: the fourth rolls back, where `>=` would take the third"),
    ],
)
def test_failure_limit_is_exceeded_not_reached(limit: int, failures: int, ours: str, at: float) -> None:
    """Argo: failed > limit. Flagger rolls back one tick after its threshold; ours in the tick that found it."""
    found = outcome(release({**RANGE, "failureLimit": limit}, steps=_LONG), *[0.5] * failures, 0.99)
    assert (found.outcome, found.at) == (ours, at)


_LONG = [{"setWeight": 50}, {"analyze": {"duration": "35s"}}]


def test_passes_between_failures_do_not_forgive_them() -> None:
    """Argo and Flagger both count over the run; so do we, over the whole revision and all of its weights."""
    steps = [{"setWeight": 10}, {"analyze": {"duration": "15s"}}, {"setWeight": 50}, {"analyze": {"duration": "15s"}}]
    found = outcome(release({**RANGE, "failureLimit": 1}, steps=steps), 0.99, 0.5, 0.99, 0.99, 0.5, 0.99)
    assert found.outcome == "RolledBack"
    assert found.at == 25
    assert "2 failures where 1 are tolerated" in found.reason


@pytest.mark.parametrize(
    ("limit", "looks", "ours"),
    [
        pytest.param(0, 1, "Paused", id="limit 0: the first pauses, as Argo"),
        pytest.param(2, 2, "Promoted", id="limit 2: two are tolerated"),
        pytest.param(2, 3, "Paused", id="limit 2: the third pauses"),
    ],
)
def test_inconclusive_limit(limit: int, looks: int, ours: str) -> None:
    """Argo: inconclusive > limit pauses for a human; never promoted, never rolled back by it."""
    found = outcome(release({**BOTH, "inconclusiveLimit": limit}), *[0.92] * looks, 0.99)
    assert found.outcome == ours
    assert all(tick.weight == 50 for tick in found.ticks) or ours == "Promoted"


@pytest.mark.parametrize("policy", ["Hold", "Pause", "Fail"])
def test_inconclusive_never_rolls_back_whatever_the_policies_say(policy: str) -> None:
    """There was data: noDataPolicy does not apply."""
    found = outcome(release(BOTH, noDataPolicy=policy, errorPolicy=policy), 0.92)
    assert found.outcome == "Paused"
    assert found.reason.startswith("Inconclusive: m: 0.92")


@pytest.mark.parametrize(
    ("policy", "errors", "ours"),
    [
        pytest.param("Fail", 4, "Promoted", id="four in a row are tolerated"),
        pytest.param("Fail", 5, "RolledBack", id="Fail: the fifth rolls back, as Argo"),
        pytest.param("Pause", 5, "Paused", id="Pause: the fifth pauses"),
        pytest.param("Hold", 50, "Promoted", id="Hold, the default: an outage of any length is waited for"),
    ],
)
def test_consecutive_error_limit_is_four(policy: str, errors: int, ours: str) -> None:
    """Argo aborts on the fifth Error in a row; ours does what errorPolicy says, and holds by default."""
    answers = [AWAY] * errors + [0.99]
    # 10 s is the longest wait at an interval of 5 s, so every tick is a look.
    found = play("price", release(RANGE, errorPolicy=policy), ticks(*answers, more=10, every=10))
    assert found.outcome == ours


def test_any_other_answer_ends_a_row_of_errors() -> None:
    """Four, a Pass, four: never five in a row."""
    answers = [AWAY, AWAY, AWAY, AWAY, AWAY, AWAY, 0.99, 0.99, AWAY, AWAY, AWAY, 0.99]
    assert outcome(release(RANGE, errorPolicy="Fail"), *answers).outcome == "Promoted"


@pytest.mark.parametrize(
    ("fields", "answers", "argo", "ours"),
    [
        pytest.param({"count": 3}, [0.99], "Successful", "Promoted", id="count reached"),
        pytest.param(
            {"count": 3, "failureLimit": 3}, [0.5], "Successful", "Paused", id="count reached without one Pass"
        ),
        pytest.param(
            {"count": 4, "failureLimit": 1, "consecutiveSuccessLimit": 2},
            [0.99, 0.5, None, 0.99, 0.99],
            "Successful",
            "Promoted",
            id="two in a row at last; NoData is no look",
        ),
        pytest.param(
            {"count": 4, "failureLimit": 1, "consecutiveSuccessLimit": 2},
            [0.99, 0.5, 0.99, None, 0.99],
            "Inconclusive",
            "Paused",
            id="what is not a Pass ends the row",
        ),
        pytest.param(
            {"count": 4, "failureLimit": 2, "consecutiveSuccessLimit": 2},
            [0.99, 0.5, 0.99, 0.5],
            "Inconclusive",
            "Paused",
            id="both limits active, neither tripped",
        ),
        pytest.param(
            {"count": 4, "failureLimit": -1, "consecutiveSuccessLimit": 2},
            [0.99, 0.5],
            "Failed",
            "RolledBack",
            id="only consecutiveSuccessLimit, not reached",
        ),
        pytest.param(
            {"failureLimit": -1, "consecutiveSuccessLimit": 3},
            [0.5] * 8 + [0.99],
            "Successful",
            "Promoted",
            id="any number of failures, then three in a row",
        ),
    ],
)
def test_count_and_passes_in_a_row(fields: dict[str, Any], answers: list[Answer], argo: str, ours: str) -> None:
    """Argo's rules of completion; but nothing completes successfully without a Pass."""
    assert outcome(release({**RANGE, **fields}), *answers).outcome == ours


def test_count_begins_anew_at_each_weight() -> None:
    """Argo's inline analysis is a new run for each step; a count reached at 10 % proves nothing at 50 %."""
    steps = [{"setWeight": 10}, {"analyze": {"duration": "10s"}}, {"setWeight": 50}, {"analyze": {"duration": "10s"}}]
    found = outcome(release({**RANGE, "count": 2}, steps=steps), 0.99, 0.99, None)
    assert found.outcome == "Holding"
    assert found.ticks[-1].weight == 50


def test_worst_verdict_wins() -> None:
    """Argo: Failed over Error over Inconclusive; ours too: a Fail rolls back whatever else is open."""
    found = outcome(release(RANGE, BOTH, RANGE), 0.5, m2=[0.92], m3=[AWAY])
    assert found.outcome == "RolledBack"
    assert found.at == 5


def test_dry_run_decides_nothing() -> None:
    """Argo: measured and shown; it neither fails, nor holds, nor has to pass."""
    for answer in (0.5, NAN, AWAY):
        found = outcome(release(RANGE, {**RANGE, "dryRun": True}), 0.99, m2=[answer])
        assert found.outcome == "Promoted"
        assert found.ticks[0].metrics["m2"].reason.endswith("dry run")


def test_initial_delay_delays_one_metric_only() -> None:
    """Argo: counted from the analysis' start, other metrics do not wait; ours also waits for the late one's Pass."""
    late = {**RANGE, "initialDelay": "40s"}
    found = outcome(release(RANGE, late), 0.99, m2=[0.99])
    assert found.outcome == "Promoted"
    assert found.at == 40
    assert outcome(release(RANGE, late), 0.5, m2=[0.99]).at == 5
    assert outcome(release(RANGE, late), 0.99, m2=[0.5]).at == 40


def test_each_metric_has_its_own_interval() -> None:
    """One every 5 s, one every 20 s: the slow one is asked a quarter as often, and a Fail between is not seen."""
    slow = {**RANGE, "interval": "20s"}
    found = outcome(release(RANGE, slow, steps=_LONG), 0.99, m2=[0.5, 0.5, 0.5, 0.99])
    assert found.outcome == "Promoted"
    counted = [tick.at for tick in found.ticks if "not counted" not in tick.metrics["m2"].reason]
    assert counted == [20]


def test_flagger_holds_the_weight_on_a_failed_check_and_so_do_we() -> None:
    """A tolerated Fail never lets the weight rise in its tick."""
    steps = [{"setWeight": 10}, {"analyze": {"duration": "5s"}}, {"setWeight": 50}, {"analyze": {"duration": "5s"}}]
    found = outcome(release({**RANGE, **_TOLERANT}, steps=steps), 0.5, 0.5, 0.99, 0.99)
    assert [tick.weight for tick in found.ticks] == [10, 10, 50, 100]


@pytest.mark.parametrize("aggregate", ["avg", "max", "min", "sum"])
def test_named_aggregation_makes_one_number_of_several_series(aggregate: str) -> None:
    """What Argo takes the first of and Flagger the last of is said by the user."""
    judge = judge_of(
        Metric.model_validate({"name": "m", **QUERY, "thresholdRange": {"max": 1}, "aggregate": aggregate})
    )
    expected = {"avg": 0.5, "max": 0.9, "min": 0.1, "sum": 1.0}[aggregate]
    found = judge.judge(reading((0.9, 0.1)))
    assert found.verdict == "Pass"
    assert math.isclose(found.value or 0, expected)
    assert judge.judge(reading((0.9, NAN))).verdict == "NoData"

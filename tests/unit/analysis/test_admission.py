"""What is refused before anything is judged: by the schema's rules, or Stalled with the field and the remedy."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from modelops.cli.main import cli
from tests.unit.analysis.playing import QUERY, RANGE, SUCCESS
from tests.unit.release.world import World

COMPARED = {**QUERY, "compareTo": {"stable": {"maxRelativeIncrease": 0.1}}}
SEQUENTIAL = {"compareTo": {"stable": {"maxRelativeIncrease": 0.1, "test": "sequential"}}}
COUNTED = {"prometheus": {"eventsQuery": "failed[{{ .window }}]", "samplesQuery": "all[{{ .window }}]"}}
SUMMED = {"prometheus": {"sumQuery": "sum", "squaresQuery": "squares", "samplesQuery": "count"}}
BOUND = {"thresholdRange": {"max": 0.25}}
AT_100 = [{"setWeight": 100}, {"analyze": {"duration": "1m"}}]


def refused(tmp_path: Path, *metrics: dict[str, Any], steps: list[Any] | None = None, **analysis: Any) -> str:
    """Return what `validate` says of a release; nothing if it is valid."""
    spec = {
        "model": {"name": "price", "version": "1"},
        "strategy": {"canary": {"steps": steps or [{"setWeight": 50}, {"analyze": {"duration": "1m"}}]}},
        "analysis": {"metrics": [{"name": "m", **metric} for metric in metrics], **analysis},
    }
    meta = {"apiVersion": "modelops.dev/v1alpha1", "kind": "ModelRelease", "metadata": {"name": "price"}}
    (tmp_path / "release.yaml").write_text(yaml.safe_dump({**meta, "spec": spec}))
    found = CliRunner().invoke(cli, ["validate", str(tmp_path)])
    return found.output if found.exit_code else ""


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        pytest.param({**QUERY}, "needs thresholdRange, successCondition, failureCondition or compareTo", id="no bound"),
        pytest.param({**QUERY, "thresholdRange": {"min": 2, "max": 1}}, "min must not exceed max", id="min above max"),
        pytest.param({**QUERY, "thresholdRange": {}}, "needs min or max", id="empty range"),
        pytest.param({**RANGE, "count": 3, "failureLimit": 4}, "count must be at least failureLimit", id="count"),
        pytest.param(
            {**RANGE, "count": 3, "failureLimit": 2, "consecutiveSuccessLimit": 2},
            "count must be at least failureLimit + consecutiveSuccessLimit",
            id="count below the sum",
        ),
        pytest.param({**SUCCESS, "count": 1, "inconclusiveLimit": 2}, "at least inconclusiveLimit", id="inconclusive"),
        pytest.param({**RANGE, "failureLimit": -1}, "-1 needs consecutiveSuccessLimit", id="nothing could ever fail"),
        pytest.param({**RANGE, "failureLimit": -2}, "failureLimit", id="below -1"),
        pytest.param({**RANGE, "minSamples": 5}, "needs samplesQuery", id="samples that nobody counts"),
        pytest.param({**QUERY, "compareTo": {"stable": {}}}, "needs maxRelativeIncrease,", id="compared by nothing"),
        pytest.param({**QUERY, "compareTo": {"stable": {"maxRelativeIncrease": -1}}}, "maxRelative", id="negative"),
        pytest.param(
            {"builtin": "success-rate", "thresholdRange": {"min": 0.9}, "aggregate": "max"},
            "aggregate is for a prometheus metric",
            id="aggregate of a builtin",
        ),
        pytest.param({**RANGE, "aggregate": "median"}, "aggregate", id="unknown aggregate"),
        pytest.param({**RANGE, "interval": "10m", "noDataDeadline": "5m"}, "at least interval", id="deadline"),
        pytest.param({**RANGE, "noDataDeadline": "30s"}, "noDataDeadline: must be at least the interval, 1m", id="own"),
        pytest.param(
            {**RANGE, "interval": "2h"},
            "spec.analysis.noDataDeadline: must be at least the interval of m, 2h; nobody looks again before it",
            id="the default deadline",
        ),
        pytest.param({**RANGE, "noDataPolicy": "Pass"}, "noDataPolicy", id="no policy makes a Pass"),
        pytest.param({**SUCCESS, "prometheus": {"query": "{{ .revison }}"}}, "known fields are", id="unknown field"),
        pytest.param({**RANGE, "interval": "1ms"}, "interval", id="too often"),
        pytest.param({**QUERY, **SEQUENTIAL}, "sequential is for shares: a builtin, or", id="evidence of a value"),
        pytest.param(
            {**SEQUENTIAL, "prometheus": {**QUERY["prometheus"], "eventsQuery": "e", "samplesQuery": "s"}},
            "exactly one of query, eventsQuery and sumQuery",
            id="a value and events",
        ),
        pytest.param(
            {**SEQUENTIAL, "prometheus": {"samplesQuery": "s"}}, "one of query, eventsQuery and sumQuery", id="neither"
        ),
        pytest.param({**SEQUENTIAL, "prometheus": {"eventsQuery": "e"}}, "needs samplesQuery", id="events of what"),
        pytest.param({**SEQUENTIAL, "prometheus": {"sumQuery": "e"}}, "sumQuery needs samplesQuery", id="sum of what"),
        pytest.param(
            {**SEQUENTIAL, "prometheus": {"sumQuery": "e", "samplesQuery": "s"}},
            "squaresQuery",
            id="mean without spread",
        ),
        pytest.param(
            {**SEQUENTIAL, "prometheus": {"query": "q", "squaresQuery": "s"}}, "needs sumQuery", id="squares of what"
        ),
        pytest.param(
            {"builtin": "labelled-error", "compareTo": {"stable": {"maxRelativeIncrease": 0.1}}},
            "labelled-error is compared by test: sequential",
            id="labels of any age",
        ),
        pytest.param({"builtin": "saturation", **SEQUENTIAL}, "saturation is a share of time", id="evidence of time"),
        pytest.param({"builtin": "latency", **SEQUENTIAL}, "latency is a time, and test sequential", id="a time"),
        pytest.param({"builtin": "latency", "quantile": 1, **BOUND}, "quantile", id="all of the requests"),
        pytest.param({"builtin": "latency", "quantile": 0, **BOUND}, "quantile", id="none of them"),
        pytest.param({"builtin": "success-rate", "quantile": 0.9, **BOUND}, "for builtin latency", id="of a share"),
        pytest.param({"builtin": "latency", "slo": 1, **BOUND}, "slo is for builtin slow-share", id="an objective"),
        pytest.param({"builtin": "class-share", "thresholdRange": {"max": 1}}, "class is for builtin", id="no class"),
        pytest.param({**RANGE, "class": "cat"}, "class is for builtin class-share", id="class of a query"),
        pytest.param({"builtin": "prediction-drift"}, "needs thresholdRange", id="drift without a bound"),
        pytest.param(
            {"builtin": "prediction-drift", "compareTo": {"stable": {"maxAbsoluteIncrease": 0.1}}},
            "is itself a comparison with stable; give it a thresholdRange",
            id="drift compared",
        ),
        pytest.param({"builtin": "answer-difference"}, "needs thresholdRange", id="difference without a bound"),
        pytest.param(
            {"builtin": "answer-difference", "compareTo": {"stable": {"maxAbsoluteIncrease": 0.1}}},
            "answer-difference is itself a comparison with stable",
            id="difference compared",
        ),
        pytest.param(
            {"builtin": "answer-difference", "thresholdRange": {"max": 0.1}},
            "take strategy shadow, a step setMirror, or blueGreen.prePromotion.mirror",
            id="difference without copies",
        ),
        pytest.param(
            {"builtin": "answer-difference", "thresholdRange": {"max": 0.1}, "tolerance": -1},
            "tolerance",
            id="negative tolerance",
        ),
        pytest.param({**RANGE, "tolerance": 1}, "tolerance is for builtin answer-difference", id="other tolerance"),
        pytest.param(
            {"builtin": "success-rate", "compareTo": {"stable": {"maxAbsoluteDecrease": 0.1}}},
            "the share of failures is compared, which may decrease",
            id="fewer failures",
        ),
        pytest.param({**COUNTED, **SEQUENTIAL, "aggregate": "sum"}, "with a query", id="aggregate of counts"),
        pytest.param(
            {**COUNTED, "compareTo": {"stable": {"maxRelativeIncrease": 0, "test": "t"}}}, "test", id="unknown test"
        ),
        pytest.param(
            {**SEQUENTIAL, "prometheus": {"eventsQuery": "{{ .revison }}", "samplesQuery": "s"}},
            "eventsQuery: the query has",
            id="unknown field of events",
        ),
    ],
)
def test_contradiction_is_refused(tmp_path: Path, metric: dict[str, Any], said: str) -> None:
    """The field and the remedy."""
    assert said in refused(tmp_path, metric)


@pytest.mark.parametrize(
    "metric",
    [
        pytest.param({**RANGE, "count": 4, "failureLimit": 2, "consecutiveSuccessLimit": 2}, id="count is the sum"),
        pytest.param({**RANGE, "count": 0, "failureLimit": 5}, id="count 0 is no count"),
        pytest.param({**RANGE, "count": 2}, id="count without an interval: the analysis' is meant"),
        pytest.param({**RANGE, "count": 3, "failureLimit": -1, "consecutiveSuccessLimit": 3}, id="no failure limit"),
        pytest.param({**QUERY, "thresholdRange": {"min": 1, "max": 1}}, id="exactly one value"),
        pytest.param(COMPARED, id="compared only"),
        pytest.param({"builtin": "success-rate", **SEQUENTIAL}, id="evidence of a builtin"),
        pytest.param({"builtin": "unknown-category-share", **SEQUENTIAL}, id="evidence of a builtin of the servers"),
        pytest.param({"builtin": "saturation", "thresholdRange": {"max": 0.8}}, id="saturation"),
        pytest.param({"builtin": "prediction-drift", "thresholdRange": {"max": 0.1}}, id="drift"),
        pytest.param({"builtin": "latency", **BOUND}, id="latency"),
        pytest.param(
            {"builtin": "latency", "quantile": 0.5, "compareTo": COMPARED["compareTo"]}, id="latency beside stable's"
        ),
        pytest.param({"builtin": "class-share", "class": 'a "cat"', "thresholdRange": {"max": 0.8}}, id="class share"),
        pytest.param({"builtin": "class-share", "class": "cat", **SEQUENTIAL}, id="evidence of a class"),
        pytest.param({**COUNTED, **SEQUENTIAL, "minSamples": 500}, id="evidence of own counts"),
        pytest.param({**SUMMED, **SEQUENTIAL, "minSamples": 500}, id="evidence of an own mean"),
        pytest.param({"builtin": "labelled-error", **SEQUENTIAL}, id="evidence of labels"),
        pytest.param({"builtin": "labelled-error", "thresholdRange": {"max": 3}}, id="labels and a bound"),
        pytest.param({**COUNTED, "thresholdRange": {"max": 0.1}}, id="own counts and a bound"),
        pytest.param({**RANGE, "dryRun": True, "initialDelay": "5m", "errorPolicy": "Fail"}, id="everything else"),
        pytest.param({**RANGE, "interval": "2h", "noDataDeadline": "2h"}, id="a deadline of one interval"),
    ],
)
def test_what_makes_sense_is_accepted(tmp_path: Path, metric: dict[str, Any]) -> None:
    """No rule is stricter than its reason."""
    assert refused(tmp_path, metric) == ""


def test_figures_of_our_server_are_refused_where_another_serves() -> None:
    """Nobody would ever answer."""
    world = World()
    metrics = [{"name": "m", "builtin": "saturation", "thresholdRange": {"max": 0.8}}]
    world.release(serving={"runtime": "mlserver"}, analysis={"metrics": metrics})
    world.train("1")
    world.settle()
    words = "only runtime modelops has these figures, and serving.runtime is mlserver; write a query"
    assert world.reason("Stalled") == f"InvalidSpec: spec.analysis.metrics[0].builtin: {words}"


def test_deadline_of_the_analysis_is_held_against_every_interval(tmp_path: Path) -> None:
    """The release would pause before anybody has looked twice; a metric's own deadline goes before."""
    said = "spec.analysis.noDataDeadline: must be at least the interval of m, 1m; nobody looks again before it"
    assert said in refused(tmp_path, RANGE, noDataDeadline="30s")
    assert refused(tmp_path, {**RANGE, "interval": "30s"}, noDataDeadline="30s") == ""
    assert refused(tmp_path, {**RANGE, "noDataDeadline": "5m"}, noDataDeadline="30s") == ""


@pytest.mark.parametrize(("budget", "accepted"), [(0, False), (1e-6, True), (0.2, True), (0.5, False)])
def test_budget_of_false_alarms_has_bounds(tmp_path: Path, budget: float, accepted: bool) -> None:
    """None at all would never alarm; half of all good releases is no test."""
    said = refused(tmp_path, {"builtin": "success-rate", **SEQUENTIAL}, falseAlarmBudget=budget)
    assert ("falseAlarmBudget" in said) != accepted


def test_comparison_at_full_weight_is_refused(tmp_path: Path) -> None:
    """Stable has no traffic there; before it, or as a dry run, it may be asked."""
    said = "spec.strategy.canary.steps[1].analyze: at weight 100 stable has no traffic, so m cannot be compared with it"
    assert said in refused(tmp_path, COMPARED, steps=AT_100)
    assert refused(tmp_path, {**COMPARED, "dryRun": True}, steps=AT_100) == ""
    assert refused(tmp_path, RANGE, steps=AT_100) == ""


@pytest.mark.parametrize("weight", [[], [{"setWeight": 30}, {"setWeight": 0}]], ids=["none yet", "none any more"])
def test_analysis_without_traffic_is_refused(tmp_path: Path, weight: list[dict[str, Any]]) -> None:
    """Nothing would ever be measured, and nobody would ever say so."""
    steps = [*weight, {"analyze": {"duration": "20s"}}]
    said = f"spec.strategy.canary.steps[{len(weight)}].analyze: at weight 0 the canary has no requests"
    assert said in refused(tmp_path, RANGE, steps=steps)


@pytest.mark.parametrize("steps", [[{"pause": {}}], [{"setWeight": 30}, {"setWeight": 0}]])
def test_steps_that_end_without_traffic_or_a_pass_are_refused(tmp_path: Path, steps: list[dict[str, Any]]) -> None:
    """Nothing is promoted unmeasured, and nothing could be measured any more; a dry run decides nothing."""
    assert "spec.strategy.canary.steps: they end at weight 0, where m can never pass" in refused(
        tmp_path, RANGE, steps=steps
    )
    assert refused(tmp_path, {**RANGE, "dryRun": True}, steps=steps) == ""


def test_what_no_schema_can_say_is_stalled_with_the_field() -> None:
    """The operator refuses what slipped past `validate`, and touches nothing."""
    world = World()
    old = world.first()
    metrics = [{"name": "m", **COMPARED}]
    world.release(strategy={"canary": {"steps": AT_100}}, analysis={"metrics": metrics})
    world.train("2")
    world.settle()
    assert world.reason("Stalled").startswith("InvalidSpec: spec.strategy.canary.steps[1].analyze: at weight 100")
    assert world.route() == {old: 100}

"""Every decision is a series, and no series outlives what it speaks of."""

from datetime import datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from modelops.api.kinds import DATASET, GITSOURCE, METRICTEMPLATE, MODELRELEASE, TRAININGRUN, Kind
from modelops.api.v1alpha1.analysis import Metric
from modelops.domain.analysis.verdicts import Reading, judge_of
from modelops.errors import Transient
from modelops.ports import Answer
from modelops.telemetry.analysis import bounds_of
from modelops.telemetry.metrics import OperatorMetrics
from tests.unit.release.world import NAME, NAMESPACE, World
from tests.unit.release.world import SUCCESS as WORLDS
from tests.unit.telemetry.estate import AT, RELATIVE, STALLED, estate, held, made, walked

SUCCESS = {"metric": "success-rate"}
Series = dict[str, float]


def shown(metrics: OperatorMetrics, name: str, **labels: str) -> Series:
    """Return a metric's series, by their labels that are not asked for."""
    found = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            if sample.name == f"modelops_{name}" and labels.items() <= sample.labels.items():
                rest = [v for k, v in sample.labels.items() if k not in {*labels, "namespace", "name"}]
                found[",".join(rest)] = sample.value
    return found


def on(metrics: OperatorMetrics, name: str, **labels: str) -> list[str]:
    return [rest for rest, value in shown(metrics, name, **labels).items() if value == 1]


@pytest.fixture
def world() -> World:
    world = World()
    world.first()
    return world


@pytest.fixture
def metrics(world: World) -> OperatorMetrics:
    metrics = OperatorMetrics(CollectorRegistry())
    metrics.observed(MODELRELEASE, held(world))
    return metrics


def test_canary_in_analysis_is_told_whole(world: World, metrics: OperatorMetrics) -> None:
    """9, argo-rollouts#2276, flagger#1147, #1304: values, bounds and verdicts can be had as series."""
    revision = world.canary()
    world.settle(seconds=16)
    metrics.observed(MODELRELEASE, held(world))

    status = world.status
    assert shown(metrics, "release_weight_ratio") == shown(metrics, "release_desired_weight_ratio") == {"": 0.2}
    assert shown(metrics, "release_step") == {"": 1}
    assert shown(metrics, "release_steps") == {"": 4}
    assert on(metrics, "release_phase") == ["Analyzing"]
    assert on(metrics, "release_info") == [f"1,{status['stable']['revision']},2,{revision}"]
    assert shown(metrics, "analysis_value") == {"success-rate": 1.0}
    assert shown(metrics, "analysis_samples") == {"success-rate": 100}
    assert shown(metrics, "analysis_bound") == {"success-rate,lower": 0.99}
    assert on(metrics, "analysis_verdict") == ["success-rate,Pass"]
    assert on(metrics, "analysis_outcome") == ["success-rate,Running"]
    began = shown(metrics, "release_step_started_timestamp_seconds")[""]
    # 30 s of analysis, 5 s of warm-up, ten minutes of patience.
    assert shown(metrics, "release_step_due_timestamp_seconds") == {"": began + 635}


def test_smoke_test_is_told_with_its_answers(world: World, metrics: OperatorMetrics) -> None:
    """What it comes to, and each golden request's answer beside its limits; a request that left the spec is deleted."""
    world.servers.answer = Answer(200, b"process_resident_memory_bytes 1e+08\n", 0.01)
    limits = {"maxLatency": "1s", "maxMemory": "200Mi"}
    world.release(smokeTest={"requests": [{"name": name, "path": "/"} for name in ("a", "b")], **limits})
    world.canary()
    metrics.observed(MODELRELEASE, held(world))
    assert on(metrics, "release_smoke_test_outcome") == ["Passed"]
    assert shown(metrics, "release_smoke_test_failures") == {"": 0}
    assert shown(metrics, "release_golden_request_expected") == {"a": 1, "b": 1}
    assert shown(metrics, "release_golden_request_seconds") == {"a": 0.01, "b": 0.01}
    assert shown(metrics, "release_golden_request_max_seconds") == {"": 1}
    assert shown(metrics, "release_smoke_test_memory_bytes") == {"": 1e8}
    assert shown(metrics, "release_smoke_test_max_memory_bytes") == {"": 200 * 2**20}

    world.release(smokeTest={"requests": [{"name": "c", "path": "/"}]})
    world.servers.answer = Transient("NoAnswer", "no answer within 10 s")
    world.train("3")
    world.settle()
    metrics.observed(MODELRELEASE, held(world))
    assert on(metrics, "release_smoke_test_outcome") == ["Running"]
    assert shown(metrics, "release_golden_request_expected") == {"c": 0}
    assert shown(metrics, "release_golden_request_seconds") == {}
    for limit in ("golden_request_max_seconds", "smoke_test_memory_bytes", "smoke_test_max_memory_bytes"):
        assert shown(metrics, f"release_{limit}") == {}


def test_smoke_test_that_failed_is_told_until_its_release_is_gone(world: World, metrics: OperatorMetrics) -> None:
    """A wrong answer is told beside the good one; nothing is left of either when the object is deleted."""
    wrong = {"name": "wrong", "path": "/", "expect": "status == 201"}
    world.release(smokeTest={"requests": [{"name": "good", "path": "/"}, wrong]})
    world.train("2")
    world.settle(seconds=20)
    metrics.observed(MODELRELEASE, held(world))
    assert on(metrics, "release_smoke_test_outcome") == ["Failed"]
    assert shown(metrics, "release_smoke_test_failures") == {"": 1}
    assert shown(metrics, "release_golden_request_expected") == {"good": 1, "wrong": 0}

    metrics.gone(MODELRELEASE, (NAMESPACE, NAME))
    assert shown(metrics, "release_smoke_test_outcome") == {}
    assert shown(metrics, "release_golden_request_expected") == {}


def test_value_ends_with_the_answers(world: World, metrics: OperatorMetrics) -> None:
    """The last good value beside the verdict NoData would say that all is well."""
    world.canary()
    world.settle(seconds=16)
    metrics.observed(MODELRELEASE, held(world))
    world.metrics.answers = {}
    world.settle(seconds=10)
    metrics.observed(MODELRELEASE, held(world))

    assert on(metrics, "analysis_verdict") == ["success-rate,NoData"]
    assert shown(metrics, "analysis_value") == {}


def test_next_canary_takes_the_labels_of_the_last(world: World, metrics: OperatorMetrics) -> None:
    """One label set a release, however many versions there were."""
    for version in ("2", "3", "4"):
        world.canary(version)
        metrics.observed(MODELRELEASE, held(world))
    assert len(shown(metrics, "release_info")) == 1


def test_metric_that_left_the_spec_is_deleted(world: World, metrics: OperatorMetrics) -> None:
    world.canary()
    world.settle(seconds=16)
    metrics.observed(MODELRELEASE, held(world))
    obj = held(world)
    obj["spec"] = {**obj["spec"], "analysis": {"metrics": []}}
    metrics.observed(MODELRELEASE, obj)

    names = {family.name for family in metrics.registry.collect() if family.samples}
    assert not {name for name in names if name.startswith("modelops_analysis")}


def test_evidence_is_told_beside_its_alarm() -> None:
    """Half of the budget, so the alarm is at 200; both go with their metric, and with the release."""
    metrics = OperatorMetrics(CollectorRegistry())
    obj = walked()["compared"]
    metrics.observed(MODELRELEASE, obj)
    assert shown(metrics, "analysis_evidence") == {"refused": 9.25}
    assert shown(metrics, "analysis_evidence_alarm") == {"refused": pytest.approx(200)}

    told = {**obj, "spec": {**obj["spec"], "analysis": {"metrics": [RELATIVE]}}}
    metrics.observed(MODELRELEASE, told)
    assert shown(metrics, "analysis_evidence") == shown(metrics, "analysis_evidence_alarm") == {}
    metrics.observed(MODELRELEASE, obj)
    metrics.gone(MODELRELEASE, (NAMESPACE, "compared"))
    assert shown(metrics, "analysis_evidence") == shown(metrics, "analysis_evidence_alarm") == {}


@pytest.mark.parametrize(
    ("analysis", "metric", "seconds"),
    [
        ({}, {}, 3600),
        ({"noDataDeadline": "2h"}, {}, 7200),
        ({"noDataDeadline": "2h"}, {"noDataDeadline": "24h"}, 86400),
    ],
    ids=["by default", "the analysis'", "its own"],
)
def test_silence_has_an_end(
    world: World, metrics: OperatorMetrics, analysis: dict[str, str], metric: dict[str, str], seconds: int
) -> None:
    """From the first look without data on, and no longer than there is none; a dry run holds nothing up."""
    judged = {"interval": "10s", "warmUp": "5s", **analysis}
    world.release(analysis={**judged, "metrics": [{**WORLDS, **metric}]})
    world.canary()
    world.answer(samples=0)
    world.settle(seconds=16)
    since = datetime.fromisoformat(world.status["analysis"][0]["noDataSince"]).timestamp()
    metrics.observed(MODELRELEASE, held(world))
    assert shown(metrics, "analysis_no_data_due_timestamp_seconds") == {"success-rate": since + seconds}

    obj = held(world)
    dry = {**judged, "metrics": [{**WORLDS, **metric, "dryRun": True}]}
    metrics.observed(MODELRELEASE, {**obj, "spec": {**obj["spec"], "analysis": dry}})
    assert shown(metrics, "analysis_no_data_due_timestamp_seconds") == {}
    world.answer()
    world.settle(seconds=10)
    metrics.observed(MODELRELEASE, held(world))
    assert shown(metrics, "analysis_no_data_due_timestamp_seconds") == {}


def test_condition_that_is_left_out_is_deleted() -> None:
    """Stalled stands in a status only while True: its series must not stay at 1 for ever."""
    metrics = OperatorMetrics(CollectorRegistry())
    metrics.observed(TRAININGRUN, made(TRAININGRUN, conditions=[STALLED]))
    assert on(metrics, "condition", type="Stalled") == ["TrainingRun,True"]
    metrics.observed(TRAININGRUN, made(TRAININGRUN, conditions=[]))
    assert shown(metrics, "condition") == {}


@pytest.mark.parametrize("verb", ["pause", "abort"])
def test_pause_and_abort_show(world: World, metrics: OperatorMetrics, verb: str) -> None:
    world.canary()
    world.command(verb)
    world.settle()
    metrics.observed(MODELRELEASE, held(world))

    if verb == "pause":
        assert on(metrics, "release_phase") == ["Paused"]
        assert shown(metrics, "release_paused_timestamp_seconds") != {}
        assert shown(metrics, "release_step_due_timestamp_seconds") == {}
    else:
        assert on(metrics, "release_phase") == ["Degraded"]
        assert on(metrics, "release_last_outcome") == ["Aborted"]
        assert shown(metrics, "release_step_started_timestamp_seconds") == {}


def test_outcomes_are_counted_once_and_only_by_who_saw_them(world: World, metrics: OperatorMetrics) -> None:
    """After a restart the counter begins at 0, the last outcome and its time are there at once."""
    world.canary()
    world.settle(seconds=80)
    for _ in range(3):
        metrics.observed(MODELRELEASE, held(world))
    restarted = OperatorMetrics(CollectorRegistry())
    restarted.observed(MODELRELEASE, held(world))

    assert shown(metrics, "release_outcomes_total")["Promoted"] == 1
    assert set(shown(restarted, "release_outcomes_total").values()) == {0}
    for one in (metrics, restarted):
        assert on(one, "release_last_outcome") == ["Promoted"]
        assert set(shown(one, "release_outcome_timestamp_seconds")) == {"Promoted"}


@pytest.mark.parametrize(
    ("stable", "metric", "bounds"),
    [
        (None, {"thresholdRange": {"min": 0.99}}, {"lower": 0.99}),
        (None, {"thresholdRange": {"min": 1, "max": 2}}, {"lower": 1, "upper": 2}),
        (None, {"successCondition": "result[0] < 1"}, {}),
        (None, RELATIVE, {"lower": 0.99}),
        (0.96, {**RELATIVE, "thresholdRange": {"min": 0.9}}, {"lower": 0.94}),
        (2.0, {"compareTo": {"stable": {"maxRelativeIncrease": 0.1}}}, {"upper": 2.2}),
        (0.0, {"compareTo": {"stable": {"maxRelativeIncrease": 0.1, "maxAbsoluteIncrease": 0.5}}}, {"upper": 0.5}),
        (0.0, {"compareTo": {"stable": {"maxRelativeIncrease": 0.1}}}, {}),
        (0.3, {"compareTo": {"stable": {"maxAbsoluteDecrease": 0.1}}}, {"lower": 0.2}),
        (2.0, {"compareTo": {"stable": {"maxRelativeIncrease": 0.1, "test": "sequential"}}}, {}),
    ],
)
def test_bounds(stable: float | None, metric: dict[str, Any], bounds: Series) -> None:
    """The tightest of the spec's own bound and what a comparison allows; the sequential test has no bound."""
    assert bounds_of(metric, stable) == pytest.approx(bounds)


def test_bound_is_the_one_that_the_verdict_used() -> None:
    """A value a hair inside our bound passes the real judge, one outside does not."""
    metric = {**RELATIVE, "thresholdRange": {"min": 0.5}}
    judge, lower = judge_of(Metric.model_validate(metric)), bounds_of(metric, 0.96)["lower"]

    def verdict(value: float) -> str:
        return judge.judge(Reading(values=(value,), samples=100, stable=Reading(values=(0.96,), samples=100))).verdict

    assert (verdict(lower + 1e-6), verdict(lower - 1e-6)) == ("Pass", "Fail")


def test_what_releases_are_made_of_is_told() -> None:
    metrics = estate()

    assert shown(metrics, "gitsource_applied") == {"": 0}
    assert shown(metrics, "gitsource_objects") == {"": 1}
    assert shown(metrics, "dataset_rows") == {"": 1000}
    assert shown(metrics, "dataset_split_rows")["train"] == 700
    assert on(metrics, "attempt_phase", kind="TrainingRun") == ["Failed"]
    assert on(metrics, "trainingrun_last_outcome") == ["Failed"]
    assert shown(metrics, "trainingrun_registered_version") == {"": 7}


def test_bound_of_a_template_is_shown(world: World, metrics: OperatorMetrics) -> None:
    """The release's spec does not say it; its status does."""
    meta, query = {"name": "rate", "namespace": NAMESPACE}, {"prometheus": {"query": "q"}}
    world.cluster.put(METRICTEMPLATE.resource, {"metadata": meta, "spec": {**query, "thresholdRange": {"max": 7}}})
    world.release(analysis={"interval": "10s", "metrics": [{"name": "m", "template": {"name": "rate"}}]})
    world.canary()

    metrics.observed(MODELRELEASE, held(world))

    assert shown(metrics, "analysis_bound", metric="m") == {"upper": 7}


@pytest.mark.parametrize("kind", [GITSOURCE, DATASET, TRAININGRUN, MODELRELEASE], ids=lambda kind: kind.singular)
def test_nothing_is_left_of_a_deleted_object(kind: Kind) -> None:
    metrics = estate()
    world = World()
    world.first()
    world.canary()
    empty = made(kind, NAME) if kind is not MODELRELEASE else held(world)
    before = {str(sample) for family in metrics.registry.collect() for sample in family.samples}
    metrics.observed(kind, empty)
    assert any(s.labels.get("name") == NAME for family in metrics.registry.collect() for s in family.samples)
    metrics.gone(kind, (NAMESPACE, NAME))

    assert {str(sample) for family in metrics.registry.collect() for sample in family.samples} == before


def test_no_label_holds_what_has_no_bound() -> None:
    """No commit, digest, message or time becomes a label."""
    values = {value for family in estate().registry.collect() for s in family.samples for value in s.labels.values()}
    assert not {value for value in values if len(value) > 63 or value == AT or "sha" in value}

"""When metrics are asked: each by its own clock, sooner after an Error, stable beside the canary."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelops.api.v1alpha1.analysis import Analysis
from modelops.api.v1alpha1.analysis_status import MetricStatus
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus, RevisionStatus
from modelops.domain.release.looks import due, look_at, next_look
from modelops.errors import Transient
from tests.unit.release.world import SUCCESS, World

START = datetime(2026, 1, 1, tzinfo=UTC)


def standing(**metric: Any) -> ModelReleaseStatus:
    """Return the status of a canary whose weight was confirmed at START."""
    return ModelReleaseStatus(
        canary=RevisionStatus(version="2", revision="r2", digest="d"),
        weight=10,
        desired_weight=10,
        weight_verified_at=START,
        analysis_started_at=START,
        analysis=(MetricStatus(name="m", **metric),) if metric else (),
    )


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def analysis(interval: str = "1m", **metric: Any) -> Analysis:
    one = {"name": "m", "builtin": "success-rate", "thresholdRange": {"min": 0.9}, **metric}
    return Analysis.model_validate({"interval": interval, "warmUp": "30s", "metrics": [one]})


@pytest.mark.parametrize(
    ("spec", "found", "seconds"),
    [
        pytest.param(analysis(), {}, 90, id="first look: warm-up and one interval"),
        pytest.param(analysis(interval="1m", initialDelay="10m"), {}, 600, id="initialDelay"),
        pytest.param(analysis(initialDelay="5s"), {}, 90, id="an initialDelay that is over by then"),
        pytest.param(analysis(interval="5m", initialDelay="1s"), {}, 330, id="the analysis' interval"),
        pytest.param(analysis(), {"measured_at": after(100)}, 160, id="one interval after the last look"),
        pytest.param(analysis(), {"measured_at": after(100), "consecutive_errors": 1}, 110, id="10 s after an Error"),
        pytest.param(analysis(), {"measured_at": after(100), "consecutive_errors": 3}, 140, id="doubled twice"),
        pytest.param(analysis(), {"measured_at": after(100), "consecutive_errors": 4}, 160, id="at most the interval"),
        pytest.param(analysis(), {"measured_at": after(100), "consecutive_errors": 9999}, 160, id="after very many"),
        pytest.param(
            analysis(interval="2s"), {"measured_at": after(100), "consecutive_errors": 1}, 102, id="short interval"
        ),
        pytest.param(
            analysis(interval="2s"), {"measured_at": after(100), "consecutive_errors": 9}, 110, id="at most 10 s then"
        ),
        pytest.param(analysis(count=3), {"measured_at": after(100), "step_looks": 2}, 160, id="count not reached"),
        pytest.param(analysis(count=3), {"measured_at": after(100), "step_looks": 3}, None, id="count reached"),
        pytest.param(
            analysis(consecutiveSuccessLimit=2), {"measured_at": after(9), "consecutive_passes": 2}, None, id="enough"
        ),
    ],
)
def test_next_look(spec: Analysis, found: dict[str, Any], seconds: float | None) -> None:
    """When a metric is asked next, in seconds after the weight was confirmed."""
    status = standing(**found)
    expected = None if seconds is None else after(seconds)
    assert next_look(status, spec) == expected
    assert look_at(status, spec, spec.metrics[0]) == expected
    if expected is not None:
        assert due(status, spec, expected) == spec.metrics
        assert due(status, spec, expected - timedelta(milliseconds=1)) == ()


def test_nothing_is_asked_without_traffic() -> None:
    """At weight 0 there is nothing to measure."""
    status = standing().model_copy(update={"weight": 0})
    assert next_look(status, analysis()) is None


def looks(world: World, seconds: int, *parts: str) -> list[list[int]]:
    """Return for each part at which seconds from now a query with it was sent."""
    begun: datetime = world.clock.now()
    found: list[list[int]] = [[] for _ in parts]
    for second in range(seconds):
        world.metrics.queries.clear()
        world.pass_()
        for part, asked in zip(parts, found, strict=True):
            if any(part in query for query in world.metrics.queries):
                asked.append(second)
        world.clock.time = begun + timedelta(seconds=second + 1)
    return found


def test_metrics_are_asked_by_their_own_clocks() -> None:
    """One every 10 s, one every 25 s, one after a delay; the window of a look is the metric's interval."""
    world = World()
    own = {"thresholdRange": {"min": 0}}
    metrics = [
        {**SUCCESS, "name": "builtin"},
        {**own, "name": "slow", "interval": "25s", "prometheus": {"query": "slow[{{ .window }}]"}},
        {**own, "name": "late", "initialDelay": "40s", "prometheus": {"query": "late[{{ .window }}]"}},
    ]
    world.release(
        analysis={"interval": "10s", "warmUp": "0s", "metrics": metrics},
        strategy={"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}},
    )
    world.first()
    world.train("2")
    world.settle()
    assert looks(world, 61, "slow[25000ms]", "late[10000ms]") == [[25, 50], [40, 50, 60]]


def test_errors_are_retried_sooner_and_then_as_often_as_the_interval() -> None:
    """Away for five minutes: looks come after 10, 20, 40 s, then each minute; nothing is decided."""
    world = World()
    own = {"name": "m", "prometheus": {"query": "share"}, "thresholdRange": {"min": 0.9}}
    world.release(analysis={"interval": "1m", "warmUp": "0s", "metrics": [own]})
    old = world.first()
    world.train("2")
    world.settle()
    world.metrics.answers = {"share": Transient("MetricsUnavailable", "Prometheus does not answer")}
    assert looks(world, 260, "share") == [[60, 70, 90, 130, 190, 250]]
    assert world.route()[old] == 80
    assert world.status["analysis"][0]["outcome"] == "Error"
    world.metrics.answers = {"share": 1.0}
    world.settle(seconds=240)
    assert world.status["stable"]["version"] == "2"


def test_stable_is_asked_the_same_question() -> None:
    """A comparison sends the query twice, once with each revision; both values are in the status."""
    world = World()
    metric = {
        "name": "m",
        "prometheus": {"query": "latency{revision='{{ .revision }}'}"},
        "compareTo": {"stable": {"maxRelativeIncrease": 0.1}},
    }
    world.release(analysis={"interval": "10s", "warmUp": "0s", "metrics": [metric]})
    old = world.first()
    world.train("2")
    world.settle()
    new = world.status["canary"]["revision"]
    world.metrics.answers = {f"latency{{revision='{old}'}}": 0.2, f"latency{{revision='{new}'}}": 0.21}
    world.settle(seconds=10)
    [seen] = world.status["analysis"]
    assert seen["query"] == f"latency{{revision='{new}'}}"
    assert seen["measurements"][-1].items() >= {"verdict": "Pass", "value": 0.21, "stable": 0.2}.items()
    world.metrics.answers[f"latency{{revision='{new}'}}"] = 0.23
    world.settle(seconds=10)
    assert "m is 0.23 against ≤ 0.22 (stable 0.2)" in world.reason("Degraded")


def test_unpaused_release_gets_another_chance() -> None:
    """A human's word forgives what was inconclusive or missing, until the next look says it again; failures stay."""
    world = World()
    world.release(analysis={"interval": "10s", "warmUp": "0s", "metrics": [SUCCESS], "noDataPolicy": "Pause"})
    world.first()
    world.canary()
    world.answer(samples=1)
    world.settle(seconds=10)
    assert world.status["phase"] == "Paused"
    world.command("unpause")
    world.settle()
    assert world.status["phase"] == "Analyzing"
    world.settle(seconds=10)
    assert world.status["phase"] == "Paused"

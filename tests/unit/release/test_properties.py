"""What holds of every rollout: weights sum to 100, stable keeps its servers, act then decide again does nothing."""

import itertools
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelops.api.v1alpha1.analysis import Analysis
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.domain.analysis.verdicts import Reading
from modelops.domain.release.measure import fresh_step, tally, weigh
from modelops.domain.release.objects import shares
from modelops.domain.release.replay import Tick, play
from modelops.domain.status import to_wire
from tests.unit.analysis.playing import release
from tests.unit.release.world import SUCCESS, World, sound

_STEP = st.one_of(
    st.integers(0, 100).map(lambda weight: {"setWeight": weight}),
    st.sampled_from([5, 15]).map(lambda seconds: {"analyze": {"duration": f"{seconds}s"}}),
    st.sampled_from([3, 20]).map(lambda seconds: {"pause": {"duration": f"{seconds}s"}}),
    st.sampled_from("ab").map(
        lambda name: {"setHeaderRoute": {"name": name, "match": [{"header": "X-A", "exact": name}]}}
    ),
)
_STRATEGY = st.one_of(
    st.lists(_STEP, min_size=1, max_size=5).map(lambda steps: {"canary": {"steps": sound(steps)}}),
    st.just({"abTest": {"match": [{"header": "X-A", "exact": "a"}], "duration": "15s"}}),
    st.booleans().map(lambda promote: {"shadow": {"percent": 50, "duration": "15s", "promote": promote}}),
)
_HAPPENING = st.sampled_from(
    ["good", "bad", "few", "away", "503", "abort", "retry", "promote", "full", "commit", "wait", "pause", "unpause"]
)
_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "failureLimit": st.integers(0, 2),
        "inconclusiveLimit": st.integers(0, 2),
        "consecutiveErrorLimit": st.integers(0, 3),
        "consecutiveSuccessLimit": st.integers(0, 3),
        "count": st.sampled_from([0, 5, 6]),
        "interval": st.sampled_from(["1s", "5s", "20s"]),
        "initialDelay": st.sampled_from(["0s", "7s", "40s"]),
        "noDataPolicy": st.sampled_from(["Hold", "Pause", "Fail"]),
        "noDataDeadline": st.sampled_from(["20s", "60s"]),
        "errorPolicy": st.sampled_from(["Hold", "Pause", "Fail"]),
        "dryRun": st.booleans(),
        "minSamples": st.sampled_from([1, 50]),
        "compareTo": st.sampled_from([{"stable": {"maxAbsoluteIncrease": 0.1}}]),
    },
)
_NUMBER = st.sampled_from([0.99, 0.97, 0.92, 0.5, 0.0, float("nan"), float("inf"), float("-inf")])
_SIDE = st.builds(
    Reading,
    values=st.lists(_NUMBER, max_size=2).map(tuple),
    samples=st.sampled_from([None, 0.0, 10.0, 1000.0]),
)
_ANSWER = st.one_of(
    st.just(Reading(error="away")),
    st.builds(lambda one, other: Reading(values=one.values, samples=one.samples, stable=other), _SIDE, _SIDE),
    _NUMBER.map(lambda value: Reading(values=(value,), stable=Reading(values=(0.97,)))),
)
_BOUNDS = st.sampled_from(
    [
        {"thresholdRange": {"min": 0.95, "max": 1}},
        {"successCondition": "result[0] >= 0.95"},
        {"failureCondition": "result[0] < 0.95"},
        {"successCondition": "result[0] >= 0.95", "failureCondition": "result[0] < 0.9"},
    ]
)


@given(st.one_of(st.none(), st.text("0123456789abcdef", min_size=1)), st.text(min_size=1), st.integers(0, 100))
def test_shares_sum_to_one_hundred(stable: str | None, canary: str, weight: int) -> None:
    """Whatever the weight, every request has a backend."""
    found = shares(stable, canary, weight)
    assert sum(percent for _, percent in found) == (100 if found else 0)
    assert all(percent > 0 for _, percent in found)
    assert bool(found) or stable is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_STRATEGY, st.lists(_HAPPENING, max_size=8), _FIELDS)
def test_every_rollout_keeps_its_promises(
    strategy: dict[str, object], happenings: list[str], fields: dict[str, object]
) -> None:
    """After any sequence of answers, commands and commits the invariants hold, and a further pass writes nothing."""
    world = World()
    # At full weight a comparison is refused, which is tested elsewhere.
    fields = {name: value for name, value in fields.items() if name != "compareTo"}
    world.release(
        strategy=strategy,
        analysis={"interval": "10s", "warmUp": "5s", "metrics": [{**SUCCESS, **fields}]},
    )
    world.first()
    for happening in happenings:
        world.happens(happening)
        world.settle(seconds=17)
        route = world.route()
        stable = world.status["stable"]["revision"]
        assert sum(route.values()) == 100
        assert set(route) <= world.deployments()
        extra = len(world.rules()) > 1 or "filters" in world.rules()[-1]
        assert not extra or (world.status.get("canary") is not None and stable in route)
        assert stable in route or route == {(world.status.get("canary") or {}).get("revision"): 100}
        world.cluster.calls.clear()
        world.pass_()
        assert world.cluster.calls == []


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from([5, 20, 50, 90]), min_size=1, max_size=3, unique=True).map(sorted),
    st.lists(st.tuples(_BOUNDS, _FIELDS), min_size=1, max_size=3),
    st.lists(st.lists(_ANSWER, min_size=3, max_size=3), min_size=1, max_size=30),
)
def test_no_answer_ever_promotes(
    weights: list[int], metrics: list[tuple[dict[str, Any], dict[str, Any]]], answers: list[list[Reading]]
) -> None:
    """Played over anything: a weight rises only in a tick whose counted verdicts of deciding metrics are all Pass."""
    steps = list(itertools.chain(*([{"setWeight": w}, {"analyze": {"duration": "10s"}}] for w in weights)))
    query = {"prometheus": {"query": "q", "samplesQuery": "n"}}
    specs = [query | bounds | more for bounds, more in metrics]
    spec = release(*specs, steps=steps)
    deciding = {metric.name for metric in spec.analysis.metrics if not metric.dry_run}
    names = [metric.name for metric in spec.analysis.metrics]
    ticks = [Tick(5.0 * n, dict(zip(names, one, strict=False))) for n, one in enumerate(answers, 1)]
    found = play("price", spec, ticks)

    before = weights[0]
    for tick in found.ticks:
        ended = tick is found.ticks[-1] and found.outcome in ("Promoted", "RolledBack")
        counted = {
            name: seen.verdict
            for name, seen in tick.metrics.items()
            if name in deciding and "not counted" not in seen.reason
        }
        if tick.weight > before:
            assert set(counted.values()) <= {"Pass"} | ({"Fail"} if _completes(spec.analysis) else set())
        assert tick.weight >= before or (ended and found.outcome == "RolledBack")
        before = tick.weight
    if found.outcome == "Promoted":
        passed = {name for tick in found.ticks for name, seen in tick.metrics.items() if seen.verdict == "Pass"}
        assert deciding <= passed
    if found.outcome == "RolledBack":
        assert found.ticks[-1].weight == 0


def _completes(analysis: Analysis) -> bool:
    """Whether a metric may be done with its count by a tolerated Fail, as Argo Rollouts has it."""
    return any(metric.count and metric.failure_limit for metric in analysis.metrics)


@pytest.mark.parametrize("count", [2, 32])
def test_status_stays_small_after_ten_thousand_ticks(count: int) -> None:
    """At most 64 KiB and 10 measurements a metric, whatever is asked and whatever goes wrong at length."""
    dice = random.Random(count)
    metric = {"prometheus": {"query": "x" * 8000}, "failureLimit": 1000}
    wordy = {"failureCondition": "result[0] < 0" + " " * 1000}
    # Where there are many, one has a condition as long as may be; compiling it takes most of the time.
    one, others = wordy if count > 2 else {"thresholdRange": {"max": 1}}, {"thresholdRange": {"min": 0}}
    analysis = release(metric | one, *[metric | others] * (count - 1)).analysis
    status = ModelReleaseStatus()
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for tick in range(20_000 // count):
        now += timedelta(seconds=10)
        answers = [Reading("q" * 9000, (1 / 3,)), Reading("q", error='é"\n' * 200), Reading("é" * 8192)]
        readings = {one.name: dice.choice(answers) for one in analysis.metrics}
        status = status.model_copy(update={"analysis": tally(status, analysis, readings, now)})
        if tick % 100 == 0:
            status = status.model_copy(update={"analysis": fresh_step(status.analysis)})
        assert all(1 <= len(one.measurements) <= 10 for one in status.analysis)
    assert len(json.dumps(to_wire(status), ensure_ascii=False).encode()) <= 64 * 1024
    assert tally(status, analysis, {}, now) == status.analysis
    assert weigh(status, analysis, now).failed == ""

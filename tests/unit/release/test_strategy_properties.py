"""What holds of every strategy and step: nothing is promoted unmeasured, silence raises no weight, an end is at 0."""

import itertools
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec, Strategy
from modelops.domain.analysis.verdicts import Reading
from modelops.domain.release.replay import Tick, play
from modelops.domain.release.steps import needs_passes
from tests.unit.analysis.playing import release
from tests.unit.release.world import NAME, NAMESPACE, SUCCESS, World, sound

_SECONDS = st.sampled_from(["5s", "20s"])
_SCALE = st.one_of(
    st.integers(1, 5).map(lambda n: {"replicas": n}),
    st.integers(1, 100).map(lambda n: {"percent": n}),
    st.just({"matchTrafficWeight": True}),
)
_STEP = st.one_of(
    st.integers(0, 100).map(lambda weight: {"setWeight": weight}),
    _SECONDS.map(lambda time: {"analyze": {"duration": time}}),
    _SECONDS.map(lambda time: {"bake": {"duration": time}}),
    _SECONDS.map(lambda time: {"pause": {"duration": time}}),
    st.just({"approve": {}}),
    _SCALE.map(lambda scale: {"setCanaryScale": scale}),
)
_CANARY = st.lists(_STEP, min_size=1, max_size=6).map(lambda steps: {"canary": {"steps": sound(steps)}})
_LINEAR = st.builds(
    lambda step, more, every: {"linear": {"stepWeight": step, "every": every} | more},
    st.integers(20, 60),
    st.sampled_from([{}, {"maxWeight": 75}]),
    _SECONDS,
)
_TIMED = _SECONDS.map(lambda time: {"duration": time})
_TRIED: tuple[dict[str, Any], ...] = ({}, {"mirror": 50}, {"match": [{"header": "X-A", "exact": "a"}]})
_BLUE_GREEN = st.fixed_dictionaries(
    {},
    optional={
        "prePromotion": st.builds(lambda timed, tried: timed | tried, _TIMED, st.sampled_from(_TRIED)),
        "postPromotion": _TIMED,
        "autoPromote": st.booleans(),
        "scaleDownDelay": st.sampled_from(["0s", "60s"]),
    },
).map(lambda fields: {"blueGreen": fields})
_STRATEGY = st.one_of(_CANARY, _CANARY, _LINEAR, _BLUE_GREEN, st.just({"direct": {}}))
_HAPPENING = st.sampled_from(
    ["good", "bad", "few", "away", "503", "abort", "retry", "promote", "commit", "wait", "pause", "servers", "gateway"]
)
_GOOD = Reading(values=(0.99,))
_BAD, _FEW, _TWO = Reading(values=(0.5,)), Reading(values=(0.99,), samples=1.0), Reading(values=(0.1, 0.2))
_ANSWER = st.sampled_from([_GOOD, _GOOD, _GOOD, _BAD, _FEW, _TWO, Reading(), Reading(error="away")])
_SLOW = (HealthCheck.too_slow,)


class _Forgetful(World):
    """A world whose operator is a new one at every reconcile: all that it knows is what it wrote down."""

    def pass_(self) -> Any:
        self.loop = type(self.loop)(type(self.loop._reconciler)(), self.loop._ports, jitter=lambda: 1.0)
        return super().pass_()


def _begun(world: World, strategy: dict[str, Any]) -> World:
    world.release(
        strategy=strategy,
        serving={"runtime": "modelops", "replicas": 4},
        analysis={"interval": "10s", "warmUp": "5s", "metrics": [{**SUCCESS, "failureLimit": 1}]},
    )
    world.first()
    world.train("2")
    world.settle(seconds=2)
    return world


def _replicas(world: World, revision: str) -> int:
    return int(world.cluster.objects["deployments", NAMESPACE, f"{NAME}-{revision}"]["spec"]["replicas"])


@settings(max_examples=60, deadline=None, suppress_health_check=_SLOW)
@given(_STRATEGY, st.lists(_HAPPENING, max_size=9))
def test_every_strategy_keeps_its_promises(strategy: dict[str, Any], happenings: list[str]) -> None:
    """Stable keeps all of its servers, all of the traffic finds all of them, every end leaves weight 0."""
    world = _begun(World(), strategy)
    measured = needs_passes(Strategy.model_validate(strategy))
    for happening in happenings:
        world.happens(happening)
        world.settle(seconds=17)
        status, route = world.status, world.route()
        stable, canary = status["stable"]["revision"], (status.get("canary") or {}).get("revision")
        assert sum(route.values()) == 100
        assert set(route) <= world.deployments()
        assert _replicas(world, stable) == 4
        if canary is None:
            assert route == {stable: 100}
            assert (status.get("weight", 0), status.get("desiredWeight", 0)) == (0, 0)
        elif route.get(canary) == 100:
            assert _replicas(world, canary) == 4
        last = status["history"][-1]
        if canary is None and measured and len(status["history"]) > 1 and last["outcome"] == "Promoted":
            assert status["analysis"][0]["passes"] > 0
        world.cluster.calls.clear()
        world.pass_()
        assert world.cluster.calls == []


@settings(max_examples=30, deadline=None, suppress_health_check=_SLOW)
@given(_STRATEGY, st.lists(_HAPPENING, max_size=7))
def test_restart_at_any_point_changes_nothing(strategy: dict[str, Any], happenings: list[str]) -> None:
    """A new operator at every reconcile decides as one that has been there all along."""
    worlds = [_begun(World(), strategy), _begun(_Forgetful(), strategy)]
    for happening in happenings:
        for world in worlds:
            world.happens(happening)
            world.settle(seconds=17)
        one, other = worlds
        assert one.weights == other.weights
        assert one.status == other.status


def _spec(strategy: dict[str, Any], metrics: int) -> ModelReleaseSpec:
    query = {"prometheus": {"query": "q", "samplesQuery": "n"}, "thresholdRange": {"min": 0.95}, "minSamples": 10}
    spec = release(*[query] * metrics)
    return spec.model_copy(update={"strategy": Strategy.model_validate(strategy)})


@settings(max_examples=200, deadline=None, suppress_health_check=_SLOW)
@given(_STRATEGY, st.integers(1, 2), st.lists(st.lists(_ANSWER, min_size=2, max_size=2), min_size=1, max_size=30))
def test_weight_never_rises_on_silence(strategy: dict[str, Any], metrics: int, answers: list[list[Reading]]) -> None:
    """Played over anything: no rise in a tick with a counted NoData or Error, no promotion without every Pass."""
    spec = _spec(strategy, metrics)
    names = [metric.name for metric in spec.analysis.metrics]
    found = play(
        "price", spec, [Tick(5.0 * n, dict(zip(names, one, strict=False))) for n, one in enumerate(answers, 1)]
    )

    for before, tick in itertools.pairwise(found.ticks):
        silent = {
            name
            for name, seen in tick.metrics.items()
            if seen.verdict in ("NoData", "Error") and "not counted" not in seen.reason
        }
        assert not (silent and tick.weight > before.weight)
    if found.outcome == "RolledBack":
        assert found.ticks[-1].weight == 0
    if found.outcome == "Promoted" and needs_passes(spec.strategy):
        passed = {n for tick in found.ticks for n, seen in tick.metrics.items() if seen.verdict == "Pass"}
        assert set(names) <= passed

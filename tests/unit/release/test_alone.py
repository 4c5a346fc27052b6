"""All of the traffic on the canary: what has nothing to be compared with waits for nothing."""

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.release.world import World

COMPARED = {
    "name": "errors",
    "prometheus": {"query": 'share{r="{{ .revision }}"}', "samplesQuery": 'requests{r="{{ .revision }}"}'},
    "minSamples": 50,
    "compareTo": {"stable": {"maxRelativeIncrease": 0.1}},
}
BOUNDED = {**COMPARED, "thresholdRange": {"max": 0.1}}
COUNTED = {
    "name": "errors",
    "prometheus": {"eventsQuery": 'failed{r="{{ .revision }}"}', "samplesQuery": 'requests{r="{{ .revision }}"}'},
    "compareTo": {"stable": {"maxRelativeIncrease": 0.1, "test": "sequential"}},
}
HALF = [{"setWeight": 50}, {"analyze": {"duration": "30s"}}]


def compared(metric: dict[str, Any], steps: list[dict[str, Any]] = HALF) -> World:
    """Return a release whose canary has half of the traffic, with figures like stable's."""
    world = World()
    analysis = {"interval": "10s", "warmUp": "0s", "metrics": [metric]}
    world.release(strategy={"canary": {"steps": steps}}, analysis=analysis)
    world.stable = world.first()  # type: ignore[attr-defined]
    world.train("2")
    world.settle()
    says(world)
    return world


def says(world: World, share: float = 0.01, stable_requests: float | None = 1000) -> None:
    """Let Prometheus tell of the canary and of stable; without requests of stable nothing is known of it."""
    world.metrics.answers = {
        f'share{{r="{world.stable}"': 0.01 if stable_requests else [],  # type: ignore[attr-defined]
        f'failed{{r="{world.stable}"': 10.0 if stable_requests else [],  # type: ignore[attr-defined]
        f'requests{{r="{world.stable}"': stable_requests or [],  # type: ignore[attr-defined]
        "share": share,
        "failed": 1000 * share,
        "requests": 1000.0,
    }


@pytest.mark.parametrize("metric", [COMPARED, BOUNDED, COUNTED], ids=["compared", "bounded too", "by evidence"])
def test_look_due_when_all_of_the_traffic_is_confirmed_holds_nothing(metric: dict[str, Any]) -> None:
    """It would have waited for ever: stable has no traffic any more that could turn its NoData into a Pass."""
    world = compared(metric)
    world.settle(29)
    world.gateway_confirms = False
    world.settle(2)
    assert (world.status["weight"], world.status["desiredWeight"]) == (50, 100)
    world.gateway_confirms = True
    world._play()
    says(world, stable_requests=None)
    world.clock.time += timedelta(seconds=10)
    world.settle()
    assert world.status["phase"] == "Promoted", world.status.get("waitingFor")


@pytest.mark.parametrize("metric", [COMPARED, BOUNDED], ids=["compared", "bounded too"])
def test_fail_due_when_all_of_the_traffic_is_confirmed_rolls_back(metric: dict[str, Any]) -> None:
    """What was asked of the weight before counts, though the next one is in force by now."""
    world = compared(metric)
    world.settle(29)
    world.gateway_confirms = False
    world.settle(2)
    world.gateway_confirms = True
    world._play()
    says(world, share=0.5)
    world.clock.time += timedelta(seconds=10)
    world.settle()
    assert world.status["history"][-1]["outcome"] == "RolledBack"


@pytest.mark.parametrize("metric", [COMPARED, BOUNDED, COUNTED], ids=["compared", "bounded too", "by evidence"])
def test_bake_with_all_of_the_traffic_asks_for_no_comparison(metric: dict[str, Any]) -> None:
    """A bake holds where the last look was NoData; there is nothing that could end that one."""
    world = compared(metric, [*HALF, {"setWeight": 100}, {"bake": {"duration": "40s"}}])
    world.settle(31)
    assert world.status["weight"] == 100
    says(world, stable_requests=None)
    asked = len(world.metrics.queries)
    world.settle(60)
    assert world.status["phase"] == "Promoted", world.status.get("waitingFor")
    assert not [query for query in world.metrics.queries[asked:] if world.stable in query]  # type: ignore[attr-defined]


def test_bake_with_all_of_the_traffic_goes_on_judging_by_bounds() -> None:
    """What needs no stable still rolls back."""
    world = compared(BOUNDED, [*HALF, {"setWeight": 100}, {"bake": {"duration": "40s"}}])
    world.settle(31)
    says(world, share=0.5, stable_requests=None)
    world.settle(11)
    assert world.status["history"][-1]["outcome"] == "RolledBack"


@pytest.mark.parametrize("metric", [COMPARED, BOUNDED], ids=["compared", "bounded too"])
def test_all_of_the_traffic_waits_for_a_comparison(metric: dict[str, Any]) -> None:
    """Also when a step asks for it before the first look."""
    world = compared(metric, [{"setWeight": 50}, {"setWeight": 100}])
    assert world.status["weight"] == 50
    assert world.status["waitingFor"] == "one Pass of errors: at weight 100 there is nothing to compare with"
    world.settle(11)
    assert world.status["phase"] == "Promoted", world.status.get("waitingFor")


def test_all_of_the_traffic_at_once_is_refused() -> None:
    """The comparison would never be made."""
    world = World()
    steps = [{"setWeight": 100}, {"bake": {"duration": "40s"}}]
    world.release(strategy={"canary": {"steps": steps}}, analysis={"metrics": [BOUNDED]})
    world.settle()
    said = (
        "InvalidSpec: spec.strategy.canary.steps: they give it all of the traffic at once, so errors is never compared"
    )
    assert world.reason("Stalled").startswith(said)
    world.release(strategy={"canary": {"steps": [{"setWeight": 1}, *steps]}})
    world.settle()
    assert world.conditions.get("Stalled") != "True"

"""Other steps that come under a canary on its way: it goes on where it is, and never waits for what cannot come."""

from datetime import timedelta
from typing import Any

import pytest

from modelops.domain.analysis.queries import EnvoyFigures, Subject
from modelops.errors import Transient
from tests.unit.release.world import NAME, NAMESPACE, World

COMPARED = {
    "name": "compared",
    "builtin": "success-rate",
    "compareTo": {"stable": {"maxAbsoluteDecrease": 0.05}},
    "minSamples": 50,
}


@pytest.fixture
def world() -> World:
    return World()


def all_is_well(world: World) -> None:
    """Let each revision have answered ten requests well for each percent of the traffic that it has now."""
    for revision, percent in world.route().items():
        figures = EnvoyFigures(Subject(NAMESPACE, NAME, revision))
        for window in (timedelta(seconds=seconds) for seconds in range(1, 400)):
            world.metrics.answers[figures.success_rate(window)] = 1.0
            world.metrics.answers[figures.samples(window)] = 10.0 * percent


def canary(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"canary": {"steps": list(steps)}}


def test_steps_that_change_under_a_canary_are_gone_on_with_at_their_weight(world: World) -> None:
    """An analysis that it is in the midst of now would have no traffic to look at, and never end."""
    world.release(strategy={"canary": {"steps": [{"approve": {}}, {"setWeight": 20}]}})
    old = world.first()
    world.train("2")
    world.settle()
    assert world.route() == {old: 100}
    world.release(strategy={"canary": {"steps": [{"setWeight": 30}, {"approve": {}}, {"setWeight": 50}]}})
    world.command("promote")
    world.settle()
    new = world.status["canary"]["revision"]
    assert world.route() == {old: 70, new: 30}
    assert world.status["waitingFor"].startswith("approval")
    world.release(strategy={"canary": {"steps": [{"setWeight": 10}, {"approve": {}}, {"setWeight": 50}]}})
    world.settle()
    assert world.route() == {old: 90, new: 10}


def test_other_steps_take_the_alias_back_with_the_weight() -> None:
    """The alias was moved, the promotion never written down, and then the spec asks for steps with less."""
    world = World()
    world.first()
    world.release(strategy={"direct": {}})
    world.train("2")
    while world.registry.aliases[NAME, "champion"] == "1":
        if world.status.get("desiredWeight") == 100:
            world.cluster.failures[f"status modelreleases/{NAME}"] = Transient("ApiAway", "no answer")
        world.pass_()
    assert world.status["stable"]["version"] == "1"
    world.release(strategy={"canary": {"steps": [{"approve": {}}, {"setWeight": 20}]}})
    world.settle()
    assert world.status["canary"]["version"] == "2"
    assert world.status["weight"] == 0
    assert world.registry.aliases[NAME, "champion"] == "1"


def test_fewer_steps_than_are_done_leave_a_canary_where_it_is_measured(world: World) -> None:
    """All of the new steps count as done, but the weight of the last had never come: at 0 no metric can pass."""
    world.release(strategy=canary({"bake": {"duration": "20s"}}, {"approve": {}}, {"setWeight": 20}))
    old = world.first()
    world.train("2")
    world.settle(seconds=60)
    assert world.status["waitingFor"].startswith("approval")
    world.release(strategy=canary({"setWeight": 30}))
    world.pass_()
    world.pass_()
    new = world.status["canary"]["revision"]
    assert world.route() == {old: 70, new: 30}
    all_is_well(world)
    world.settle(seconds=60)
    assert world.status["stable"]["revision"] == new


def test_fewer_steps_take_a_canary_with_all_of_the_traffic_back_to_where_it_is_compared(world: World) -> None:
    """At weight 100 there is nothing to compare with, and its metric has not been asked yet."""
    world.release(strategy=canary({"setWeight": 100}, {"approve": {}}))
    old = world.first()
    world.train("2")
    world.settle(seconds=10)
    new = world.status["canary"]["revision"]
    assert world.route() == {new: 100}
    world.release(strategy=canary({"setWeight": 40}), analysis={"metrics": [COMPARED]})
    world.pass_()
    world.pass_()
    assert world.route() == {old: 60, new: 40}
    all_is_well(world)
    world.settle(seconds=120)
    assert world.status["stable"]["revision"] == new


@pytest.mark.parametrize("last", [{"setWeight": 100}, {"pause": {"duration": "20s"}}], ids=["to", "beyond"])
def test_other_steps_before_all_of_the_traffic_take_a_canary_back_to_where_it_is_compared(
    world: World, last: dict[str, Any]
) -> None:
    """It is at a step, or past one, that gives it all of the traffic, and the weights before that never came."""
    before = [{"approve": {}}] * 3
    world.release(strategy=canary(*before, {"setWeight": 20}), analysis={"metrics": [COMPARED]})
    old = world.first()
    world.train("2")
    for _ in before[1:]:
        world.settle()
        world.command("promote")
    world.settle()
    assert (world.status["step"], world.route()) == (2, {old: 100})
    steps = [{"setWeight": 40}, {"setWeight": 100}, last]
    world.release(strategy=canary(*steps))
    world.pass_()
    world.pass_()
    new = world.status["canary"]["revision"]
    assert world.route() == {old: 60, new: 40}
    all_is_well(world)
    world.settle(seconds=120)
    assert world.status["stable"]["revision"] == new

"""Surge none: a canary's servers are stable's, one after the other, and never one more than are wanted."""

from typing import Any

import pytest

from modelops.domain.release.lending import rising
from tests.unit.release.world import World

MINUTE = {"analyze": {"duration": "30s"}}


def lent(replicas: int = 5, *steps: dict[str, Any]) -> World:
    """Return a world without room for one server more, in which version 1 serves."""
    world = World()
    world.release(
        serving={"runtime": "modelops", "replicas": replicas, "surge": "none"},
        strategy={"canary": {"steps": list(steps) or [{"setWeight": 60}, MINUTE]}},
        progressDeadline="1m",
    )
    world.first()
    return world


@pytest.mark.parametrize(
    ("full", "weight", "aim", "expected"),
    [
        pytest.param(5, 0, 60, 20, id="one of five"),
        pytest.param(5, 20, 60, 40, id="one more"),
        pytest.param(5, 40, 60, 60, id="there"),
        pytest.param(5, 40, 100, 60, id="before the end"),
        pytest.param(5, 60, 100, 100, id="the last one stays stable's until the promotion"),
        pytest.param(2, 0, 5, 5, id="half of the servers for less of the requests"),
        pytest.param(2, 5, 100, 100, id="two"),
        pytest.param(1000, 20, 100, 21, id="a percent at least"),
        pytest.param(3, 33, 34, 34, id="no server more"),
    ],
)
def test_rising(full: int, weight: int, aim: int, expected: int) -> None:
    """By one server, never beyond the aim."""
    assert rising(full, weight, aim) == expected


def test_stable_gives_a_server_up_before_the_canary_has_it() -> None:
    """The canary's first one starts while four serve everything."""
    world = lent()
    stable = world.status["stable"]["revision"]
    world.servers_start = False
    world.train("2")
    world.settle(seconds=5)
    assert world.scaled() == {stable: 4, world.status["canary"]["revision"]: 1}
    assert world.route() == {stable: 100}


def test_weight_rises_by_one_server_at_a_time() -> None:
    """Never more than five, stable never more than one short of what its weight needs; then the new one is whole."""
    world = lent()
    stable = world.status["stable"]["revision"]
    world.train("2")
    world.settle()
    canary = world.status["canary"]["revision"]
    told = [weights[canary] for weights in world.weights if canary in weights]
    assert told == [20, 40, 60]
    assert world.scaled() == {stable: 2, canary: 3}
    world.answer()
    world.settle(seconds=60)
    assert [weights[canary] for weights in world.weights if canary in weights] == [20, 40, 60, 100]
    assert world.status["phase"] == "Promoted"
    world.settle(seconds=30)
    assert world.scaled() == {canary: 5}


def test_gateway_confirms_before_the_next_server_moves() -> None:
    """Else stable would be short of two while it has the requests of four."""
    world = lent()
    stable = world.status["stable"]["revision"]
    world.gateway_confirms = False
    world.train("2")
    world.settle(seconds=5)
    canary = world.status["canary"]["revision"]
    assert world.route() == {stable: 80, canary: 20}
    assert world.scaled() == {stable: 4, canary: 1}


def test_server_that_does_not_come_goes_back_to_stable() -> None:
    """The canary is given up, and stable asks for all of its servers at once."""
    world = lent()
    stable = world.status["stable"]["revision"]
    world.servers_start = False
    world.train("2")
    world.settle(seconds=70)
    assert world.status["history"][-1]["message"].startswith("DeadlineExceeded")
    assert world.scaled()[stable] == 5
    assert world.route() == {stable: 100}


def test_abort_gives_everything_back_at_once() -> None:
    """Traffic in the same pass; servers as they start."""
    world = lent()
    stable, canary = world.status["stable"]["revision"], world.canary()
    world.command("abort")
    world.pass_()
    assert world.route() == {stable: 100}
    assert world.scaled() == {stable: 5, canary: 3}
    world.settle(seconds=30)
    assert world.scaled() == {stable: 5}


def test_promotion_by_hand_takes_every_server_first() -> None:
    """No one server gets all of the requests because somebody was in a hurry."""
    world = lent(5, {"setWeight": 20}, {"pause": {}})
    world.train("2")
    world.settle()
    canary = world.status["canary"]["revision"]
    world.command("promote", full=True)
    world.settle()
    assert [weights[canary] for weights in world.weights if canary in weights] == [20, 40, 60, 100]
    assert world.status["phase"] == "Promoted"


def test_autoscaler_measures_both_sides() -> None:
    """Stable's servers alone would look like a release that was scaled down."""
    world = lent()
    world.canary()
    assert world.status["replicas"] == 5
    assert "revision" not in world.status["selector"]

"""Weights and routes that the gateway does not put into force: how long they are waited for, and where it ends."""

import pytest

from modelops.api.kinds import HTTPROUTE
from modelops.reconcile.loop import Loop
from modelops.reconcile.modelrelease import ModelReleaseReconciler
from tests.unit.release.world import NAME, NAMESPACE, World

MINUTE = 60


@pytest.fixture
def world() -> World:
    return World()


def waits(world: World) -> bool:
    """Return whether version 2 waits for the gateway."""
    canary = world.status.get("canary") or {}
    return canary.get("version") == "2" and "the gateway to confirm" in world.status["waitingFor"]


def test_gateway_that_is_away_for_minutes_takes_nothing_back(world: World) -> None:
    """The default is ten of them; what is confirmed then goes on as if nothing had been."""
    world.first()
    world.gateway_confirms = False
    world.train("2")
    world.settle(seconds=9 * MINUTE)
    assert waits(world)
    world.gateway_confirms = True
    world.settle(seconds=1)
    assert world.status["weight"] == 20
    assert "unconfirmedSince" not in world.status


def test_each_weight_has_the_time_to_itself(world: World) -> None:
    """From when it was asked for: not while the step before is measured, or a human has stopped it."""
    world.release(progressDeadline="2m")
    world.first()
    world.gateway_confirms = False
    world.train("2")
    world.settle(seconds=100)
    assert waits(world)
    world.gateway_confirms = True
    world.settle()
    assert world.status["phase"] == "Analyzing"

    world.answer()
    world.command("pause")
    world.gateway_confirms = False
    world.settle(seconds=5 * MINUTE)
    world.command("unpause")
    world.settle(seconds=100)
    assert (world.status["weight"], world.status["desiredWeight"]) == (20, 50)
    assert waits(world)
    world.gateway_confirms = True
    world.settle()
    assert world.status["weight"] == 50


def test_promotion_by_hand_is_given_up_too(world: World) -> None:
    """A human's word stands in for metrics, not for a gateway."""
    world.release(progressDeadline="2m")
    old = world.first()
    world.canary()
    world.gateway_confirms = False
    world.command("promote", full=True)
    world.settle(seconds=119)
    assert waits(world)
    world.settle(seconds=2)
    expected = "DeadlineExceeded: not in force within 2m: the gateway to confirm weight 100"
    assert world.status["history"][-1]["message"] == expected
    assert world.route() == {old: 100}


def test_what_the_gateway_refuses_stands_in_the_history(world: World) -> None:
    """The reason is its own."""
    world.release(progressDeadline="2m")
    world.first()
    world.gateway_confirms = False
    world.train("2")
    world.settle()
    no = {"type": "ResolvedRefs", "status": "False", "reason": "RefNotPermitted", "message": "no grant"}
    world.cluster.set_status(HTTPROUTE, NAMESPACE, NAME, {"parents": [{"conditions": [no]}]})
    world.settle(seconds=2 * MINUTE)
    assert world.status["history"][-1]["message"].endswith("2m: the gateway says RefNotPermitted: no grant")


def test_restart_does_not_begin_the_time_anew(world: World) -> None:
    """It stands in the status."""
    world.release(progressDeadline="2m")
    world.first()
    world.gateway_confirms = False
    world.train("2")
    for _ in range(6):
        world.loop = Loop(ModelReleaseReconciler(), world.ports, jitter=lambda: 1.0)
        world.settle(seconds=20)
    world.settle(seconds=1)
    assert world.status["history"][-1]["outcome"] == "RolledBack"


def test_undo_is_not_given_up(world: World) -> None:
    """What would serve instead is what somebody wanted to be rid of."""
    world.release(progressDeadline="2m")
    old = world.first()
    world.canary()
    world.command("promote", full=True)
    world.settle(seconds=60)
    assert world.status["stable"]["version"] == "2"
    world.gateway_confirms = False
    world.command("undo", revision=old)
    world.settle(seconds=20 * MINUTE)
    assert world.route() == {old: 100}
    world.gateway_confirms = True
    world.settle(seconds=1)
    assert world.status["stable"]["revision"] == old


def test_first_version_is_not_given_up(world: World) -> None:
    """Nothing else could serve, and in a cluster that is built anew the gateway may come last."""
    world.release(progressDeadline="2m")
    world.gateway_confirms = False
    world.train("1")
    world.settle(seconds=20 * MINUTE)
    assert world.status["waitingFor"] == "the gateway"
    world.gateway_confirms = True
    world.settle(seconds=60)
    assert world.status["phase"] == "Promoted"

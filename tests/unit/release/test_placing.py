"""Weights made of numbers of servers: who is behind the Service, and that none leaves before another one serves."""

from typing import Any

import pytest

from modelops.api.kinds import DEPLOYMENT, HTTPROUTE, POD, SERVICE
from modelops.domain.release.placing import Servers, split
from modelops.domain.release.revision import selector_of
from tests.unit.release.world import NAME, NAMESPACE, World

MINUTE = {"analyze": {"duration": "30s"}}


def placed(replicas: int = 10, weights: tuple[int, ...] = (20, 50), **spec: Any) -> World:
    """Return a world without a gateway, in which version 1 serves."""
    steps = [step for weight in weights for step in ({"setWeight": weight}, MINUTE)]
    world = World()
    world.release(
        **{
            "traffic": {"mode": "replicas", "timeout": "5s"},
            "serving": {"runtime": "modelops", "replicas": replicas},
            "strategy": {"canary": {"steps": steps}},
            **spec,
        }
    )
    world.first()
    return world


@pytest.mark.parametrize(
    ("replicas", "weight", "expected"),
    [
        pytest.param(10, 20, Servers(8, 2), id="exact"),
        pytest.param(3, 10, Servers(3, 1), id="one more comes closer"),
        pytest.param(3, 33, Servers(2, 1), id="no more than are needed"),
        pytest.param(1, 5, Servers(1, 1), id="neither side is without"),
        pytest.param(1, 95, Servers(1, 1), id="nor stable"),
        pytest.param(2, 50, Servers(1, 1), id="half of two"),
        pytest.param(5, 100, Servers(0, 5), id="all"),
        pytest.param(5, 0, Servers(5, 0), id="none"),
        pytest.param(0, 30, Servers(0, 0), id="scaled to nothing"),
    ],
)
def test_split(replicas: int, weight: int, expected: Servers) -> None:
    """As close as whole servers come, with at most one more than are wanted."""
    assert split(replicas, weight) == expected


def test_canary_is_promoted_without_a_gateway() -> None:
    """Weights are shares of servers, and there is no route."""
    world = placed()
    stable = world.status["stable"]["revision"]
    canary = world.canary()
    assert world.behind() == world.scaled() == {stable: 8, canary: 2}
    assert world.status["weight"] == 20
    world.settle(seconds=45)
    assert world.behind() == {stable: 5, canary: 5}
    world.settle(seconds=120)
    assert world.status["phase"] == "Promoted"
    assert world.behind() == world.scaled() == {canary: 10}
    assert world.cluster.get(HTTPROUTE, NAMESPACE, NAME) is None


def test_weight_that_whole_servers_do_not_make_is_told() -> None:
    """10 % of three servers is one of four; the status says 25, and why."""
    world = placed(replicas=3, weights=(10, 50))
    world.servers_start = False
    world.train("2")
    world.settle()
    world.servers_start = True
    world.pass_()
    world.pass_()
    assert "servers for weight 25, the closest to 10" in world.status["waitingFor"]
    world.settle()
    assert world.status["desiredWeight"] == 10
    assert world.status["weight"] == 25
    assert any("weight 25, the closest to 10," in event.message for event in world.cluster.events)


def test_canary_has_its_servers_before_it_gets_requests() -> None:
    """While they start, all of stable's serve, alone."""
    world = placed()
    stable = world.status["stable"]["revision"]
    world.servers_start = False
    world.train("2")
    world.settle(seconds=30)
    assert world.behind() == {stable: 10}
    assert world.scaled() == {stable: 10, world.status["canary"]["revision"]: 2}
    assert world.status["weight"] == 0


def test_stable_gives_servers_up_only_for_ready_ones() -> None:
    """From 20 to 50 the canary's five come first; they are waited for at most until the deadline."""
    world = placed(progressDeadline="1m")
    stable, canary = world.status["stable"]["revision"], world.canary()
    world.settle(seconds=25)
    world.servers_start = False
    world.settle(seconds=30)
    assert world.status["desiredWeight"] == 50
    assert world.behind() == {stable: 8, canary: 2}
    assert world.scaled() == {stable: 8, canary: 5}
    world.settle(seconds=60)
    assert world.status["history"][-1]["message"].startswith("DeadlineExceeded")


def test_abort_makes_stable_whole_before_it_serves_alone() -> None:
    """Three servers would not carry what ten did; the canary's stay until the ten are ready."""
    world = placed(weights=(70,))
    stable, canary = world.status["stable"]["revision"], world.canary()
    world.servers_start = False
    world.command("abort")
    world.settle(seconds=5)
    assert world.status.get("canary") is None
    assert world.behind() == {stable: 3, canary: 7}
    assert world.scaled() == {stable: 10, canary: 7}
    assert "3 of 10 are ready" in world.status["waitingFor"]
    assert "but for what comes to servers that were given up" in world.reason("Ready")
    world.servers_start = True
    world.settle()
    assert world.behind() == {stable: 10}
    world.settle(seconds=30)
    assert world.deployments() == {stable}


def test_abort_does_not_wait_for_servers_that_cannot_come() -> None:
    """No room beside the canary's: what stable has serves, and the canary's go and make room."""
    world = placed(weights=(70,))
    stable = world.status["stable"]["revision"]
    world.canary()
    world.servers_start = False
    world.command("abort")
    world.pass_()
    pod = {
        "metadata": {"name": "price-x", "namespace": NAMESPACE, "labels": selector_of(NAME, stable)},
        "status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]},
    }
    world.cluster.put(POD, pod)
    world.settle(seconds=20)
    assert world.behind() == {stable: 3}
    world.settle(seconds=20)
    assert world.deployments() == {stable}


def test_newer_version_waits_until_the_service_is_stables_own() -> None:
    """Its servers would get requests, since the Service selects all that there are."""
    world = placed()
    stable, canary = world.status["stable"]["revision"], world.canary()
    world.servers_start = False
    world.train("3")
    world.settle(seconds=5)
    assert world.status["queuedVersion"] == "3"
    assert set(world.scaled()) == {stable, canary}
    world.servers_start = True
    world.settle(seconds=5)
    assert world.behind() == {stable: 10}
    world.settle(seconds=30)
    newer = world.status["canary"]["revision"]
    assert world.behind() == {stable: 8, newer: 2}


def test_failing_canary_loses_its_requests() -> None:
    """In the pass that found it stable is asked for all of its servers; then the canary has nothing."""
    world = placed()
    stable = world.status["stable"]["revision"]
    world.canary()
    world.answer(value=0.5)
    world.settle(seconds=30)
    assert world.status["history"][-1]["outcome"] == "RolledBack"
    assert world.behind() == {stable: 10}


def test_blue_green_moves_the_selector() -> None:
    """Both sides are whole; requests go to one of them, and back at once."""
    world = placed(
        replicas=3, strategy={"blueGreen": {"prePromotion": {"duration": "10s"}, "postPromotion": {"duration": "5m"}}}
    )
    stable = world.status["stable"]["revision"]
    world.train("2")
    world.settle()
    canary = world.status["canary"]["revision"]
    assert world.scaled() == {stable: 3, canary: 3}
    assert world.behind() == {stable: 3}
    world.settle(seconds=12)
    assert world.behind() == {canary: 3}
    assert world.status["weight"] == 100
    world.servers_start = False
    world.answer(value=0.2)
    world.settle(seconds=30)
    assert world.behind() == {stable: 3}


def test_canary_that_serves_alone_keeps_its_servers_until_stable_serves_too() -> None:
    """Steps that changed want 20 %; a third version's servers, which still drain, keep the selector on the canary."""
    world = placed(replicas=3, strategy={"blueGreen": {"postPromotion": {"duration": "10s"}}})
    stable = world.status["stable"]["revision"]
    for version in ("2", "3"):
        world.train(version)
        world.pass_()
    canary = world.status["canary"]["revision"]
    while world.behind() != {canary: 3}:
        world.pass_()
    world.release(strategy={"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}})
    world.pass_()
    assert len(world.deployments()) == 3
    assert world.behind() == {canary: 3}
    world.settle(seconds=30)
    assert world.behind() == {stable: 3, canary: 1}


def test_autoscaler_measures_what_gets_requests() -> None:
    """The scale subresource counts the servers behind the Service, and selects their pods."""
    world = placed()
    assert "revision=" in world.status["selector"]
    world.canary()
    assert world.status["replicas"] == 10
    assert world.status["selector"] == f"modelops.dev/release={NAME}"


def test_scaled_in_the_middle_keeps_the_weight() -> None:
    """An autoscaler's number is split anew: the side that gets more first."""
    world = placed()
    stable, canary = world.status["stable"]["revision"], world.canary()
    world.release(serving={"runtime": "modelops", "replicas": 20})
    world.settle()
    assert world.behind() == {stable: 16, canary: 4}
    world.release(serving={"runtime": "modelops", "replicas": 5})
    world.settle()
    assert world.behind() == {stable: 4, canary: 1}


def test_somebody_elses_service_is_left_alone() -> None:
    """The release says so, and touches nothing."""
    world = World()
    theirs = {"metadata": {"name": NAME, "namespace": NAMESPACE}, "spec": {"selector": {"app": "price"}}}
    world.cluster.put(SERVICE, theirs)
    world.release(traffic={"mode": "replicas"})
    world.train("1")
    world.settle()
    assert world.reason("Stalled").startswith("ServiceTaken: there is a Service price that this release did not make")
    service = world.cluster.get(SERVICE, NAMESPACE, NAME)
    assert service is not None
    assert service["spec"]["selector"] == {"app": "price"}
    assert not world.cluster.list(DEPLOYMENT, NAMESPACE)

    world.cluster.delete(SERVICE, NAMESPACE, NAME)
    world.settle(seconds=90)
    assert world.status["phase"] == "Promoted"


def test_rollback_window_gives_back_whole_servers() -> None:
    """The version before stays, whole, outside of the Service."""
    world = placed(rollbackWindow={"duration": "10m"})
    stable, canary = world.status["stable"]["revision"], world.canary()
    world.settle(seconds=120)
    assert world.status["phase"] == "Promoted"
    assert world.scaled() == {stable: 10, canary: 10}
    assert world.behind() == {canary: 10}

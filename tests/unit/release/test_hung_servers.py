"""Model servers that take their time over golden requests: no reconcile waits for them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from modelops.api.kinds import DEPLOYMENT, MODELRELEASE
from modelops.api.labels import LOCAL_ENDPOINTS
from modelops.ports import Answer, ModelServer
from modelops.reconcile.loop import Loop
from modelops.reconcile.modelrelease import ModelReleaseReconciler
from tests.support.fakes import FakeServers
from tests.unit.release.world import NAME, NAMESPACE, World

SMOKE = {"requests": [{"name": "any", "path": "/"}]}


class Slow(FakeServers):
    """Answers once it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    @contextmanager
    def at(self, address: str, *, within: timedelta) -> Iterator[ModelServer]:
        yield self

    def ask(self, path: str, body: bytes | None, timeout: timedelta, bearer: str = "") -> Answer:
        self.asked.append(path)
        self.go.wait(60)
        assert isinstance(self.answer, Answer)
        return self.answer


def slow() -> World:
    """Return a release whose servers are asked and do not answer yet."""
    world = World(servers=Slow())
    world.loop = Loop(ModelReleaseReconciler(), world.ports, jitter=lambda: 1.0)
    world.release(smokeTest=SMOKE)
    world.train("1")
    for _ in range(6):
        world.pass_()
    return world


def let_go(world: World, version: str) -> None:
    """Let the servers answer, and the threads that ask them hear of it, until a version serves."""
    assert isinstance(world.servers, Slow)
    world.servers.go.set()
    for _ in range(200):
        world.settle(1)
        if (world.status.get("stable") or {}).get("version") == version:
            return
        time.sleep(0.05)
    raise AssertionError(world.status)


def test_answers_are_taken_up_by_a_later_pass() -> None:
    """Each pass ends soon, says what it waits for and when to look again; the requests are sent once."""
    world = slow()
    try:
        begun = time.monotonic()
        outcome = world.pass_()
        assert time.monotonic() - begun < 5
        assert outcome.requeue_after == timedelta(seconds=1)
        assert (world.status["waitingFor"], world.servers.asked) == ("the smoke test", ["/"])
        assert world.rules() == []
    finally:
        let_go(world, "1")
    assert world.servers.asked == ["/"]


def test_answers_of_another_revision_or_test_count_for_nothing() -> None:
    """What was under way when another one came is asked anew."""
    world = slow()
    world.release(smokeTest={"requests": [{"name": "any", "path": "/other"}]})
    world.pass_()
    world.train("2")
    world.settle(3)
    let_go(world, "2")
    assert world.servers.asked == ["/", "/other", "/other"]


def test_next_operator_sends_what_was_under_way_again() -> None:
    """Nothing is remembered of it but in the status."""
    world = slow()
    world.loop = Loop(ModelReleaseReconciler(), world.ports, jitter=lambda: 1.0)
    let_go(world, "1")
    assert world.servers.asked == ["/", "/"]


def test_release_that_goes_while_it_is_tested_leaves_the_next_alone() -> None:
    """Of the same name, without a smoke test."""
    world = slow()
    world.cluster.delete(MODELRELEASE.resource, NAMESPACE, NAME)
    assert world.pass_().gone
    world.release()
    let_go(world, "1")


def test_local_home_says_where_servers_are() -> None:
    """In the annotation of their Deployment; on a cluster nobody heeds that: a tenant may write it."""
    world = World()
    for how, asked in (("annotation", "127.0.0.1:4711/"), ("service", "10.0.0.")):
        settings = world.ports.settings.model_copy(update={"server_addresses": how})
        world.loop = Loop(
            ModelReleaseReconciler(patience=60), replace(world.ports, settings=settings), jitter=lambda: 1.0
        )
        world.release(smokeTest=SMOKE, serving={"runtime": "modelops", "replicas": 1 + (how == "service")})
        world.servers_start = False
        world.train("1" if how == "annotation" else "2")
        world.settle(1)
        for deployment in world.cluster.list(DEPLOYMENT, NAMESPACE):
            name = deployment["metadata"]["name"]
            world.cluster.annotate(DEPLOYMENT, NAMESPACE, name, **{LOCAL_ENDPOINTS: "127.0.0.1:4711,127.0.0.1:4712"})
        world.servers_start = True
        world.settle(2)
        assert world.servers.asked[-1].startswith(asked)
        if how == "annotation":
            assert world.status["phase"] == "Promoted"


def test_nobody_noted_is_nobody_to_ask() -> None:
    """No verdict comes of it."""
    world = World()
    settings = world.ports.settings.model_copy(update={"server_addresses": "annotation"})
    world.loop = Loop(ModelReleaseReconciler(patience=60), replace(world.ports, settings=settings), jitter=lambda: 1.0)
    world.release(smokeTest=SMOKE)
    world.train("1")
    world.settle(30)
    assert world.status["waitingFor"] == "the smoke test: its servers cannot be reached: they have no address"

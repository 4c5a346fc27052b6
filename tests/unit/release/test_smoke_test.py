"""The smoke test: golden requests that a new revision answers before it gets any of the users'."""

import json
from typing import Any

import pytest

from modelops.api.kinds import SERVICE
from modelops.errors import Stalled, Transient
from modelops.ports import Answer
from modelops.reconcile.loop import Loop
from modelops.reconcile.modelrelease import ModelReleaseReconciler
from tests.support.fakes import FakeServers
from tests.unit.release.world import NAME, NAMESPACE, STEPS, World

GOLDEN = {"name": "flat", "body": {"inputs": [1]}, "expect": "body.price > 100"}
SMOKE = {"requests": [GOLDEN], "repeat": 3, "maxLatency": "200ms"}
AWAY = Transient("ServerUnreachable", "price:80: Connection refused")
SILENT = Transient("NoAnswer", "no answer within 10 s")
STRATEGIES: dict[str, dict[str, Any]] = {
    "canary": {"canary": {"steps": STEPS}},
    "linear": {"linear": {"stepWeight": 40, "every": "20s"}},
    "blueGreen": {"blueGreen": {"prePromotion": {"duration": "20s"}, "postPromotion": {"duration": "20s"}}},
    "direct": {"direct": {}},
    "abTest": {"abTest": {"match": [{"header": "X-A", "exact": "a"}], "duration": "20s"}},
    "shadow": {"shadow": {"duration": "20s", "promote": True}},
}


def answer(price: float, *, status: int = 200, seconds: float = 0.01) -> Answer:
    """Return what a model server says."""
    return Answer(status, json.dumps({"price": price}).encode(), seconds)


@pytest.fixture
def world() -> World:
    """Give a release with a smoke test whose servers answer it well."""
    found = World(servers=FakeServers(answer(120)))
    found.release(smokeTest=SMOKE)
    return found


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_good_model_is_tested_once_and_goes_its_way(world: World, strategy: dict[str, Any]) -> None:
    """Before anything else, whatever the strategy; each request as often as it says, and not again after a restart."""
    world.release(strategy=strategy)
    world.first()
    first, world.servers.asked = [*world.servers.asked], []
    world.train("2")
    world.settle()
    world.answer()
    world.loop = Loop(ModelReleaseReconciler(patience=60), world.ports, jitter=lambda: 1.0)
    world.settle(600)
    assert world.status["phase"] == "Promoted", world.status
    revision = world.status["stable"]["revision"]
    service = world.cluster.get(SERVICE, NAMESPACE, f"{NAME}-{revision}")
    assert service is not None
    asked = f"{service['spec']['clusterIP']}/v2/models/{NAME}/infer"
    assert world.servers.asked == [f'{asked} {{"inputs": [1]}}'] * 3
    assert len(first) == 3
    test = world.status["smokeTest"]
    assert (test["outcome"], test["requests"]) == (
        "Passed",
        [{"name": "flat", "ok": True, "latency": 0.01, "message": ""}],
    )
    assert sum(event.reason == "SmokeTestPassed" for event in world.cluster.events) == 2


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_model_with_a_wrong_golden_answer_never_gets_a_request(world: World, strategy: dict[str, Any]) -> None:
    """It is rolled back by the first wrong answer, and the history says what was asked, expected, and came."""
    world.release(strategy=strategy)
    old = world.first()
    world.servers.answer = answer(99)
    world.servers.asked.clear()
    world.train("2")
    world.settle(600)
    assert {tuple(route) for route in world.weights} == {(old,)}
    assert len(world.rules()) == 1
    assert len(world.servers.asked) == 1
    record = world.status["history"][-1]
    words = 'SmokeTestFailed: flat: expected body.price > 100, got status 200: {"price": 99}'
    assert (record["outcome"], record["message"]) == ("RolledBack", words)
    assert world.reason("Degraded").startswith("SmokeTestFailed: ")
    assert world.status["stable"]["revision"] == old
    assert world.deployments() == {old}


def test_first_version_that_fails_never_gets_the_route(world: World) -> None:
    """There is still no stable, and the next one is again first, with a test of its own."""
    world.servers.answer = answer(99)
    world.train("1")
    world.settle(600)
    assert (world.rules(), world.status["phase"], world.status.get("stable")) == ([], "Degraded", None)
    assert world.reason("Ready").startswith("Degraded: nothing serves; version 1: SmokeTestFailed: flat")
    world.servers.answer = answer(120)
    world.train("2")
    world.settle(60)
    assert world.status["history"][-1]["message"].startswith("Initial")
    assert world.status["stable"]["version"] == "2"
    assert world.status["smokeTest"]["outcome"] == "Passed"


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        pytest.param(SILENT, "flat: no answer within 10 s", id="silent"),
        pytest.param(answer(99, status=503), "flat: expected body.price > 100, got status 503", id="5xx"),
        pytest.param(
            answer(120, seconds=0.3), "flat: the slowest of 3 answers took 300 ms, maxLatency is 200ms", id="slow"
        ),
    ],
)
def test_what_may_be_one_of_starting_is_tried_again(world: World, bad: Any, words: str) -> None:
    """Up to failureLimit times; one more rolls back. When it is over in time, nothing is lost."""
    old = world.first()
    world.servers.answer = bad
    world.train("2")
    world.settle(6)
    assert world.status["smokeTest"]["failures"] == 2
    assert words in world.status["waitingFor"]
    world.servers.answer = answer(120)
    world.settle(5)
    assert world.status["smokeTest"]["outcome"] == "Passed"
    assert world.route()[old] == 80

    world.servers.answer = bad
    world.train("3")
    world.settle(30)
    record = world.status["history"][-1]
    assert (record["version"], record["outcome"]) == ("3", "RolledBack")
    assert words in record["message"]
    repeated = [event.message for event in world.cluster.events if event.reason == "SmokeTestRepeated"]
    assert repeated[-1].endswith("test 3 of 3 follows")


def test_servers_that_cannot_be_reached_are_no_verdict(world: World) -> None:
    """The network between operator and servers may be to blame: it waits, at most for progressDeadline."""
    old = world.first()
    world.servers.answer = AWAY
    world.train("2")
    world.settle(300)
    assert world.status["smokeTest"]["failures"] == 0
    assert world.status["waitingFor"] == ("the smoke test: its servers cannot be reached: price:80: Connection refused")
    world.servers.answer = answer(120)
    world.settle(10)
    assert world.status["weight"] == 20

    world.servers.answer = AWAY
    world.train("3")
    world.settle(700)
    message = world.status["history"][-1]["message"]
    assert message.startswith("DeadlineExceeded: no smoke test within 10m: its servers cannot be reached")
    assert world.reason("Degraded").startswith("DeadlineExceeded")
    assert world.route() == {old: 100}


def test_step_says_when_the_requests_are_sent(world: World) -> None:
    """Not before it: here after an approval. The weights come after it."""
    steps = [{"setCanaryScale": {"replicas": 1}}, {"approve": {}}, {"smokeTest": {}}, *STEPS]
    world.release(strategy={"canary": {"steps": steps}}, serving={"runtime": "modelops", "replicas": 2})
    old = world.first()
    world.servers.asked.clear()
    world.train("2")
    world.settle(60)
    assert (world.status["phase"], world.servers.asked) == ("Paused", [])
    world.servers.answer = SILENT
    world.command("promote")
    world.settle(1)
    assert (world.status["step"], len(world.servers.asked)) == (2, 1)
    assert world.route() == {old: 100}
    world.servers.answer = answer(120)
    world.settle(10)
    assert world.status["weight"] == 20


def test_other_requests_are_asked_anew_until_there_is_traffic(world: World) -> None:
    """A changed smoke test counts from its beginning; once users ask the canary it is too late for one."""
    world.release(strategy={"canary": {"steps": [{"pause": {}}, *STEPS]}})
    world.first()
    world.train("2")
    world.settle(1)
    digest = world.status["smokeTest"]["digest"]
    world.servers.asked.clear()
    world.release(smokeTest={**SMOKE, "repeat": 2})
    world.settle(1)
    assert len(world.servers.asked) == 2
    assert world.status["smokeTest"]["digest"] != digest

    world.command("promote")
    world.settle(1)
    assert world.status["weight"] == 20
    world.servers.asked.clear()
    world.release(smokeTest={**SMOKE, "repeat": 1})
    world.settle(20)
    assert world.servers.asked == []
    assert world.status["phase"] == "Analyzing"


def test_smoke_test_that_is_taken_out_is_not_waited_for(world: World) -> None:
    """Nor does the status speak of it any more."""
    world.first()
    world.servers.answer = AWAY
    world.train("2")
    world.settle(20)
    assert world.status["smokeTest"]["outcome"] == "Running"
    world.release(smokeTest=None)
    world.settle(5)
    assert (world.status["weight"], world.status.get("smokeTest")) == (20, None)


def test_route_that_changed_steps_bring_waits_for_the_smoke_test(world: World) -> None:
    """Whatever comes under a canary on its way, golden requests come first."""
    steps = [{"bake": {"duration": "5s"}}, {"approve": {}}, *STEPS]
    world.release(strategy={"canary": {"steps": steps}}, smokeTest=None)
    world.first()
    world.train("2")
    world.settle(20)
    assert world.status["step"] == 1
    world.servers.answer = AWAY
    route = {"setHeaderRoute": {"name": "a", "match": [{"header": "X-A", "exact": "a"}]}}
    world.release(strategy={"canary": {"steps": [route, {"approve": {}}, *STEPS]}}, smokeTest=SMOKE)
    world.settle(20)
    assert len(world.rules()) == 1
    assert world.status["waitingFor"].startswith("the smoke test: ")
    world.servers.answer = answer(120)
    world.settle(20)
    assert len(world.rules()) == 2
    assert world.status["phase"] == "Paused"


def test_what_is_known_or_commanded_is_not_tested(world: World) -> None:
    """Undo brings back what was proven, and `promote --full` is a human's word."""
    old = world.first()
    world.servers.answer = AWAY
    world.train("2")
    world.settle(20)
    world.command("promote", full=True)
    world.settle(20)
    assert world.status["stable"]["version"] == "2"
    world.servers.asked.clear()
    world.command("undo", revision=old)
    world.settle(20)
    assert world.status["stable"]["revision"] == old
    assert world.servers.asked == []


def test_canary_is_asked_once_its_servers_are_ready(world: World) -> None:
    """And a canary that loses them is asked once they are back."""
    world.first()
    world.servers.asked.clear()
    world.servers_start = False
    world.train("2")
    world.settle(60)
    assert world.servers.asked == []
    assert "servers of version 2" in world.status["waitingFor"]
    world.servers_start = True
    world.settle(60)
    assert len(world.servers.asked) == 3


def test_retry_tests_again(world: World) -> None:
    """What failed is held back until a human says so."""
    world.first()
    world.servers.answer = answer(99)
    world.train("2")
    world.settle(60)
    world.servers.answer = answer(120)
    world.settle(600)
    assert world.status["phase"] == "Degraded"
    world.command("retry")
    world.settle(20)
    assert world.status["weight"] == 20


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        pytest.param(b"# HELP x\nprocess_resident_memory_bytes 1.048576e+08\n", "", id="within"),
        pytest.param(
            b'process_resident_memory_bytes{a="b"} 3e+08\n', "286 MiB of memory, maxMemory is 200Mi", id="above"
        ),
        pytest.param(b"other 1\n", "does not tell process_resident_memory_bytes", id="untold"),
        pytest.param(b"process_resident_memory_bytes NaN\n", "does not tell", id="no number"),
        pytest.param(b"process_resident_memory_bytes 1e300\n", "does not tell", id="no memory has that"),
        pytest.param(b"process_resident_memory_bytes 1e99e\n", "does not tell", id="no number at all"),
    ],
)
def test_memory_is_what_the_server_says_of_itself(metrics: bytes, words: str) -> None:
    """One that does not say it cannot pass a bound."""
    world = World(servers=FakeServers(Answer(200, metrics, 0.01)))
    world.release(smokeTest={"requests": [{"name": "any", "path": "/ping"}], "maxMemory": "200Mi"})
    world.train("1")
    world.settle(60)
    assert world.servers.asked[-1].startswith("10.0.0.")
    assert world.servers.asked[-1].endswith("/metrics")
    record = world.status["history"][-1]
    assert (record["outcome"] == "Promoted") == (words == "")
    assert words in record["message"]
    if not words:
        assert world.status["smokeTest"]["memory"] == 104857600


@pytest.mark.parametrize(
    ("came", "words"),
    [
        pytest.param(
            Answer(200, b"<html>", 0.01), "cannot be evaluated on this answer, got status 200: <html>", id="text"
        ),
        pytest.param(Answer(200, b"\x00\xff\x1b[31m", 0.01), "got status 200: ?\ufffd?[31m", id="bytes"),
        pytest.param(Answer(302, b"", 0.01), "got status 302: ", id="redirect"),
        pytest.param(Answer(200, b'"' + b"x" * 900 + b'"', 0.01), "x…", id="long"),
        pytest.param(
            Stalled("AnswerTooLarge", "the answer is larger than 64 KiB"), "larger than 64 KiB", id="too large"
        ),
    ],
)
def test_whatever_comes_is_told_in_one_short_line(world: World, came: Any, words: str) -> None:
    """At once: no such answer is one of starting."""
    world.servers.answer = came
    world.train("1")
    world.settle(2)
    message = world.status["history"][-1]["message"]
    assert words in message
    assert len(message) < 400
    assert message.isprintable() or "\ufffd" in message


def test_clock_that_was_set_back_keeps_no_test_waiting(world: World) -> None:
    """The next one follows after its few seconds."""
    world.first()
    world.servers.answer = SILENT
    world.train("2")
    world.settle(1)
    world.clock.advance(seconds=-3600)
    world.servers.answer = answer(120)
    world.settle(10)
    assert world.status["weight"] == 20


@pytest.mark.parametrize(
    ("service", "asked"),
    [
        pytest.param({"clusterIP": "fd00::1"}, "[fd00::1]/", id="IPv6"),
        pytest.param({"type": "ExternalName", "externalName": "metadata.internal", "clusterIP": ""}, "", id="a name"),
        pytest.param({"clusterIP": "None"}, "", id="headless"),
    ],
)
def test_operator_goes_where_the_service_is_and_nowhere_else(world: World, service: dict[str, str], asked: str) -> None:
    """Whoever may change a Service does not get the operator's requests sent to another host."""
    world.servers_start = False
    world.train("1")
    world.settle(1)
    (found,) = world.cluster.list(SERVICE, NAMESPACE)
    world.cluster.put(SERVICE, {**found, "spec": {**found["spec"], **service}})
    world.servers_start = True
    world.settle(10)
    assert [one[: len(asked)] for one in world.servers.asked] == [asked] * (3 if asked else 0)
    assert asked or world.status["waitingFor"].endswith("they have no address")


def test_mlflow_is_asked_where_it_answers() -> None:
    """It has no /v2."""
    world = World(servers=FakeServers(answer(120)))
    world.release(serving={"runtime": "mlflow"}, smokeTest={"requests": [GOLDEN]})
    world.first()
    assert world.servers.asked[0] == '10.0.0.0/invocations {"inputs": [1]}'

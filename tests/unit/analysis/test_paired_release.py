"""Shadow releases judged by answer-difference, whole: which servers are asked how, and what comes of what they say."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from modelops.api.kinds import CONTROLLERREVISION, DEPLOYMENT, MODELRELEASE, SERVICE
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.domain.analysis.verdicts import Reading
from modelops.domain.release.replay import play
from modelops.domain.release.revision import ANSWERS_KEY, answers_key
from modelops.errors import ModelopsError, Stalled, Transient
from modelops.ports import Answer, ModelServer
from tests.support.fakes import FakeServers
from tests.unit.analysis.playing import ticks
from tests.unit.release.world import NAME, NAMESPACE, World

DIFFERENCE = {"name": "same", "builtin": "answer-difference", "thresholdRange": {"max": 0.1}}
SHADOW = {"shadow": {"percent": 100, "duration": "30s", "promote": True}}
Said = Mapping[str, float] | ModelopsError | Answer
"""What a server answered to requests; or what comes when it is asked for that."""


@dataclass
class Asked(FakeServers):
    """Servers that say what they answered; of several of one side, each is asked in turn."""

    world: World | None = None
    sides: dict[str, list[Said]] = field(default_factory=dict)
    """Of canary and stable, a list of servers."""
    shown: list[str] = field(default_factory=list)
    """Every key that was brought."""
    turns: Iterator[int] = field(default_factory=count)

    @contextmanager
    def at(self, address: str, *, within: timedelta) -> Iterator[ModelServer]:
        yield _Server(self, address)


@dataclass
class _Server:
    asked: Asked
    address: str

    def ask(self, path: str, body: bytes | None, timeout: timedelta, bearer: str = "") -> Answer:
        assert (path, body) == ("/answers", None)
        self.asked.shown.append(bearer)
        world = self.asked.world
        assert world is not None
        services = {
            one["spec"].get("clusterIP"): one["metadata"]["name"] for one in world.cluster.list(SERVICE, NAMESPACE)
        }
        side = next(
            one for one in ("canary", "stable") if services[self.address].endswith(world.status[one]["revision"])
        )
        number = next(self.asked.turns) % len(self.asked.sides[side])
        found = self.asked.sides[side][number]
        if isinstance(found, ModelopsError):
            raise found
        if isinstance(found, Answer):
            return found
        answers = [(name, [value]) for name, value in found.items()]
        return says({"server": f"{side}-{number}", "unnamed": 0, "answers": answers})


def says(told: Any) -> Answer:
    return Answer(200, json.dumps(told).encode(), 0.01)


def same(number: int, value: float = 1.0) -> dict[str, float]:
    """Return answers to so many requests."""
    return {f"{name:016x}": value for name in range(number)}


def world(strategy: dict[str, Any] = SHADOW, **more: Any) -> tuple[World, Asked]:
    """Return a release with a stable version, before its canary."""
    servers = Asked()
    found = World(servers=servers)
    servers.world = found
    found.release(strategy=strategy, analysis={"interval": "10s", "warmUp": "5s", "metrics": [DIFFERENCE | more]})
    found.first()
    return found, servers


def judged(
    canary: Said | list[Said],
    stable: Said | list[Said],
    seconds: float = 60,
    strategy: dict[str, Any] = SHADOW,
    **more: Any,
) -> World:
    """Return a release after a canary's time in the shadow, or with another strategy."""
    found, servers = world(strategy, **more)
    servers.sides = {
        side: said if isinstance(said, list) else [said] for side, said in (("canary", canary), ("stable", stable))
    }
    found.train("2")
    found.settle(seconds=seconds)
    return found


def last(found: World) -> dict[str, Any]:
    return dict(found.status["analysis"][0]["measurements"][-1])


def test_answers_that_differ_too_often_roll_back() -> None:
    """The history says how often, of how many, and by how much."""
    found = judged({**same(40), f"{0:016x}": 2.0, **{f"{n:016x}": 3.0 for n in range(35, 40)}}, same(80))
    record = found.status["history"][-1]
    assert record["outcome"] == "RolledBack"
    assert record["message"] == (
        "same is 0.15 against ≤ 0.1, of 40 requests that both answered; "
        "numbers are 0.275 apart on average (canary - stable: +0.275)"
    )


def test_answers_that_hardly_differ_are_promoted() -> None:
    """What is tolerated is the same; at weight 100 nobody is asked any more."""
    found = judged({**same(40), f"{0:016x}": 2.0}, same(40), 20)
    assert (last(found)["value"], last(found)["samples"]) == (0.025, 40)
    servers = found.servers
    assert isinstance(servers, Asked)
    found.settle(seconds=60)
    assert found.status["history"][-1]["outcome"] == "Promoted"
    assert "same 0.025 against ≤ 0.1, of 40 requests" in found.status["history"][-1]["message"]
    asked = len(servers.shown)
    found.settle(seconds=60)
    assert len(servers.shown) == asked


@pytest.mark.parametrize(("answers", "outcome"), [(1.0, "Promoted"), (2.0, "RolledBack")])
def test_blue_green_is_judged_before_the_switch(answers: float, outcome: str) -> None:
    """By copies; after the switch there are none, and nobody waits for any."""
    strategy = {"blueGreen": {"prePromotion": {"duration": "30s", "mirror": 100}}}
    found = judged(same(40, answers), same(40), 120, strategy)
    assert found.status["history"][-1]["outcome"] == outcome


def test_tolerance_is_the_metric_s() -> None:
    """By so much a number may differ."""
    assert judged(same(40, 1.5), same(40), tolerance=0.5).status["history"][-1]["outcome"] == "Promoted"
    assert judged(same(40, 1.5), same(40), tolerance=0.4).status["history"][-1]["outcome"] == "RolledBack"


def test_key_is_that_of_the_pods() -> None:
    """Both revisions' servers find it in their environment; it comes from the release's uid, which it does not show."""
    found = judged(same(40), same(40), 20)
    uid = found.cluster.get(MODELRELEASE.resource, NAMESPACE, NAME)["metadata"]["uid"]  # type: ignore[index]
    servers = found.servers
    assert isinstance(servers, Asked)
    assert set(servers.shown) == {answers_key(uid)}
    for deployment in found.cluster.list(DEPLOYMENT, NAMESPACE):
        env = {one["name"]: one.get("value") for one in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}
        assert env[ANSWERS_KEY] == answers_key(uid)
        assert uid not in json.dumps(env)


def test_revision_from_before_keeps_its_template() -> None:
    """Nothing restarts for a variable; that its servers keep no answers is said, with what to do."""
    found, servers = world()
    (record,) = found.cluster.list(CONTROLLERREVISION, NAMESPACE)
    (deployment,) = found.cluster.list(DEPLOYMENT, NAMESPACE)
    for template in (record["data"]["template"], deployment["spec"]["template"]):
        container = template["spec"]["containers"][0]
        container["env"] = [one for one in container["env"] if one["name"] != ANSWERS_KEY]
    found.cluster.put(CONTROLLERREVISION, record)
    found.cluster.put(DEPLOYMENT, deployment)
    servers.sides = {"canary": [same(40)], "stable": [Answer(404, b"404: Not Found", 0.01)]}
    found.train("2")
    found.settle(seconds=60)
    assert found.cluster.get(DEPLOYMENT, NAMESPACE, deployment["metadata"]["name"])["spec"] == deployment["spec"]  # type: ignore[index]
    assert last(found)["verdict"] == "NoData"
    assert last(found)["message"].startswith("0 of 20 samples: stable: its servers keep no answers")
    assert "set dryRun on this metric" in last(found)["message"]
    assert found.status["canary"]["version"] == "2"


@pytest.mark.parametrize(
    ("canary", "stable", "verdict", "said"),
    [
        pytest.param(same(19), same(40), "NoData", "19 of 20 samples", id="few"),
        pytest.param({}, same(40), "NoData", "0 of 20 samples", id="canary is slow or begins anew"),
        pytest.param({"a": 1.0}, same(40), "NoData", "0 of 20 samples", id="nothing in common"),
        pytest.param(
            same(40),
            says({"server": "s", "unnamed": 70, "answers": []}),
            "NoData",
            "requests come without x-request-id",
            id="no ids",
        ),
        pytest.param(Answer(404, b"", 0.01), same(40), "NoData", "canary: its servers keep no answers", id="old image"),
        pytest.param(Answer(503, b"", 0.01), same(40), "Error", "canary: a server says HTTP 503", id="503"),
        pytest.param(same(40), Answer(302, b"", 0.01), "Error", "stable: a server says HTTP 302", id="elsewhere"),
        pytest.param(same(40), Answer(200, b"<html>", 0.01), "Error", "stable: what a server says", id="nonsense"),
        pytest.param(
            Stalled("AnswerTooLarge", "the answer is larger than 64 KiB"), same(40), "Error", "64 KiB", id="large"
        ),
        pytest.param(same(40), Transient("NoAnswer", "no answer in 2 s"), "Error", "stable: no answer", id="hangs"),
    ],
)
def test_what_is_missing_is_no_verdict(canary: Said, stable: Said, verdict: str, said: str) -> None:
    """Nothing is promoted by it, and nothing rolled back."""
    found = judged(canary, stable, 50)
    assert last(found)["verdict"] == verdict
    assert said in last(found)["message"]
    assert found.status["canary"]["version"] == "2"


def test_all_servers_of_a_side_are_asked() -> None:
    """A Service leads to any of them, so it is asked until as many have answered as are ready."""
    found, servers = world()
    found.release(serving={"runtime": "modelops", "replicas": 3})
    found.settle()
    parts: list[Said] = [dict(list(same(60).items())[number::3]) for number in range(3)]
    servers.sides = {"canary": [same(60), {}, {}], "stable": parts}
    found.train("2")
    found.settle(seconds=20)
    assert last(found)["samples"] == 60


@pytest.mark.parametrize("steps", [20, 50])
def test_steps_without_copies_do_not_wait_for_it(steps: int) -> None:
    """After setMirror has ended, the weights are judged by the other metrics."""
    moves = [
        {"setMirror": {"percent": 100}},
        {"analyze": {"duration": "20s"}},
        {"setMirror": {"percent": 0}},
        {"setWeight": steps},
        {"analyze": {"duration": "20s"}},
    ]
    found = judged(same(40), same(40), 25, strategy={"canary": {"steps": moves}})
    servers = found.servers
    assert isinstance(servers, Asked)
    asked = len(servers.shown)
    assert asked > 0
    found.settle(seconds=300)
    assert found.status["history"][-1]["outcome"] == "Promoted"
    assert len(servers.shown) - asked <= 4


def test_steps_that_change_take_a_canary_back_to_its_copies() -> None:
    """Steps cut short under it count as done, the copies among them that it never got: it gets them, and a verdict."""
    bakes = [{"bake": {"duration": "5s"}}, {"bake": {"duration": "5s"}}, {"bake": {"duration": "5s"}}]
    copies = [{"setMirror": {"percent": 100}}, {"analyze": {"duration": "20s"}}, {"setMirror": {"percent": 0}}]
    found = judged(same(40), same(40), strategy={"canary": {"steps": [*bakes, {"approve": {}}, *copies]}})
    assert found.status["waitingFor"].startswith("approval")
    found.release(strategy={"canary": {"steps": [*copies]}})
    found.settle(seconds=10)
    assert (found.status["desiredWeight"], found.status["routing"]["mirrorPercent"]) == (0, 100)
    found.settle(seconds=120)
    assert found.status["history"][-1]["outcome"] == "Promoted"
    assert "same 0 against ≤ 0.1, of 40 requests" in found.status["history"][-1]["message"]


def test_replay() -> None:
    """`modelops analyze` takes it as any other number; where there are no copies it says so."""
    steps = [
        {"setMirror": {"percent": 100}},
        {"analyze": {"duration": "20s"}},
        {"setMirror": {"percent": 0}},
        {"setWeight": 50},
        {"analyze": {"duration": "20s"}},
    ]
    spec = ModelReleaseSpec.model_validate(
        {
            "model": {"name": "price", "version": "2"},
            "strategy": {"canary": {"steps": steps}},
            "analysis": {"interval": "5s", "warmUp": "0s", "metrics": [DIFFERENCE | {"name": "m"}]},
        }
    )
    good = play("price", spec, ticks(0.02, more=20))
    assert good.outcome == "Promoted"
    assert good.ticks[0].metrics["m"].reason == "0.02 against ≤ 0.1"
    assert any("not counted: the canary gets no copies" in tick.metrics["m"].reason for tick in good.ticks)
    bad = play("price", spec, ticks(Reading(values=(0.2,), samples=50), more=20))
    assert (bad.outcome, bad.reason) == ("RolledBack", "m is 0.2 against ≤ 0.1")
    few = play("price", spec, ticks(Reading(values=(0.2,), samples=5), more=20))
    assert few.outcome == "Holding"

"""Every kind of step, linear, direct and blueGreen on a real Envoy and Prometheus, with customers at the door."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from examples.demo.program import Program
from examples.demo.traffic import Customers
from mlflow import MlflowClient

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import DEPLOYMENT, MODELRELEASE
from tests.support import tiny
from tests.support.load import Load
from tests.support.operators import until

TINY = Path(__file__).parents[1] / "support" / "tiny_server.py"
TESTERS = [{"header": "X-Tester", "exact": "1"}]
GOLDEN = {"requests": [{"name": "ready", "path": "/infer", "body": {}, "expect": "body.model_version != ''"}]}
POST = {"postPromotion": {"duration": "4s"}}
pytestmark = [pytest.mark.slow, pytest.mark.local, pytest.mark.timeout(240)]


class House:
    """A home with three registered versions of one model, the third of which only fails."""

    def __init__(self, directory: Path) -> None:
        self.program = Program(directory / "state")

    def __enter__(self) -> Self:
        self.program.must("local", "up", "--detach", timeout=200)
        self.client = KubeClient.from_kubeconfig(str(self.program.state_dir / "kubeconfig"), context="local")
        registry = MlflowClient(tracking_uri=self.program.endpoints()["mlflow"])
        tiny.register(registry, 3)
        return self

    def __exit__(self, *_: object) -> None:
        self.program.run("local", "down", timeout=90)

    def release(self, name: str, strategy: dict[str, Any], *, version: str = "1", **more: Any) -> Customers:
        """Have a first version, and wait until its fate is settled; return customers who ask for the release."""
        container = {
            "name": "server",
            "image": "tiny",
            "command": [sys.executable, str(TINY)],
            # A server that goes while others stay is asked until the gateway knows.
            "env": [{"name": "BAD", "value": "3"}, {"name": "DRAIN", "value": "2"}],
            "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": "http"}, "periodSeconds": 1},
        }
        metric = {"name": "success-rate", "builtin": "success-rate", "thresholdRange": {"min": 0.95}, "minSamples": 5}
        spec = {
            "model": {"name": "tiny", "version": version, "promotedAlias": f"serves-{name}"},
            "serving": {"runtime": "custom", "podTemplate": {"spec": {"containers": [container]}}},
            "traffic": {"hostnames": [f"{name}.example.com"], "timeout": "3s"},
            "strategy": strategy,
            "analysis": {"interval": "1s", "warmUp": "1s", "metrics": [metric]},
            **more,
        }
        self.client.apply(MODELRELEASE.resource, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})
        self.until(name, version)
        return Customers(f"{self.program.endpoints()['gateway']}/infer", f"{name}.example.com", [{}], rate=30)

    def want(self, name: str, version: str) -> None:
        """Have another version."""
        patch = {"spec": {"model": {"version": version}}}
        self.client.merge_patch(MODELRELEASE.resource, "default", name, patch)

    def status(self, name: str) -> dict[str, Any]:
        """Return a release's status."""
        return (self.client.get(MODELRELEASE.resource, "default", name) or {}).get("status") or {}

    def until(self, name: str, version: str, phase: str = "", **more: Any) -> dict[str, Any]:
        """Wait until a version's fate is settled, or it is in a phase with such a status; return record or status."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            status = self.status(name)
            at = (status.get("phase"), (status.get("canary") or {}).get("version"))
            if at == (phase, version) and all(status.get(key) == value for key, value in more.items()):
                return status
            last = (status.get("history") or [{}])[-1]
            if not phase and last.get("version") == version:
                return dict(last)
            time.sleep(0.05)
        raise AssertionError(self.status(name))

    def servers(self, name: str) -> int:
        """Return how many revisions of a release have servers."""
        found = self.client.list(DEPLOYMENT, "default")
        return sum(one["metadata"]["name"].startswith(f"{name}-") for one in found)

    def routing(self, name: str) -> tuple[int, list[str]]:
        """Return the percentage of requests that are copied, and the header routes in force."""
        found = self.status(name).get("routing") or {}
        return found.get("mirrorPercent", 0), found.get("headerRoutes", [])

    def replicas(self, name: str, revision: str) -> int:
        """Return how many servers a revision is to have."""
        found = self.client.get(DEPLOYMENT, "default", f"{name}-{revision}") or {}
        return int(found["spec"]["replicas"])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("strategies")) as found:
        yield found


def test_blue_green_switches_at_once_and_back_at_once(house: House) -> None:
    """Version 2 is judged at 100 % and promoted; version 3 fails there, and the old servers answer the next request."""
    with house.release("green", {"blueGreen": {"prePromotion": {"duration": "2s"}, **POST}}) as customers:
        house.want("green", "2")
        status = house.until("green", "2", "Baking")
        assert (status["weight"], customers.answers[200, "2"]) == (0, 0)
        status = house.until("green", "2", "Analyzing")
        assert (status["weight"], status["stable"]["version"], house.servers("green")) == (100, "1", 2)
        record = house.until("green", "2")
        assert (record["outcome"], "success-rate 1" in record["message"]) == ("Promoted", True)

        house.want("green", "3")
        record = house.until("green", "3")
        assert record["outcome"] == "RolledBack", record
        assert house.status("green")["stable"]["version"] == "2"
        time.sleep(2)
        failed = customers.answers[500, ""]
        time.sleep(2)
        assert customers.answers[500, ""] == failed > 0
    refused = {answer: count for answer, count in customers.answers.items() if answer[0] not in (200, 500)}
    assert not refused
    assert set(customers.answers) == {(200, "1"), (200, "2"), (500, "")}


def test_blue_green_is_judged_by_copies_before_any_user_is_switched(house: House) -> None:
    """Version 2 answers the copies well and takes over; version 3 only fails, and no customer ever meets it."""
    strategy = {"blueGreen": {"prePromotion": {"duration": "3s", "mirror": 100}}}
    with house.release("tried", strategy) as customers:
        house.want("tried", "2")
        status = house.until("tried", "2", "Analyzing")
        assert (status["weight"], status["desiredWeight"], customers.answers[200, "2"]) == (0, 0, 0)
        record = house.until("tried", "2")
        assert (record["outcome"], "success-rate 1" in record["message"]) == ("Promoted", True)

        house.want("tried", "3")
        record = house.until("tried", "3")
        assert (record["outcome"], record["message"].startswith("success-rate is ")) == ("RolledBack", True), record
    assert set(customers.answers) == {(200, "1"), (200, "2")}


def test_canary_waits_for_approval_and_bakes(house: House) -> None:
    """`modelops release promote` approves; then it bakes, is judged, and the history tells of the approval."""
    steps = [{"setWeight": 30}, {"approve": {}}, {"bake": {"duration": "3s"}}, {"setWeight": 60}]
    with house.release("baked", {"canary": {"steps": steps}}) as customers:
        house.want("baked", "2")
        house.until("baked", "2", "Paused")
        time.sleep(3)
        status = house.status("baked")
        assert (status["phase"], status["weight"]) == ("Paused", 30)
        assert "approval" in house.program.must("describe", "modelrelease", "baked")
        house.program.must("release", "promote", "baked")
        begun = time.monotonic()
        assert house.until("baked", "2", "Baking")["weight"] == 30
        record = house.until("baked", "2")
        assert time.monotonic() - begun > 2
    assert record["outcome"] == "Promoted"
    assert "step 2 approved at " in record["message"]
    assert [one["step"] for one in house.status("baked")["approvals"]] == [1]
    assert {status for status, _ in customers.answers} == {200}


def test_canary_goes_through_every_kind_of_step(house: House) -> None:
    """Each step does what it says, in their order, and no customer notices."""
    steps: list[dict[str, Any]] = [
        {"setCanaryScale": {"replicas": 2}},
        {"smokeTest": {}},
        {"setMirror": {"percent": 100}},
        {"bake": {"duration": "3s"}},
        {"setMirror": {"percent": 0}},
        {"setHeaderRoute": {"name": "testers", "match": TESTERS}},
        {"setWeight": 20},
        {"analyze": {"duration": "2s"}},
        {"approve": {}},
        {"setHeaderRoute": {"name": "testers"}},
        {"setCanaryScale": {"matchTrafficWeight": True}},
        {"setWeight": 50},
        {"pause": {"duration": "2s"}},
        {"pause": {}},
    ]
    strategy = {"canary": {"steps": steps}}
    with house.release("stepping", strategy, smokeTest=GOLDEN) as customers:
        house.want("stepping", "2")
        house.until("stepping", "2", "Baking", step=3, weight=0)
        until(lambda: house.routing("stepping") == (100, []), 10, lambda: house.status("stepping"))
        status = house.status("stepping")
        assert status["smokeTest"]["outcome"] == "Passed"
        assert customers.answers[200, "2"] == 0
        status = house.until("stepping", "2", "Paused")
        assert (status["step"], status["weight"], house.routing("stepping")) == (8, 20, (0, ["testers"]))
        assert house.replicas("stepping", status["canary"]["revision"]) == 2
        url = f"{house.program.endpoints()['gateway']}/infer"
        with _asking(url, "stepping.example.com", {"X-Tester": "1"}) as testers:
            time.sleep(1)
        assert testers.answers.keys() == {(200, "2")}
        house.program.must("release", "promote", "stepping")
        status = house.until("stepping", "2", "Paused", step=13, weight=50)
        assert house.routing("stepping") == (0, [])
        assert house.replicas("stepping", status["canary"]["revision"]) == 1
        house.program.must("release", "promote", "stepping")
        assert house.until("stepping", "2")["outcome"] == "Promoted"
    assert customers.answers.keys() == {(200, "1"), (200, "2")}


def test_linear_climbs(house: House) -> None:
    """A good version has every weight on its way; a bad one is taken back at the first that shows it."""
    strategy = {"linear": {"stepWeight": 30, "every": "2s", "maxWeight": 60}}
    with house.release("climbing", strategy) as customers:
        house.want("climbing", "2")
        for weight in (30, 60):
            house.until("climbing", "2", "Analyzing", weight=weight)
        assert house.until("climbing", "2")["outcome"] == "Promoted"
        house.want("climbing", "3")
        record = house.until("climbing", "3")
        assert (record["outcome"], "success-rate" in record["message"]) == ("RolledBack", True)
        assert house.status("climbing")["stable"]["version"] == "2"
    assert customers.answers.keys() == {(200, "1"), (200, "2"), (500, "")}


def test_direct_gives_all_at_once(house: House) -> None:
    """A version has all of the traffic once it is ready, and nobody is refused."""
    with house.release("direct", {"direct": {}}) as customers:
        house.want("direct", "2")
        assert house.until("direct", "2")["outcome"] == "Promoted"
        time.sleep(2)
        before = customers.answers[200, "1"]
        time.sleep(1)
        assert customers.answers[200, "1"] == before
    assert customers.answers.keys() == {(200, "1"), (200, "2")}


@contextmanager
def _asking(url: str, host: str, headers: dict[str, str]) -> Iterator[Load]:
    load = Load(url, host, 1, headers)
    load.start()
    try:
        yield load
    finally:
        load.stop()

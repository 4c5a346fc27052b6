"""blueGreen, and a canary with approve and bake, on a real Envoy and a real Prometheus, with customers at the door."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from examples.demo.program import Program
from examples.demo.traffic import Customers
from mlflow import MlflowClient

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import DEPLOYMENT, MODELRELEASE

TINY = Path(__file__).parents[1] / "support" / "tiny_server.py"
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
        registry.create_registered_model("tiny")
        run = registry.create_run("0")
        for number in (1, 2, 3):
            tags = {"modelops.artifactDigest": f"sha256:{number:064d}"}
            registry.create_model_version("tiny", f"{run.info.artifact_uri}/model", run.info.run_id, tags=tags)
        return self

    def __exit__(self, *_: object) -> None:
        self.program.run("local", "down", timeout=90)

    def release(self, name: str, strategy: dict[str, Any], *, version: str = "1", **more: Any) -> Customers:
        """Have a first version, and wait until its fate is settled; return customers who ask for the release."""
        container = {
            "name": "server",
            "image": "tiny",
            "command": [sys.executable, str(TINY)],
            "env": [{"name": "BAD", "value": "3"}],
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

    def until(self, name: str, version: str, phase: str = "") -> dict[str, Any]:
        """Wait until a version's fate is settled, or it is in a phase; return the record, or the status."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            status = self.status(name)
            if phase and status.get("phase") == phase and (status.get("canary") or {}).get("version") == version:
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

"""A version that turns bad after its promotion, on a local home: it is taken back, to servers that never stopped."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from examples.demo.program import Program
from examples.demo.traffic import Customers
from mlflow import MlflowClient

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import DEPLOYMENT, MODELRELEASE
from tests.support import tiny

TINY = Path(__file__).parents[1] / "support" / "tiny_server.py"
HOST = "tiny.example.com"
pytestmark = [pytest.mark.slow, pytest.mark.local, pytest.mark.timeout(240)]


def _release(version: str) -> dict[str, Any]:
    env = [{"name": "BAD", "value": "2"}, {"name": "BAD_AFTER", "value": "25"}]
    container = {"name": "server", "image": "tiny", "command": [sys.executable, str(TINY)], "env": env}
    container["readinessProbe"] = {"httpGet": {"path": "/v2/health/ready", "port": "http"}, "periodSeconds": 1}
    metric = {"name": "success-rate", "builtin": "success-rate", "thresholdRange": {"min": 0.95}, "minSamples": 10}
    return {
        "metadata": {"name": "tiny", "namespace": "default"},
        "spec": {
            "model": {"name": "tiny", "version": version},
            "serving": {"runtime": "custom", "replicas": 1, "podTemplate": {"spec": {"containers": [container]}}},
            "traffic": {"hostnames": [HOST], "timeout": "3s"},
            "strategy": {"canary": {"steps": [{"setWeight": 30}, {"analyze": {"duration": "2s"}}]}},
            "analysis": {"interval": "2s", "warmUp": "1s", "metrics": [metric]},
            "rollbackWindow": {"duration": "10m"},
        },
    }


def test_version_that_turns_bad_after_its_promotion_is_taken_back(tmp_path: Path) -> None:
    """Promoted, watched, RolledBack; the alias says so, and version 1 answers from the process that always ran."""
    state = tmp_path / "state"
    program = Program(state)
    program.must("local", "up", "--detach", timeout=200)
    try:
        client = KubeClient.from_kubeconfig(str(state / "kubeconfig"), context="local")
        registry = MlflowClient(tracking_uri=program.endpoints()["mlflow"])
        tiny.register(registry, 2)

        def status() -> dict[str, Any]:
            return (client.get(MODELRELEASE.resource, "default", "tiny") or {}).get("status") or {}

        def until(true: Callable[[], bool], seconds: float) -> None:
            deadline = time.monotonic() + seconds
            while not true():
                assert time.monotonic() < deadline, status()
                time.sleep(0.1)

        def fate() -> tuple[str, str]:
            last = (status().get("history") or [{"version": "", "outcome": ""}])[-1]
            return last["version"], last["outcome"]

        client.apply(MODELRELEASE.resource, _release("1"))
        until(lambda: fate() == ("1", "Promoted"), 60)
        old = f"tiny-{status()['stable']['revision']}"
        pid = _pid(state, old)
        with Customers(f"{program.endpoints()['gateway']}/infer", HOST, [{}], rate=15):
            client.apply(MODELRELEASE.resource, _release("2"))
            until(lambda: fate() == ("2", "Promoted"), 60)
            assert status()["rollbackWindow"]["previous"]["version"] == "1"
            assert "until" in program.run("release", "status", "tiny").stdout
            until(lambda: fate() == ("2", "RolledBack"), 60)
        assert status()["stable"]["version"] == "1"
        assert status()["history"][-1]["message"].startswith("after its promotion: success-rate is ")
        until(lambda: str(registry.get_model_version_by_alias("tiny", "champion").version) == "1", 20)
        assert _pid(state, old) == pid
        until(lambda: [d["metadata"]["name"] for d in client.list(DEPLOYMENT, "default")] == [old], 40)
    finally:
        program.run("local", "down", timeout=90)


def _pid(state: Path, name: str) -> int:
    (record,) = (state / "processes").glob(f"default.{name}*.json")
    return int(json.loads(record.read_text())["pid"])

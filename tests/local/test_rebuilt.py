"""A home that lost its objects and gets them again from git, which asks for the version that was rolled back."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from examples.demo.program import Program
from examples.demo.traffic import Customers
from mlflow import MlflowClient

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import MODELRELEASE
from tests.support import tiny

pytestmark = [pytest.mark.slow, pytest.mark.local, pytest.mark.timeout(400)]


class _Home:
    """A local home, and its release."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.program = Program(state)

    def up(self) -> None:
        self.program.must("local", "up", "--detach", timeout=200)
        self.client = KubeClient.from_kubeconfig(str(self.state / "kubeconfig"), context="local")
        self.registry = MlflowClient(tracking_uri=self.program.endpoints()["mlflow"])

    def down(self) -> None:
        self.program.run("local", "down", timeout=90)

    def asks_for(self, version: str) -> None:
        metadata = {"name": "tiny", "namespace": "default"}
        self.client.apply(MODELRELEASE.resource, {"metadata": metadata, "spec": tiny.release(version, bad="2")})

    def status(self) -> dict[str, Any]:
        return (self.client.get(MODELRELEASE.resource, "default", "tiny") or {}).get("status") or {}

    def ends(self) -> list[tuple[str, str]]:
        return [(one["version"], one["outcome"]) for one in self.status().get("history", ())]

    def until(self, true: Callable[[], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, self.status()
            time.sleep(0.1)

    def customers(self) -> Customers:
        return Customers(f"{self.program.endpoints()['gateway']}/infer", tiny.HOST, [{}], rate=30)


def test_rebuilt_home_serves_the_last_good_version_and_judges_the_wanted_one_anew(tmp_path: Path) -> None:
    """Nobody remembers that version 2, which git asks for, was rolled back; MLflow knows which one was promoted."""
    home = _Home(tmp_path / "state")
    home.up()
    try:
        tiny.register(home.registry, 2)
        home.asks_for("1")
        home.until(lambda: home.ends() == [("1", "Promoted")])
        home.asks_for("2")
        with home.customers():
            home.until(lambda: home.ends() == [("1", "Promoted"), ("2", "RolledBack")])
        home.down()
        for path in home.state.glob("api.db*"):
            path.unlink()

        home.up()
        assert home.status() == {}
        home.asks_for("2")
        home.until(lambda: home.ends() == [("1", "Promoted")])
        # The version that it asks for begins as soon as there is something to compare it with.
        home.until(lambda: (home.status().get("canary") or {}).get("version") == "2", 10)
        with home.customers() as customers:
            home.until(lambda: home.ends() == [("1", "Promoted"), ("2", "RolledBack")])
            home.until(lambda: home.status().get("retiring", []) == [], 40)
            customers.answers.clear()
            home.until(lambda: customers.answers.total() >= 50)
        assert customers.answers.keys() == {(200, "1")}
        assert home.status()["stable"]["version"] == "1"
        assert str(home.registry.get_model_version_by_alias("tiny", "champion").version) == "1"
        assert home.status()["history"][0]["message"] == "Initial: it serves first, as alias champion names it"
    finally:
        home.down()

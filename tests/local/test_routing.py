"""An A/B test, header routes and a shadow under load on the local home: who answered whom, and how it ended."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench.switching import HOST, Switching
from mlflow import MlflowClient

from modelops.adapters.cluster import KubeClient
from tests.support import gateway, tiny
from tests.support.load import Load

pytestmark = [
    pytest.mark.slow,
    pytest.mark.local,
    pytest.mark.timeout(240),
    pytest.mark.skipif(gateway.missing() is not None, reason=gateway.missing() or ""),
]
GROUP = [{"cookie": {"name": "group", "exact": "b"}}]


class Story(Switching):
    """One local home with a version that serves, under the load of two groups of users."""

    def begin(self, home: dict[str, Any], versions: int, bad: str) -> None:
        """Register the versions and release the first one."""
        self.bad = bad
        self.client = KubeClient.from_kubeconfig(home["kubeconfig"], context="local")
        registry = MlflowClient(tracking_uri=home["endpoints"]["mlflow"])
        tiny.register(registry, versions)
        self.url = f"{home['endpoints']['gateway']}/infer"
        self.release(1, "Promoted")

    def release(self, version: int, outcome: str, strategy: dict[str, Any] | None = None) -> list[set[tuple[int, str]]]:
        """Release a version under load; return of everybody and of the group who answered, with which status."""
        loads = [Load(self.url, HOST, 4), Load(self.url, HOST, 4, {"Cookie": "s=1; group=b"})] if version > 1 else []
        for load in loads:
            load.start()
        try:
            self._release(self.client, version, self.bad, strategy)
            self._await(self.client, version, outcome)
        finally:
            for load in loads:
                load.stop()
        return [set(load.answers) for load in loads]


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    found = Story(tmp_path / "state", rounds=0)
    found.modelops("local", "up", "--detach")
    try:
        found.begin(json.loads(found.modelops("local", "status", "-o", "json")), versions=5, bad="3,5")
        yield found
    finally:
        found.modelops("local", "down")


def test_each_strategy_reaches_whom_it_names(story: Story) -> None:
    """Good ones are promoted, bad ones rolled back; nobody but the group meets the canary, and no user a shadow."""
    everybody, group = story.release(2, "Promoted", {"abTest": {"match": GROUP, "duration": "3s"}})
    assert {(200, "1")} <= everybody <= {(200, "1"), (200, "2")}
    assert {(200, "1"), (200, "2")} <= group

    everybody, group = story.release(3, "RolledBack", {"abTest": {"match": GROUP, "duration": "60s"}})
    assert everybody == {(200, "2")}
    assert {version for _, version in group} == {"2", "3"}

    everybody, group = story.release(4, "Promoted", {"shadow": {"duration": "3s", "promote": True}})
    assert everybody | group <= {(200, "2"), (200, "4")}

    everybody, group = story.release(5, "RolledBack", {"shadow": {"duration": "60s"}})
    assert everybody == group == {(200, "4")}

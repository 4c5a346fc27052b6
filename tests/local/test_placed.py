"""A canary without a gateway on the local home: its share is that of its servers, whose own figures judge it."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from bench.switching import Switching

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import HTTPROUTE, MODELRELEASE
from modelops.api.labels import COMMAND
from tests.e2e.stories import models
from tests.support import gateway
from tests.support.operators import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.local,
    pytest.mark.timeout(300),
    pytest.mark.skipif(gateway.missing() is not None, reason=gateway.missing() or ""),
]
RELEASE, NAMESPACE, REPLICAS = "price", "default", 3
BUILTINS = [
    {"name": "success", "builtin": "success-rate", "thresholdRange": {"min": 0.99}},
    {"name": "refused", "builtin": "client-error-share", "thresholdRange": {"max": 0.01}},
    {"name": "slow", "builtin": "slow-share", "slo": 2, "thresholdRange": {"max": 0.2}},
    {"name": "p80", "builtin": "latency", "quantile": 0.8, "thresholdRange": {"max": 2}},
]


class Users:
    """One user after the other, each by a connection of its own; counts who answered."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/v2/models/{RELEASE}/infer"
        self._headers = {"Host": f"{RELEASE}.{NAMESPACE}.svc", "Content-Type": "application/json"}
        self._body = json.dumps(models.ROW)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.answers: Counter[str] = Counter()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def next(self, requests: int) -> Counter[str]:
        """Return who answered the next so many."""
        self.answers.clear()
        until(lambda: self.answers.total() >= requests, 60, f"{requests} answers", 0.05)
        return Counter(self.answers)

    def _ask(self) -> None:
        while not self._stop.is_set():
            answer = urllib3.request(
                "POST", self._url, body=self._body, headers=self._headers, retries=False, timeout=5
            )
            version = answer.json()["model_version"] if answer.status == 200 else f"status {answer.status}"
            self.answers[version] += 1
            time.sleep(0.005)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[dict[str, Any]]:
    found = Switching(tmp_path / "state", rounds=0)
    found.modelops("local", "up", "--detach")
    try:
        yield json.loads(found.modelops("local", "status", "-o", "json"))
    finally:
        found.modelops("local", "down")


def test_share_is_that_of_the_servers(home: dict[str, Any]) -> None:
    """Given a version on three servers, one of them goes to a canary; it is promoted, and the next one aborted."""
    client = KubeClient.from_kubeconfig(home["kubeconfig"], context="local")
    first, second, third = (models.register(home["endpoints"]["mlflow"], "placed-price", seed=n) for n in (1, 2, 3))
    _release(client, first)
    _await(client, "Promoted", first)
    users = Users(home["endpoints"]["gateway"])
    users.start()
    try:
        assert users.next(50).keys() == {first}

        _release(client, second)
        paused = _await(client, "Paused", second)
        assert paused["weight"] == 33
        assert {one["name"]: one["stepPasses"] > 0 for one in paused["analysis"]} == dict.fromkeys(
            ("success", "refused", "slow", "p80"), True
        )
        counted = users.next(300)
        assert counted.keys() == {first, second}
        assert 55 <= counted[second] <= 150, counted  # a third of 300, within five standard deviations
        _say(client, "promote", paused["canary"]["revision"])
        _await(client, "Promoted", second)
        assert users.next(50).keys() == {second}

        _release(client, third)
        paused = _await(client, "Paused", third)
        _say(client, "abort", paused["canary"]["revision"])
        _await(client, "Degraded", second)
        until(lambda: users.next(50).keys() == {second}, 30, "the canary has no requests", 0.1)
        assert client.get(HTTPROUTE, NAMESPACE, RELEASE) is None
    finally:
        users.stop()


def _release(client: KubeClient, version: str) -> None:
    steps = [{"setWeight": 33}, {"analyze": {"duration": "3s"}}, {"pause": {}}]
    spec = {
        "model": {"name": "placed-price", "version": version},
        "serving": {"replicas": REPLICAS},
        "traffic": {"mode": "replicas", "timeout": "5s"},
        "strategy": {"canary": {"steps": steps}},
        "analysis": {"interval": "3s", "warmUp": "1s", "metrics": BUILTINS},
    }
    client.apply(MODELRELEASE.resource, {"metadata": {"name": RELEASE, "namespace": NAMESPACE}, "spec": spec})


def _say(client: KubeClient, verb: str, revision: str) -> None:
    command = {"verb": verb, "revision": revision, "id": f"{verb}-{revision}"}
    annotated = {"metadata": {"annotations": {COMMAND: json.dumps(command)}}}
    client.merge_patch(MODELRELEASE.resource, NAMESPACE, RELEASE, annotated)


def _await(client: KubeClient, phase: str, version: str) -> dict[str, Any]:
    """Wait for a phase, in which this version is the canary or, without one, serves; return the status."""
    found: dict[str, Any] = {}

    def there() -> bool:
        found.clear()
        found.update((client.get(MODELRELEASE.resource, NAMESPACE, RELEASE) or {}).get("status") or {})
        one = found.get("canary") or found.get("stable") or {}
        return found.get("phase") == phase and one.get("version") == version

    until(there, 120, f"{phase} with version {version}", 0.1)
    return found

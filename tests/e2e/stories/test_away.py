"""MLflow, Prometheus and the gateway are away for a while each: a release holds, goes on, and is never misjudged.

MODELOPS_STORY_AWAY says for how many seconds, 15 by default.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from modelops.api.kinds import DEPLOYMENT, POD
from tests.e2e.cluster import processes
from tests.e2e.stories.estate import Estate
from tests.e2e.stories.shop import Shop
from tests.e2e.surroundings import gateway
from tests.support.operators import until

AWAY = float(os.environ.get("MODELOPS_STORY_AWAY", "15"))
STRATEGY: dict[str, Any] = {
    "canary": {"steps": [{"setWeight": 30}, {"analyze": {"duration": "4s"}}, {"setWeight": 60}]}
}


@pytest.mark.parametrize("program", ["mlflow", "prometheus"])
def test_what_judges_and_records_is_away(routes: Estate, program: str) -> None:
    """Given a canary, when MLflow or Prometheus hangs, then it is promoted afterwards, not before."""
    shop = Shop(routes, f"story-without-{program}")
    _, second = shop.register(2)
    shop.open(STRATEGY)

    with shop.customers() as customers:
        shop.release(second, STRATEGY)
        shop.until("Analyzing", second, weight=30)
        with _frozen(routes, program):
            weights = _through(shop, second)
        shop.settled(second, "Promoted")
        # Without MLflow figures go on; it is the alias that the promotion waits for.
        assert weights <= ({30} if program == "prometheus" else {30, 60, 100})
        assert customers.failed() == []


def test_gateway_is_away(routes: Estate) -> None:
    """Given a canary, when gateway and proxy are gone, then no weight is believed until they are back."""
    shop = Shop(routes, "story-without-gateway")
    _, second = shop.register(2)
    shop.open(STRATEGY)
    shop.release(second, STRATEGY)
    with shop.customers():
        shop.until("Analyzing", second, weight=30)
        with _scaled_down(routes):
            assert _through(shop, second) == {30}
    with shop.customers("returning"):
        shop.settled(second, "Promoted", 180)


def _through(shop: Shop, version: str) -> set[int]:
    """Look at the release until the time is over, and return its weights; its canary stays."""
    until_when = time.monotonic() + AWAY
    seen: list[dict[str, Any]] = []

    def judged() -> bool:
        seen.append(shop.status())
        return time.monotonic() > until_when

    until(judged, AWAY + 30, shop.status, 0.3)
    assert all((one.get("canary") or {}).get("version") == version for one in seen), seen[-1]
    return {one["weight"] for one in seen}


@contextmanager
def _frozen(estate: Estate, program: str) -> Iterator[None]:
    """Stop the processes of a program of this machine until the block ends: it takes connections, and never answers."""
    words = {"mlflow": "mlflow", "prometheus": "--storage.tsdb.path"}[program]
    pids = processes.said(estate.cluster.place.root, words)
    assert pids, f"no process of {program}"
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def _scaled_down(estate: Estate) -> Iterator[None]:
    """Have neither Envoy Gateway's controller nor its proxies until the block ends."""
    deployments = estate.client.list(DEPLOYMENT, gateway.NAMESPACE)
    before = {one["metadata"]["name"]: one["spec"]["replicas"] for one in deployments}
    # The controller first, or it would scale its proxies up again.
    names = sorted(before, key=lambda name: name != "envoy-gateway")
    try:
        for name in names:
            _scale(estate, name, 0)
        yield
    finally:
        for name in names:
            _scale(estate, name, before[name])
        until(lambda: _ready(estate, before), 120, lambda: estate.pods(gateway.NAMESPACE), 0.2)


def _scale(estate: Estate, name: str, replicas: int) -> None:
    estate.client.merge_patch(DEPLOYMENT, gateway.NAMESPACE, name, {"spec": {"replicas": replicas}})
    if replicas == 0:
        labels = estate.client.get(DEPLOYMENT, gateway.NAMESPACE, name)["spec"]["selector"]["matchLabels"]
        for pod in estate.pods(gateway.NAMESPACE, labels):
            estate.client.delete(POD, gateway.NAMESPACE, pod["metadata"]["name"])
        until(lambda: not estate.pods(gateway.NAMESPACE, labels), 60, f"{name} is gone", 0.1)


def _ready(estate: Estate, wanted: dict[str, int]) -> bool:
    found = {one["metadata"]["name"]: one for one in estate.client.list(DEPLOYMENT, gateway.NAMESPACE)}
    return all((found[name].get("status") or {}).get("readyReplicas", 0) >= count for name, count in wanted.items())

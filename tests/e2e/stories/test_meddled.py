"""Others write at the same time: a chart that is upgraded, appliers like Flux and Argo CD, an autoscaler."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from modelops.adapters.cluster import KubeClient, path_of
from modelops.api.kinds import DEPLOYMENT, HTTPROUTE, MODELRELEASE, SERVICE, Resource
from modelops.api.labels import RELEASE
from tests.e2e.stories import models
from tests.e2e.stories.conftest import TENANTS
from tests.e2e.stories.estate import Estate
from tests.e2e.stories.shop import Shop
from tests.e2e.surroundings import chart
from tests.support.operators import until

UPGRADED, SCALED = "story-upgraded", "story-scaled"
STEPS: list[dict[str, Any]] = [
    {"setWeight": 30},
    {"analyze": {"duration": "4s"}},
    {"approve": {}},
    {"setWeight": 60},
    {"analyze": {"duration": "2s"}},
]
STRATEGY = {"canary": {"steps": STEPS}}
AUTOSCALER = Resource("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
TRACKED = "app.kubernetes.io/instance"
"""The label by which Argo CD knows what it applied."""
EVERY = 1.0
"""Seconds between two rounds of an applier."""


def test_chart_is_upgraded_in_the_middle_of_a_release(routes: Estate) -> None:
    """Given a canary that waits for approval, when the chart is upgraded, then new operators go on where it stood."""
    shop = Shop(routes, UPGRADED)
    _, second = shop.register(2)
    shop.open(STRATEGY)

    with shop.customers() as customers:
        shop.release(second, STRATEGY)
        paused = shop.until("Paused", second, weight=30)
        before = set(routes.operators())
        try:
            chart.install(routes.cluster, TENANTS, podAnnotations={"example.com/upgraded": "true"})
            until(lambda: len(now := set(routes.operators())) == 2 and not now & before, 120, routes.operators, 0.2)
            until(routes.leader, 30, "one leads", 0.1)
            assert shop.until("Paused", second, weight=30)["canary"] == paused["canary"]
            shop.say("promote")
            shop.settled(second, "Promoted")
        finally:
            chart.install(routes.cluster, TENANTS)
        assert customers.failed() == []


def _flux(client: KubeClient, manifest: dict[str, Any]) -> None:
    """Apply as Flux does: server-side, under a manager of its own, by force."""
    path = path_of(MODELRELEASE.resource, manifest["metadata"]["namespace"], manifest["metadata"]["name"])
    query = "?fieldManager=kustomize-controller&force=true"
    client.request("PATCH", path + query, body=manifest, content_type="application/apply-patch+yaml")


def _argo(client: KubeClient, manifest: dict[str, Any]) -> None:
    """Apply as Argo CD does: client-side, with what was applied last in an annotation; prune what carries its label."""
    namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
    last = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(manifest)}
    meta = {"labels": {TRACKED: "story"}, "annotations": last}
    if client.get(MODELRELEASE.resource, namespace, name) is None:
        client.create(MODELRELEASE.resource, {**manifest, "metadata": {**manifest["metadata"], **meta}})
    else:
        client.merge_patch(MODELRELEASE.resource, namespace, name, {"metadata": meta, "spec": manifest["spec"]})
    for resource in (DEPLOYMENT, SERVICE, HTTPROUTE):
        for obj in client.list(resource, namespace, {TRACKED: "story"}):
            client.delete(resource, namespace, obj["metadata"]["name"])


@pytest.mark.parametrize("apply", [_flux, _argo], ids=["flux", "argo"])
def test_applier_and_release_do_not_fight(routes: Estate, apply: Callable[[KubeClient, dict[str, Any]], None]) -> None:
    """Given an applier that writes again and again, when versions come, then nobody takes back what the other wrote."""
    shop = Shop(routes, f"story{apply.__name__.replace('_', '-')}")
    first, second, third = shop.register(3)
    shop.faults["BAD"] = third
    wanted = {"version": first}

    with _applying(lambda: apply(routes.client, shop.manifest(wanted["version"], STRATEGY))):
        shop.settled(first, "Promoted")
        with shop.customers() as customers:
            wanted["version"] = second
            shop.until("Paused", second, weight=30)
            shop.say("promote")
            shop.settled(second, "Promoted")
            wanted["version"] = third
            shop.settled(third, "RolledBack")
            assert customers.failed(bad=[third]) == []

    release = routes.client.get(MODELRELEASE.resource, shop.namespace, shop.name) or {"metadata": {}}
    assert release["metadata"]["generation"] == 3  # once for each version
    route = routes.client.get(HTTPROUTE, shop.namespace, shop.name) or {"metadata": {}}
    # A write for each weight, and two for each revision that comes and goes.
    assert route["metadata"]["generation"] <= 12


@contextmanager
def _applying(apply: Callable[[], None]) -> Iterator[None]:
    """Apply again and again until the block ends; what goes wrong is raised then."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            apply()
            over.wait(EVERY)

    with ThreadPoolExecutor(1) as pool:
        applied = pool.submit(work)
        try:
            yield
        finally:
            over.set()
        applied.result(30)


def test_autoscaler_scales_the_release(estate: Estate) -> None:
    """Given an autoscaler of the ModelRelease, when it wants more servers, or fewer, then there are as many."""
    version = models.register(estate.mlflow, "scaled-price")
    spec = {
        "model": {"name": "scaled-price", "version": version},
        "strategy": {"canary": {"steps": [{"setWeight": 50}]}},
    }
    estate.client.apply(MODELRELEASE.resource, {"metadata": {"name": SCALED, "namespace": SCALED}, "spec": spec})

    for fewest, most in ((2, 3), (1, 1)):
        estate.client.apply(AUTOSCALER, _autoscaler(fewest, most))
        until(lambda most=most: _servers(estate) == min(2, most), 120, lambda: estate.pods(SCALED), 0.2)

    estate.client.delete(AUTOSCALER, SCALED, SCALED)


def _servers(estate: Estate) -> int:
    return len(estate.pods(SCALED, {RELEASE: SCALED}))


def _autoscaler(fewest: int, most: int) -> dict[str, Any]:
    target = {"apiVersion": MODELRELEASE.resource.api_version, "kind": MODELRELEASE.resource.kind, "name": SCALED}
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
    # Without a metrics server it keeps to its bounds.
    spec = {"scaleTargetRef": target, "minReplicas": fewest, "maxReplicas": most, "metrics": [cpu]}
    return {"metadata": {"name": SCALED, "namespace": SCALED}, "spec": spec}

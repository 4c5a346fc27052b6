"""One cluster for all stories: found or started, furnished once, and taken away again if it was started."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import DATASET, GITSOURCE, MODELRELEASE, NAMESPACE, TRAININGRUN
from tests.e2e.cluster import choice, programs
from tests.e2e.cluster.layout import Layout
from tests.e2e.stories.estate import Estate
from tests.e2e.surroundings import argo, built, chart, gateway, mlflow, prometheus
from tests.support import helm
from tests.support.operators import until

TENANTS = (
    "story-applied",
    "story-synced",
    "story-failover",
    "story-operator-killed",
    "story-served",
    "story-trained",
    "story-own",
    "story-pool",
    "story-routed",
    "story-taken",
    "story-taken-too",
    "story-placed",
    "story-lent",
    "story-image",
    "story-image-fails",
    "story-template",
    "story-quota",
    "story-steps",
    "story-linear",
    "story-blue-green",
    "story-direct",
    "story-ab",
    "story-shadow-50",
    "story-shadow-100",
    "story-killed",
    "story-killed-run",
    "story-handed-over",
    "story-switched",
    "story-undone",
    "story-gone",
    "story-razed",
    "story-without-mlflow",
    "story-without-prometheus",
    "story-without-gateway",
    "story-crashed",
    "story-drained",
    "story-upgraded",
    "story-scaled",
    "story-flux",
    "story-argo",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every story: it needs a cluster, and time."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def estate() -> Iterator[Estate]:
    """A cluster with MLflow, Prometheus, our chart and, if its programs are there, Argo Workflows."""
    lacking = [*choice.missing(), *filter(None, (helm.missing(), prometheus.missing(), built.missing(*built.PARTS)))]
    if lacking:
        pytest.skip("; ".join(lacking))
    cluster = choice.start(Layout.default())
    try:
        client = cluster.client()
        client.apply(NAMESPACE, {"metadata": {"name": chart.SYSTEM}})
        url = mlflow.start(cluster)
        prometheus.start(cluster)
        argo.define(client)
        if gateway.missing() is None:
            gateway.start(cluster, chart.SYSTEM, chart.NAME)
        if programs.missing_argo() is None:
            argo.start(cluster)
        chart.install(cluster, TENANTS)
        for tenant in TENANTS:
            _clear(client, tenant)
        yield Estate(cluster, client, url)
    finally:
        cluster.end()


def _clear(client: KubeClient, namespace: str) -> None:
    """Remove what earlier stories left in a cluster that was kept; sources first, or it would come back."""
    for kind in (GITSOURCE, MODELRELEASE, TRAININGRUN, DATASET):
        for obj in client.list(kind.resource, namespace):
            client.delete(kind.resource, namespace, obj["metadata"]["name"])
        until(
            lambda kind=kind: not client.list(kind.resource, namespace), 60, f"{namespace} has no {kind.singular}", 0.1
        )


@pytest.fixture
def routes(estate: Estate) -> Estate:
    """The same, with the real Envoy Gateway."""
    if reason := gateway.missing():
        pytest.skip(reason)
    return estate


@pytest.fixture
def trains(estate: Estate) -> Estate:
    """The same, with the real Argo Workflows."""
    if reason := programs.missing_argo() or built.missing(built.TRAINER):
        pytest.skip(reason)
    return estate

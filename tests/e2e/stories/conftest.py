"""One cluster for all stories: found or started, furnished once, and taken away again if it was started."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import DATASET, GITSOURCE, MODELRELEASE, NAMESPACE, TRAININGRUN
from tests.e2e.cluster import choice
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
    "story-full",
    "story-chain",
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
    "story-suspended",
    "story-dropped",
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
    """A cluster with MLflow, Prometheus, our chart and, if they are to be had, Argo Workflows and Envoy Gateway."""
    place = Layout.default()
    images = None if choice.given(place) else built.missing(*built.PARTS)
    lacking = [*choice.missing(place), *filter(None, (helm.missing(), prometheus.missing(), images))]
    if lacking:
        pytest.skip("; ".join(lacking))
    cluster = choice.start(place)
    try:
        client = cluster.client()
        client.apply(NAMESPACE, {"metadata": {"name": chart.SYSTEM}})
        url = mlflow.start(cluster)
        prometheus.start(cluster)
        argo.start(cluster)
        if gateway.missing(cluster) is None:
            gateway.start(cluster, chart.SYSTEM, chart.NAME)
        chart.install(cluster, TENANTS)
        for tenant in TENANTS:
            _clear(client, tenant)
        _forget(url)
        yield Estate(cluster, client, url)
    finally:
        cluster.end()


@pytest.fixture(autouse=True)
def _afresh(request: pytest.FixtureRequest, estate: Estate) -> None:
    """Clear away what the first try of a story has left, before it is told once more."""
    if getattr(request.node, "execution_count", 1) > 1:
        for tenant in TENANTS:
            _clear(estate.client, tenant)
        _forget(estate.mlflow)


def _clear(client: KubeClient, namespace: str) -> None:
    """Remove what earlier stories left in a cluster that was kept; sources first, or it would come back."""
    for kind in (GITSOURCE, MODELRELEASE, TRAININGRUN, DATASET):
        for obj in client.list(kind.resource, namespace):
            client.delete(kind.resource, namespace, obj["metadata"]["name"])
        until(
            lambda kind=kind: not client.list(kind.resource, namespace), 60, f"{namespace} has no {kind.singular}", 0.1
        )


def _forget(mlflow_url: str) -> None:
    """Remove the models of earlier stories: a release would first serve the one that was promoted then."""
    registry = MlflowClient(mlflow_url)
    while models := registry.search_registered_models():
        for model in models:
            registry.delete_registered_model(model.name)


@pytest.fixture
def routes(estate: Estate) -> Estate:
    """The same, with the real Envoy Gateway."""
    if reason := gateway.missing(estate.cluster):
        pytest.skip(reason)
    return estate


@pytest.fixture
def trains(estate: Estate) -> Estate:
    """The same, with the real Argo Workflows and the trainer's image."""
    images = None if estate.cluster.load is None else built.missing(built.TRAINER)
    if reason := argo.missing(estate.cluster) or images:
        pytest.skip(reason)
    return estate

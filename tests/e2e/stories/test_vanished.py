"""Servers that go away under traffic: a canary without endpoints, and a node that is drained while it trains."""

from pathlib import Path
from typing import Any

from modelops.adapters.mlflow_runs import MlflowRuns
from modelops.api.kinds import COMPUTEPOOL, TRAININGRUN
from modelops.api.labels import OWNER_KIND
from tests.e2e.cluster.gpus import NODE
from tests.e2e.stories.estate import Estate
from tests.e2e.stories.shop import LAG, Shop
from tests.e2e.stories.test_trained import GPU_POOL, TRAINING, manifest
from tests.support.git_server import Repository
from tests.support.operators import until
from tests.support.tables import houses, houses_spec

CRASHED, DRAINED = "story-crashed", "story-drained"


def test_canary_without_endpoints_is_rolled_back(routes: Estate) -> None:
    """Given a canary with its share, when all its servers crash for good, then stable has all, soon, and stays."""
    shop = Shop(routes, CRASHED)
    first, second = shop.register(2)
    shop.faults |= {"CRASH": second, "CRASH_AFTER": "8"}
    strategy = {"canary": {"steps": [{"setWeight": 30}, {"analyze": {"duration": "10m"}}]}}
    shop.open(strategy, progressDeadline="20s")

    with shop.customers() as customers:
        shop.release(second, strategy, progressDeadline="20s")
        shop.until("Analyzing", second, weight=30)
        shop.settled(second, "RolledBack", 60)
        until(lambda: _all_well(customers.counts, first), LAG, "stable answers everybody", 0.2)

    assert shop.status()["stable"]["version"] == first


def _all_well(counts: Any, version: str) -> bool:
    before = counts()
    after = until(lambda: (now := counts() - before).total() >= 40 and now, 30, "answers", 0.1)
    return after.keys() == {(200, version)}


def test_node_is_drained_while_it_trains(trains: Estate, tmp_path: Path) -> None:
    """Given a run that trains, when its node is drained and comes back, then it is trained there anew."""
    trains.client.apply(COMPUTEPOOL.resource, {"metadata": {"name": "gpu"}, "spec": GPU_POOL})
    repository = Repository.make(tmp_path / "houses", **{"data/houses.csv": houses(400).decode()})
    run = {**TRAINING, "model": {"name": "drained-price"}, "hyperparameters": {"hidden": [8], "epochs": 300, "seed": 1}}
    repository.commit(
        {
            "deploy/dataset.yaml": manifest("Dataset", "houses", houses_spec()),
            "deploy/run.yaml": manifest("TrainingRun", "price", run),
        }
    )

    with trains.repository(tmp_path, "houses", DRAINED):
        pod = until(lambda: _training(trains), 240, lambda: trains.pods(DRAINED), 0.1)
        _cordon(trains, pod["spec"]["nodeName"], closed=True)
        try:
            _evict(trains, pod["metadata"]["name"])
            again = until(lambda: _other(trains, pod), 120, lambda: trains.pods(DRAINED), 0.2)
            assert not again["spec"].get("nodeName")
            assert trains.ready(TRAININGRUN, DRAINED, "price")[0] != "True"
        finally:
            _cordon(trains, pod["spec"]["nodeName"], closed=False)
        status = trains.until_ready(TRAININGRUN, DRAINED, "price", 300)

    version = MlflowRuns(trains.mlflow).version_of_run("drained-price", status["mlflow"]["runId"])
    assert version is not None
    assert version.version == status["modelVersion"]


def _training(estate: Estate) -> dict[str, Any] | None:
    pods = estate.pods(DRAINED, {OWNER_KIND: "TrainingRun"})
    running = (p for p in pods if "-train-" in p["metadata"]["name"] and p["status"].get("phase") == "Running")
    return next(running, None)


def _other(estate: Estate, before: dict[str, Any]) -> dict[str, Any] | None:
    """Return the pod that takes the place of one that was evicted, while there is no room for it."""
    pods = estate.pods(DRAINED, {OWNER_KIND: "TrainingRun"})
    named = (
        p for p in pods if "-train-" in p["metadata"]["name"] and p["metadata"]["uid"] != before["metadata"]["uid"]
    )
    return next((pod for pod in named if pod["status"].get("phase") == "Pending"), None)


def _cordon(estate: Estate, node: str, *, closed: bool) -> None:
    estate.client.merge_patch(NODE, None, node, {"spec": {"unschedulable": closed}})


def _evict(estate: Estate, pod: str) -> None:
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": DRAINED}}
    estate.client.request("POST", f"/api/v1/namespaces/{DRAINED}/pods/{pod}/eviction", body=eviction)

"""What somebody deletes by hand: a Workflow that runs, and a whole namespace in the middle of everything."""

from pathlib import Path
from typing import Any

from modelops.adapters.mlflow_runs import MlflowRuns
from modelops.api.kinds import COMPUTEPOOL, MODELRELEASE, NAMESPACE, TRAININGRUN, WORKFLOW
from modelops.api.labels import OWNER_KIND
from tests.e2e.stories import models
from tests.e2e.stories.estate import Estate
from tests.e2e.stories.shop import Shop
from tests.e2e.stories.test_trained import GPU_POOL, TRAINING, manifest
from tests.support.git_server import Repository
from tests.support.operators import until
from tests.support.tables import houses, houses_spec

UNDONE, GONE, RAZED = "story-undone", "story-gone", "story-razed"


def test_workflow_deleted_by_hand_is_made_anew(trains: Estate, tmp_path: Path) -> None:
    """Given a run that trains, when its Workflow is deleted, then another one trains it, and there is one version."""
    trains.client.apply(COMPUTEPOOL.resource, {"metadata": {"name": "gpu"}, "spec": GPU_POOL})
    with trains.repository(_houses(tmp_path, "undone-price"), "houses", UNDONE):
        workflow = until(lambda: _training(trains, UNDONE), 240, lambda: trains.pods(UNDONE), 0.1)
        trains.client.delete(WORKFLOW, UNDONE, workflow["metadata"]["name"])
        status = trains.until_ready(TRAININGRUN, UNDONE, "price", 300)

    left = [one["metadata"]["uid"] for one in _workflows(trains, UNDONE)]
    assert workflow["metadata"]["uid"] not in left
    version = MlflowRuns(trains.mlflow).version_of_run("undone-price", status["mlflow"]["runId"])
    assert version is not None
    assert version.version == status["modelVersion"]


def test_namespace_goes_in_the_middle_of_a_release(estate: Estate) -> None:
    """Given a release whose servers start, when its namespace is deleted, then all of it goes, and nothing hangs."""
    version = models.register(estate.mlflow, "gone-price")
    spec = {
        "model": {"name": "gone-price", "version": version},
        "strategy": {"canary": {"steps": [{"setWeight": 50}]}},
    }
    estate.client.apply(MODELRELEASE.resource, {"metadata": {"name": GONE, "namespace": GONE}, "spec": spec})
    estate.until(MODELRELEASE, GONE, GONE, lambda status: status.get("canary"), 60)
    until(lambda: estate.pods(GONE), 60, "servers start", 0.1)

    _raze(estate, GONE)


def test_namespace_goes_in_the_middle_of_everything(routes: Estate, trains: Estate, tmp_path: Path) -> None:
    """Given a canary that is analyzed and a run that trains, when the namespace is deleted, then nothing hangs."""
    routes.client.apply(COMPUTEPOOL.resource, {"metadata": {"name": "gpu"}, "spec": GPU_POOL})
    shop = Shop(routes, RAZED)
    _, second = shop.register(2)
    strategy = {"canary": {"steps": [{"setWeight": 50}, {"analyze": {"duration": "10m"}}]}}
    with trains.repository(_houses(tmp_path, "razed-price"), "houses", RAZED):
        shop.open(strategy)
        shop.release(second, strategy)
        shop.until("Analyzing", second)
        until(lambda: _training(trains, RAZED), 240, lambda: trains.pods(RAZED), 0.1)

        _raze(routes, RAZED)


def _raze(estate: Estate, namespace: str) -> None:
    """Delete a namespace, and wait until it is gone; the next session's chart makes it anew."""
    estate.client.delete(NAMESPACE, None, namespace)
    until(
        lambda: estate.client.get(NAMESPACE, None, namespace) is None,
        120,
        lambda: (estate.client.get(NAMESPACE, None, namespace) or {}).get("status"),
        0.2,
    )


def _houses(directory: Path, model: str) -> Path:
    """Make the repository `houses` with a run of a model, and return the directory."""
    repository = Repository.make(directory / "houses", **{"data/houses.csv": houses(400).decode()})
    run = {**TRAINING, "model": {"name": model}, "hyperparameters": {"hidden": [8], "epochs": 300, "seed": 1}}
    repository.commit(
        {
            "deploy/dataset.yaml": manifest("Dataset", "houses", houses_spec()),
            "deploy/run.yaml": manifest("TrainingRun", "price", run),
        }
    )
    return directory


def _training(estate: Estate, namespace: str) -> dict[str, Any] | None:
    """Return the run's Workflow while its pod trains."""
    pods = estate.pods(namespace, {OWNER_KIND: "TrainingRun"})
    if not any("-train-" in pod["metadata"]["name"] and pod["status"].get("phase") == "Running" for pod in pods):
        return None
    return next(iter(_workflows(estate, namespace)), None)


def _workflows(estate: Estate, namespace: str) -> list[dict[str, Any]]:
    return list(estate.client.list(WORKFLOW, namespace, {OWNER_KIND: "TrainingRun"}))

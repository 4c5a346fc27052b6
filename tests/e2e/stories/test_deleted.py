"""What somebody deletes, or suspends, while it runs: a Workflow, a run that trains, a whole namespace."""

from pathlib import Path
from typing import Any, Final

from modelops.adapters.mlflow_runs import MlflowRuns
from modelops.api.kinds import COMPUTEPOOL, MODELRELEASE, NAMESPACE, POD, TRAININGRUN, WORKFLOW
from modelops.api.labels import OWNER_KIND
from tests.e2e.stories import models
from tests.e2e.stories.estate import Estate
from tests.e2e.stories.shop import Shop
from tests.e2e.stories.test_trained import GPU_POOL, TRAINING, manifest
from tests.support.git_server import Repository
from tests.support.operators import until
from tests.support.tables import houses, houses_spec

UNDONE, GONE, RAZED = "story-undone", "story-gone", "story-razed"
_OF_RUNS: Final = {OWNER_KIND: "TrainingRun"}
SUSPENDED, DROPPED = "story-suspended", "story-dropped"


def test_workflow_deleted_by_hand_is_made_anew(trains: Estate, tmp_path: Path) -> None:
    """Given a run that trains, when its Workflow is deleted, then another one trains it, and there is one version."""
    trains.client.apply(COMPUTEPOOL.resource, {"metadata": {"name": "gpu"}, "spec": GPU_POOL})
    _houses(tmp_path, "undone-price")
    with trains.repository(tmp_path, "houses", UNDONE):
        workflow = until(lambda: _training(trains, UNDONE), 240, lambda: trains.pods(UNDONE), 0.1)
        trains.client.delete(WORKFLOW, UNDONE, workflow["metadata"]["name"])
        status = trains.until_ready(TRAININGRUN, UNDONE, "price", 300)

    left = [one["metadata"]["uid"] for one in _workflows(trains, UNDONE)]
    assert workflow["metadata"]["uid"] not in left
    version = MlflowRuns(trains.mlflow).version_of_run("undone-price", status["mlflow"]["runId"])
    assert version is not None
    assert version.version == status["modelVersion"]


def test_run_that_is_suspended_gives_its_gpu_back(trains: Estate, tmp_path: Path) -> None:
    """Given a run that trains, when it is suspended, then its pods go; on resume another attempt trains it."""
    trains.client.apply(COMPUTEPOOL.resource, {"metadata": {"name": "gpu"}, "spec": GPU_POOL})
    _houses(tmp_path, "suspended-price")
    with trains.repository(tmp_path, "houses", SUSPENDED):
        workflow = until(lambda: _training(trains, SUSPENDED), 240, lambda: trains.pods(SUSPENDED), 0.1)
        _suspend(trains, wanted=True)
        _until_nothing_trains(trains, SUSPENDED)
        assert trains.ready(TRAININGRUN, SUSPENDED, "price") == ("Unknown", "Suspended")

        _suspend(trains, wanted=False)
        status = trains.until_ready(TRAININGRUN, SUSPENDED, "price", 300)

    assert [record["outcome"] for record in status["history"]] == ["Suspended", "Registered"]
    assert workflow["metadata"]["name"] not in [one["metadata"]["name"] for one in _workflows(trains, SUSPENDED)]
    version = MlflowRuns(trains.mlflow).version_of_run("suspended-price", status["mlflow"]["runId"])
    assert version is not None
    assert version.version == status["modelVersion"] == "1"


def test_run_that_git_drops_while_it_trains_goes_with_its_pods(trains: Estate, tmp_path: Path) -> None:
    """Given a run that trains, when its manifest is removed, then run, Workflow and pods go, and nothing hangs."""
    trains.client.apply(COMPUTEPOOL.resource, {"metadata": {"name": "gpu"}, "spec": GPU_POOL})
    repository = _houses(tmp_path, "dropped-price")
    with trains.repository(tmp_path, "houses", DROPPED):
        until(lambda: _training(trains, DROPPED), 240, lambda: trains.pods(DROPPED), 0.1)
        repository.commit({"deploy/run.yaml": None})
        until(
            lambda: trains.client.get(TRAININGRUN.resource, DROPPED, "price") is None,
            60,
            lambda: trains.client.get(TRAININGRUN.resource, DROPPED, "price"),
            0.1,
        )
        _until_nothing_trains(trains, DROPPED)


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
    _houses(tmp_path, "razed-price")
    with trains.repository(tmp_path, "houses", RAZED):
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


def _houses(directory: Path, model: str) -> Repository:
    """Make the repository `houses` with a run of a model."""
    repository = Repository.make(directory / "houses", **{"data/houses.csv": houses(400).decode()})
    run = {**TRAINING, "model": {"name": model}, "hyperparameters": {"hidden": [8], "epochs": 300, "seed": 1}}
    repository.commit(
        {
            "deploy/dataset.yaml": manifest("Dataset", "houses", houses_spec()),
            "deploy/run.yaml": manifest("TrainingRun", "price", run),
        }
    )
    return repository


def _suspend(estate: Estate, *, wanted: bool) -> None:
    estate.client.merge_patch(TRAININGRUN.resource, SUSPENDED, "price", {"spec": {"suspend": wanted}})


def _until_nothing_trains(estate: Estate, namespace: str) -> None:
    """Wait until neither a Workflow of a run nor a pod of one is left, not even one that is ending."""
    until(
        lambda: not _workflows(estate, namespace) and not estate.client.list(POD, namespace, _OF_RUNS),
        90,
        lambda: (_workflows(estate, namespace), estate.client.list(POD, namespace, _OF_RUNS)),
        0.2,
    )


def _training(estate: Estate, namespace: str) -> dict[str, Any] | None:
    """Return the run's Workflow while its pod trains."""
    pods = estate.pods(namespace, _OF_RUNS)
    if not any("-train-" in pod["metadata"]["name"] and pod["status"].get("phase") == "Running" for pod in pods):
        return None
    return next(iter(_workflows(estate, namespace)), None)


def _workflows(estate: Estate, namespace: str) -> list[dict[str, Any]]:
    return list(estate.client.list(WORKFLOW, namespace, _OF_RUNS))

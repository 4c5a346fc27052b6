"""From a commit to a registered model: every step a pod, run by the real Argo Workflows on the GPU pool."""

from pathlib import Path
from typing import Any

import yaml

from modelops.adapters.mlflow_runs import MlflowRuns
from modelops.api.kinds import COMPUTEPOOL, DATASET, TRAININGRUN
from modelops.api.labels import OWNER_KIND
from tests.e2e.cluster.gpus import GPU, NODE
from tests.e2e.cluster.layout import POOL
from tests.e2e.stories.estate import Estate
from tests.support.git_server import Repository
from tests.support.operators import until
from tests.support.tables import houses, houses_spec

NAMESPACE = "story-trained"
TRAINING = {
    "datasetRef": {"name": "houses"},
    "model": {"name": "trained-price"},
    "prepare": {"drop": ["id"]},
    "trainer": {"builtin": "torch-mlp"},
    "hyperparameters": {"hidden": [8], "epochs": 3, "seed": 1},
    "evaluate": {"criteria": [{"metric": "mean_absolute_error", "max": 1e9}]},
    "compute": {"pool": "gpu", "gpus": 1, "timeout": "10m", "retries": 1},
}
GPU_POOL = {
    "nodeSelector": {POOL: "gpu"},
    "tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}],
    "resourceName": GPU,
}


def test_commit_is_trained_on_the_gpu_pool_and_registered(trains: Estate, tmp_path: Path) -> None:
    """Given a pool of GPU nodes, when a run is committed, then Argo trains it there and MLflow has the version."""
    trains.client.apply(COMPUTEPOOL.resource, {"metadata": {"name": "gpu"}, "spec": GPU_POOL})
    repository = Repository.make(tmp_path / "houses", **{"data/houses.csv": houses(400).decode()})
    commit = repository.commit(
        {
            "deploy/dataset.yaml": manifest("Dataset", "houses", houses_spec()),
            "deploy/run.yaml": manifest("TrainingRun", "price", TRAINING),
        }
    )
    placed: dict[str, tuple[str, str]] = {}

    with trains.repository(tmp_path, "houses", NAMESPACE):
        trains.until_ready(DATASET, NAMESPACE, "houses", 240)
        until(
            lambda: _trained(trains, placed), 360, lambda: (placed, trains.status(TRAININGRUN, NAMESPACE, "price")), 0.2
        )
        status = trains.status(TRAININGRUN, NAMESPACE, "price")

    train = next(pod for pod in placed if "-train-" in pod)
    node, gpus = placed[train]
    labels = (trains.client.get(NODE, None, node) or {})["metadata"]["labels"]
    assert (labels[POOL], gpus) == ("gpu", "1")
    version = MlflowRuns(trains.mlflow).version_of_run("trained-price", status["mlflow"]["runId"])
    assert version is not None
    assert version.version == status["modelVersion"]
    assert version.tags["modelops.commit"] == commit


def test_bad_data_is_told_and_not_tried_again(trains: Estate, tmp_path: Path) -> None:
    """Given data that breaks its contract, when its pod ends, then the object says what is wrong in its words."""
    repository = Repository.make(tmp_path / "few", **{"data/houses.csv": houses(20).decode()})
    repository.commit({"deploy/few.yaml": manifest("Dataset", "few", houses_spec(checks={"minRows": 1000}))})

    with trains.repository(tmp_path, "few", NAMESPACE):
        status = trains.until(DATASET, NAMESPACE, "few", _settled, 240)

    told = next(condition for condition in status["conditions"] if condition["type"] == "Ready")
    assert told["status"] == "False"
    assert "1000" in told["message"], told
    assert "exit code" not in told["message"].split("prepare:")[-1], told


def _settled(status: dict[str, Any]) -> bool:
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    return "Ready" in conditions and "Reconciling" not in conditions


def _trained(estate: Estate, placed: dict[str, tuple[str, str]]) -> bool:
    """Note where pods of the run are, and return whether it is Ready."""
    for pod in estate.pods(NAMESPACE, {OWNER_KIND: "TrainingRun"}):
        limits = (
            next(c for c in pod["spec"]["containers"] if c["name"] == "main").get("resources", {}).get("limits", {})
        )
        placed[pod["metadata"]["name"]] = (pod["spec"].get("nodeName", ""), limits.get(GPU, "0"))
    return estate.ready(TRAININGRUN, NAMESPACE, "price")[0] == "True"


def manifest(kind: str, name: str, spec: dict[str, Any]) -> str:
    """Return one of our objects as YAML."""
    return yaml.safe_dump(
        {"apiVersion": "modelops.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    )

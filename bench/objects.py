"""The small objects that benchmarks on a real kube-apiserver make, and Argo's part, played."""

import json
from typing import Any

from tests.support.operators import TEAM

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import WORKFLOW
from modelops.api.v1alpha1.common import API_VERSION

CSV = "id,price\na,1\nb,2\n"
"""What `dataset` reads, at data.csv."""


def dataset(name: str, *, source: str | None = None) -> dict[str, Any]:
    """Return a Dataset of data.csv.

    Args:
        name: of it.
        source: name of the GitSource with the file; by default the one that delivers the Dataset.
    """
    reference = {} if source is None else {"sourceRef": {"name": source}}
    spec = {
        "source": {"git": {"path": "data.csv", **reference}},
        "task": "regression",
        "target": "price",
        "schema": {"columns": [{"name": "id", "type": "string"}, {"name": "price", "type": "float"}]},
        "split": {"by": "hash", "key": "id", "percent": {"train": 60, "validation": 20, "test": 20}},
    }
    return _object("Dataset", name, spec)


def training_run(name: str, dataset_name: str) -> dict[str, Any]:
    """Return a small TrainingRun."""
    spec = {
        "datasetRef": {"name": dataset_name},
        "model": {"name": name},
        "prepare": {"drop": ["id"]},
        "trainer": {"builtin": "torch-mlp"},
        "hyperparameters": {"hidden": [4], "epochs": 1},
    }
    return _object("TrainingRun", name, spec)


def release(name: str) -> dict[str, Any]:
    """Return a ModelRelease that waits for a TrainingRun that nobody made."""
    spec = {
        "model": {"name": name, "from": {"trainingRun": f"nobody-{name}"}},
        "serving": {"replicas": 1},
        "traffic": {"hostnames": [f"{name}.example.com"]},
        "strategy": {"canary": {"steps": [{"setWeight": 100}]}},
    }
    return _object("ModelRelease", name, spec)


def play(client: KubeClient) -> None:
    """Say of every Workflow that has not ended that it succeeded, as Argo would."""
    for flow in client.list(WORKFLOW, TEAM):
        if (flow.get("status") or {}).get("phase"):
            continue
        name = flow["metadata"]["name"]
        pinned = {"contentDigest": "sha256:0", "digest": f"sha256:{name}", "rows": 2, "bytes": 20, "commit": "0" * 40}
        passed = {"experimentId": "1", "passed": True, "modelVersion": "1", "artifactDigest": "sha256:m"}
        said = {"version": 1, "runId": "0", **(pinned if name.startswith("ds-") else passed)}
        parameters = [{"name": "result", "value": json.dumps(said)}]
        node = {"id": "1", "type": "Pod", "phase": "Succeeded", "outputs": {"parameters": parameters}}
        client.merge_patch(WORKFLOW, TEAM, name, {"status": {"phase": "Succeeded", "nodes": {"1": node}}})


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": TEAM}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}

"""Models that a story finds registered, in the format that our own training writes."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np

from modelops.adapters.mlflow_runs import MlflowRuns
from modelops.api.v1alpha1.dataset import DatasetSpec
from modelops.api.v1alpha1.trainingrun import Prepare
from modelops.model import artifact, fit
from modelops.model.digest import artifact_digest
from tests.support.tables import houses_spec

COLUMNS: Final[Mapping[str, Sequence[object]]] = {
    "id": ["a", "b", "c", "d"],
    "area": [10.0, 20.0, 30.0, 1000.0],
    "rooms": [1, None, 3, 4],
    "kind": ["flat", "house", "flat", "flat"],
    "price": [10.0, 20.0, 30.0, 40.0],
}
ROW: Final = {
    "inputs": [
        {"name": "area", "shape": [1], "datatype": "FP64", "data": [50.0]},
        {"name": "rooms", "shape": [1], "datatype": "INT64", "data": [2]},
        {"name": "kind", "shape": [1], "datatype": "BYTES", "data": ["flat"]},
    ]
}
"""A request for a price."""


def register(mlflow: str, name: str, seed: int = 1) -> str:
    """Register a network that was never trained, and return its version; another seed is another model."""
    runs = MlflowRuns(mlflow)
    preparation = fit.fit_preparation(COLUMNS, DatasetSpec.model_validate(houses_spec()), Prepare(drop=("id",)))
    chance = np.random.default_rng(seed)
    tensors = {
        "layer0.weight": chance.normal(size=(4, preparation.width)).astype(np.float32),
        "layer0.bias": np.zeros(4, np.float32),
        "layer1.weight": chance.normal(size=(1, 4)).astype(np.float32),
        "layer1.bias": np.zeros(1, np.float32),
    }
    document = preparation.to_json()
    run = runs.create_run(runs.experiment("stories"), name, {}, start_time=int(time.time() * 1000))
    example = {column.name: COLUMNS[column.name] for column in preparation.columns}
    files = artifact.weight_files(document, tensors)
    files |= artifact.mlflow_files(preparation, example, run_id=run.run_id, now=datetime.now(UTC))
    for path, content in files.items():
        runs.put_artifact(run, f"model/{path}", content)
    runs.ensure_model(name)
    tags = {"modelops.artifactDigest": artifact_digest(document, tensors)}
    return runs.create_version(name, run, "model", tags).version

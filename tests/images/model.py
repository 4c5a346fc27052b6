"""A model of the tabular format, trained in seconds, as the train step writes it."""

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelops.api.v1alpha1 import dataset, trainingrun
from modelops.model import artifact, fit, training
from tests.support import tables


def write_model(directory: Path) -> None:
    """Train a model of house prices and write it to a directory."""
    data = dataset.DatasetSpec.model_validate(tables.houses_spec())
    run = trainingrun.TrainingRunSpec.model_validate(tables.price_run())
    columns = _columns(tables.houses(300))
    preparation = fit.fit_preparation(columns, data, run.prepare)
    part = training.Part(preparation.features(columns), fit.encode_target(columns["price"], preparation.target))
    result = training.train_mlp(part, part, run.network(), classes=0, class_weights=False, gpus=0)
    example = {column.name: columns[column.name][:3] for column in preparation.columns}
    files = artifact.weight_files(preparation.to_json(), result.tensors)
    files |= artifact.mlflow_files(preparation, example, run_id="0" * 32, now=datetime.now(UTC))
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _columns(content: bytes) -> dict[str, list[Any]]:
    rows = list(csv.DictReader(content.decode().splitlines()))
    numbers = {"area", "rooms", "price"}
    return {
        name: [(float(row[name]) if row[name] else None) if name in numbers else row[name] for row in rows]
        for name in rows[0]
    }

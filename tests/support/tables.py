"""Small tables and the step inputs for them."""

import csv
import io
import json
import math
import random
from typing import Any

API_VERSION = "modelops.dev/v1alpha1"


def houses(count: int, *, seed: int = 1) -> bytes:
    """Return a CSV of houses whose price follows from area and kind."""
    chance = random.Random(seed)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["id", "area", "rooms", "kind", "price"])
    for number in range(count):
        area = round(chance.uniform(20, 300), 1)
        kind = chance.choice(["house", "flat"])
        price = round(1000 * area * (1.3 if kind == "house" else 1.0) * math.exp(chance.gauss(0, 0.02)))
        rooms = "" if chance.random() < 0.1 else str(int(area // 25) + 1)
        writer.writerow([f"h{number}", area, rooms, kind, price])
    return buffer.getvalue().encode()


def houses_spec(**changes: Any) -> dict[str, Any]:
    """Return the Dataset spec of `houses`."""
    return {
        "source": {"git": {"path": "data/houses.csv"}},
        "format": "csv",
        "task": "regression",
        "target": "price",
        "schema": {
            "strict": True,
            "columns": [
                {"name": "id", "type": "string"},
                {"name": "area", "type": "float", "min": 5, "max": 2000},
                {"name": "rooms", "type": "integer", "min": 1, "nullable": True},
                {"name": "kind", "type": "category", "values": ["house", "flat", "land"]},
                {"name": "price", "type": "float", "min": 1},
            ],
        },
        "split": {"by": "hash", "key": "id"},
        **changes,
    }


def prepare_step(spec: dict[str, Any], *, commit: str = "c" * 40, attempt: str = "0a1b2c3d", **git: str) -> str:
    """Return `MODELOPS_STEP` of prepare."""
    return json.dumps(
        {
            "apiVersion": API_VERSION,
            "step": "prepare",
            "namespace": "pricing",
            "name": "houses",
            "attempt": attempt,
            "inputsHash": f"sha256:{attempt}",
            "git": {"url": "", "commit": commit, "path": "data/houses.csv", "blob": "", **git},
            "dataset": spec,
        }
    )


def training_step(
    step: str,
    prepared: dict[str, Any],
    dataset: dict[str, Any],
    run: dict[str, Any],
    *,
    attempt: str,
    name: str = "price",
) -> str:
    """Return `MODELOPS_STEP` of train, evaluate or register."""
    return json.dumps(
        {
            "apiVersion": API_VERSION,
            "step": step,
            "namespace": "pricing",
            "name": name,
            "attempt": attempt,
            "inputsHash": f"sha256:{attempt}",
            "commit": "d" * 40,
            "data": {
                "runId": prepared["runId"],
                "contentDigest": prepared["contentDigest"],
                "digest": prepared["digest"],
                "commit": prepared["commit"],
            },
            "dataset": dataset,
            "run": run,
            "promotedAlias": "champion",
            "workflowUid": "00000000-0000-0000-0000-000000000001",
            "gpus": 0,
        }
    )


def price_run(**changes: Any) -> dict[str, Any]:
    """Return the TrainingRun spec of a small price model."""
    return {
        "datasetRef": {"name": "houses"},
        "model": {"name": "price"},
        "prepare": {"drop": ["id"], "target": "log", "clip": {"percentiles": [1, 99]}},
        "trainer": {"builtin": "torch-mlp"},
        "hyperparameters": {"hidden": [16], "epochs": 40, "learningRate": 0.02, "batchSize": 32},
        "evaluate": {
            "criteria": [
                {"metric": "within_percent", "percent": 20, "min": 0.5, "confidence": 0.95},
                {"metric": "mean_absolute_error", "against": "baseline"},
                {"metric": "mean_absolute_error", "against": "champion", "maxRelativeRegression": 0.1},
            ]
        },
        **changes,
    }

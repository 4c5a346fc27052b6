"""Writes a model as a directory that modelops, and plain MLflow without modelops, can load.

Called by the train step (weights, preparation, digest) and completed by the register step. MLflow's own writer is not
used: importing it takes seconds, and its files are few and documented. Tests load every result with MLflow itself.
"""

import json
import platform
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import metadata, resources
from typing import Any

import numpy as np
import yaml
from safetensors.numpy import save

from modelops.model import tabular
from modelops.model.digest import canonical_json

CODE = "code/modelops_tabular.py"
EXAMPLE_ROWS = 3
_LIBRARIES = ("mlflow", "numpy", "pandas", "safetensors")


def weight_files(preparation: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """Return the files that make the model: path in the model's directory to bytes."""
    return {
        "preparation.json": canonical_json(preparation),
        "weights.safetensors": save({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}),
    }


def mlflow_files(
    preparation: tabular.Preparation, example: Mapping[str, Sequence[Any]], *, run_id: str, now: datetime
) -> dict[str, bytes]:
    """Return the files by which MLflow knows the model: MLmodel, code, environment and input example.

    Args:
        preparation: The model's, for its signature.
        example: A few raw rows, as cells per column.
        run_id: The run that made the model.
        now: Stands in MLmodel as the time of creation.
    """
    python = ".".join(str(part) for part in _python_version())
    versions = [f"{name}=={version}" for name in _LIBRARIES if (version := _version(name))]
    split = {
        "columns": list(example),
        "data": [list(row) for row in zip(*example.values(), strict=True)],
    }
    mlmodel = {
        "artifact_path": "model",
        "flavors": {
            "python_function": {
                "loader_module": "modelops_tabular",
                "code": "code",
                "env": {"virtualenv": "python_env.yaml"},
                "python_version": python,
            }
        },
        "metadata": {"modelops": {"format": tabular.FORMAT}},
        "mlflow_version": _version("mlflow") or _version("mlflow-skinny"),
        "model_uuid": uuid.uuid5(uuid.NAMESPACE_URL, f"modelops:{run_id}").hex,
        "run_id": run_id,
        "saved_input_example_info": {
            "artifact_path": "input_example.json",
            "pandas_orient": "split",
            "serving_input_path": "serving_input_example.json",
            "type": "dataframe",
        },
        "signature": signature(preparation),
        "utc_time_created": now.strftime("%Y-%m-%d %H:%M:%S.%f"),
    }
    environment = {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
    code = resources.files("modelops.model").joinpath("tabular.py").read_bytes()
    return {
        CODE: code,
        "MLmodel": yaml.safe_dump(mlmodel, sort_keys=True).encode(),
        "input_example.json": json.dumps(split).encode(),
        "serving_input_example.json": json.dumps({"dataframe_split": split}).encode(),
        "requirements.txt": ("\n".join(versions) + "\n").encode(),
        "python_env.yaml": yaml.safe_dump(environment, sort_keys=False).encode(),
    }


def signature(preparation: tabular.Preparation) -> dict[str, Any]:
    """Return the signature of the raw columns as MLmodel has it; nullable columns are optional."""
    inputs = [
        {"type": _mlflow_type(column), "name": column.name, "required": not column.nullable}
        for column in preparation.columns
    ]
    classes = preparation.target.classes
    outputs = [{"type": "long" if classes else "double", "name": "prediction", "required": True}]
    if classes:
        outputs.append({"type": "string", "name": "label", "required": True})
        outputs += [{"type": "double", "name": f"probability_{name}", "required": True} for name in classes]
    return {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs), "params": None}


def _mlflow_type(column: tabular.Column) -> str:
    match column.type:
        case "boolean":
            return "boolean"
        case "integer":
            # MLflow's integers cannot be missing; a DataFrame has such a column as floats.
            return "double" if column.nullable else "long"
        case "float":
            return "double"
        case _:
            return "string"


def _python_version() -> tuple[int, int, int]:
    major, minor, micro = platform.python_version_tuple()
    return int(major), int(minor), int("".join(digit for digit in micro if digit.isdigit()))


def _version(name: str) -> str | None:
    try:
        # A local part (1.2+cpu) names one builder's file; the environment needs the release.
        return metadata.version(name).split("+")[0]
    except metadata.PackageNotFoundError:
        return None

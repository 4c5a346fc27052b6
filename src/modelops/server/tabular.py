"""Serves `tabular-mlp/1` models with our own code: JSON and safetensors are read, nothing in the artifact is executed.

Called by `modelops.server.loading`. It must never run code that comes with a model.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from safetensors import SafetensorError
from safetensors.numpy import load_file
from threadpoolctl import threadpool_limits

from modelops.model.digest import artifact_digest
from modelops.model.tabular import Categorical, InputError, TabularModel
from modelops.model.tabular import Column as ModelColumn
from modelops.server.loading import ModelUnavailableError
from modelops.server.predictor import Column, Datatype, Outputs, RefusedInputError

_DATATYPES: Final[Mapping[str, Datatype]] = {
    "boolean": "BOOL",
    "integer": "INT64",
    "float": "FP64",
    "category": "BYTES",
    "string": "BYTES",
}
_ZERO: Final[Mapping[Datatype, Any]] = {"BOOL": False, "INT64": 0, "FP32": 0.0, "FP64": 0.0, "BYTES": ""}


class TabularPredictor:
    """A model that modelops trained."""

    def __init__(self, model: TabularModel, example: Mapping[str, list[Any]]) -> None:
        self._model = model
        self._example = example
        self._columns = tuple(
            Column(column.name, _datatype(column), required=not column.nullable, known=_known(column))
            for column in model.columns
        )

    @classmethod
    def load(cls, directory: Path, *, expected_digest: str | None) -> Self:
        """Read a model from its directory, and have this process multiply matrices in one thread.

        Requests are small and answered one after the other: more threads wait for each other longer than they work.

        Args:
            directory: holds `preparation.json` and `weights.safetensors`.
            expected_digest: `sha256:…` by which the registry knows the artifact; None skips the comparison.

        Raises:
            ModelUnavailableError: a file is missing or damaged, or the digest is another.
        """
        try:
            digest = artifact_digest(
                json.loads((directory / "preparation.json").read_text(encoding="utf-8")),
                load_file(str(directory / "weights.safetensors")),
            )
            if expected_digest is not None and digest != expected_digest:
                raise ModelUnavailableError(
                    f"the model's digest is {digest}, but it was registered as {expected_digest}; "
                    "the artifact was changed after its registration: register it again"
                )
            model = TabularModel.load(directory)
            threadpool_limits(limits=1, user_api="blas")
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise ModelUnavailableError(f"{directory} holds no readable tabular model: {error}") from error
        return cls(model, _example(directory, model))

    @property
    def inputs(self) -> tuple[Column, ...]:
        return self._columns

    @property
    def classes(self) -> tuple[str, ...]:
        return self._model.classes

    @property
    def platform(self) -> str:
        return "modelops_tabular"

    def example(self) -> Mapping[str, list[Any]]:
        """Return the first row of the model's own input example, else a row of zeros."""
        return self._example

    def predict(self, columns: Mapping[str, list[Any]], rows: int) -> Outputs:
        """Answer N rows; absent columns are missing throughout.

        Raises:
            RefusedInputError: a required value is missing, or one is not what its column holds.
        """
        given = columns or {column.name: [None] * rows for column in self._columns}
        try:
            answer = self._model.predict_columns(given)
        except InputError as error:
            raise RefusedInputError(str(error)) from error
        return Outputs(answer.prediction, answer.label, answer.probabilities)


def _datatype(column: ModelColumn) -> Datatype:
    return _DATATYPES[column.type]


def _known(column: ModelColumn) -> frozenset[str] | None:
    return frozenset(column.values) if isinstance(column, Categorical) and _datatype(column) == "BYTES" else None


def _example(directory: Path, model: TabularModel) -> dict[str, list[Any]]:
    names = {column.name for column in model.columns}
    try:
        split = json.loads((directory / "input_example.json").read_text(encoding="utf-8"))
        row = {name: [cell] for name, cell in zip(split["columns"], split["data"][0], strict=True) if name in names}
        if row:
            model.predict_columns(row)
            return row
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        # An example is a convenience of MLflow's; a model without a usable one still serves.
        pass
    return {column.name: [_ZERO[_datatype(column)]] for column in model.columns}

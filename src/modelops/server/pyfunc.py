"""Any MLflow model with a column signature, through mlflow.pyfunc."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from modelops.server.loading import ModelUnavailableError
from modelops.server.predictor import Column, Datatype, Outputs

_DATATYPES: Final[Mapping[str, Datatype]] = {
    "boolean": "BOOL",
    "integer": "INT64",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
}
_DTYPES: Final[Mapping[str, str]] = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "object",
}


class PyfuncPredictor:
    """A model of any flavor that answers one value per row."""

    def __init__(self, model: Any, columns: tuple[Column, ...], dtypes: Mapping[str, str]) -> None:
        self._model = model
        self._columns = columns
        self._dtypes = dtypes

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Load a logged model.

        Raises:
            ModelUnavailableError: it has no signature of named, scalar columns, or does not load.
        """
        import mlflow.pyfunc  # noqa: PLC0415
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        try:
            model = mlflow.pyfunc.load_model(str(directory))
        except (MlflowException, ImportError, OSError, ValueError) as error:
            raise ModelUnavailableError(f"{directory.name} does not load: {error}") from error
        schema = model.metadata.get_input_schema()
        if schema is None or schema.is_tensor_spec():
            raise ModelUnavailableError(f"{directory.name} has no signature of named columns; log it with a signature")
        columns, dtypes = [], {}
        for spec in schema.inputs:
            type_name = getattr(spec.type, "name", "")
            if type_name not in _DATATYPES or spec.name is None:
                raise ModelUnavailableError(f"column {spec.name!r} has type {spec.type}, which cannot be served")
            columns.append(Column(spec.name, _DATATYPES[type_name], spec.required))
            dtypes[spec.name] = _DTYPES[type_name]
        return cls(model, tuple(columns), dtypes)

    @property
    def inputs(self) -> tuple[Column, ...]:
        return self._columns

    @property
    def classes(self) -> tuple[str, ...]:
        return ()

    @property
    def platform(self) -> str:
        return "mlflow_pyfunc"

    def example(self) -> Mapping[str, list[Any]]:
        """Return the model's own input example, or zeros and empty strings."""
        example = self._model.input_example
        if example is not None and hasattr(example, "columns"):
            row = example.iloc[0]
            return {column.name: [row[column.name]] for column in self._columns if column.name in row}
        zero: Mapping[str, Any] = {"BOOL": False, "BYTES": ""}
        return {column.name: [zero.get(column.datatype, 0)] for column in self._columns}

    def predict(self, columns: Mapping[str, list[Any]], rows: int) -> Outputs:
        """Answer through a DataFrame of the signature's dtypes; None becomes NaN where the dtype has one."""
        import pandas as pd  # noqa: PLC0415

        data: dict[str, Any] = {}
        for column in self._columns:
            values = columns.get(column.name)
            if values is None:
                continue
            dtype = self._dtypes[column.name]
            data[column.name] = np.array(values, dtype="object" if None in values and dtype[0] in "ib" else dtype)
        answer = np.asarray(self._model.predict(pd.DataFrame(data, index=range(rows))))
        if answer.ndim > 1 and answer.shape[1:] == (1,):
            answer = answer.reshape(-1)
        if answer.shape[:1] != (rows,) or answer.ndim != 1:
            raise ValueError(f"the model answered shape {answer.shape} to {rows} rows; one value per row is needed")
        return Outputs(answer)

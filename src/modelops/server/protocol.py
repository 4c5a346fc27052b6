"""Requests and answers on the wire, without I/O: Open Inference Protocol v2 and MLflow's scoring protocol.

Source: the Open Inference Protocol REST specification (inference_rest.md) and MLflow's scoring server formats.
Every refusal is a `BadRequestError` with one line that names the column and says what is wrong with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelops.server.predictor import Column, Outputs

_NUMBERS: Final = (int, float)
_WIRE: Final[Mapping[str, frozenset[str]]] = {
    "BOOL": frozenset({"BOOL"}),
    "INT64": frozenset({"BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"}),
    "BYTES": frozenset({"BYTES"}),
}
_FLOATS: Final = _WIRE["INT64"] | {"FP16", "FP32", "FP64"}
MAX_ROWS: Final = 65_536
"""Rows of one request; more are refused before any work."""


class BadRequestError(ValueError):
    """The client's mistake, in one line."""


@dataclass(frozen=True, slots=True)
class Request:
    """One inference request after parsing."""

    columns: Mapping[str, list[Any]]
    """Per column N values; None is missing."""
    rows: int
    id: str | None = None


def parse_infer(body: Any, inputs: Mapping[str, Column]) -> Request:
    """Parse a v2 inference request: one tensor per column, shape [N] or [N, 1].

    Raises:
        BadRequestError: the body is not such a request, or a column is unknown, missing, or of another type.
    """
    if not isinstance(body, dict) or not isinstance(body.get("inputs"), list):
        raise BadRequestError("the body must be a JSON object with a list `inputs`")
    columns: dict[str, list[Any]] = {}
    rows = -1
    for tensor in body["inputs"]:
        if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
            raise BadRequestError("every element of `inputs` must be an object with a name")
        name = tensor["name"]
        column = inputs.get(name)
        if column is None:
            raise BadRequestError(f"column {name!r} is not one of the model's inputs")
        if name in columns:
            raise BadRequestError(f"column {name!r} is given twice")
        values = _values(column, tensor)
        if rows not in (-1, len(values)):
            raise BadRequestError(f"column {name!r} has {len(values)} rows, others have {rows}")
        rows = len(values)
        columns[name] = values
    return Request(_complete(columns, inputs), _bounded(rows), _identifier(body.get("id")))


def _values(column: Column, tensor: Mapping[str, Any]) -> list[Any]:
    shape, data, datatype = tensor.get("shape"), tensor.get("data"), tensor.get("datatype")
    if not isinstance(data, list):
        raise BadRequestError(f"column {column.name!r}: `data` must be a list")
    if data and isinstance(data[0], list):
        if not all(isinstance(row, list) and len(row) == 1 for row in data):
            raise BadRequestError(f"column {column.name!r}: one tensor per column, shape [N] or [N, 1]")
        data = [row[0] for row in data]
    if shape not in ([len(data)], [len(data), 1]):
        raise BadRequestError(
            f"column {column.name!r}: shape {shape} does not fit {len(data)} values; use [N] or [N, 1]"
        )
    if datatype not in _WIRE.get(column.datatype, _FLOATS):
        raise BadRequestError(f"column {column.name!r}: datatype must be {column.datatype}, not {datatype}")
    return check_values(column, data)


def check_values(column: Column, data: list[Any]) -> list[Any]:
    """Return the values if each is of the column's type or None.

    Raises:
        BadRequestError: one is not, or None where the column is required and of a type without a missing value.
    """
    expected = str if column.datatype == "BYTES" else bool if column.datatype == "BOOL" else _NUMBERS
    for value in data:
        if value is not None and not isinstance(value, expected):
            raise BadRequestError(f"column {column.name!r}: {value!r:.80} is not {column.datatype}")
    return data


def _complete(columns: dict[str, list[Any]], inputs: Mapping[str, Column]) -> dict[str, list[Any]]:
    if len(columns) < len(inputs):
        for name, column in inputs.items():
            if column.required and name not in columns:
                raise BadRequestError(f"required column {name!r} is missing")
    return columns


def _bounded(rows: int) -> int:
    if rows < 1:
        raise BadRequestError("the request has no rows")
    if rows > MAX_ROWS:
        raise BadRequestError(f"the request has {rows} rows; at most {MAX_ROWS} are answered at once")
    return rows


def _identifier(value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or len(value) > 256):
        raise BadRequestError("`id` must be a string of at most 256 characters")
    return value


def render_infer(name: str, version: str, identifier: str, outputs: Outputs) -> dict[str, Any]:
    """Return the v2 answer: `prediction`, and for classes also `label` and `probabilities`."""
    tensors = [_tensor("prediction", outputs.prediction)]
    if outputs.label is not None:
        tensors.append(_tensor("label", outputs.label))
    if outputs.probabilities is not None:
        tensors.append(_tensor("probabilities", outputs.probabilities))
    return {"model_name": name, "model_version": version, "id": identifier, "outputs": tensors}


def _tensor(name: str, values: Any) -> dict[str, Any]:
    datatype = {"f": "FP64", "i": "INT64", "u": "INT64", "b": "BOOL"}.get(values.dtype.kind, "BYTES")
    return {"name": name, "datatype": datatype, "shape": list(values.shape), "data": values.ravel().tolist()}


def parse_invocations(body: Any, inputs: Mapping[str, Column]) -> Request:
    """Parse MLflow's JSON scoring formats: dataframe_split, dataframe_records, or column-wise inputs.

    Raises:
        BadRequestError: none of these, or a column is unknown, missing, or of another type.
    """
    if not isinstance(body, dict):
        raise BadRequestError("the body must be a JSON object with dataframe_split, dataframe_records or inputs")
    if isinstance(split := body.get("dataframe_split"), dict):
        columns = _from_split(split)
    elif isinstance(records := body.get("dataframe_records"), list):
        columns = _from_records(records)
    elif isinstance(named := body.get("inputs"), dict):
        columns = {key: value if isinstance(value, list) else [value] for key, value in named.items()}
    else:
        raise BadRequestError("the body needs dataframe_split, dataframe_records or inputs by column")
    for name, values in columns.items():
        if name not in inputs:
            raise BadRequestError(f"column {name!r} is not one of the model's inputs")
        check_values(inputs[name], values)
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise BadRequestError("the columns differ in length")
    return Request(_complete(columns, inputs), _bounded(lengths.pop() if lengths else 0))


def _from_split(split: Mapping[str, Any]) -> dict[str, list[Any]]:
    names, data = split.get("columns"), split.get("data")
    if not isinstance(names, list) or not isinstance(data, list):
        raise BadRequestError("dataframe_split needs lists `columns` and `data`")
    if not all(isinstance(row, list) and len(row) == len(names) for row in data):
        raise BadRequestError(f"every row of dataframe_split.data needs {len(names)} values")
    return {str(name): [row[index] for row in data] for index, name in enumerate(names)}


def _from_records(records: Sequence[Any]) -> dict[str, list[Any]]:
    if not all(isinstance(record, dict) for record in records):
        raise BadRequestError("every element of dataframe_records must be an object")
    names = dict.fromkeys(key for record in records for key in record)
    return {name: [record.get(name) for record in records] for name in names}


def render_invocations(outputs: Outputs) -> dict[str, Any]:
    """Return MLflow's answer: the label where there is one, else the prediction, per row."""
    values = outputs.prediction if outputs.label is None else outputs.label
    return {"predictions": values.tolist()}

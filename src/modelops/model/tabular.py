"""The model format `tabular-mlp/1`: raw table rows in, predictions out.

For the evaluate step and the model server, which load a directory with `TabularModel.load`, and for plain MLflow,
which finds a copy of this file inside every model and calls `_load_pyfunc`. It must therefore stay self-contained:
standard library, numpy, pandas and safetensors only, nothing of modelops, and no pickle, ever. What torch trained is
answered without torch: a few matrix products need none of its gigabytes.

A directory of this format holds `preparation.json` (columns, fitted transforms, classes, task: everything that turns
raw values into features and network outputs into answers) and `weights.safetensors` (float32, `layer<i>.weight`
[out, in] and `layer<i>.bias` [out]).
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors.numpy import load_file

FORMAT = "tabular-mlp/1"
_WORDS = {"true": 1.0, "false": 0.0}


class InputError(ValueError):
    """The rows do not fit the model; the message names the column and says what to do."""


@dataclass(frozen=True, slots=True)
class Numeric:
    """A number and how it becomes one feature, or two with a missing-value indicator."""

    name: str
    type: str
    """float, integer or boolean."""
    nullable: bool
    fill: float
    """Stands in for a missing value; in the column's own unit."""
    indicator: bool
    """Whether a second feature says that the value was missing."""
    low: float | None
    high: float | None
    """Clip bounds in the column's own unit, or None."""
    offset: float
    factor: float
    """The feature is (value - offset) * factor."""


@dataclass(frozen=True, slots=True)
class Categorical:
    """A category and how it becomes features."""

    name: str
    type: str
    """category or string."""
    nullable: bool
    values: tuple[str, ...]
    fill: str | None
    """Stands in for a missing value; with None missing is a bucket of its own."""
    indicator: bool
    encode: str
    """one-hot: a feature for each bucket; ordinal: one feature, the bucket's index over the number of buckets."""

    @property
    def buckets(self) -> int:
        """How many buckets there are: values, perhaps one for missing, and the last for unseen values."""
        return len(self.values) + (2 if self.fill is None else 1)


Column = Numeric | Categorical


@dataclass(frozen=True, slots=True)
class Target:
    """What is predicted, and how network outputs become answers."""

    name: str
    transform: str = "none"
    """none, log or standard; outputs are (transformed - mean) / deviation."""
    mean: float = 0.0
    deviation: float = 1.0
    classes: tuple[str, ...] = ()
    """In the order of the network's outputs; empty for regression."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answers for N rows."""

    prediction: np.ndarray
    """Shape [N]: float64 in the target's own unit, or int64 indices into the classes."""
    label: np.ndarray | None = None
    """Shape [N], the class of each row as text (dtype object); None for regression."""
    probabilities: np.ndarray | None = None
    """Shape [N, classes], float64; None for regression."""

    def is_finite(self) -> bool:
        """Say whether every number of the answer is finite."""
        numbers = self.prediction if self.probabilities is None else self.probabilities
        return bool(np.isfinite(numbers).all())


def is_missing(value: object) -> bool:
    """Say whether a raw cell is missing: None, NaN or an empty string."""
    return value is None or value == "" or value != value  # noqa: PLR0124  NaN is what differs from itself


def category_text(value: object) -> str:
    """Return the text by which a raw cell is looked up among category values."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


class Preparation:
    """Turns raw columns into a feature matrix. Fitted elsewhere (`modelops.model.fit`), applied here.

    Features stand in this order: all numeric values, then all indicators, then the categorical buckets.
    """

    def __init__(self, task: str, target: Target, columns: Sequence[Column]) -> None:
        self.task = task
        self.target = target
        self.columns = tuple(columns)
        self._numeric = [column for column in columns if isinstance(column, Numeric)]
        self._categorical = [column for column in columns if isinstance(column, Categorical)]
        numbers = self._numeric
        self._fill = np.array([c.fill for c in numbers], dtype=np.float64)
        self._low = np.array([-math.inf if c.low is None else c.low for c in numbers], dtype=np.float64)
        self._high = np.array([math.inf if c.high is None else c.high for c in numbers], dtype=np.float64)
        self._clips = any(c.low is not None or c.high is not None for c in numbers)
        self._offset = np.array([c.offset for c in numbers], dtype=np.float64)
        self._factor = np.array([c.factor for c in numbers], dtype=np.float64)
        self._required = np.array([not c.nullable for c in numbers], dtype=bool)
        self._indicators = [i for i, c in enumerate(numbers) if c.indicator]
        self._indices = [{value: i for i, value in enumerate(c.values)} for c in self._categorical]
        self.width = (
            len(numbers)
            + len(self._indicators)
            + sum((c.buckets if c.encode == "one-hot" else 1) + c.indicator for c in self._categorical)
        )
        """Number of features."""

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Preparation":
        """Return the preparation that `to_json` described.

        Raises:
            InputError: the document is of another format.
        """
        if document.get("format") != FORMAT:
            raise InputError(f"preparation.json is of format {document.get('format')!r}; this code reads {FORMAT!r}")
        columns: list[Column] = []
        for entry in document["columns"]:
            fields: dict[str, Any] = {
                key: tuple(value) if key == "values" else value for key, value in entry.items() if key != "kind"
            }
            columns.append(Numeric(**fields) if entry["kind"] == "numeric" else Categorical(**fields))
        target = dict(document["target"])
        return cls(document["task"], Target(**{**target, "classes": tuple(target["classes"])}), columns)

    def to_json(self) -> dict[str, Any]:
        """Return everything there is to know, as plain JSON."""
        columns = [
            {"kind": "numeric" if isinstance(c, Numeric) else "categorical"}
            | {name: getattr(c, name) for name in c.__slots__}
            for c in self.columns
        ]
        for entry in columns:
            if "values" in entry:
                entry["values"] = list(entry["values"])
        target = {name: getattr(self.target, name) for name in self.target.__slots__}
        return {
            "format": FORMAT,
            "task": self.task,
            "target": {**target, "classes": list(self.target.classes)},
            "columns": columns,
        }

    def features(self, columns: Mapping[str, Any]) -> np.ndarray:
        """Return the features of N raw rows, float32, shape [N, width].

        Args:
            columns: One array or list of N raw cells per column name; others than the model's are ignored.

        Raises:
            InputError: a required column or cell is missing, or a cell is not what its column holds.
        """
        rows = _rows(columns)
        blocks = []
        if self._numeric:
            matrix = self._numbers(columns, rows)
            missing = np.isnan(matrix)
            if missing.any():
                self._refuse_missing(missing)
                indicators = missing[:, self._indicators]
                matrix = np.where(missing, self._fill, matrix)
            else:
                indicators = np.zeros((rows, len(self._indicators)))
            if self._clips:
                matrix = np.clip(matrix, self._low, self._high)
            # Out-of-range input may overflow here: such rows get no number, and the server answers with an error.
            with np.errstate(over="ignore", invalid="ignore"):
                blocks.append(((matrix - self._offset) * self._factor).astype(np.float32))
            if self._indicators:
                blocks.append(indicators.astype(np.float32))
        blocks.extend(
            _encode(column, index, _cells(columns, column, rows))
            for column, index in zip(self._categorical, self._indices, strict=True)
        )
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1)

    def _numbers(self, columns: Mapping[str, Any], rows: int) -> np.ndarray:
        matrix = np.empty((rows, len(self._numeric)), dtype=np.float64)
        for position, column in enumerate(self._numeric):
            try:
                matrix[:, position] = columns[column.name]
            except (KeyError, TypeError, ValueError):
                # The slow way: absent, text, or something that is not a number.
                matrix[:, position] = [_number(column, cell) for cell in _cells(columns, column, rows)]
        return matrix

    def _refuse_missing(self, missing: np.ndarray) -> None:
        refused = missing & self._required
        if refused.any():
            row, position = (int(axis[0]) for axis in np.nonzero(refused))
            raise InputError(f"column {self._numeric[position].name!r} is required, but row {row} has no value")


def _rows(columns: Mapping[str, Any]) -> int:
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        raise InputError("send at least one column, and all columns with the same number of rows")
    return lengths.pop()


def _cells(columns: Mapping[str, Any], column: Column, rows: int) -> Sequence[Any]:
    values = columns.get(column.name)
    if values is None:
        if not column.nullable:
            raise InputError(f"column {column.name!r} is required; send it with every row")
        return [None] * rows
    return np.asarray(values, dtype=object).reshape(rows).tolist()


def _number(column: Numeric, cell: object) -> float:
    if is_missing(cell):
        return math.nan
    if isinstance(cell, bytes):
        cell = cell.decode("utf-8", "replace")
    try:
        if isinstance(cell, str) and column.type == "boolean":
            return _WORDS[cell.strip().lower()]
        return float(cast("Any", cell))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InputError(f"column {column.name!r} holds {column.type} values, not {str(cell)[:40]!r}") from None


def _encode(column: Categorical, index: Mapping[str, int], cells: Sequence[Any]) -> np.ndarray:
    """Return the features of one categorical column, float32, shape [N, buckets (or 1) + indicator]."""
    missing_bucket = len(column.values) if column.fill is None else index[column.fill]
    unseen_bucket = column.buckets - 1
    missing = np.fromiter((is_missing(cell) for cell in cells), dtype=bool, count=len(cells))
    if not column.nullable and missing.any():
        raise InputError(f"column {column.name!r} is required, but row {int(missing.argmax())} has no value")
    bucket = np.fromiter(
        (
            missing_bucket if absent else index.get(category_text(cell), unseen_bucket)
            for cell, absent in zip(cells, missing, strict=True)
        ),
        dtype=np.int64,
        count=len(cells),
    )
    if column.encode == "one-hot":
        encoded = np.zeros((len(cells), column.buckets + column.indicator), dtype=np.float32)
        encoded[np.arange(len(cells)), bucket] = 1.0
    else:
        encoded = np.zeros((len(cells), 1 + column.indicator), dtype=np.float32)
        encoded[:, 0] = bucket / unseen_bucket
    if column.indicator:
        encoded[:, -1] = missing
    return encoded


def forward(features: np.ndarray, layers: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the network's outputs, float32, shape [N, outputs]: linear layers with ReLU between them.

    Args:
        features: float32, shape [N, width].
        layers: Per layer its weight, float32, shape [inputs, outputs], and its bias, shape [outputs].
    """
    # Features that overflowed are infinite; what becomes of them is for the caller to say.
    with np.errstate(over="ignore", invalid="ignore"):
        for weight, bias in layers[:-1]:
            features = features @ weight
            features += bias
            np.maximum(features, 0.0, out=features)
        weight, bias = layers[-1]
        outputs: np.ndarray = features @ weight
        outputs += bias
    return outputs


def answers(outputs: np.ndarray, target: Target) -> Prediction:
    """Return what the network's outputs, shape [N, outputs], say about the target."""
    outputs = outputs.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        if target.classes:
            exponents = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            probabilities = exponents / exponents.sum(axis=1, keepdims=True)
            index = probabilities.argmax(axis=1)
            return Prediction(index, np.array(target.classes, dtype=object)[index], probabilities)
        values = outputs[:, 0] * target.deviation + target.mean
        return Prediction(np.exp(values) if target.transform == "log" else values)


class TabularModel:
    """A loaded model. Immutable; safe to use from several threads."""

    def __init__(self, preparation: Preparation, tensors: Mapping[str, np.ndarray]) -> None:
        self.preparation = preparation
        self._layers = [
            (np.ascontiguousarray(tensors[f"layer{i}.weight"].T), tensors[f"layer{i}.bias"])
            for i in range(len(tensors) // 2)
        ]
        if self._layers[0][0].shape[0] != preparation.width:
            raise InputError("weights.safetensors and preparation.json do not belong together; fetch the model again")

    @classmethod
    def load(cls, directory: str | Path) -> "TabularModel":
        """Load a model from a directory.

        Args:
            directory: Where `preparation.json` and `weights.safetensors` lie.

        Raises:
            InputError: the directory holds another format, or files that do not belong together.
        """
        document = json.loads((Path(directory) / "preparation.json").read_text(encoding="utf-8"))
        return cls(Preparation.from_json(document), load_file(str(Path(directory) / "weights.safetensors")))

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of the probabilities; empty for regression."""
        return self.preparation.target.classes

    @property
    def columns(self) -> tuple[Column, ...]:
        """The raw columns that the model takes: each has name, type and nullable."""
        return self.preparation.columns

    def predict_columns(self, columns: Mapping[str, Any]) -> Prediction:
        """Return the answers for N raw rows.

        Args:
            columns: One array or list of N raw cells per column; None, NaN and "" are missing. Nullable columns may be
                left out; columns that the model does not know are ignored.

        Raises:
            InputError: a required column or cell is missing, or a cell is not what its column holds.
        """
        features = self.preparation.features(columns)
        outputs = forward(features, self._layers)
        overflowed = ~np.isfinite(features).all(axis=1)
        if overflowed.any():
            # A rectifier may turn an infinite input into a plausible number; what was computed from it is no answer.
            outputs[overflowed] = np.nan
        return answers(outputs, self.preparation.target)


class _PyFunc:
    """What `mlflow.pyfunc.load_model` wraps."""

    def __init__(self, model: TabularModel) -> None:
        self._model = model

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return a DataFrame: `prediction`, and for classes `label` and `probability_<class>`."""
        import pandas as pd  # noqa: PLC0415  only this door speaks DataFrame, and the server need not wait for it

        del params
        frame = pd.DataFrame(model_input)
        columns = {
            str(name): frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in frame.columns
        }
        answer = self._model.predict_columns(columns)
        result: dict[str, Any] = {"prediction": answer.prediction}
        if answer.probabilities is not None:
            result["label"] = answer.label
            for position, name in enumerate(self._model.classes):
                result[f"probability_{name}"] = answer.probabilities[:, position]
        return pd.DataFrame(result)


def _load_pyfunc(path: str) -> _PyFunc:
    """Load a model for `mlflow.pyfunc`, which passes the root directory of the model."""
    return _PyFunc(TabularModel.load(path))

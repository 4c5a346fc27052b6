"""What the server needs of a model, whatever made it. Loaders build these; the HTTP side asks them.

A predictor never sees HTTP, and never decides what a request looks like.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

Datatype = Literal["BOOL", "INT64", "FP32", "FP64", "BYTES"]
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One raw input column, as the model's signature has it."""

    name: str
    datatype: Datatype
    required: bool = True
    """A required column that a request lacks is the client's error."""
    known: frozenset[str] | None = None
    """Of a column of categories: those that the model was trained on. None: any value is as good as another."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """The answers to N rows."""

    prediction: Array
    """Shape [N]: a number, a class or a string per row."""
    label: Array | None = None
    """Shape [N], strings: the class's name, for classifiers."""
    probabilities: Array | None = None
    """Shape [N, C], for classifiers, in the order of the predictor's `classes`."""

    def rows(self, start: int, stop: int) -> "Outputs":
        """Return the answers of a range of rows."""
        return Outputs(
            self.prediction[start:stop],
            None if self.label is None else self.label[start:stop],
            None if self.probabilities is None else self.probabilities[start:stop],
        )

    def finite(self) -> bool:
        """Return whether every number in the answers is finite."""
        parts = (self.prediction, self.probabilities)
        return all(part is None or part.dtype.kind != "f" or bool(np.isfinite(part).all()) for part in parts)


class RefusedInputError(ValueError):
    """The model cannot take these rows; one line that names the column. The client's mistake."""


class Predictor(Protocol):
    """A loaded model."""

    @property
    def inputs(self) -> tuple[Column, ...]:
        """The raw columns, in order."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, for classifiers; else empty."""
        ...

    @property
    def platform(self) -> str:
        """What made the model, for the metadata endpoint."""
        ...

    def example(self) -> Mapping[str, list[Any]]:
        """Return one row of input that the model must be able to answer."""
        ...

    def predict(self, columns: Mapping[str, list[Any]], rows: int) -> Outputs:
        """Answer N rows.

        Args:
            columns: per column N Python values; None is missing; absent columns are missing throughout.
            rows: N, at least 1.

        Raises:
            RefusedInputError: a required value is missing, or one is not what its column holds.
        """
        ...

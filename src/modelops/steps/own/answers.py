"""Reads the answers that predict left, as what evaluate scores. Ours; numbers only, nothing is loaded.

Called by `evaluate`.
"""

import io
from typing import Any, Final

import numpy as np
from pyarrow import ArrowException, parquet

from modelops.model.tabular import Prediction, category_text
from modelops.steps import metrics, parts
from modelops.steps.context import BadInputError, TrainingInput
from modelops.steps.own.places import Places

MAX_ANSWERS: Final = 1 << 30
"""Bytes of a model's answers."""


def classes_of(step: TrainingInput, data: dict[str, parts.Columns]) -> tuple[str, ...]:
    """Return the classes of a classification: those of the schema, else those of the training part."""
    if step.dataset.task != "classification":
        return ()
    target = next(column for column in step.dataset.schema_.columns if column.name == step.dataset.target)
    if target.values:
        return tuple(target.values)
    return tuple(sorted({category_text(cell) for cell in data["train"][step.dataset.target]}))


def scored(places: Places, name: str, step: TrainingInput, data: dict[str, parts.Columns]) -> metrics.Scored:
    """Return a model's answers to the test part beside the truth.

    Raises:
        BadInputError: it did not answer, or what it answered is not one finite value, or one known class, per row.
    """
    where = f"{step.where}: the model" if name == "candidate" else "the champion"
    if (said := places.read(places.answers / f"{name}.error", MAX_ANSWERS)) is not None:
        raise BadInputError(f"{where} {said.decode('utf-8', 'replace')}")
    classes = classes_of(step, data)
    truth = metrics.truth_of(data["test"][step.dataset.target], classes, category_text)
    table = _table(places.read(places.answers / f"{name}.parquet", MAX_ANSWERS), len(truth), where)
    column = "label" if classes and "label" in table else "prediction"
    if column not in table:
        raise BadInputError(f"{where} answers {', '.join(table)[:100]}; it must answer a column 'prediction'")
    cells = table[column]
    if not classes:
        return metrics.Scored(truth, Prediction(_numbers(cells, where)), 0)
    index = {label: position for position, label in enumerate(classes)}
    answered = np.array([index.get(category_text(cell), -1) for cell in cells], dtype=np.int64)
    if (answered < 0).any():
        odd = cells[int(np.flatnonzero(answered < 0)[0])]
        raise BadInputError(f"{where} answers {_shown(odd)}, which is none of the classes {', '.join(classes)[:200]}")
    named = [f"probability_{label}" for label in classes]
    probabilities = None
    if all(label in table for label in named):
        probabilities = np.column_stack([_numbers(table[label], where) for label in named])
    labels = np.array([classes[position] for position in answered], dtype=object)
    return metrics.Scored(truth, Prediction(answered, labels, probabilities), len(classes))


def _table(content: bytes | None, rows: int, where: str) -> dict[str, list[Any]]:
    """Return columns of answers; a file that claims another number of rows is not read at all."""
    if content is None:
        raise BadInputError(f"{where} left no answers; train again")
    try:
        file = parquet.ParquetFile(io.BytesIO(content))
        if file.metadata.num_rows != rows:
            raise BadInputError(
                f"{where} answers {file.metadata.num_rows} values to {rows} rows; it must answer one per row"
            )
        return dict(file.read().to_pydict())
    except (ArrowException, OSError) as broken:
        raise BadInputError(f"{where} left no readable answers: {' '.join(str(broken).split())[:200]}") from None


def _shown(cell: object) -> str:
    return ascii(cell)[:60]


def _numbers(cells: list[Any], where: str) -> np.ndarray:
    try:
        values = np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty((0, 0))
    if values.ndim != 1:
        raise BadInputError(f"{where} answers {_shown(cells[0])}, which is no number")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise BadInputError(
            f"{where} answers {values[bad[0]]} to {bad.size} of {len(values)} test rows, first to row {int(bad[0])}; "
            "handle missing values and extremes in the model"
        )
    return values

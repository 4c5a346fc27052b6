"""Fits the preparation: medians, ranges, percentiles, categories and classes of the training part.

Called by the train step with the training part only; showing it any other row would leak the test part into the
model. It applies nothing itself: `modelops.model.tabular.Preparation` does, here as in serving.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from modelops.api.v1alpha1 import dataset, trainingrun
from modelops.model import tabular

MAX_CATEGORIES = 1000
"""Distinct values that a string column may have; more is free text, which this model cannot read."""


class FitError(ValueError):
    """The data cannot be prepared as asked; the message is one line and says what to do."""


def fit_preparation(
    columns: Mapping[str, Sequence[object]], data: dataset.DatasetSpec, prepare: trainingrun.Prepare
) -> tabular.Preparation:
    """Return the preparation of a model for a dataset.

    Args:
        columns: The training part: N raw cells per column, None for missing.
        data: The contract that the columns keep.
        prepare: What the TrainingRun asks for.

    Raises:
        FitError: a column cannot be used as asked.
    """
    for name in prepare.drop:
        if name not in columns:
            raise FitError(f"prepare.drop: the dataset has no column {name!r}; remove it from the list")
        if name == data.target:
            raise FitError(f"prepare.drop: {name!r} is the target; remove it from the list")
    declared = {column.name: column for column in data.schema_.columns}
    fitted: list[tabular.Column] = []
    for name, cells in columns.items():
        if name == data.target or name in prepare.drop:
            continue
        column = declared.get(name) or dataset.Column(name=name, type="string", nullable=True)
        if column.type in {"float", "integer", "boolean"}:
            fitted.append(_fit_numeric(column, cells, prepare))
        else:
            fitted.append(_fit_categorical(column, cells, prepare))
    if not fitted:
        raise FitError("prepare.drop leaves no column to learn from; drop fewer")
    return tabular.Preparation(data.task, _fit_target(columns[data.target], data, prepare), fitted)


def _fit_numeric(column: dataset.Column, cells: Sequence[object], prepare: trainingrun.Prepare) -> tabular.Numeric:
    values = np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)
    known = values[~np.isnan(values)]
    if not known.size:
        raise FitError(f"column {column.name!r} has no value in the training part; put it into prepare.drop")
    low = high = None
    if prepare.clip:
        low, high = (float(bound) for bound in np.percentile(known, prepare.clip.percentiles))
        known = np.clip(known, low, high)
    offset, spread = 0.0, 1.0
    if prepare.scale == "min-max":
        offset, spread = float(known.min()), float(known.max() - known.min())
    elif prepare.scale == "standard":
        offset, spread = float(known.mean()), float(known.std())
    return tabular.Numeric(
        name=column.name,
        type=column.type,
        nullable=column.nullable,
        fill=float(np.median(known) if prepare.impute.numeric == "median" else known.mean()),
        indicator=bool(np.isnan(values).any()),
        low=low,
        high=high,
        offset=offset,
        # A constant column carries nothing: it becomes 0 everywhere instead of a division by zero.
        factor=1.0 / spread if spread > 0 else 1.0,
    )


def _fit_categorical(
    column: dataset.Column, cells: Sequence[object], prepare: trainingrun.Prepare
) -> tabular.Categorical:
    counts = Counter(tabular.category_text(cell) for cell in cells if cell is not None)
    if not counts:
        raise FitError(f"column {column.name!r} has no value in the training part; put it into prepare.drop")
    if len(counts) > MAX_CATEGORIES:
        raise FitError(
            f"column {column.name!r} has {len(counts)} distinct texts, more than {MAX_CATEGORIES}; "
            "put it into prepare.drop"
        )
    # A value that is declared but absent here is unseen, like one that nobody declared.
    values = tuple(sorted(counts))
    most_frequent = min(values, key=lambda value: (-counts[value], value))
    return tabular.Categorical(
        name=column.name,
        type=column.type,
        nullable=column.nullable,
        values=values,
        fill=most_frequent if prepare.impute.categorical == "most-frequent" else None,
        indicator=any(cell is None for cell in cells),
        encode=prepare.encode,
    )


def _fit_target(cells: Sequence[object], data: dataset.DatasetSpec, prepare: trainingrun.Prepare) -> tabular.Target:
    if data.task == "classification":
        if prepare.target != "none":
            raise FitError(f"prepare.target is {prepare.target!r}, which is for regression; leave it at none")
        return tabular.Target(data.target, classes=_classes(cells))
    values = np.array(cells, dtype=np.float64)
    if prepare.target == "log":
        if values.min() <= 0:
            raise FitError(f"prepare.target: log needs targets above 0, the least is {values.min():g}; use standard")
        values = np.log(values)
    deviation = float(values.std())
    if prepare.target == "none":
        return tabular.Target(data.target)
    return tabular.Target(data.target, prepare.target, float(values.mean()), deviation if deviation > 0 else 1.0)


def _classes(cells: Sequence[object]) -> tuple[str, ...]:
    texts = {tabular.category_text(cell) for cell in cells}
    if len(texts) > MAX_CATEGORIES:
        raise FitError(f"the target has {len(texts)} classes, more than {MAX_CATEGORIES}; use task: regression")
    if all(text.lstrip("-").isdigit() for text in texts):
        return tuple(sorted(texts, key=int))
    return tuple(sorted(texts))


def encode_target(cells: Sequence[object], target: tabular.Target) -> np.ndarray:
    """Return what the network learns: float32 outputs, shape [N, 1], or int64 class indices, shape [N].

    Raises:
        FitError: a class does not occur in the training part, or a target does not fit the transform.
    """
    if target.classes:
        index = {name: position for position, name in enumerate(target.classes)}
        texts = [tabular.category_text(cell) for cell in cells]
        unknown = sorted(set(texts) - set(index))
        if unknown:
            raise FitError(f"class {unknown[0]!r} is in another part but not in the training part; add rows of it")
        return np.array([index[text] for text in texts], dtype=np.int64)
    values = np.array(cells, dtype=np.float64)
    if target.transform == "log":
        if values.min() <= 0:
            raise FitError(f"prepare.target: log needs targets above 0, one is {values.min():g}; use standard")
        values = np.log(values)
    return ((values - target.mean) / target.deviation).astype(np.float32).reshape(-1, 1)

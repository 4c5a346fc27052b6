"""Finds the part of every row by a hash of its key, so that rows added later never move old ones.

Called by prepare. A part depends on the row alone: not on its position, on other rows, or on a seed.
"""

import hashlib
import json

import numpy as np
import pandas as pd

from modelops.api.v1alpha1 import dataset
from modelops.steps.context import BadInputError

PARTS = ("train", "validation", "test")
BUCKETS = 10_000


def bucket(key: str) -> int:
    """Return the bucket of a key, 0 to 9999: sha256, first eight bytes, modulo."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % BUCKETS


def split_rows(rows: pd.DataFrame, split: dataset.Split) -> dict[str, np.ndarray]:
    """Return the row positions of each part, int64, in the order of the table.

    Raises:
        BadInputError: the key column is not there or has missing values, or a part would be empty.
    """
    buckets = np.fromiter((bucket(key) for key in _keys(rows, split)), dtype=np.int64, count=len(rows))
    bounds = np.cumsum([split.percent.train, split.percent.validation]) * (BUCKETS // 100)
    index = np.searchsorted(bounds, buckets, side="right")
    parts = {name: np.flatnonzero(index == position) for position, name in enumerate(PARTS)}
    for name, positions in parts.items():
        if not positions.size:
            share = getattr(split.percent, name)
            raise BadInputError(
                f"split: of {len(rows)} rows none falls into {name} ({share} %); add rows or raise split.percent.{name}"
            )
    return parts


def _keys(rows: pd.DataFrame, split: dataset.Split) -> list[str]:
    if split.key is None:
        columns = [[canonical(cell) for cell in rows[name]] for name in sorted(rows.columns)]
        return [json.dumps(cells, ensure_ascii=False) for cells in zip(*columns, strict=True)]
    if split.key not in rows.columns:
        raise BadInputError(f"split.key: there is no column {split.key!r}; correct the name")
    missing = int(rows[split.key].isna().sum())
    if missing:
        raise BadInputError(f"split.key: column {split.key!r} is missing in {missing} rows; fill it, or leave key out")
    return [canonical(cell) or "" for cell in rows[split.key]]


def canonical(cell: object) -> str | None:
    """Return the one text of a typed cell: shortest for numbers, true and false, None for missing."""
    if cell is None or cell is pd.NA or cell != cell:  # noqa: PLR0124  NaN is what differs from itself
        return None
    if isinstance(cell, (bool, np.bool_)):
        return "true" if cell else "false"
    if isinstance(cell, (int, np.integer)):
        return str(int(cell))
    if isinstance(cell, (float, np.floating)):
        return repr(float(cell))
    return str(cell)

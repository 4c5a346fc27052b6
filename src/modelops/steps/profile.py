"""A bounded summary of a table for the status of its Dataset.

Called by prepare. Counts are exact; the document never exceeds 5 KiB, however many columns there are and however long
their names: columns are left out from the end, and the profile says how many it shows.
"""

import json
import math
from typing import Any

import pandas as pd

from modelops.api.v1alpha1 import dataset

MAX_BYTES = 5 * 1024
MAX_COLUMNS = 50


def profile_table(
    rows: pd.DataFrame, spec: dataset.DatasetSpec, *, quarantined: int, duplicates: int
) -> dict[str, Any]:
    """Return counts of the table and, for at most 50 columns, type, missing, and min, mean, max or distinct."""
    types = {column.name: column.type for column in spec.schema_.columns}
    # The target first: it is what people look for.
    names = [spec.target, *(name for name in rows.columns if name != spec.target)]
    columns = [_column(rows[name], name, types.get(name, "string")) for name in names[:MAX_COLUMNS]]
    document: dict[str, Any] = {
        "rows": len(rows),
        "columns": len(rows.columns),
        "quarantined": quarantined,
        "duplicates": duplicates,
        "missing": int(rows.isna().sum().sum()),
        "shown": columns,
    }
    while len(json.dumps(document, ensure_ascii=False).encode()) > MAX_BYTES:
        document["shown"] = document["shown"][:-1]
    return document


def _column(values: pd.Series, name: str, kind: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "type": kind, "missing": int(values.isna().sum())}
    if kind in {"float", "integer"}:
        known = values.dropna().astype("float64")
        if len(known):
            entry |= {"min": rounded(known.min()), "mean": rounded(known.mean()), "max": rounded(known.max())}
    else:
        entry["distinct"] = int(values.nunique())
    return entry


def rounded(value: float) -> float:
    """Return six significant digits; what does not fit a float becomes the largest that does."""
    number = float(f"{float(value):.6g}")
    return number if math.isfinite(number) else math.copysign(1.79769e308, number)

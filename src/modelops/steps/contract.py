"""Holds a typed table against its contract: cells by pandera, rows and the whole table by ourselves.

Called by prepare. Pandera checks values column by column and, being lazy, finds every problem at once. Types and the
header are checked before (`table`), because pandera would coerce or build the table first; shares, uniqueness after
deduplication and the target concern the whole table and are written out here.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from modelops.api.v1alpha1 import dataset
from modelops.steps.context import BadInputError
from modelops.steps.table import Violation

_REASONS = {
    "not_nullable": "is missing",
    "isin": "is not one of the values",
    "greater_than_or_equal_to": "is below min",
    "less_than_or_equal_to": "is above max",
}


@dataclass(frozen=True, slots=True)
class Checked:
    """A table that keeps its contract, and the rows that did not."""

    rows: pd.DataFrame
    """In the order of the file, without quarantined and repeated rows."""
    quarantine: pd.DataFrame
    """The rows set aside, as text, with their line's index in `row` and why in `reasons`."""
    duplicates: int
    """Rows dropped because an earlier one equals them."""


def check_cells(frame: pd.DataFrame, schema: dataset.TableSchema, typing: Sequence[Violation]) -> list[Violation]:
    """Return every violation of cells: those of typing, and those that pandera finds."""
    columns = {}
    for column in schema.columns:
        checks = []
        if column.min is not None:
            checks.append(pa.Check.ge(column.min))
        if column.max is not None:
            checks.append(pa.Check.le(column.max))
        if (allowed := column.values) is not None:  # noqa: PD011  not a DataFrame
            checks.append(pa.Check.isin(allowed))
        columns[column.name] = pa.Column(checks=checks, nullable=column.nullable)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pa.DataFrameSchema(columns).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        found = _violations(errors.failure_cases)
    else:
        found = []
    known = {violation.column: violation.rows for violation in typing}
    merged = list(typing)
    for violation in found:
        rows = violation.rows
        if violation.reason == _REASONS["not_nullable"] and violation.column in known:
            # A cell of the wrong type was blanked: it is one problem, not two.
            rows = np.setdiff1d(rows, known[violation.column])
        if rows.size:
            merged.append(Violation(violation.column, violation.reason, rows))
    return merged


def _violations(cases: pd.DataFrame) -> list[Violation]:
    found = []
    for key, group in cases.groupby(["column", "check"], sort=True):
        column, check = (str(part) for part in key)
        reason = _REASONS.get(check.partition("(")[0], check)
        found.append(Violation(column, reason, np.unique(group["index"].to_numpy(dtype=np.int64))))
    return found


def check_table(
    raw: pd.DataFrame, frame: pd.DataFrame, spec: dataset.DatasetSpec, violations: Sequence[Violation], path: str
) -> Checked:
    """Set bad rows aside, drop repeated ones and hold the rest against the checks of the spec.

    Raises:
        BadInputError: too many rows are invalid, or a check of the whole table fails. Names every check that failed.
    """
    if frame[spec.target].isna().all():
        raise BadInputError(f"{path}: target {spec.target!r} has no value in any row; correct the file or spec.target")
    labels = [*violations, Violation(spec.target, "is the target and is missing", _missing(frame[spec.target]))]
    reasons = _reasons(labels)
    share = 100 * len(reasons) / len(frame)
    if share > spec.rows.max_invalid_percent:
        raise BadInputError(
            f"{path}: {len(reasons)} of {len(frame)} rows are invalid ({share:.2f} %, allowed "
            f"{spec.rows.max_invalid_percent:g} %): {_summary(labels)}; correct them or raise rows.maxInvalidPercent"
        )
    bad = np.zeros(len(frame), dtype=bool)
    bad[list(reasons)] = True
    quarantine = raw[bad].copy()
    quarantine.insert(0, "reasons", [reasons[int(row)] for row in np.flatnonzero(bad)])
    quarantine.insert(0, "row", np.flatnonzero(bad))
    rows = frame[~bad]
    kept = rows[~rows.duplicated()] if spec.rows.deduplicate else rows
    problems = list(_table_problems(kept, spec))
    if problems:
        raise BadInputError(f"{path}: " + "; ".join(problems))
    return Checked(kept.reset_index(drop=True), quarantine, len(rows) - len(kept))


def _missing(column: pd.Series) -> np.ndarray:
    return np.flatnonzero(column.isna().to_numpy(dtype=bool))


def _reasons(violations: Sequence[Violation]) -> dict[int, str]:
    reasons: dict[int, list[str]] = {}
    for violation in violations:
        for row in violation.rows.tolist():
            reasons.setdefault(row, []).append(f"{violation.column} {violation.reason}")
    return {row: "; ".join(texts[:20]) for row, texts in reasons.items()}


def _summary(violations: Sequence[Violation]) -> str:
    ordered = sorted((v for v in violations if v.rows.size), key=lambda v: -v.rows.size)
    # Line 1 is the header, so row 0 stands in line 2; quoted line breaks shift that, and are rare.
    texts = [f"{v.column[:60]} {v.reason} ({v.rows.size}, first in line {int(v.rows[0]) + 2})" for v in ordered[:5]]
    return ", ".join(texts) + (f" and {len(ordered) - 5} more kinds" if len(ordered) > 5 else "")


def _table_problems(rows: pd.DataFrame, spec: dataset.DatasetSpec) -> Any:
    if len(rows) < spec.checks.min_rows:
        yield f"checks.minRows: {len(rows)} usable rows, {spec.checks.min_rows} are needed; add data"
    if not len(rows):
        return
    shares = rows.isna().mean() * 100
    for name, share in shares[shares > spec.checks.max_missing_percent].items():
        yield (
            f"checks.maxMissingPercent: column {name!r} misses {share:.2f} % of its values, allowed are "
            f"{spec.checks.max_missing_percent:g} %"
        )
    if spec.checks.unique:
        unknown = [name for name in spec.checks.unique if name not in rows.columns]
        if unknown:
            yield f"checks.unique: there is no column {unknown[0]!r}; correct the name"
        else:
            repeated = rows.duplicated(subset=list(spec.checks.unique))
            if repeated.any():
                first = rows.loc[repeated, list(spec.checks.unique)].iloc[0].tolist()
                yield f"checks.unique: {int(repeated.sum())} rows repeat {list(spec.checks.unique)}, first {first}"
    if rows[spec.target].nunique() < 2:
        yield f"target {spec.target!r} has the same value in every row; there is nothing to learn"

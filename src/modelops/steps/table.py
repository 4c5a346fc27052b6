"""Reads a CSV file into typed columns, and remembers every cell that is not what its column promises.

Called by prepare. The file is hostile input: encoding, size and shape are checked before anything is built from it.
It never guesses a type: every cell is text until the schema says otherwise, and only an empty cell is missing.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv

from modelops.api.v1alpha1 import dataset
from modelops.steps.context import BadInputError

READER = "csv/1"
"""Version of what bytes mean; part of the dataset's digest. Raise it when the same bytes would be read differently."""
MAX_COLUMNS = 5000
MAX_LINE = 1 << 20
"""Bytes."""
_FLOAT = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_INTEGER = r"[+-]?[0-9]{1,18}"
_WORDS = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True, slots=True)
class Violation:
    """Cells of one column that break one rule."""

    column: str
    reason: str
    rows: np.ndarray
    """Indices of the rows, int64."""


@dataclass(frozen=True, slots=True)
class RawTable:
    """All cells as text, before any rule."""

    frame: pd.DataFrame
    """Columns of str; an empty text is missing."""


def read_csv(content: bytes, path: str, schema: dataset.TableSchema) -> RawTable:
    """Read a CSV file with a header line: UTF-8, comma, RFC 4180 quotes.

    Args:
        content: The bytes of the file.
        path: Names the file in messages.
        schema: Says which columns there must be; unknown ones are refused, kept or dropped by its `strict`.

    Raises:
        BadInputError: the bytes are no such table, or its columns are not those of the schema.
    """
    if b"\x00" in content:
        raise BadInputError(f"{path}: byte {content.index(0)} is NUL; this is not a text file, save it as UTF-8 CSV")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadInputError(f"{path}: line {line} is not UTF-8; save the file as UTF-8") from None
    content = content.removeprefix(b"\xef\xbb\xbf")
    header = _header(content, path)
    wanted = _wanted(header, path, schema)
    _check_lines(content, path)
    options = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(wanted, pa.string()), include_columns=wanted, strings_can_be_null=False
    )
    try:
        table = arrow_csv.read_csv(
            io.BytesIO(content),
            # One thread: the order of rows, and which bad line is named, must not depend on the machine.
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=max(1 << 20, len(content) + 1)),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=options,
        )
    except pa.ArrowInvalid as error:
        raise BadInputError(f"{path}: {' '.join(str(error).split())[:300]}; correct that line") from None
    if table.num_rows == 0:
        raise BadInputError(f"{path}: there is no row below the header; add data")
    return RawTable(pd.DataFrame({name: table.column(name).to_numpy() for name in wanted}, dtype=object))


def _check_lines(content: bytes, path: str) -> None:
    """Refuse a line that no table has, before anybody takes it for a cell; a header may be long."""
    ends = np.flatnonzero(np.frombuffer(content, dtype=np.uint8) == ord("\n"))
    lengths = np.diff(ends, append=len(content))
    if lengths.size and (longest := int(lengths.max())) > MAX_LINE:
        raise BadInputError(
            f"{path}: line {int(lengths.argmax()) + 2} has {longest >> 20} MiB, at most {MAX_LINE >> 20} are read; "
            "is a quote missing?"
        )


def _header(content: bytes, path: str) -> list[str]:
    # The first record, quotes respected, without splitting the whole file first.
    first = content[: 16 << 20].decode("utf-8", "ignore")
    try:
        csv.field_size_limit(1 << 20)
        names = next(csv.reader(io.StringIO(first, newline="")), [])
    except csv.Error as error:
        raise BadInputError(f"{path}: the header line cannot be read ({error}); correct it") from None
    if not any(names):
        raise BadInputError(f"{path}: the file has no header line; add the column names as its first line")
    if len(names) > MAX_COLUMNS:
        raise BadInputError(f"{path}: {len(names)} columns, at most {MAX_COLUMNS} are read; split the table")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise BadInputError(f"{path}: column {repeated[0]!r} stands twice in the header; rename one")
    if "" in names:
        raise BadInputError(f"{path}: column {names.index('') + 1} has no name; name it in the header")
    return names


def _wanted(header: Sequence[str], path: str, schema: dataset.TableSchema) -> list[str]:
    declared = [column.name for column in schema.columns]
    missing = [name for name in declared if name not in set(header)]
    unknown = [name for name in header if name not in set(declared)]
    strict = str(schema.strict).lower()
    problems = []
    if missing:
        problems.append(f"misses {_listed(missing)}")
    if unknown and strict == "true":
        problems.append(f"has unknown {_listed(unknown)}")
    if problems:
        raise BadInputError(f"{path}: the header {' and '.join(problems)}; correct the file or spec.schema")
    return [name for name in header if strict != "filter" or name in set(declared)]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:60]) for name in names[:5])
    return f"column{'s' if len(names) > 1 else ''} {shown}" + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def typed_columns(raw: RawTable, schema: dataset.TableSchema) -> tuple[pd.DataFrame, list[Violation]]:
    """Return the cells with the types of the schema, and those that have another.

    A cell that is not of its column's type is missing in the frame and named in a violation. Integers are Int64,
    booleans boolean, floats float64 with NaN for missing, texts object with None for missing.
    """
    declared = {column.name: column for column in schema.columns}
    violations: list[Violation] = []
    typed = {}
    for name in raw.frame.columns:
        column = declared.get(name)
        text = raw.frame[name].astype("str")
        kind = column.type if column else "string"
        typed[name], bad = _typed(text, kind)
        if bad.any():
            violations.append(Violation(name, f"is not of type {kind}", np.flatnonzero(bad)))
    return pd.DataFrame(typed), violations


def _typed(text: pd.Series, kind: str) -> tuple[pd.Series, np.ndarray]:
    missing = (text == "").to_numpy(dtype=bool)
    if kind in {"string", "category"}:
        return text.astype(object).where(~missing, None), np.zeros(len(text), dtype=bool)
    if kind == "boolean":
        values = text.str.lower().map(_WORDS).astype("boolean")
        return values, values.isna().to_numpy(dtype=bool) & ~missing
    pattern = _INTEGER if kind == "integer" else _FLOAT
    good = text.str.fullmatch(pattern).to_numpy(dtype=bool)
    numbers = text.where(good, "nan").astype("float64")
    if kind == "float":
        good = good & np.isfinite(numbers.to_numpy())
        return numbers.where(good), ~good & ~missing
    integers = pd.array([int(cell) if fine else None for cell, fine in zip(text, good, strict=True)], dtype="Int64")
    return pd.Series(integers), ~good & ~missing

"""From the API server's Table to headers and rows as `get` shows them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelops.api.kinds import Kind


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns are shown."""

    wide: bool = False
    """Those of priority 1 too."""
    everywhere: bool = False
    """The namespace first."""
    several: bool = False
    """The kind before the name, because there are several kinds."""


def headers_of(table: Mapping[str, Any], columns: Columns) -> list[str]:
    """Return the headers."""
    names = [
        str(column["name"]).upper()
        for column in table["columnDefinitions"]
        if columns.wide or not column.get("priority")
    ]
    return ["NAMESPACE", *names] if columns.everywhere else names


def rows_of(table: Mapping[str, Any], kind: Kind, columns: Columns) -> list[list[str]]:
    """Return the rows, one for each object, every cell as text."""
    chosen = [
        index for index, column in enumerate(table["columnDefinitions"]) if columns.wide or not column.get("priority")
    ]
    rows = []
    for row in table["rows"]:
        cells = ["" if row["cells"][index] is None else str(row["cells"][index]) for index in chosen]
        if columns.several:
            cells[0] = f"{kind.singular}/{cells[0]}"
        if columns.everywhere:
            cells.insert(0, str(row["object"]["metadata"].get("namespace", "")))
        rows.append([" ".join(cell.split()) for cell in cells])
    return rows

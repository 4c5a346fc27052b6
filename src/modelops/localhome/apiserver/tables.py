"""Table answers: what `kubectl get` prints. Columns come from the resources' definitions. Pure."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from modelops.localhome.apiserver.answers import Obj
from modelops.localhome.apiserver.resources import ResourceType

_STEP = re.compile(
    r"""\.(?P<field>[A-Za-z0-9_-]+)|\[(?P<index>\d+|\*)\]"""
    r"""|\[\?\(@\.(?P<key>[A-Za-z0-9_.-]+)\s*==\s*["'](?P<value>[^"']*)["']\)\]|\['(?P<quoted>[^']+)'\]"""
)
_NAME_COLUMN = {
    "name": "Name",
    "type": "string",
    "format": "name",
    "description": "Name must be unique within a namespace.",
    "priority": 0,
}


def find(obj: Any, path: str) -> list[Any]:
    """Return what a JSONPath finds: fields, indexes, `[*]` and `[?(@.key=="value")]`."""
    found = [obj]
    for step in _STEP.finditer(path):
        name = step["field"] or step["quoted"]
        following: list[Any] = []
        for value in found:
            if name is not None:
                if isinstance(value, Mapping) and name in value:
                    following.append(value[name])
            elif not isinstance(value, list):
                continue
            elif step["key"] is not None:
                following += [
                    item for item in value if isinstance(item, Mapping) and str(item.get(step["key"])) == step["value"]
                ]
            elif step["index"] == "*":
                following += value
            elif int(step["index"]) < len(value):
                following.append(value[int(step["index"])])
        found = following
    return found


def _age(text: str) -> str:
    try:
        seconds = int((datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds())
    except ValueError:
        return "<invalid>"
    for limit, size, unit, small, smaller in (
        (120, 1, "s", 0, ""),
        (600, 60, "m", 1, "s"),
        (3 * 3600, 60, "m", 0, ""),
        (8 * 3600, 3600, "h", 60, "m"),
        (48 * 3600, 3600, "h", 0, ""),
        (8 * 86400, 86400, "d", 3600, "h"),
        (2 * 365 * 86400, 86400, "d", 0, ""),
    ):
        if seconds < limit:
            rest = seconds % size // small if small else 0
            return f"{max(seconds, 0) // size}{unit}" + (f"{rest}{smaller}" if rest else "")
    return f"{seconds // (365 * 86400)}y"


def _cell(obj: Obj, column: Obj) -> Any:
    found = find(obj, column["jsonPath"])
    if not found or found[0] is None:
        return "" if column["type"] == "string" else None
    value = found[0]
    match column["type"]:
        case "date":
            return _age(str(value))
        case "string" if isinstance(value, dict | list):
            return orjson.dumps(value).decode()
        case "string" if not isinstance(value, str):
            return str(value)
        case "integer" if isinstance(value, float):
            return int(value)
    return value


def columns_of(kind: ResourceType) -> list[Obj]:
    """Return the columns of a resource besides its name."""
    default = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
    return list(kind.columns) or [default]


def table(kind: ResourceType, objects: Iterable[Obj], meta: Obj, include: str, *, header: bool = True) -> Obj:
    """Return a metav1.Table.

    Args:
        kind: Of the objects.
        objects: One a row.
        meta: ListMeta.
        include: What a row carries of its object: Metadata, Object or None.
        header: Without it the column definitions are left out, as in the later events of a watch.
    """
    columns = columns_of(kind)
    rows = []
    for obj in objects:
        row: Obj = {"cells": [obj["metadata"]["name"], *(_cell(obj, column) for column in columns)]}
        if include == "Object":
            row["object"] = obj
        elif include != "None":
            row["object"] = {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": obj["metadata"],
            }
        rows.append(row)
    definitions = [
        _NAME_COLUMN,
        *(
            {
                "name": column["name"],
                "type": column["type"],
                "format": column.get("format", ""),
                "description": column.get("description", ""),
                "priority": column.get("priority", 0),
            }
            for column in columns
        ),
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": definitions if header else [],
        "rows": rows,
    }

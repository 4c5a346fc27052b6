"""Sets of field paths, as server-side apply keeps them in `managedFields` (FieldsV1). Pure.

A path is a tuple of elements: `f:name` for a field, `k:{...}` for an item of a map list, `v:...` for an item of a set.
An atomic value is one path; below a granular one only what is in it. Items of map lists are members themselves too.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from modelops.localhome.apiserver.answers import Obj
from modelops.localhome.apiserver.structural import ANYTHING, child
from modelops.localhome.apiserver.validation import list_keys

Path = tuple[str, ...]
Fields = frozenset[Path]

UNTRACKED: Fields = frozenset(
    {
        ("f:apiVersion",),
        ("f:kind",),
        ("f:metadata",),
        *(
            ("f:metadata", f"f:{name}")
            for name in (
                "name",
                "namespace",
                "creationTimestamp",
                "selfLink",
                "uid",
                "generation",
                "managedFields",
                "resourceVersion",
                "deletionTimestamp",
                "deletionGracePeriodSeconds",
            )
        ),
    }
)
"""Fields that nobody manages."""


def is_atomic(value: Any, schema: Mapping[str, Any]) -> bool:
    """Tell whether a value is owned as a whole."""
    if isinstance(value, dict):
        return schema.get("x-kubernetes-map-type") == "atomic"
    return not (isinstance(value, list) and list_keys(schema))


def element(item: Any, schema: Mapping[str, Any]) -> str:
    """Return the path element of an item of a map list or set."""
    keys = list_keys(schema) or ("",)
    if keys == ("",) or not isinstance(item, dict):
        return "v:" + orjson.dumps(item, option=orjson.OPT_SORT_KEYS).decode()
    values = {key: item.get(key, _key_default(schema, key)) for key in keys}
    return "k:" + orjson.dumps(values, option=orjson.OPT_SORT_KEYS).decode()


def _key_default(schema: Mapping[str, Any], key: str) -> Any:
    below = child(schema.get("items") or ANYTHING, key) or ANYTHING
    return below.get("default")


def of(value: Any, schema: Mapping[str, Any]) -> Fields:
    """Return the fields that an object sets."""
    found: set[Path] = set()
    _collect(value, schema, (), found)
    return frozenset(found - UNTRACKED)


def _collect(value: Any, schema: Mapping[str, Any], path: Path, found: set[Path]) -> None:
    if is_atomic(value, schema) or not value:
        if path:
            found.add(path)
    elif isinstance(value, dict):
        if schema is ANYTHING and path:
            # Where no schema tells whether a map may be without members, the map itself is owned too.
            found.add(path)
        for name, item in value.items():
            _collect(item, child(schema, name) or ANYTHING, (*path, f"f:{name}"), found)
    else:
        for item in value:
            here = (*path, element(item, schema))
            found.add(here)
            if isinstance(item, dict):
                _collect(item, schema.get("items") or ANYTHING, here, found)


def values(value: Any, schema: Mapping[str, Any]) -> dict[Path, Any]:
    """Return every leaf by its path; maps and list items that have leaves below stand with None."""
    found: dict[Path, Any] = {}

    def walk(value: Any, schema: Mapping[str, Any], path: Path) -> None:
        if is_atomic(value, schema) or not value:
            found[path] = None if value in ({}, []) else value
        elif isinstance(value, dict):
            found.setdefault(path, None)
            for name, item in value.items():
                walk(item, child(schema, name) or ANYTHING, (*path, f"f:{name}"))
        else:
            found.setdefault(path, None)
            for item in value:
                here = (*path, element(item, schema))
                found[here] = None
                if isinstance(item, dict):
                    walk(item, schema.get("items") or ANYTHING, here)

    walk(value, schema, ())
    return {path: leaf for path, leaf in found.items() if path and path not in UNTRACKED}


def changed(old: Obj, new: Obj, schema: Mapping[str, Any]) -> tuple[Fields, Fields]:
    """Return the fields that a write set to another value, and those that it removed."""
    before, after = values(old, schema), values(new, schema)
    absent = object()
    # 1 and 1.0 are one value in JSON; True and 1 are not.
    set_ = {
        path
        for path, leaf in after.items()
        if (earlier := before.get(path, absent)) != leaf or isinstance(earlier, bool) != isinstance(leaf, bool)
    }
    return frozenset(set_), frozenset(before.keys() - after.keys())


def named(fields: Fields, schema: Mapping[str, Any]) -> Fields:
    """Return the objects above fields that the schema has by their names; entries of maps are not named by it."""
    found: set[Path] = set()
    for path in fields:
        here = schema
        for length, part in enumerate(path[:-1], start=1):
            name = part.removeprefix("f:")
            if part.startswith("f:") and name in (here.get("properties") or {}):
                found.add(path[:length])
            here = (child(here, name) if part.startswith("f:") else here.get("items")) or ANYTHING
    return frozenset(found - UNTRACKED)


def below(path: Path, fields: Iterable[Path]) -> bool:
    """Tell whether a path, or something in it, is in the set."""
    return any(other[: len(path)] == path for other in fields)


def to_v1(fields: Fields) -> Obj:
    """Return FieldsV1: nested objects, `.` for the member itself where it has members below."""
    root: Obj = {}
    for path in sorted(fields):
        node = root
        for part in path:
            node = node.setdefault(part, {})
        node["."] = {}
    return _without_lone_dots(root)


def _without_lone_dots(node: Obj) -> Obj:
    return {
        name: {} if set(item) == {"."} else _without_lone_dots(item) if name != "." else {}
        for name, item in node.items()
    }


def from_v1(tree: Mapping[str, Any]) -> Fields:
    """Return the paths of a FieldsV1 tree."""
    found: set[Path] = set()

    def walk(node: Mapping[str, Any], path: Path) -> None:
        if not node and path:
            found.add(path)
        for name, item in node.items():
            if name == ".":
                found.add(path)
            else:
                walk(item, (*path, _canonical(name)))

    walk(tree, ())
    return frozenset(found)


def _canonical(name: str) -> str:
    if name[:2] not in {"k:", "v:"}:
        return name
    return name[:2] + orjson.dumps(orjson.loads(name[2:]), option=orjson.OPT_SORT_KEYS).decode()


def dotted(path: Path) -> str:
    """Return a path as the messages of conflicts print it, such as `.spec.steps[name="a"].weight`."""
    text = ""
    for part in path:
        kind, rest = part[:2], part[2:]
        if kind == "f:":
            text += f".{rest}"
        elif kind == "k:":
            pairs = orjson.loads(rest)
            text += "[" + ",".join(f"{key}={orjson.dumps(value).decode()}" for key, value in pairs.items()) + "]"
        else:
            text += f"[={rest}]"
    return text

"""JSON patch, JSON merge patch and strategic merge patch. Pure; nothing changes its input."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from modelops.localhome.apiserver import fieldsets
from modelops.localhome.apiserver.answers import ApiError, Obj, bad_request
from modelops.localhome.apiserver.structural import ANYTHING, child
from modelops.localhome.apiserver.validation import list_keys


def merge_patch(target: Any, patch: Any) -> Any:
    """Return the target after a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, item in patch.items():
        if item is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), item)
    return merged


def strategic_merge_patch(target: Any, patch: Any, schema: Mapping[str, Any]) -> Any:
    """Return the target after a strategic merge patch: map lists merge by key, with `$patch: delete|replace|merge`."""
    if not isinstance(patch, dict):
        return patch
    directive = patch.get("$patch")
    if directive == "delete":
        return {}
    merged = {} if directive == "replace" or not isinstance(target, dict) else dict(target)
    for name, item in patch.items():
        if name == "$retainKeys":
            merged = {key: value for key, value in merged.items() if key in item}
    for name, item in patch.items():
        if name.startswith("$deleteFromPrimitiveList/"):
            field = name.partition("/")[2]
            merged[field] = [value for value in merged.get(field) or () if value not in item]
        elif name.startswith("$"):
            continue
        elif item is None:
            merged.pop(name, None)
        else:
            below = child(schema, name) or ANYTHING
            if isinstance(item, list) and list_keys(below):
                merged[name] = _merge_list(merged.get(name) or [], item, below)
            else:
                merged[name] = strategic_merge_patch(merged.get(name), item, below)
    return merged


def _merge_list(target: Sequence[Any], patch: Sequence[Any], schema: Mapping[str, Any]) -> list[Any]:
    items = schema.get("items") or ANYTHING
    if any(isinstance(item, dict) and item.get("$patch") == "replace" and len(item) == 1 for item in patch):
        return [item for item in patch if not (isinstance(item, dict) and "$patch" in item)]
    merged = {fieldsets.element(item, schema): item for item in target}
    for item in patch:
        identity = fieldsets.element(item, schema)
        if isinstance(item, dict) and item.get("$patch") == "delete":
            merged.pop(identity, None)
        elif identity in merged:
            merged[identity] = strategic_merge_patch(merged[identity], item, items)
        else:
            merged[identity] = strategic_merge_patch({}, item, items) if isinstance(item, dict) else item
    return list(merged.values())


def json_patch(target: Obj, operations: Any) -> Any:
    """Return the target after a JSON patch (RFC 6902).

    Raises:
        ApiError: 400 for a patch that is none, 422 for one that does not fit the target.
    """
    if not isinstance(operations, list):
        raise bad_request("a JSON patch is a list of operations")
    document: Any = copy.deepcopy(target)
    for operation in operations:
        try:
            document = _operate(document, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            told = "the server rejected our request due to an error in our request"
            raise ApiError(422, "Invalid", told, {}) from error
    return document


def _operate(document: Any, operation: Obj) -> Any:
    verb, path = operation["op"], _pointer(operation["path"])
    match verb:
        case "add":
            return _add(document, path, copy.deepcopy(operation["value"]))
        case "remove":
            return _remove(document, path)
        case "replace":
            if not path:
                return copy.deepcopy(operation["value"])
            _find(document, path)
            return _add(_remove(document, path), path, copy.deepcopy(operation["value"]))
        case "test":
            if _find(document, path) != operation["value"]:
                raise ValueError(operation)
            return document
        case "copy":
            return _add(document, path, copy.deepcopy(_find(document, _pointer(operation["from"]))))
        case "move":
            origin = _pointer(operation["from"])
            value = _find(document, origin)
            return _add(_remove(document, origin), path, value)
        case _:
            raise ValueError(verb)


def _pointer(text: str) -> list[str]:
    if text == "":
        return []
    if not text.startswith("/"):
        raise ValueError(text)
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


def _find(document: Any, path: Sequence[str]) -> Any:
    for part in path:
        document = document[_index(document, part)] if isinstance(document, list) else document[part]
    return document


def _index(items: Sequence[Any], part: str) -> int:
    if not part.isdecimal() or int(part) >= len(items):
        raise IndexError(part)
    return int(part)


def _add(document: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    parent = _find(document, path[:-1])
    if isinstance(parent, list):
        at = len(parent) if path[-1] == "-" else int(path[-1])
        if at > len(parent):
            raise IndexError(path[-1])
        parent.insert(at, value)
    elif isinstance(parent, dict):
        parent[path[-1]] = value
    else:
        raise TypeError(path)
    return document


def _remove(document: Any, path: Sequence[str]) -> Any:
    parent = _find(document, path[:-1])
    del parent[_index(parent, path[-1]) if isinstance(parent, list) else path[-1]]
    return document

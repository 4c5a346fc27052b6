"""Label and field selectors of list, watch and deletecollection. Pure; parsed once per request."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from modelops.localhome.apiserver.answers import Obj, bad_request

Predicate = Callable[[Obj], bool]

_SET = re.compile(r"^\s*(?P<key>[^\s!=,()]+)\s+(?P<op>in|notin)\s*\((?P<values>[^)]*)\)\s*$")
_EQUAL = re.compile(r"^\s*(?P<key>[^\s!=,()]+)\s*(?P<op>==|!=|=)\s*(?P<value>[^\s!=,()]*)\s*$")
_EXISTS = re.compile(r"^\s*(?P<no>!?)\s*(?P<key>[^\s!=,()]+)\s*$")

EVENT_FIELDS = (
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "reason",
    "reportingComponent",
    "source",
    "type",
)
"""Fields by which Events can be selected besides name and namespace."""


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def _requirement(text: str) -> Callable[[Mapping[str, str]], bool]:
    if match := _SET.match(text):
        key, values = match["key"], {value.strip() for value in match["values"].split(",")}
        if match["op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match := _EQUAL.match(text):
        key, value = match["key"], match["value"]
        if match["op"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if match := _EXISTS.match(text):
        key = match["key"]
        return (lambda labels: key not in labels) if match["no"] else (lambda labels: key in labels)
    raise bad_request(f"unable to parse requirement: {text!r}")


def labels(selector: str) -> Predicate:
    """Return the predicate of a label selector such as `a=b,c in (d,e),!f`.

    Raises:
        ApiError: 400, it does not parse.
    """
    if not selector.strip():
        return lambda _: True
    requirements = [_requirement(part) for part in _split(selector)]

    def matches(obj: Obj) -> bool:
        carried = obj["metadata"].get("labels") or {}
        return all(requirement(carried) for requirement in requirements)

    return matches


def value_at(obj: Obj, path: str) -> Any:
    """Return what stands at a path such as `spec.replicas`, or None."""
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _field(obj: Obj, path: str) -> str:
    if path == "source":
        return str((obj.get("source") or {}).get("component") or obj.get("reportingComponent") or "")
    value = value_at(obj, path)
    return "" if value is None else str(value)


def fields(selector: str, extra: tuple[str, ...] = ()) -> Predicate:
    """Return the predicate of a field selector; `extra` names what else than name and namespace may be selected by.

    Raises:
        ApiError: 400, it does not parse or names a field that cannot be selected by.
    """
    if not selector.strip():
        return lambda _: True
    wanted: list[tuple[str, bool, str]] = []
    for part in selector.split(","):
        match = _EQUAL.match(part)
        if not match:
            raise bad_request(f"invalid field selector: {part!r}")
        if match["key"] not in {"metadata.name", "metadata.namespace", *extra}:
            raise bad_request(f"field label not supported: {match['key']}")
        wanted.append((match["key"], match["op"] != "!=", match["value"]))
    return lambda obj: all((_field(obj, key) == value) is equal for key, equal, value in wanted)

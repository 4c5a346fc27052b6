"""What a structural schema refuses, in the words of Kubernetes: types, bounds, enums, patterns, formats, list keys.

Rules in CEL are in `rules`. An unchanged part of an object is not looked at again ("ratcheting"), so that an object
which was accepted once can still have its status written. Pure.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

import orjson

from modelops.localhome.apiserver.answers import FieldError, Obj, go_value
from modelops.localhome.apiserver.structural import ANYTHING, INT_OR_STRING, child

_DATE_TIME = re.compile(r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$")
_BASE64 = re.compile(r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$")
_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())
    ),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}
_GO_TYPES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
ABSENT: Any = object()
"""Stands for an old value that there is not."""
BLOCKING = frozenset(
    {"FieldValueRequired", "FieldValueNotSupported", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid"}
)
"""Reasons after which rules are not evaluated, because they might stumble over the value."""


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> re.Pattern[str]:
    # In Go `$` is the end of the text; in Python it also matches before a final newline.
    return re.compile(pattern[:-1] + r"\Z" if pattern.endswith("$") and not pattern.endswith(r"\$") else pattern)


def _is(parse: Callable[[str], Any], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


_FORMATS: Mapping[str, Callable[[str], bool]] = {
    "date-time": lambda text: bool(_DATE_TIME.match(text)) and _is(date.fromisoformat, text[:10]),
    "date": lambda text: _is(date.fromisoformat, text),
    "byte": lambda text: bool(_BASE64.match(text)),
    "uuid": lambda text: _is(UUID, text),
    "ipv4": lambda text: _is(IPv4Address, text),
    "ipv6": lambda text: _is(IPv6Address, text),
}


def validate(value: Any, schema: Mapping[str, Any], path: str = "", old: Any = ABSENT) -> list[FieldError]:
    """Return what is wrong with a value; `old` is the value that stood there before, if one did."""
    if old is not ABSENT and old == value and type(old) is type(value):
        return []
    if value is None:
        return [] if schema.get("nullable") or "type" not in schema else [_type_error(path, schema["type"], value)]
    if schema.get(INT_OR_STRING):
        if isinstance(value, str) or _TYPES["integer"](value):
            return _scalar(value, schema, path)
        return [_type_error(path, "integer,string", value)]
    expected = schema.get("type")
    if expected and not _TYPES[expected](value):
        return [_type_error(path, expected, value)]
    errors = _scalar(value, schema, path)
    if isinstance(value, dict):
        errors += _object(value, schema, path, old)
    elif isinstance(value, list):
        errors += _array(value, schema, path, old)
    return errors


def _invalid(path: str, value: Any, message: str) -> FieldError:
    return FieldError("FieldValueInvalid", path, f"Invalid value: {go_value(value)}: {message}")


def _body_error(path: str, message: str, value: Any) -> FieldError:
    return _invalid(path, value, f"{path} in body {message}")


def _type_error(path: str, expected: str, value: Any) -> FieldError:
    found = "null" if value is None else _GO_TYPES[type(value)]
    message = f'Invalid value: "{found}": {path} in body must be of type {expected}: "{found}"'
    return FieldError("FieldValueTypeInvalid", path, message)


def _scalar(value: Any, schema: Mapping[str, Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if "enum" in schema and value not in schema["enum"]:
        supported = ", ".join(go_value(choice) for choice in schema["enum"])
        message = f"Unsupported value: {go_value(value)}: supported values: {supported}"
        errors.append(FieldError("FieldValueNotSupported", path, message))
    if isinstance(value, str):
        errors += _string(value, schema, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        errors += _number(value, schema, path)
    return errors


def _string(value: str, schema: Mapping[str, Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if len(value) > schema.get("maxLength", len(value)):
        most = schema["maxLength"]
        told = f"Too long: may not be more than {most} bytes"
        errors.append(FieldError("FieldValueTooLong", path, told))
    if len(value) < schema.get("minLength", 0):
        errors.append(_body_error(path, f"should be at least {schema['minLength']} chars long", value))
    if "pattern" in schema and not _pattern(schema["pattern"]).search(value):
        errors.append(_body_error(path, f"should match '{schema['pattern']}'", value))
    known = _FORMATS.get(schema.get("format", ""))
    if known and not known(value):
        told = f"Invalid value: {go_value(value)}: {path} in body must be of type {schema['format']}: {go_value(value)}"
        errors.append(FieldError("FieldValueTypeInvalid", path, told))
    return errors


def _number(value: float, schema: Mapping[str, Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if "maximum" in schema:
        most, strict = schema["maximum"], schema.get("exclusiveMaximum") is True
        if value > most or (strict and value == most):
            errors.append(_body_error(path, f"should be less than {'' if strict else 'or equal to '}{most}", value))
    if "minimum" in schema:
        least, strict = schema["minimum"], schema.get("exclusiveMinimum") is True
        if value < least or (strict and value == least):
            errors.append(_body_error(path, f"should be greater than {'' if strict else 'or equal to '}{least}", value))
    if schema.get("multipleOf") and value % schema["multipleOf"]:
        errors.append(_body_error(path, f"should be a multiple of {schema['multipleOf']}", value))
    if schema.get("format") == "int32" and not -(2**31) <= value < 2**31:
        errors.append(_body_error(path, f"must be of type int32: {go_value(value)}", value))
    return errors


def _object(value: Obj, schema: Mapping[str, Any], path: str, old: Any) -> list[FieldError]:
    before = old if isinstance(old, dict) else {}
    errors = [
        FieldError("FieldValueRequired", f"{path}.{name}" if path else name, "Required value")
        for name in schema.get("required") or ()
        if name not in value
    ]
    if len(value) > schema.get("maxProperties", len(value)):
        most = schema["maxProperties"]
        errors.append(FieldError("FieldValueTooMany", path, f"Too many: {len(value)}: must have at most {most} items"))
    if len(value) < schema.get("minProperties", 0):
        errors.append(_body_error(path, f"should have at least {schema['minProperties']} properties", value))
    for name, item in value.items():
        below = child(schema, name)
        if below is not None and below is not ANYTHING:
            errors += validate(item, below, f"{path}.{name}" if path else name, before.get(name, ABSENT))
    return errors


def _array(value: Sequence[Any], schema: Mapping[str, Any], path: str, old: Any) -> list[FieldError]:
    errors: list[FieldError] = []
    if len(value) > schema.get("maxItems", len(value)):
        most = schema["maxItems"]
        errors.append(FieldError("FieldValueTooMany", path, f"Too many: {len(value)}: must have at most {most} items"))
    if len(value) < schema.get("minItems", 0):
        errors.append(_invalid(path, len(value), f"{path} in body should have at least {schema['minItems']} items"))
    keys = list_keys(schema)
    before = items_by_key(old, keys) if keys and isinstance(old, list) else {}
    seen: set[bytes] = set()
    for index, item in enumerate(value):
        here = f"{path}[{index}]"
        identity = item_key(item, keys) if keys else None
        if identity is not None:
            if identity in seen:
                told = item if keys == ("",) else {key: item.get(key) for key in keys or ()}
                errors.append(FieldError("FieldValueDuplicate", here, f"Duplicate value: {go_value(told)}"))
            seen.add(identity)
        if schema.get("items"):
            errors += validate(item, schema["items"], here, before.get(identity, ABSENT) if identity else ABSENT)
    return errors


def list_keys(schema: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the keys of a map list, ("",) for a set, None for an atomic list."""
    listed = schema.get("x-kubernetes-list-type")
    if listed == "map":
        return tuple(schema["x-kubernetes-list-map-keys"])
    return ("",) if listed == "set" else None


def item_key(item: Any, keys: Sequence[str]) -> bytes:
    """Return what tells an item of a map list or set from the others."""
    if keys == ("",) or not isinstance(item, dict):
        return orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
    return orjson.dumps({key: item.get(key) for key in keys}, option=orjson.OPT_SORT_KEYS)


def items_by_key(items: Sequence[Any], keys: Sequence[str]) -> dict[bytes, Any]:
    """Return the items of a map list or set by their keys."""
    return {item_key(item, keys): item for item in items}

"""CEL rules of structural schemas (`x-kubernetes-validations`), evaluated by cel-python.

Values are typed by their schema as in Kubernetes: `type: number` is a double even where JSON has an integer, and
integers and doubles compare with each other. A rule that fails to evaluate refuses the object.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import celpy
from celpy import celtypes
from celpy.adapter import json_to_cel
from celpy.celparser import CELParseError
from celpy.evaluation import CELEvalError

from modelops.localhome.apiserver.answers import FieldError, Obj, go_value
from modelops.localhome.apiserver.structural import ANYTHING, INT_OR_STRING, METADATA, PRESERVE, child
from modelops.localhome.apiserver.validation import ABSENT, item_key, items_by_key, list_keys

_RESERVED = frozenset(
    [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_RULES = "x-kubernetes-validations"
_BELOW = "x-modelops-rules-below"
_OLD_SELF = re.compile(r"\boldSelf\b")
_REASONS = frozenset({"FieldValueInvalid", "FieldValueRequired", "FieldValueForbidden", "FieldValueDuplicate"})


def _comparison(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Any]:
    def across_types(left: Any, right: Any) -> Any:
        numbers = (celtypes.IntType, celtypes.UintType, celtypes.DoubleType)
        if isinstance(left, numbers) and isinstance(right, numbers):
            exact = isinstance(left, int) and isinstance(right, int)
            return celtypes.BoolType(compare(int(left), int(right)) if exact else compare(float(left), float(right)))
        if isinstance(left, Exception):
            return left
        return right if isinstance(right, Exception) else celtypes.BoolType(compare(left, right))

    return across_types


_FUNCTIONS: Mapping[str, Any] = {
    "_<_": _comparison(operator.lt),
    "_<=_": _comparison(operator.le),
    "_>_": _comparison(operator.gt),
    "_>=_": _comparison(operator.ge),
}


@lru_cache(maxsize=4096)
def _program(expression: str) -> celpy.Runner:
    environment = celpy.Environment()
    return environment.program(environment.compile(expression), functions=dict(_FUNCTIONS))


def problems(schema: Mapping[str, Any], path: str = "spec") -> Iterator[str]:
    """Yield what is wrong with the rules themselves: one line for each that does not parse."""
    for rule in schema.get(_RULES) or ():
        try:
            _program(rule["rule"])
        except CELParseError as error:
            yield f"{path}.{_RULES}: {rule['rule']!r} does not parse: {str(error).splitlines()[0]}"
    for name, below in (schema.get("properties") or {}).items():
        yield from problems(below, f"{path}.{name}")
    for part in ("items", "additionalProperties"):
        if isinstance(schema.get(part), Mapping):
            yield from problems(schema[part], f"{path}.{part}")


def marked(schema: Mapping[str, Any]) -> Obj:
    """Return the schema with a mark on every part that has rules in it, so that `check` can skip the rest."""
    copy = dict(schema)
    if isinstance(schema.get("properties"), Mapping):
        copy["properties"] = {name: marked(below) for name, below in schema["properties"].items()}
    for part in ("items", "additionalProperties"):
        if isinstance(schema.get(part), Mapping):
            copy[part] = marked(schema[part])
    parts = [*(copy.get("properties") or {}).values(), copy.get("items"), copy.get("additionalProperties")]
    if schema.get(_RULES) or any(isinstance(part, Mapping) and part.get(_BELOW) for part in parts):
        copy[_BELOW] = True
    return copy


def check(value: Any, schema: Mapping[str, Any], path: str = "", old: Any = ABSENT) -> list[FieldError]:
    """Return the rules that a value breaks; rules of unchanged parts are left out unless they mention oldSelf."""
    if not schema.get(_BELOW):
        return []
    errors: list[FieldError] = []
    if schema.get(_RULES) and value is not None:
        errors += _check_here(value, schema, path, old)
    if isinstance(value, dict):
        before = old if isinstance(old, dict) else {}
        for name, item in value.items():
            below = child(schema, name)
            if below is not None and below is not ANYTHING and below is not METADATA:
                errors += check(item, below, f"{path}.{name}" if path else name, before.get(name, ABSENT))
    elif isinstance(value, list) and schema.get("items"):
        keys = list_keys(schema)
        known = items_by_key(old, keys) if keys and isinstance(old, list) else {}
        for index, item in enumerate(value):
            earlier = known.get(item_key(item, keys), ABSENT) if keys else ABSENT
            errors += check(item, schema["items"], f"{path}[{index}]", earlier)
    return errors


def _check_here(value: Any, schema: Mapping[str, Any], path: str, old: Any) -> list[FieldError]:
    unchanged = old is not ABSENT and old == value
    errors: list[FieldError] = []
    activation: dict[str, Any] | None = None
    for rule in schema[_RULES]:
        transition = bool(_OLD_SELF.search(rule["rule"]))
        optional_old = bool(rule.get("optionalOldSelf"))
        if (transition and old is ABSENT and not optional_old) or (unchanged and not transition):
            continue
        if activation is None:
            activation = {"self": typed(value, schema)}
            if old is not ABSENT:
                activation["oldSelf"] = typed(old, schema)
        error = _evaluate(rule, activation, value, path)
        if error:
            errors.append(error)
    return errors


def _evaluate(rule: Obj, activation: dict[str, Any], value: Any, path: str) -> FieldError | None:
    try:
        if _program(rule["rule"]).evaluate(activation):
            return None
        message = rule.get("message") or f"failed rule: {rule['rule'].strip()}"
        if rule.get("messageExpression"):
            message = str(_program(rule["messageExpression"]).evaluate(activation)) or message
    except CELEvalError as error:
        message = f"rule {rule['rule']!r} could not be evaluated: {error.args[0] if error.args else error}"
    reason = rule.get("reason") if rule.get("reason") in _REASONS else "FieldValueInvalid"
    where = path + rule.get("fieldPath", "")
    kind = '"object"' if isinstance(value, dict) else '"array"' if isinstance(value, list) else go_value(value)
    verb = {"FieldValueRequired": "Required value", "FieldValueForbidden": "Forbidden"}.get(
        str(reason), f"Invalid value: {kind}"
    )
    return FieldError(str(reason), where, f"{verb}: {message}")


def escaped(name: str) -> str:
    """Return how rules spell a field: reserved words and separators are written between underscores."""
    if name in _RESERVED:
        return f"__{name}__"
    for plain, spelled in (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__")):
        name = name.replace(plain, spelled)
    return name


def typed(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a JSON value as the CEL value of its schema's type."""
    if isinstance(value, bool) or value is None:
        return json_to_cel(value)
    if isinstance(value, dict):
        declared = bool(schema.get("properties"))
        members: dict[Any, Any] = {}
        for name, item in value.items():
            below = child(schema, name)
            if below is None or (below is ANYTHING and declared):
                # Kubernetes lets rules see only declared fields of an object that declares any.
                continue
            members[celtypes.StringType(escaped(name) if declared else name)] = typed(item, below)
        return celtypes.MapType(members)
    if isinstance(value, list):
        items = schema.get("items") or ANYTHING
        return celtypes.ListType([typed(item, items) for item in value])
    if isinstance(value, int | float):
        is_double = schema.get("type") == "number" or (isinstance(value, float) and not schema.get(INT_OR_STRING))
        return celtypes.DoubleType(value) if is_double and schema.get("type") != "integer" else celtypes.IntType(value)
    match schema.get("format") if schema.get("type") == "string" and not schema.get(PRESERVE) else None:
        case "date-time":
            return celtypes.TimestampType(value)
        case "duration":
            return celtypes.DurationType(value)
        case _:
            pass
    return celtypes.StringType(value)

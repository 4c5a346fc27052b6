"""Conditions over `result`, and expectations over an HTTP answer: parts of CEL, evaluated by cel-python.

Called by verdicts and by the smoke test. An expression may come from anybody who may commit, so only what compares and
computes is let through: no macros, no methods, no regular expressions; its cost is bounded by its length and that of
what it looks at. Conditions talk of numbers; expectations also of fields and texts.
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from modelops.errors import Stalled

_HELPERS: Final = frozenset({"isNaN", "isInf", "isNil", "default", "asInt", "asFloat", "len", "size"})
"""Argo Rollouts' helpers, and CEL's own `size`."""
_NAMES: Final = _HELPERS | {"result", "true", "false"}
_NUMBER: Final = r"\s+|(?P<number>(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)"
_SIGN: Final = r"|(?P<sign>&&|\|\||[<>=!]=|[-+*/<>!?:,()\[\]])"
_TOKEN: Final = re.compile(_NUMBER + _SIGN)
_EXPECTED_NAMES: Final = _HELPERS | {"status", "body", "has", "in", "true", "false", "null"}
_EXPECTED_TOKEN: Final = re.compile(
    r"(?P<field>\.[A-Za-z_]\w*(?!\w|\s*\())|(?P<text>\"[^\"\\\n]*\"|'[^'\\\n]*')|" + _NUMBER + _SIGN
)
_OPERAND: Final = re.compile(r"[\w\])\"']$")
_DEPTH: Final = 32
_CONDITION: Final = ("condition", "result[0] >= 0.95")
"""Where it stands, and how it is written."""
_EXPECTATION: Final = ("expect", "status == 200 && body.outputs[0].data[0] > 0.5")


class ExpressionError(Exception):
    """An expression could not be evaluated on this result; the verdict is Error."""


@lru_cache(maxsize=1024)
def compile_expression(text: str) -> Callable[[Sequence[float]], bool]:
    """Return a function from the result (a list of numbers) to true or false; it may raise ExpressionError.

    Raises:
        Stalled: the text is no expression, or uses what is not allowed (InvalidSpec).
    """
    from celpy import celtypes  # noqa: PLC0415 - see _program

    program = _program(text, _numbers_as_doubles(text, _TOKEN, _NAMES, _CONDITION), _CONDITION)

    def evaluate(result: Sequence[float]) -> bool:
        values = celtypes.ListType([celtypes.DoubleType(value) for value in result])
        return program({"result": values}, f"on {list(result)}")

    return evaluate


@lru_cache(maxsize=1024)
def compile_expectation(text: str) -> Callable[[int, bytes], bool]:
    """Return a function from an answer's status and body to true or false.

    It may raise ExpressionError: the answer lacks a field, say. A body that is not JSON is null.

    Raises:
        Stalled: the text is no expression, or uses what is not allowed (InvalidSpec).
    """
    from celpy import celtypes  # noqa: PLC0415 - see _program

    program = _program(text, _numbers_as_doubles(text, _EXPECTED_TOKEN, _EXPECTED_NAMES, _EXPECTATION), _EXPECTATION)

    def evaluate(status: int, body: bytes) -> bool:
        return program({"status": celtypes.DoubleType(status), "body": _json(body)}, "on this answer")

    return evaluate


def _json(body: bytes) -> Any:
    """Return a body as CEL has it; a JSON 1 is as good as a 1.0, as in the expression."""
    from celpy.adapter import json_to_cel  # noqa: PLC0415 - see _program

    try:
        return json_to_cel(json.loads(body, parse_int=float, parse_constant=_no_json))
    except (ValueError, RecursionError):
        return None


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _program(text: str, written: str, where: tuple[str, str]) -> Callable[[dict[str, Any], str], bool]:
    """Return what evaluates an expression.

    Args:
        text: the expression as it was given, for messages.
        written: as cel-python gets it.
        where: it stands, and how it is written.
    """
    import celpy  # noqa: PLC0415 - costs 30 MiB; only releases with expressions pay
    from celpy import celtypes  # noqa: PLC0415
    from celpy.celparser import CELParseError  # noqa: PLC0415
    from celpy.evaluation import CELEvalError  # noqa: PLC0415

    functions: dict[str, Any] = {
        "isNaN": lambda value: celtypes.BoolType(math.isnan(value)),
        "isInf": lambda value: celtypes.BoolType(math.isinf(value)),
        "isNil": lambda value: celtypes.BoolType(value is None),
        "default": lambda value, instead: instead if value is None else value,
        "asInt": lambda value: celtypes.DoubleType(math.trunc(value)),
        "asFloat": celtypes.DoubleType,
        "len": lambda values: celtypes.DoubleType(len(values)),
        "size": lambda values: celtypes.DoubleType(len(values)),
    }
    environment = celpy.Environment()
    try:
        program = environment.program(environment.compile(written), functions=functions)
    except CELParseError as error:
        raise _invalid(text, "is not an expression", where) from error

    def evaluate(values: dict[str, Any], on: str) -> bool:
        try:
            outcome = program.evaluate(values)
        except (CELEvalError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
            raise ExpressionError(f"{text!r} cannot be evaluated {on}") from error
        if not isinstance(outcome, celtypes.BoolType | bool):
            raise ExpressionError(f"{text!r} is not true or false")
        return bool(outcome)

    return evaluate


def _numbers_as_doubles(text: str, token_of: re.Pattern[str], names: frozenset[str], where: tuple[str, str]) -> str:
    """Return the text with every number but an index written as a double, so that `result[0] >= 1` compares."""
    parts: list[str] = []
    position = depth = 0
    while position < len(text):
        token = token_of.match(text, position)
        if token is None:
            raise _invalid(text, f"has {text[position]!r}, which is not allowed here", where)
        name, number, sign = token["name"], token["number"], token["sign"]
        if name is not None and name not in names:
            raise _invalid(text, f"uses {name!r}; allowed are {', '.join(sorted(names))}", where)
        depth += sign in {"(", "["} if sign else 0
        depth -= sign in {")", "]"} if sign else 0
        if depth > _DEPTH:
            raise _invalid(text, f"nests deeper than {_DEPTH}", where)
        index = parts[-1:] == ["["] and len(parts) > 1 and parts[-2] != "in" and bool(_OPERAND.search(parts[-2]))
        parts.append(repr(float(number)) if number is not None and not index else token[0].strip())
        position = token.end()
        if not parts[-1]:
            parts.pop()
    return " ".join(parts)


def _invalid(text: str, problem: str, where: tuple[str, str]) -> Stalled:
    return Stalled("InvalidSpec", f"{where[0]} {text[:80]!r} {problem}; write it as: {where[1]}")

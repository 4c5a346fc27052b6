"""Conditions over `result`: the part of CEL that talks about numbers, evaluated by cel-python.

Called by verdicts. An expression may come from anybody who may commit, so only what compares and computes numbers is
let through: no strings, no macros, no regular expressions; its cost is bounded by its length.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from modelops.errors import Stalled

_HELPERS: Final = frozenset({"isNaN", "isInf", "isNil", "default", "asInt", "asFloat", "len", "size"})
"""Argo Rollouts' helpers, and CEL's own `size`."""
_NAMES: Final = _HELPERS | {"result", "true", "false"}
_TOKEN: Final = re.compile(
    r"\s+|(?P<number>(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>&&|\|\||[<>=!]=|[-+*/<>!?:,()\[\]])"
)
_DEPTH: Final = 32


class ExpressionError(Exception):
    """An expression could not be evaluated on this result; the verdict is Error."""


def compile_expression(text: str) -> Callable[[Sequence[float]], bool]:
    """Return a function from the result (a list of numbers) to true or false; it may raise ExpressionError.

    Raises:
        Stalled: the text is no expression, or uses what is not allowed (InvalidSpec).
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
        program = environment.program(environment.compile(_numbers_as_doubles(text)), functions=functions)
    except CELParseError as error:
        raise _invalid(text, "is not an expression") from error

    def evaluate(result: Sequence[float]) -> bool:
        values = celtypes.ListType([celtypes.DoubleType(value) for value in result])
        try:
            outcome = program.evaluate({"result": values})
        except (CELEvalError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise ExpressionError(f"{text!r} cannot be evaluated on {list(result)}") from error
        if not isinstance(outcome, celtypes.BoolType | bool):
            raise ExpressionError(f"{text!r} is not true or false")
        return bool(outcome)

    return evaluate


def _numbers_as_doubles(text: str) -> str:
    """Return the text with every number but an index written as a double, so that `result[0] >= 1` compares."""
    parts: list[str] = []
    position = depth = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise _invalid(text, f"has {text[position]!r}, which is not allowed here")
        name, number, sign = token["name"], token["number"], token["sign"]
        if name is not None and name not in _NAMES:
            raise _invalid(text, f"uses {name!r}; allowed are {', '.join(sorted(_NAMES))}")
        depth += sign in {"(", "["} if sign else 0
        depth -= sign in {")", "]"} if sign else 0
        if depth > _DEPTH:
            raise _invalid(text, f"nests deeper than {_DEPTH}")
        index = bool(parts) and parts[-1] == "["
        parts.append(repr(float(number)) if number is not None and not index else token[0].strip())
        position = token.end()
        if not parts[-1]:
            parts.pop()
    return " ".join(parts)


def _invalid(text: str, problem: str) -> Stalled:
    return Stalled("InvalidSpec", f"condition {text[:80]!r} {problem}; write it as: result[0] >= 0.95")

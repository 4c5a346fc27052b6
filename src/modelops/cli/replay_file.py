"""Reads the answers that `modelops analyze` plays: JSON, every problem one line that says where and what to do.

{"ticks": [{"t": seconds, "metrics": {"name": answer}}]}
answer: number | "NaN" | "+Inf" | "-Inf" | null | [numbers]
| {"value": number, "samples": int, "stable": number, "stableSamples": int} | {"error": "text"}
A mean may also have the sums of squares behind it, "squares" and "stableSquares".
"""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NoReturn

from modelops.cli.suggest import hint
from modelops.domain.analysis.verdicts import Reading
from modelops.domain.release.replay import Tick
from modelops.errors import Stalled

_MAX_BYTES: Final = 64 * 1024 * 1024
_WORDS: Final = {"NaN": math.nan, "+Inf": math.inf, "Inf": math.inf, "-Inf": -math.inf}
_FIELDS: Final = ("value", "samples", "squares", "stable", "stableSamples", "stableSquares", "error")
_ANSWERS: Final = 'a number, "NaN", "+Inf", "-Inf", null, a list of numbers, {"value": …} or {"error": "text"}'
_LONGEST: Final = 10 * 365 * 86_400


def read_ticks(path: Path, metrics: Collection[str]) -> tuple[Tick, ...]:
    """Return the ticks of a replay file.

    Args:
        path: of the file.
        metrics: the names that an answer may be for.

    Raises:
        Stalled: the file is no replay (InvalidReplay).
    """
    found = _json(path)
    if not isinstance(found, dict) or set(found) != {"ticks"}:
        _refuse(path, "must be an object with one field, ticks")
    ticks = found["ticks"]
    if not isinstance(ticks, list) or not ticks:
        _refuse(path, "ticks must be a list of at least one tick")
    read: list[Tick] = []
    for index, tick in enumerate(ticks):
        where = f"ticks[{index}]"
        if not isinstance(tick, dict) or set(tick) != {"t", "metrics"}:
            _refuse(path, f"{where} must be an object with the fields t and metrics")
        at = _time(path, f"{where}.t", tick["t"], read[-1].at if read else -1.0)
        if not isinstance(tick["metrics"], dict):
            _refuse(path, f"{where}.metrics must be an object: metric → answer")
        answers = {}
        for name, answer in tick["metrics"].items():
            if name not in metrics:
                known = ", ".join(metrics) or "none"
                _refuse(
                    path, f"{where}.metrics.{name}: the release has no such metric{hint(name, metrics)}; it has {known}"
                )
            answers[name] = _answer(path, f"{where}.metrics.{name}", answer)
        read.append(Tick(at, answers))
    return tuple(read)


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > _MAX_BYTES:
            _refuse(path, f"is larger than {_MAX_BYTES >> 20} MiB; split it")
        return json.loads(
            path.read_text(encoding="utf-8"),
            parse_constant=_constant,
            object_pairs_hook=lambda pairs: _once(path, pairs),
        )
    except OSError as error:
        _refuse(path, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        _refuse(path, "is not UTF-8 text")
    except json.JSONDecodeError as error:
        _refuse(path, f"line {error.lineno}, column {error.colno}: is not JSON: {error.msg}")
    except RecursionError:
        _refuse(path, "nests too deep")
    except ValueError as error:
        _refuse(path, f"is not JSON: {error}")


def _constant(word: str) -> NoReturn:
    msg = f'write {word} in quotes, as "NaN", "+Inf" or "-Inf"'
    raise ValueError(msg)


def _once(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        _refuse(path, f"has the field {twice!r} twice in one object")
    return found


def _time(path: Path, where: str, value: Any, after: float) -> float:
    if not _is_number(value) or not 0 <= value <= _LONGEST:
        _refuse(path, f"{where} must be seconds since the canary began, 0 or more and at most ten years")
    if value <= after:
        _refuse(path, f"{where} is {value:g}, not later than the tick before; put the ticks in order")
    return float(value)


def _answer(path: Path, where: str, answer: Any) -> Reading:
    if answer is None:
        return Reading()
    if isinstance(answer, list):
        return Reading(values=tuple(_number(path, f"{where}[{n}]", value) for n, value in enumerate(answer)))
    if not isinstance(answer, dict):
        return Reading(values=(_number(path, where, answer),))
    for name in answer:
        if name not in _FIELDS:
            _refuse(path, f"{where}.{name} is not known{hint(name, _FIELDS)}; an answer is {_ANSWERS}")
    if "error" in answer:
        if len(answer) > 1 or not isinstance(answer["error"], str):
            _refuse(path, f'{where} must be {{"error": "text"}} and nothing else')
        return Reading(error=" ".join(answer["error"].split()) or "an error without a text")
    if "value" not in answer:
        _refuse(path, f"{where} has no value; it may be null")
    return replace(_side(path, where, answer, "value", "samples", "squares"), stable=_stable(path, where, answer))


def _stable(path: Path, where: str, answer: Mapping[str, Any]) -> Reading:
    if "stable" in answer:
        return _side(path, where, answer, "stable", "stableSamples", "stableSquares")
    for field in ("stableSamples", "stableSquares"):
        if field in answer:
            _refuse(path, f"{where} has {field} but no stable")
    return Reading()


def _side(path: Path, where: str, answer: Mapping[str, Any], value: str, samples: str, squares: str) -> Reading:
    found = answer[value]
    values = () if found is None else (_number(path, f"{where}.{value}", found),)
    counted = _sum(path, f"{where}.{samples} must be a number of samples, 0 or more", answer.get(samples))
    squared = _sum(path, f"{where}.{squares} must be a sum of squares, 0 or more", answer.get(squares))
    return Reading(values=values, samples=counted, squares=squared)


def _sum(path: Path, problem: str, found: Any) -> float | None:
    if found is not None and (not _is_number(found) or not 0 <= found < math.inf):
        _refuse(path, problem)
    return None if found is None else float(found)


def _number(path: Path, where: str, value: Any) -> float:
    if isinstance(value, str) and value in _WORDS:
        return _WORDS[value]
    if not _is_number(value):
        _refuse(path, f"{where} must be {_ANSWERS}")
    return float(value)


def _is_number(value: Any) -> bool:
    """Return whether JSON has a number here that a float can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e308


def _refuse(path: Path, problem: str) -> NoReturn:
    raise Stalled("InvalidReplay", f"{path}: {problem}")

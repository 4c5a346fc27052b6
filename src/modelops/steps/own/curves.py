"""Reads the metrics that a team's code left: numbers, or one per epoch. Data from a stranger, as all of it.

Called by `collect`.
"""

import json
import math
from typing import Any, Final

from modelops.steps.context import BadInputError
from modelops.steps.own.places import Places

MAX_SIZE: Final = 16 << 20
"""Bytes of metrics.json."""
MAX_NAMES: Final = 100
MAX_VALUES: Final = 100_000
"""Of one name."""


def read(places: Places, where: str) -> dict[str, list[float]]:
    """Return the team's own training metrics: name → values, one per epoch.

    `metrics.json` is an object of numbers or lists of them, or one object per line, each an epoch.

    Raises:
        BadInputError: the file is not as agreed, or a number is not finite.
    """
    path = places.output / "metrics.json"
    if not path.exists() and not path.is_symlink():
        return {}
    content = places.read(path, MAX_SIZE)
    if content is None:
        raise BadInputError(f"{where}: metrics.json is no regular file of at most {MAX_SIZE >> 20} MiB; write less")
    found: dict[str, list[float]] = {}
    for document in _documents(content, where):
        for name, value in document.items():
            values = value if isinstance(value, list) else [value]
            found.setdefault(name[:200], []).extend(_checked(name[:60], values, where))
    if len(found) > MAX_NAMES:
        raise BadInputError(f"{where}: metrics.json has {len(found)} names; write at most {MAX_NAMES}")
    for name, values in found.items():
        if len(values) > MAX_VALUES:
            raise BadInputError(f"{where}: metrics.json: {name[:60]} has more than {MAX_VALUES} values; write fewer")
        bad = next((number for number, one in enumerate(values) if not math.isfinite(one)), None)
        if bad is not None:
            raise BadInputError(
                f"{where}: metrics.json: {name[:60]} is not a finite number (value {bad + 1} of {len(values)}); "
                "training diverged, lower the learning rate or scale the inputs"
            )
    return found


def _documents(content: bytes, where: str) -> list[dict[str, Any]]:
    try:
        whole = content.decode()
        try:
            documents = [json.loads(whole)]
        except json.JSONDecodeError:
            documents = [json.loads(line) for line in whole.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        documents = []
    if not documents or not all(isinstance(document, dict) for document in documents):
        raise BadInputError(
            f"{where}: metrics.json is not JSON; write an object of numbers or lists of them, or one object per line"
        )
    return documents


def _checked(name: str, values: list[Any], where: str) -> list[float]:
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in values):
        raise BadInputError(f"{where}: metrics.json: {name} is neither a number nor a list of numbers")
    try:
        return [float(one) for one in values]
    except OverflowError:
        raise BadInputError(f"{where}: metrics.json: {name} is too large a number") from None

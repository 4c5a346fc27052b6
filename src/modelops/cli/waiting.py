"""Waiting from the command line: durations as options, polling until something is so, one exit code for "too late"."""

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click
from typing_extensions import override

from modelops.api.v1alpha1.common import parse_duration

TIMED_OUT: Final = 4
_EVERY: Final = 0.1
_T = TypeVar("_T")


class Duration(click.ParamType):  # type: ignore[type-arg]  # click before 8.3 has no parameter
    """An option such as 30s, 10m or 1h30m; the verb gets seconds."""

    name = "duration"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_duration(str(value)).total_seconds()
        except ValueError as error:
            self.fail(str(error), param, ctx)


def poll(question: Callable[[], _T | None], seconds: float, *, every: float = _EVERY) -> _T | None:
    """Return the first answer that is not None; None once the time is up. Asks at least once."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer is not None or time.monotonic() >= deadline:
            return answer
        time.sleep(min(every, max(0.0, deadline - time.monotonic())))

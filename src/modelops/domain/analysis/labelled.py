"""`labelled-error`: what is counted where a team joins labels with predictions, for one model version. Pure.

The series are a contract, see docs/analysis.md: how many labels, the sum of their errors, the sum of the squares.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from modelops.domain.analysis.means import Moments, Pair
from modelops.domain.analysis.queries import SHORTEST_WINDOW, Subject, fill, grown

_MATCH: Final = 'namespace="{{ .namespace }}",release="{{ .release }}",version="{{ .version }}"'
AGE: Final = "age"
"""The label that may say how old a label was at most when it came. Seconds."""


class LabelledErrors:
    """The figures of one version's labels.

    Args:
        subject: whose.
    """

    def __init__(self, subject: Subject) -> None:
        self._match = fill(_MATCH, subject, SHORTEST_WINDOW)

    def samples(self, window: timedelta) -> str:
        """Return the query for how many labels came in the window."""
        return self._grown("count", window)

    def total(self, window: timedelta) -> str:
        """Return the query for the sum of their errors."""
        return self._grown("sum", window)

    def by_age(self, window: timedelta) -> tuple[str, str, str]:
        """Return the queries for both, and for the sum of the errors' squares, by the labels' age."""
        number, total, squares = (self._grown(name, window, AGE) for name in ("count", "sum", "squares_total"))
        return number, total, squares

    def value(self, window: timedelta) -> str:
        """Return the query for the mean error."""
        return f"{self.total(window)} / {self.samples(window)}"

    def _grown(self, name: str, window: timedelta, by: str = "") -> str:
        return grown(f"modelops_labelled_error_{name}{{{self._match}}}", window, by)


def of_equal_age(
    mine: Mapping[str, Moments], other: Mapping[str, Moments], *, began: datetime | None, since: datetime
) -> Sequence[Pair]:
    """Return what may be compared: both sides' labels of one age, of predictions that were made since the canary began.

    Labels that came after `since` at an age of at most 60 s are of predictions made 60 s before `since` or later. Those
    whose age is not told are all taken to be of predictions since the canary began.

    Args:
        mine: the canary's errors by age, "" where it is not told.
        other: stable's.
        began: when the canary got its first requests; None: before all that is counted.
        since: from when on labels are counted.

    Raises:
        ValueError: an age is no number of seconds.
    """
    longest = math.inf if began is None else (since - began).total_seconds()
    ages = sorted((age for age in mine if age in other), key=_seconds)
    return [Pair(mine[age], other[age]) for age in ages if not age or _seconds(age) <= longest]


def _seconds(age: str) -> float:
    try:
        seconds = float(age or 0)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        msg = f"the label {AGE} is {age[:40]!r}; it must be the greatest age in seconds, such as 3600 or +Inf"
        raise ValueError(msg)
    return seconds

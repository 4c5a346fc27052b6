"""What canary and stable answered to the same requests, side by side. Pure; ADR 26.

Each server says what it keeps: by the hash of a request, the numbers that it answered to the first rows, or in place of
a class or a text what tells it from others. What it says is a tenant's, so all of it is checked.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_ROUNDING: Final = 1e-6
"""Of a number: so much may be of another batch, in which the same model rounds otherwise."""
_Word = Annotated[str, Field(max_length=64)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
Told = tuple[_Number | _Word, ...]
"""What was answered to the first rows of one request."""


class Sample(BaseModel):
    """What one server keeps."""

    model_config = ConfigDict(strict=True, frozen=True)

    server: _Word
    """Which one, for as long as it lives."""
    unnamed: int
    """How many requests came without an id, so that their copies cannot be found."""
    answers: tuple[tuple[_Word, Told], ...]
    """By hashes of requests."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Requests that both sides answered."""

    number: int
    different: int
    apart: float | None = None
    """The mean distance of all numbers that were answered; None where there are none."""
    shift: float | None = None
    """The mean of the canary's less stable's."""

    @property
    def words(self) -> str:
        """What there is to say of them beside the share that differ."""
        found = f"of {self.number} requests that both answered"
        if self.apart is None:
            return found
        return f"{found}; numbers are {self.apart:.3g} apart on average (canary - stable: {self.shift:+.3g})"


def heard(body: bytes) -> Sample:
    """Return what a server said.

    Raises:
        ValueError: it is not what our servers say; one line.
    """
    try:
        return Sample.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from error


def paired(mine: Sequence[Sample], others: Sequence[Sample], tolerance: float) -> Pairs:
    """Return what the requests come to that both sides answered. What came twice to one side is none of them.

    Args:
        mine: of the canary's servers.
        others: of stable's.
        tolerance: by how much two numbers may differ and be the same answer.
    """
    canary, stable = _once(mine), _once(others)
    both = [(canary[name], stable[name]) for name in canary.keys() & stable.keys()]
    different = sum(not _is_same(one, other, tolerance) for one, other in both)
    changes = [change for pair in both for change in _changes(*pair)]
    if not changes:
        return Pairs(len(both), different)
    return Pairs(len(both), different, sum(map(abs, changes)) / len(changes), sum(changes) / len(changes))


def _once(samples: Sequence[Sample]) -> Mapping[str, Told]:
    """Return the answers of one side's servers, but for requests that came twice."""
    last = {sample.server: sample.answers for sample in samples}.values()
    seen = Counter(name for answers in last for name, _ in answers)
    return {name: told for answers in last for name, told in answers if seen[name] == 1}


def _is_same(one: Told, other: Told, tolerance: float) -> bool:
    return len(one) == len(other) and all(_is_close(a, b, tolerance) for a, b in zip(one, other, strict=True))


def _is_close(one: float | str, other: float | str, tolerance: float) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return math.isclose(one, other, rel_tol=_ROUNDING, abs_tol=tolerance)


def _changes(one: Told, other: Told) -> Iterator[float]:
    for mine, theirs in zip(one, other, strict=False):
        if not isinstance(mine, str) and not isinstance(theirs, str):
            yield mine - theirs

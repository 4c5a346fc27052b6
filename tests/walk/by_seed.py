"""Walks as a number draws them: in the same time many more steps than by hypothesis, and longer walks."""

import traceback
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from tests.walk import promises
from tests.walk.happenings import BEGINNING, HAPPENINGS, Happening, begin, time_passes, version_is_trained
from tests.walk.reached import Reached
from tests.walk.release import Release

LENGTH: Final = 300
"""Steps of a walk."""


@dataclass(frozen=True, slots=True)
class Course:
    """A walk before it is taken: what `begin` is given, and the steps with what each is given."""

    beginning: dict[str, Any]
    steps: tuple[tuple[Happening, dict[str, Any]], ...]

    def __str__(self) -> str:
        each = (("begin", self.beginning), *((happening.name, given) for happening, given in self.steps))
        return "\n".join(
            f"{name}({', '.join(f'{key}={value!r}' for key, value in given.items())})" for name, given in each
        )


@dataclass(frozen=True, slots=True)
class Broken:
    """What a walk found."""

    number: int
    where: str
    """The line that raised, of this package or else of any."""
    how: str
    """The traceback."""


def drawn(number: int) -> Course:
    """Return the walk of a number. Most things never happen on it, others so much the more.

    Half of the steps let time pass, and a quarter bring a version: what ends at once is never measured, and where no
    canary is on its way there is nothing to see.
    """
    random = Random(number)
    beginning = {name: draw(random) for name, draw in BEGINNING.items()}
    rarity = max(random.random(), random.random())
    enabled = [
        one
        for one in HAPPENINGS
        if one.placing in (None, beginning["placing"]) and (one is time_passes or random.random() >= rarity)
    ]
    chosen = (
        random.choice((time_passes, time_passes, version_is_trained, random.choice(enabled))) for _ in range(LENGTH)
    )
    return Course(beginning, tuple((one, {name: draw(random) for name, draw in one.given.items()}) for one in chosen))


def take(course: Course, reached: Reached) -> None:
    """Take a walk.

    Raises:
        Exception: a promise was broken, or could not even be looked at.
    """
    release = Release()
    begin(release, **course.beginning)
    for happening, given in course.steps:
        happening(release, **given)
        reached.note(happening, release)
    promises.are_kept_in_the_end(release)


def walk(number: int) -> Reached | Broken:
    """Take the walk of a number; return what it reached, or what it broke."""
    reached = Reached()
    return _breaks(drawn(number), number, reached) or reached


def shortened(broken: Broken) -> Course:
    """Return the walk with only the steps that it needs to break at the same place."""
    course = drawn(broken.number)
    size = len(course.steps)
    while size := size // 2:
        course = _without(course, size, broken)
    while (shorter := _without(course, 1, broken)) != course:
        course = shorter
    return course


def _without(course: Course, size: int, broken: Broken) -> Course:
    """Return the walk without each so many steps in a row that it does not need."""
    at = 0
    while at < len(course.steps):
        fewer = replace(course, steps=course.steps[:at] + course.steps[at + size :])
        found = _breaks(fewer, broken.number, Reached())
        if found is not None and found.where == broken.where:
            course = fewer
        else:
            at += size
    return course


def _breaks(course: Course, number: int, reached: Reached) -> Broken | None:
    try:
        take(course, reached)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the walk is for
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "/tests/walk/" in frame.filename]
        at = (ours or frames)[-1]
        return Broken(number, f"{at.filename}:{at.lineno} {type(error).__name__}", traceback.format_exc())
    return None

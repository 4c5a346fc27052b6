"""A hundred thousand steps of the walk, the same in every run; `make walk` takes others."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.walk import by_seed, promises
from tests.walk.by_seed import Broken
from tests.walk.reached import Reached
from tests.walk.release import Release


def _walk(*arguments: str) -> int:
    """Return how many steps were walked."""
    walk = [sys.executable, "-m", "tests.walk", "--seed", "0", "--processes", "2", *arguments]
    found = subprocess.run(walk, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    taken = re.search(r"(\d+) steps in \d+ s; every promise", found.stdout)
    assert taken is not None, found.stdout
    return int(taken[1])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_walk_keeps_the_promises() -> None:
    assert _walk("--steps", "100000") >= 100_000


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_walk_by_hypothesis_keeps_the_promises() -> None:
    """What hypothesis finds, it also makes short."""
    assert _walk("--steps", "10000", "--by", "hypothesis") >= 10_000


def test_a_walk_that_breaks_a_promise_is_made_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the promise is that nobody's second version is ever aborted."""

    def never_aborted(release: Release) -> None:
        assert all(one["outcome"] != "Aborted" for one in release.status["history"])

    monkeypatch.setattr(promises, "PROMISES", (*promises.PROMISES, never_aborted))
    broken = next(found for found in map(by_seed.walk, range(20)) if isinstance(found, Broken))
    assert "never_aborted" in broken.how
    course = by_seed.shortened(broken)
    assert len(course.steps) < 30
    assert "human_says(verb='" in str(course)
    for at in range(len(course.steps)):
        fewer = replace(course, steps=course.steps[:at] + course.steps[at + 1 :])
        by_seed.take(fewer, Reached())

"""A hundred thousand steps of the walk; `python -m tests.walk` takes more."""

import pytest

from tests.walk.machine import Walk, walk

STEPS = 100_000


@pytest.mark.slow
def test_every_walk_keeps_the_promises() -> None:
    """What hypothesis finds, it also makes short."""
    before = Walk.steps_taken
    while Walk.steps_taken - before < STEPS:
        walk(walks=200)

"""A hundred thousand steps of the walk, the same in every run; `make walk` takes others."""

import pytest

from tests.walk.machine import Walk, walk


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_walk_keeps_the_promises() -> None:
    """What hypothesis finds, it also makes short."""
    before = Walk.steps_taken
    walk(walks=2000, same=True)
    assert Walk.steps_taken - before >= 100_000

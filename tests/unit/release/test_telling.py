"""A verdict is told as an Event when it is new, not at every look."""

from typing import Any

import pytest

from tests.unit.release.world import World

FORGIVING = {"name": "success-rate", "builtin": "success-rate", "thresholdRange": {"min": 0.99}, "minSamples": 50}


@pytest.fixture
def world() -> World:
    found = World()
    found.release(analysis={"interval": "10s", "warmUp": "5s", "metrics": [FORGIVING | {"failureLimit": 5}]})
    found.first()
    found.canary()
    return found


def told(world: World) -> list[tuple[str, str, str]]:
    """Return reason, type and words of each verdict that was told."""
    found: list[Any] = [event for event in world.cluster.events if event.reason.startswith("Metric")]
    return [(event.reason, event.type, event.message) for event in found]


def test_each_verdict_is_told_once_while_it_lasts(world: World) -> None:
    """With the weight, the value, the bound and how many samples."""
    world.settle(seconds=25)
    assert told(world) == [
        ("MetricPass", "Normal", "version 2, weight 20: success-rate: 1 against ≥ 0.99 of 100 samples")
    ]
    world.answer(value=0.5)
    world.settle(seconds=20)
    assert [reason for reason, *_ in told(world)] == ["MetricPass", "MetricFail"]
    assert told(world)[-1][1:] == ("Warning", "version 2, weight 20: success-rate: 0.5 against ≥ 0.99 of 100 samples")


def test_what_comes_and_goes_is_not_told_each_time(world: World) -> None:
    """No traffic, some, none: one Event each."""
    for samples in (100, 1, 100, 1, 100, 1):
        world.answer(samples=samples)
        world.settle(seconds=10)
    assert sorted({reason for reason, *_ in told(world)}) == ["MetricNoData", "MetricPass"]
    assert len(told(world)) == 2

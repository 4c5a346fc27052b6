"""How many requests a server of the canary gets for each of a stable one's, and that it is said."""

from typing import Any

import pytest

from modelops.domain.release.load import load_ratio
from tests.unit.release.world import World


@pytest.mark.parametrize(
    ("weight", "canary", "stable", "ratio"),
    [(50, 3, 3, 1), (20, 3, 3, 0.25), (20, 2, 10, 1.25), (80, 1, 4, 16), (20, 0, 3, None), (20, 3, 0, None)],
)
def test_ratio(weight: int, canary: int, stable: int, ratio: float | None) -> None:
    """Of the shares by weight, each divided by the servers that it comes to."""
    assert load_ratio(weight, canary, stable) == (None if ratio is None else pytest.approx(ratio))


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        pytest.param([{"setWeight": 20}], ", 0.25 times stable's requests per server", id="as many as stable"),
        pytest.param([{"setCanaryScale": {"replicas": 1}}, {"setWeight": 40}], ", 2.7 times stable's", id="one"),
        pytest.param([{"setCanaryScale": {"matchTrafficWeight": True}}, {"setWeight": 20}], "", id="as the weight"),
        pytest.param([{"setWeight": 50}], "", id="half of the traffic"),
        pytest.param([{"setWeight": 100}], "", id="all of it"),
    ],
)
def test_unlike_loads_are_said(steps: list[dict[str, Any]], words: str) -> None:
    """Behind the weight that is in force."""
    world = World()
    world.release(strategy={"canary": {"steps": [*steps, {"pause": {}}]}})
    world.release(serving={"runtime": "modelops", "replicas": 4})
    world.first()
    world.train("2")
    world.settle()
    said = world.reason("Progressing")
    assert f"weight {steps[-1]['setWeight']}{words}" in said
    assert bool(words) == ("per server" in said)


def test_servers_that_make_the_weight_are_loaded_alike() -> None:
    """Without a gateway each server gets as many."""
    world = World()
    world.release(traffic={"mode": "replicas"}, serving={"runtime": "modelops", "replicas": 5})
    world.release(strategy={"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}})
    world.first()
    world.train("2")
    world.settle(seconds=30)
    assert world.status["weight"] == 20
    assert "per server" not in world.reason("Progressing")

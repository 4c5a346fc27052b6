"""`modelops analyze --replay` over the new steps and strategies: the operator's own decisions, offline."""

from typing import Any

import pytest

from modelops.api.v1alpha1.modelrelease import Strategy
from modelops.api.v1alpha1.smoke import SmokeTest
from modelops.domain.release.replay import ASSUMED, Replay, play
from tests.unit.analysis.playing import RANGE, Answer, release, ticks

GOOD = [0.99] * 8
BAKE = [{"setWeight": 20}, {"bake": {"duration": "20s"}}]


def played(strategy: dict[str, Any], *answers: Answer) -> Replay:
    """Return what comes of a tick with each answer, every 5 seconds."""
    spec = release(RANGE).model_copy(update={"strategy": Strategy.model_validate(strategy)})
    return play("price", spec, ticks(*answers))


def canary(*steps: dict[str, Any]) -> dict[str, Any]:
    """Return a canary with these steps."""
    return {"canary": {"steps": list(steps)}}


@pytest.mark.parametrize(
    ("strategy", "answers", "outcome", "at"),
    [
        pytest.param(canary(*BAKE), GOOD, "Promoted", 20, id="baked"),
        pytest.param(canary(*BAKE), [0.99, 0.99, 0.5], "RolledBack", 15, id="a Fail ends the bake"),
        pytest.param(canary(*BAKE), [0.99, 0.99, None, None, None, 0.99], "Promoted", 30, id="held until an answer"),
        pytest.param(canary(*BAKE), [0.99, "away", "away", "away", "away"], "Holding", 25, id="held by an Error"),
        pytest.param(canary({"setWeight": 20}, {"approve": {}}), GOOD, "Paused", 5, id="waits for an approval"),
        pytest.param(canary({"approve": {}}, {"setWeight": 20}), GOOD, "Paused", 5, id="waits at weight 0"),
        pytest.param(
            canary({"setCanaryScale": {"replicas": 3}}, *BAKE), GOOD, "Promoted", 20, id="servers come as told"
        ),
        pytest.param({"linear": {"stepWeight": 50, "every": "10s"}}, GOOD, "Promoted", 10, id="linear"),
        pytest.param({"linear": {"stepWeight": 30, "every": "10s"}}, GOOD, "Promoted", 30, id="linear, three weights"),
        pytest.param({"blueGreen": {"postPromotion": {"duration": "20s"}}}, GOOD, "Promoted", 20, id="blueGreen"),
        pytest.param(
            {"blueGreen": {"prePromotion": {"duration": "10s"}, "postPromotion": {"duration": "10s"}}},
            GOOD,
            "Promoted",
            20,
            id="prePromotion takes its time",
        ),
        pytest.param(
            {"blueGreen": {"prePromotion": {"duration": "20s", "mirror": 100}}},
            [0.99, 0.1],
            "RolledBack",
            10,
            id="copies fail before the switch",
        ),
        pytest.param(
            {"blueGreen": {"postPromotion": {"duration": "20s"}}}, [0.99, 0.1], "RolledBack", 10, id="green is bad"
        ),
        pytest.param({"blueGreen": {"autoPromote": False}}, GOOD, "Paused", 5, id="blueGreen waits for a word"),
        pytest.param({"blueGreen": {}}, GOOD, "Promoted", 0, id="blueGreen without analysis"),
        pytest.param({"direct": {}}, [0.0], "Promoted", 0, id="direct asks nothing"),
    ],
)
def test_outcome(strategy: dict[str, Any], answers: list[Answer], outcome: str, at: float) -> None:
    """How it ends and when."""
    found = played(strategy, *answers)
    assert (found.outcome, found.at) == (outcome, at), found.reason
    assert found.reason


def test_weights_tell_of_the_switch() -> None:
    """0, then 100, then 0 in the tick of the Fail."""
    found = played(
        {"blueGreen": {"prePromotion": {"duration": "10s"}, "postPromotion": {"duration": "1m"}}}, *GOOD, 0.2
    )
    assert [tick.weight for tick in found.ticks] == [0, *[100] * 7, 0]


def test_smoke_test_is_taken_as_passed() -> None:
    """Nobody sends requests offline; the output says so."""
    smoke_test = SmokeTest.model_validate({"requests": [{"name": "any", "path": "/"}]})
    strategy = Strategy.model_validate(canary({"smokeTest": {}}, *BAKE))
    spec = release(RANGE).model_copy(update={"strategy": strategy, "smoke_test": smoke_test})
    found = play("price", spec, ticks(*GOOD))
    assert (found.outcome, found.at) == ("Promoted", 20)
    assert "have passed the smoke test" in ASSUMED

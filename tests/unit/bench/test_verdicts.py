"""The bench of verdicts tells every contender the same, and calls wrong what is wrong."""

import math
from typing import Any

import pytest
from bench.verdicts.board import Board, Canary
from bench.verdicts.prometheus import Away, answer
from bench.verdicts.scenarios import SCENARIOS, Outcome, judged

STORIES = {one.name: one for one in SCENARIOS}


def canary(story: str, **known: Any) -> Canary:
    """Return a canary with half of the traffic since a moment ago."""
    found = Canary(STORIES[story], interval=1e6, stable="old")
    found.weighs(50, 0.0)
    for name, value in known.items():
        setattr(found, name, value)
    return found


def asked(found: Canary, query: str) -> list[float]:
    return list(answer(Board({("who", found.scenario.name): found}), query.replace("…", f"who/{found.scenario.name}")))


@pytest.mark.parametrize(
    ("story", "query", "values"),
    [
        ("mild", 'share{canary="…"}', [0.016]),
        ("mild", 'ratio{canary="…"}', [1.6]),
        ("mild", 'sum(increase(failed_total{canary="…", revision="new"}[1000000000ms]))', [160.0]),
        ("mild", 'sum(increase(failed_total{canary="…", revision="old"}[1000000000ms]))', [100.0]),
        ("mild", 'sum(increase(requests_total{canary="…", revision="old"}[500000000ms]))', [5000.0]),
        ("series-good-first", 'latency{canary="…"}', [0.1, 2.0]),
        ("silent", 'share{canary="…"}', []),
        ("silent", 'sum(increase(requests_total{canary="…", revision="new"}[1000ms]))', []),
        ("few", 'share{canary="…"}', [1 / 3]),
        ("few", 'share_of_20{canary="…"}', []),
        ("mild", "vector(1)", [1.0]),
    ],
)
def test_answer_is_what_the_scenario_says(story: str, query: str, values: list[float]) -> None:
    """Shares, ratios and counters are of the same figures."""
    assert asked(canary(story), query) == pytest.approx(values)


def test_unknown_is_nan() -> None:
    """Also compared with stable."""
    assert math.isnan(asked(canary("nan"), 'ratio{canary="…"}')[0])


def test_prometheus_is_away_for_so_many_looks() -> None:
    """Questions of one look are one look, whatever their number."""
    found = canary("away-twice", interval=1e-6)
    for _ in range(2):
        with pytest.raises(Away):
            asked(found, 'share{canary="…"}')
    assert asked(found, 'share{canary="…"}') == [0.01]
    again = canary("away-twice", look=1, looked_at=math.inf)
    for _ in range(3):
        with pytest.raises(Away):
            asked(again, 'share{canary="…"}')


def test_draws_are_the_same_for_all() -> None:
    """In the same look at the same weight."""
    draws = [asked(canary("chance-1", look=3, looked_at=math.inf), 'share{canary="…"}') for _ in range(2)]
    assert draws[0] == draws[1]


@pytest.mark.parametrize(
    ("story", "outcome", "verdict"),
    [
        ("healthy", Outcome.PROMOTED, "right"),
        ("healthy", Outcome.ROLLED_BACK, "wrong rollback"),
        ("healthy", Outcome.HELD, "stuck"),
        ("healthy", Outcome.RAISED, "stuck"),
        ("failing", Outcome.PROMOTED, "wrong promotion"),
        ("failing", Outcome.HELD, "stuck"),
        ("silent", Outcome.HELD, "right"),
        ("silent", Outcome.RAISED, "wrong promotion"),
        ("silent", Outcome.ROLLED_BACK, "wrong rollback"),
        ("afterwards", Outcome.TAKEN_BACK, "right"),
        ("afterwards", Outcome.PROMOTED, "not watched"),
    ],
)
def test_verdict_of_an_outcome(story: str, outcome: Outcome, verdict: str) -> None:
    """More traffic without knowledge is a promotion, too."""
    assert judged(STORIES[story], outcome) == verdict


def test_reaction_is_from_the_first_bad_figure_to_the_last_request() -> None:
    """Not to when the contender says so."""
    found = canary("turning-32", interval=10.0)
    found.weighs(0, 50.0)
    found.ends(Outcome.ROLLED_BACK, 52.0)
    assert found.reaction == pytest.approx(18.0)
    assert found.lasted == pytest.approx(52.0)


def test_promotion_that_is_rolled_back_was_taken_back() -> None:
    """And it is over only then."""
    found = canary("afterwards", interval=10.0)
    found.ends(Outcome.PROMOTED, 60.0)
    assert not found.is_over(1000.0)
    found.weighs(0, 70.0)
    found.ends(Outcome.ROLLED_BACK, 70.0)
    assert found.outcome is Outcome.TAKEN_BACK
    assert found.is_over(1000.0)

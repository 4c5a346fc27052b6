"""The bench of drift plays what it says: alike is no drift, unlike is found, the plain index errs."""

import statistics

import numpy as np
from bench.drift import BAD, GOOD, LOOKS, Run, Traffic, distance, play


def played(traffic: Traffic, runs: int = 20) -> list[Run]:
    return [play(traffic, np.random.default_rng((3, n))) for n in range(runs)]


def test_alike_is_no_drift_and_a_large_index() -> None:
    """Of 20 releases none has drift beyond 0.02, and most an index beyond 0.1."""
    found = played(GOOD["numbers, medium traffic"])
    assert not any(run.drift[0.02] for run in found)
    assert sum(run.plain[0.1] is not None for run in found) > 10


def test_unlike_is_found_at_once() -> None:
    """A third more, in every release of 20 and mostly within four looks."""
    stable, canary = BAD["a third more"]
    looks = [run.drift[0.1] or LOOKS + 1 for run in played(Traffic(stable, canary))]
    assert max(looks) <= LOOKS
    assert statistics.median(looks) <= 4


def test_as_far_as_is_allowed_is_no_alarm() -> None:
    """A distance just below the bound is never found to be beyond it."""
    stable, canary = BAD["a sixth more: as far as 0.1 allows"]
    assert 0.09 < distance(Traffic(stable, canary)) < 0.1
    assert not any(run.drift[0.1] for run in played(Traffic(stable, canary, requests=60_000)))


def test_customers_of_one_side_are_drift() -> None:
    """What the page says that no test can tell from a model's: an alarm in every release."""
    assert all(run.drift[0.1] for run in played(GOOD["the same, and a client stays with one side"], 5))

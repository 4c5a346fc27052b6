"""Promotions and rollbacks under load on the real Envoy Gateway: who failed, who answered, and how fast it is over.

MODELOPS_STORY_ROUNDS says how many of each, 3 by default; `pytest -s` shows what was measured.
"""

import json
import os
import statistics
import sys
from collections import Counter
from typing import Any

import pytest

from tests.e2e.stories.estate import Estate
from tests.e2e.stories.shop import LAG, Customers, Shop
from tests.support.operators import until

NAMESPACE = "story-switched"
ROUNDS = int(os.environ.get("MODELOPS_STORY_ROUNDS", "3"))
GOOD_FOR = 12
"""Seconds that a bad version answers well after its start: it has its share by then, and its metrics have passed."""
WEIGHT = 30
STEADY = 1000
"""Answers of which the share is told, in each round: one standard deviation is 1.5 percent of them."""


@pytest.mark.timeout(300 + 90 * ROUNDS)
def test_nobody_fails_but_by_a_bad_canary(routes: Estate, capsys: pytest.CaptureFixture[str]) -> None:
    """Given load, when versions are promoted and rolled back in turn, then all else is answered, by its weight."""
    shop = Shop(routes, NAMESPACE)
    versions = shop.register(2 * ROUNDS + 1)
    good, bad = versions[1::2], versions[2::2]
    shop.faults |= {"BAD": ",".join(bad), "BAD_AFTER": str(GOOD_FOR)}
    strategy = {"canary": {"steps": [{"setWeight": WEIGHT}, {"pause": {}}, {"analyze": {"duration": "1s"}}]}}
    watched = {"canary": {"steps": [{"setWeight": WEIGHT}, {"analyze": {"duration": "120s"}}]}}
    shop.open(strategy)
    shares: list[float] = []

    with shop.customers(connections=8) as customers:
        for promoted, rolled in zip(good, bad, strict=True):
            shop.release(promoted, strategy)
            shop.until("Paused", promoted, weight=WEIGHT)
            shares.append(_share(customers, promoted))
            shop.say("promote")
            shop.settled(promoted, "Promoted")
            shop.release(rolled, watched)
            shop.settled(rolled, "RolledBack")
        until(lambda: _only(customers, good[-1]), LAG, "the last good version alone answers", 0.1)
        failed, answers = customers.failed(bad), customers.answers()

    over = [_seconds(answers, version) for version in bad]
    told = _told(answers, bad, shares, over) | {"failedOtherwise": failed}
    with capsys.disabled():
        sys.stdout.write(f"{json.dumps(told)}\n")
    assert failed == []
    assert all(abs(share - WEIGHT / 100) < 0.06 for share in shares), shares  # four standard deviations
    assert statistics.median(over) < 6


def _share(customers: Customers, version: str) -> float:
    """Return the share of a version in the answers from now on, once it answers at all."""
    asked = customers.counts()
    until(lambda: _of(customers.since(asked), version), LAG, f"version {version} answers", 0.05)
    before = customers.counts()
    counted: Counter[tuple[int, str]] = until(
        lambda: (now := customers.since(before)).total() >= STEADY and now, 60, "answers", 0.1
    )
    return _of(counted, version) / counted.total()


def _only(customers: Customers, version: str) -> bool:
    before = customers.counts()
    counted = until(lambda: (now := customers.since(before)).total() >= STEADY and now, 60, "answers", 0.1)
    return bool(_of(counted, version) == counted.total())


def _of(counted: Counter[tuple[int, str]], version: str) -> int:
    return sum(count for (_, who), count in counted.items() if who == version)


def _seconds(answers: list[Any], version: str) -> float:
    """Return the seconds from the first failure of a bad version to its last answer."""
    mine = [one for one in answers if one.version == version]
    return max(one.last for one in mine) - min(one.first for one in mine if one.status != 200)


def _told(answers: list[Any], bad: list[str], shares: list[float], over: list[float]) -> dict[str, Any]:
    return {
        "promotions": ROUNDS,
        "rollbacks": ROUNDS,
        "requests": sum(one.count for one in answers),
        "failedByBadCanaries": sum(one.count for one in answers if one.status != 200 and one.version in bad),
        "shareAtWeight30": {
            "min": round(min(shares), 3),
            "mean": round(statistics.mean(shares), 3),
            "max": round(max(shares), 3),
        },
        "secondsFromFirstFailureToNoTraffic": {
            "min": round(min(over), 1),
            "median": round(statistics.median(over), 1),
            "max": round(max(over), 1),
        },
    }

"""What Prometheus says of a canary, which outcome is right, and why: written down before anything runs.

Scenarios that are told in the same words are one row of the table.

What changes by itself changes with the contender's own looks, so that a busy machine gives nobody one look more; what
the time until weight 0 is measured from changes at a time, which no contender's clock is tied to.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """What became of a canary."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    HELD = "held"
    """At the first weight, until the end of the bench or for a human."""
    RAISED = "held, at more traffic"
    """Held, too, but only after more traffic than at first."""
    TAKEN_BACK = "taken back"
    """Promoted, then back to the version before."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What is true at one moment."""

    shares: tuple[float, ...] = (0.01,)
    """Of the canary's requests failed, 0-1; one for each series, none without requests."""
    stable: float = 0.01
    """Of stable's."""
    latencies: tuple[float, ...] = (0.1,)
    """The canary's 99th percentile, likewise. Seconds."""
    requests: float | None = None
    """The canary's in one interval; None: its weight's part of everybody's."""
    everybody: int = 20_000
    """Requests in one interval."""
    away: bool = False
    """Prometheus breaks every connection."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a contender asks."""

    look: int
    """Of its own, from 1."""
    intervals: float
    """Since the canary had its first traffic."""
    weight: int
    """Percent."""


HEALTHY: Final = Figures()
_FAILING: Final = Figures(shares=(0.5,))
_SILENT: Final = Figures(shares=(), latencies=(), requests=0)
_NAN: Final = Figures(shares=(math.nan,), latencies=(math.nan,), requests=0)
_AWAY: Final = Figures(away=True)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One canary's story."""

    name: str
    told: str
    """For people."""
    figures: Callable[[Moment], Figures]
    right: frozenset[Outcome]
    why: str
    bad_from: float | None = None
    """How many intervals after its first traffic the figures become bad, where the time until weight 0 is measured."""
    after_promotion: Figures | None = None
    """Half an interval after it, instead of the others."""


def _always(figures: Figures) -> Callable[[Moment], Figures]:
    return lambda _: figures


def _looks(first: int, last: int, figures: Figures) -> Callable[[Moment], Figures]:
    return lambda now: figures if first <= now.look <= last else HEALTHY


def _turning(after: float) -> Scenario:
    return Scenario(
        f"turning-{round(after * 10)}",
        "turns bad 3.2, 3.5, 3.8 intervals after its first traffic: 50 % fail",
        lambda now: HEALTHY if now.intervals < after else _FAILING,
        _ROLLED_BACK,
        "half of the requests fail",
        bad_from=after,
    )


def _drawn(number: int) -> Scenario:
    def figures(now: Moment) -> Figures:
        chance = random.Random(f"{number}, look {now.look}")  # the same for all contenders
        canary = _EVERYBODY * now.weight // 100
        failed, stable = (sum(chance.random() < 0.01 for _ in range(size)) for size in (canary, _EVERYBODY - canary))
        shares = (failed / canary,) if canary else ()
        return Figures(shares, stable / max(1, _EVERYBODY - canary), everybody=_EVERYBODY)

    told = f"1 % fail on both sides, by chance: {_EVERYBODY} requests an interval, three draws"
    return Scenario(f"chance-{number}", told, figures, _PROMOTED, "as good as stable; few failures vary much")


_EVERYBODY: Final = 600
_PROMOTED: Final = frozenset({Outcome.PROMOTED})
_ROLLED_BACK: Final = frozenset({Outcome.ROLLED_BACK})
_HELD: Final = frozenset({Outcome.HELD})
_UNKNOWN: Final = "nobody knows anything of the canary: nothing says that it is good, and nothing that it is bad"

SCENARIOS: Final = (
    Scenario("healthy", "healthy: 1 % fail on both sides", _always(HEALTHY), _PROMOTED, "as good as stable"),
    Scenario("failing", "50 % fail", _always(_FAILING), _ROLLED_BACK, "half of the requests fail", bad_from=0),
    *(_turning(after) for after in (3.2, 3.5, 3.8)),
    Scenario(
        "mild",
        "1.6 % fail, of stable's 1.0 %",
        _always(Figures(shares=(0.016,))),
        _ROLLED_BACK,
        "1.6 times the failures where 1.1 times are allowed, and requests enough to know",
        bad_from=0,
    ),
    Scenario(
        "both-bad",
        "5 % fail on both sides",
        _always(Figures(shares=(0.05,), stable=0.05)),
        _PROMOTED,
        "not the canary's fault, and below the fixed bound",
    ),
    *map(_drawn, (1, 2, 3)),
    Scenario("silent", "no traffic: no series", _always(_SILENT), _HELD, _UNKNOWN),
    Scenario("nan", "NaN", _always(_NAN), _HELD, _UNKNOWN),
    Scenario("away", "Prometheus is away", _always(_AWAY), _HELD, _UNKNOWN),
    Scenario(
        "away-twice",
        "Prometheus is away for two looks, then healthy",
        _looks(1, 2, _AWAY),
        _PROMOTED,
        "as good as stable, as soon as anybody can know it",
    ),
    Scenario(
        "series-good-first",
        "latency of two pods: 0.1 s, 2 s",
        _always(Figures(latencies=(0.1, 2.0))),
        frozenset({Outcome.ROLLED_BACK, Outcome.HELD}),
        "one pod is too slow, or the query is wrong; either way it has not passed",
    ),
    Scenario(
        "series-bad-first",
        "latency of two pods: 2 s, 0.1 s",
        _always(Figures(latencies=(2.0, 0.1))),
        frozenset({Outcome.ROLLED_BACK, Outcome.HELD}),
        "the same, in the other order",
    ),
    Scenario(
        "blip",
        "30 % fail on both sides, in the second look only",
        _looks(2, 2, Figures(shares=(0.3,), stable=0.3)),
        _PROMOTED,
        "one failing look is tolerated, and it was not the canary's fault",
    ),
    Scenario(
        "few",
        "3 requests, of which 1 fails, in the first two looks; then healthy",
        _looks(1, 2, Figures(shares=(1 / 3,), requests=3)),
        _PROMOTED,
        "one failure of three requests says nothing",
    ),
    Scenario(
        "infinite",
        "latency +Inf: above the highest bucket",
        _always(Figures(latencies=(math.inf,))),
        _ROLLED_BACK,
        "more than the allowed 0.5 s, however much more",
        bad_from=0,
    ),
    Scenario(
        "afterwards",
        "50 % fail from half an interval after the promotion on",
        _always(HEALTHY),
        frozenset({Outcome.TAKEN_BACK}),
        "half of the requests fail, and the version before is known to be good",
        after_promotion=_FAILING,
    ),
)


def judged(scenario: Scenario, outcome: Outcome) -> str:
    """Return `right`, `wrong promotion`, `wrong rollback`, or `stuck`: no end although there is a right one.

    `not watched`: figures after a promotion that nobody looks at.
    """
    if outcome in scenario.right:
        return "right"
    if scenario.after_promotion and outcome is Outcome.PROMOTED:
        return "not watched"
    if outcome is Outcome.PROMOTED or (outcome is Outcome.RAISED and Outcome.HELD in scenario.right):
        return "wrong promotion"
    return "wrong rollback" if outcome in {Outcome.ROLLED_BACK, Outcome.TAKEN_BACK} else "stuck"

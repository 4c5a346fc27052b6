"""Evidence that one side has more events than it may: e-processes over ticks, valid however often they are looked at.

A tick is what both sides counted since the tick before. If the canary's share may be `times` stable's and `plus`, then
for every odds g > 1, with u = (g - 1) / (1 + c g) and c = times x canary's samples / stable's, the factor

    (1 + u)^events (1 - c u)^stable's events exp(-plus x canary's samples x u)

has a mean of at most 1, whatever the shares, the traffic and the weight of this tick are: (1 + x)^n <= exp(n x). With
plus = 0 it is the likelihood ratio of the binomial split of the tick's events; with g < 1 it tests the contrary. A
product of such factors ever exceeds 1/a with a probability of at most a (Ville). Bets on several g, begun at every
tick, are averaged. Pure; called by sequential, simulated in bench/alarms.py; ADR 16.

Events that come in clusters of up to s on one side are s times fewer events: factors are taken to the power 1/s, which
keeps the bound, because (1 + x)^(1/s) <= 1 + x/s for a cluster's part. s is estimated as the dispersion of the ticks
around their own recent ratio, so that a lasting difference is no dispersion. A tick that speaks for an alarm is also
discounted by its own surprise, and multiplies by 7.4 at most: to reach 200 takes three ticks at the least.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from modelops.api.v1alpha1.analysis import EvidenceStatus

WORSE: Final = (1.25, 1.6, 2.5, 5.0, 20.0)
"""Odds over what is allowed that are bet on: from a fair deal worse to a disaster."""
BETTER: Final = (0.625, 0.1)
_LOGS: Final = {odds: math.log(odds) for odds in WORSE + BETTER}
_MOST_A_TICK: Final = 7.4
"""What a bet is multiplied by."""
_MOST_WORSE: Final = 1e12
_MOST_BETTER: Final = 1e4
"""What was good for long is forgotten soon."""
_RECENT: Final = 0.8
_MEMORY: Final = 0.97
_PRESUMED: Final = 2.0
"""The dispersion that is presumed at first, and then counts as much as so many ticks."""


@dataclass(frozen=True, slots=True)
class Tick:
    """What two sides counted in the same time. Samples stand for any exposure: only their ratio matters to a ratio."""

    events: float
    samples: float
    other_events: float
    other_samples: float

    def swapped(self) -> "Tick":
        """Return the tick seen from the other side."""
        return Tick(self.other_events, self.other_samples, self.events, self.samples)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one side may have: so many times the other's share, and so much more."""

    times: float = 1.0
    plus: float = 0.0


Bet = tuple[Tick, Allowance]


def advanced(before: EvidenceStatus, bets: Sequence[Bet], *, contrary: bool = False) -> EvidenceStatus:
    """Return the evidence after one more tick; without samples of one side it says nothing.

    Args:
        before: the evidence until now.
        bets: what is tested, always as many; the first one's tick shows the dispersion.
        contrary: also gather evidence that all is within what is allowed.
    """
    tick = bets[0][0]
    if tick.samples <= 0 or tick.other_samples <= 0:
        return before
    spread = _spread(before, tick)
    foreseen = _dispersion(before.spread)
    dispersions = foreseen, max(foreseen, _dispersion(spread))
    ticks = before.ticks + 1
    fresh = 1 / (ticks * (ticks + 1))
    update: dict[str, object] = {
        "ticks": ticks,
        "worse": _won(before.worse, fresh, bets, WORSE, dispersions, _MOST_WORSE),
        "spread": spread,
    }
    if contrary:
        update["better"] = _won(before.better, fresh, bets, BETTER, dispersions, _MOST_BETTER)
    return before.model_copy(update=update)


def worse(evidence: EvidenceStatus) -> float:
    """Return the evidence against "all is within what is allowed"; 1 at first."""
    return _mean(evidence.worse, evidence.ticks)


def better(evidence: EvidenceStatus) -> float:
    """Return the evidence against "something is beyond what is allowed"; 1 at first."""
    size = len(BETTER)
    each = (evidence.better[at : at + size] for at in range(0, len(evidence.better), size))
    return min((_mean(one, evidence.ticks) for one in each), default=1.0)


def dispersion(evidence: EvidenceStatus) -> float:
    """Return how many times more events vary than if they were independent, 1 at least."""
    return _dispersion(evidence.spread)


def _won(
    capital: Sequence[float],
    fresh: float,
    bets: Sequence[Bet],
    odds: Sequence[float],
    dispersions: tuple[float, float],
    most: float,
) -> tuple[float, ...]:
    """Return the capital of every bet after a tick.

    Args:
        capital: before; of another length where the spec compares by another number of limits now: another test.
        fresh: what is put on each bet now.
        bets: what is tested.
        odds: that are bet on.
        dispersions: for a loss, and for a win.
        most: that is kept.
    """
    loss, win = dispersions
    if len(capital) != len(bets) * len(odds):
        capital = (0.0,) * (len(bets) * len(odds))
    won: list[float] = []
    for number, (tick, allowed) in enumerate(bets):
        c = allowed.times * tick.samples / tick.other_samples
        events, both, paid = tick.events, tick.events + tick.other_events, allowed.plus * tick.samples
        base = both * math.log1p(c)
        for g, held in zip(odds, capital[number * len(odds) :], strict=False):
            all_odds = 1 + c * g
            log = events * _LOGS[g] - both * math.log(all_odds) + base - paid * (g - 1) / all_odds
            factor = math.exp(log / loss) if log < 0 else min(_MOST_A_TICK, math.exp(min(9.0, log / win)))
            won.append((held + fresh) * factor)
    return tuple(won) if max(won) < most else tuple(min(most, one) for one in won)


def _mean(capital: Sequence[float], ticks: int) -> float:
    """Return the capital of all bets together, with what was not bet yet."""
    return sum(capital) / len(capital) + 1 / (ticks + 1) if capital else 1.0


def _spread(before: EvidenceStatus, tick: Tick) -> tuple[float, ...]:
    """Return the running sums: recent ratio (Mantel-Haenszel's two), squared surprises, and how many of them."""
    mine, others, squares, count = before.spread or (0.0, 0.0, 0.0, 0.0)
    both = tick.events + tick.other_events
    if both <= 0:
        return before.spread
    share = tick.samples / (tick.samples + tick.other_samples)
    if before.spread:
        odds = share / (1 - share) * (mine + 0.5) / (others + 0.5)
        expected = odds / (1 + odds)
        variance = both * expected * (1 - expected)
        surprise = (tick.events - both * expected) ** 2 / (variance * (1 + 2 * variance / (mine + others + 1)))
        counts = min(1.0, variance)
        squares, count = _MEMORY * squares + counts * surprise, _MEMORY * count + counts
    return (
        _RECENT * mine + tick.events * (1 - share),
        _RECENT * others + tick.other_events * share,
        squares,
        count,
    )


def _dispersion(spread: Sequence[float]) -> float:
    squares, count = spread[2:] if spread else (0.0, 0.0)
    return max(1.0, (_PRESUMED * _PRESUMED + squares) / (_PRESUMED + count))

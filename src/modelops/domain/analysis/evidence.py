"""Evidence that one side has more events than it may: e-processes over ticks, valid however often they are looked at.

A tick is what both sides counted since the tick before. If the canary's share may be `times` stable's and `plus`, then
for every odds g > 1, with u = (g - 1) / (1 + c g) and c = times x canary's samples / stable's, the factor

    (1 + u)^events (1 - c u)^stable's events exp(-plus x canary's samples x u)

has a mean of at most 1, whatever the shares, the traffic and the weight of this tick are: (1 + x)^n <= exp(n x). With
plus = 0 it is the likelihood ratio of the binomial split of the tick's events; with g < 1 it tests the contrary. A
product of such factors ever exceeds 1/a with a probability of at most a (Ville). Bets on several g, begun at every
tick, are averaged. Pure; called by sequential and split, simulated in bench/alarms.py; ADR 16.

Events that come in clusters of up to s on one side are s times fewer events: factors are taken to the power 1/s, which
keeps the bound, because (1 + x)^(1/s) <= 1 + x/s for a cluster's part. s is estimated as the dispersion of the ticks
around their own recent ratio, so that a lasting difference is no dispersion. A tick that speaks for an alarm is also
discounted by its own surprise, and multiplies by 7.4 at most: to reach 200 takes three ticks at the least.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from modelops.api.v1alpha1.analysis_status import EvidenceStatus

WORSE: Final = (1.25, 1.6, 2.5, 5.0, 20.0)
"""Odds over what is allowed that are bet on: from a fair deal worse to a disaster."""
BETTER: Final = (0.625, 0.1)
_LOGS: Final = {odds: math.log(odds) for odds in WORSE + BETTER}
MOST_A_TICK: Final = 7.4
"""What a bet is multiplied by."""
_MOST_WORSE: Final = 1e12
_MOST_BETTER: Final = 1e4
"""What was good for long is forgotten soon."""
_SUMS: Final = 4
"""Running sums; of another number where the spec compared means before."""
RECENT: Final = 0.8
MEMORY: Final = 0.97
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
    foreseen = dispersion(before)
    dispersions = foreseen, max(foreseen, dispersion_of(spread))
    factors = _factors(bets, WORSE, dispersions), _factors(bets, BETTER, dispersions) if contrary else ()
    return multiplied(before, *factors, spread)


def multiplied(
    before: EvidenceStatus, worse: Sequence[float], better: Sequence[float], spread: Sequence[float]
) -> EvidenceStatus:
    """Return the evidence after a tick, for which something new is put on every bet first.

    Args:
        before: the evidence until now.
        worse: what the tick multiplies each bet on an increase by.
        better: the same of the bets on the contrary; as many as BETTER for each limit, or none.
        spread: the running sums with the tick.
    """
    ticks = before.ticks + 1
    fresh = 1 / (ticks * (ticks + 1))
    update = {
        "ticks": ticks,
        "worse": _won(before.worse, fresh, worse, _MOST_WORSE),
        "better": _won(before.better, fresh, better, _MOST_BETTER),
        "spread": tuple(spread),
    }
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
    return dispersion_of(evidence.spread)


def dispersion_of(spread: Sequence[float]) -> float:
    """Return the same of running sums, of which the third are squared surprises and the fourth is their number."""
    squares, count = spread[2:4] if spread else (0.0, 0.0)
    return max(1.0, (_PRESUMED * _PRESUMED + squares) / (_PRESUMED + count))


def _factors(bets: Sequence[Bet], odds: Sequence[float], dispersions: tuple[float, float]) -> list[float]:
    """Return what a tick multiplies every bet by.

    Args:
        bets: what is tested.
        odds: that are bet on.
        dispersions: for a loss, and for a win.
    """
    loss, win = dispersions
    factors: list[float] = []
    for tick, allowed in bets:
        c = allowed.times * tick.samples / tick.other_samples
        events, both, paid = tick.events, tick.events + tick.other_events, allowed.plus * tick.samples
        base = both * math.log1p(c)
        for g in odds:
            all_odds = 1 + c * g
            log = events * _LOGS[g] - both * math.log(all_odds) + base - paid * (g - 1) / all_odds
            factors.append(math.exp(log / loss) if log < 0 else min(MOST_A_TICK, math.exp(min(9.0, log / win))))
    return factors


def _won(capital: Sequence[float], fresh: float, factors: Sequence[float], most: float) -> tuple[float, ...]:
    """Return the capital of every bet after a tick.

    Args:
        capital: before; of another length where the spec compares by another number of limits now: another test.
        fresh: what is put on each bet now.
        factors: of the tick.
        most: that is kept.
    """
    if len(capital) != len(factors):
        capital = (0.0,) * len(factors)
    won = [(held + fresh) * factor for held, factor in zip(capital, factors, strict=True)]
    return tuple(won) if max(won, default=0.0) < most else tuple(min(most, one) for one in won)


def _mean(capital: Sequence[float], ticks: int) -> float:
    """Return the capital of all bets together, with what was not bet yet."""
    return sum(capital) / len(capital) + 1 / (ticks + 1) if capital else 1.0


def _spread(before: EvidenceStatus, tick: Tick) -> tuple[float, ...]:
    """Return the running sums: recent ratio (Mantel-Haenszel's two), squared surprises, and how many of them."""
    spread = before.spread if len(before.spread) == _SUMS else ()
    mine, others, squares, count = spread or (0.0, 0.0, 0.0, 0.0)
    both = tick.events + tick.other_events
    if both <= 0:
        return spread
    share = tick.samples / (tick.samples + tick.other_samples)
    if spread:
        odds = share / (1 - share) * (mine + 0.5) / (others + 0.5)
        expected = odds / (1 + odds)
        variance = both * expected * (1 - expected)
        surprise = (tick.events - both * expected) ** 2 / (variance * (1 + 2 * variance / (mine + others + 1)))
        counts = min(1.0, variance)
        squares, count = MEMORY * squares + counts * surprise, MEMORY * count + counts
    return (
        RECENT * mine + tick.events * (1 - share),
        RECENT * others + tick.other_events * share,
        squares,
        count,
    )

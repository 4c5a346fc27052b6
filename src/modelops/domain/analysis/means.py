"""Evidence that one side's mean is higher than it may be, from counts, sums and sums of squares of both, tick by tick.

A tick is what both sides counted since the tick before. If the canary's mean may be `times` stable's and `plus`, then
D = mean - times x stable's mean - plus has a mean of at most 0, whatever the values' distribution, the weight and the
level of this tick are. With a variance V of D, for every bet b > 0 and y = b D / V^0.5, the factor

    exp(-b^2 / 2) (1 + y + y^2 / 2 if y > 0 else 1 / (1 - y + y^2 / 2))

has a mean of at most 1: before exp(-b^2 / 2) it grows with y and is nowhere above 1 + y + y^2 / 2, and it needs a
variance but no normal values (Catoni). Products, mixtures of bets and beginnings, and what is kept are as in evidence.
Bets are effects in standard deviations of one value; V comes from the variance of the values within the ticks before,
so that what both sides have in common is no variance. A tick that speaks for an alarm is also held against its own
variance, and multiplies by MOST_A_TICK at most. Values that come in clusters on one side show as dispersion of D around
its recent mean, which V is multiplied by. Pure; called by sequential, simulated in bench/labels.py; ADR 25.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from modelops.api.v1alpha1.analysis_status import EvidenceStatus
from modelops.domain.analysis.evidence import (
    MEMORY,
    MOST_A_TICK,
    RECENT,
    Allowance,
    dispersion,
    dispersion_of,
    multiplied,
)

HIGHER: Final = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Increases over what is allowed that are bet on, in standard deviations of one value."""
LOWER: Final = (-0.3, -0.03)
_SUMS: Final = 8
"""Running sums; of another number where the spec compared shares before."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Values of one side: how many, their sum, the sum of their squares."""

    count: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    @property
    def mean(self) -> float:
        """The mean; there is one of at least one value."""
        return self.total / self.count

    @property
    def within(self) -> float:
        """The sum of squared deviations from the mean."""
        return max(0.0, self.squares - self.total * self.mean)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.count + other.count, self.total + other.total, self.squares + other.squares)


@dataclass(frozen=True, slots=True)
class Pair:
    """What two sides counted in the same time, of the same age where ages are told apart."""

    mine: Moments
    other: Moments

    def swapped(self) -> "Pair":
        """Return the pair seen from the other side."""
        return Pair(self.other, self.mine)


def moments(count: float, total: float, squares: float) -> Moments:
    """Return what was counted of one side, if the three can be of the same values.

    They may be read while one more is written, so a little is let through.

    Raises:
        ValueError: they cannot be.
    """
    for name, number in (("number of errors", count), ("sum of errors", total), ("sum of squares", squares)):
        if not 0 <= number < math.inf:
            msg = f"the {name} is {number:g}, and errors are 0 or more"
            raise ValueError(msg)
    if count * squares < total * total / 2:
        msg = f"{count:g} errors with the sum {total:.6g} cannot have squares that add up to {squares:.6g}"
        raise ValueError(msg)
    return Moments(count, total, squares)


def compared_means(before: EvidenceStatus, bets: Sequence[tuple[Pair, Allowance]]) -> EvidenceStatus:
    """Return the evidence after one more tick; without values of one side it says nothing.

    Args:
        before: the evidence until now.
        bets: what is tested, always as many; the first one's pair shows variance and dispersion.
    """
    pair = bets[0][0]
    if pair.mine.count <= 0 or pair.other.count <= 0:
        return before
    spread = _spread(before.spread, pair)
    seen, foreseen = _variance(_deviations(pair)), _variance(before.spread[4:])
    seen = seen or _variance((*_deviation(pair.mine + pair.other), 0.0, 0.0)) or 0.0
    loss = foreseen if foreseen is not None else seen
    clustered = dispersion(before)
    scales = _Scales(loss, max(loss, seen), clustered, max(clustered, dispersion_of(spread)))
    worse, better = ([f for one in bets for f in _factors(*one, sizes, scales)] for sizes in (HIGHER, LOWER))
    return multiplied(before, worse, better, spread)


@dataclass(frozen=True, slots=True)
class _Scales:
    """Variances of one value, and dispersions of ticks: as foreseen, and what a win is held against."""

    variance: float
    win_variance: float
    dispersion: float
    win_dispersion: float


def _factors(pair: Pair, allowed: Allowance, bets: Sequence[float], scales: _Scales) -> list[float]:
    """Return what the tick multiplies the bets of one limit by; one below 0 is on the contrary."""
    increase = pair.mine.mean - allowed.times * pair.other.mean - allowed.plus
    size = 1 / (1 / pair.mine.count + allowed.times**2 / pair.other.count) / scales.dispersion
    factors = []
    for bet in bets:
        won = bet * increase > 0
        variance = scales.win_variance * scales.win_dispersion / scales.dispersion if won else scales.variance
        y = bet * increase * size / math.sqrt(variance) if variance > 0 else 0.0
        log = math.log1p(abs(y) + y * y / 2)
        factors.append(min(MOST_A_TICK, math.exp((log if won else -log) - bet * bet * size / 2)))
    return factors


def _spread(before: Sequence[float], pair: Pair) -> tuple[float, ...]:
    """Return the running sums.

    Of the recent difference: its weighted sum and weight. Of its surprises: squared, and how many. Of the values of
    mine and other: their squared deviations within ticks, and how many are free.
    """
    centre, weights, squares, count, *deviations = before if len(before) == _SUMS else (0.0,) * _SUMS
    now = _deviations(pair)
    variance = _variance(deviations)
    if variance:
        difference = pair.mine.mean - pair.other.mean
        weight = 1 / (variance * (1 / pair.mine.count + 1 / pair.other.count))
        if weights > 0:
            surprise = (difference - centre / weights) ** 2 * weight / (1 + weight / (2 * weights))
            squares, count = MEMORY * squares + surprise, MEMORY * count + 1
        centre, weights = RECENT * centre + weight * difference, RECENT * weights + weight
    return (centre, weights, squares, count, *(MEMORY * old + new for old, new in zip(deviations, now, strict=True)))


def _deviation(side: Moments) -> tuple[float, float]:
    return side.within, max(0.0, side.count - 1)


def _deviations(pair: Pair) -> tuple[float, ...]:
    return *_deviation(pair.mine), *_deviation(pair.other)


def _variance(deviations: Sequence[float]) -> float | None:
    """Return the variance of one value: the higher of both sides'; None: nobody knows.

    Not each side's own: the heavier tail may be the one that has not been seen yet.
    """
    found = [within / free for within, free in zip(deviations[::2], deviations[1::2], strict=True) if free > 0]
    return max(found, default=None) or None

"""How far the canary's answers lie from stable's, less what chance alone makes of it. Pure; ADR 24.

Both sides' answers are counted in the same bins over the same time. With p and q their shares of a bin, the distance is

    D = sum over bins of 2 (p - q)^2 / (p + q)

which is the population stability index where they are near each other (0.23 for its 0.25), needs no smoothing for a bin
that one side lacks, and is 4 at most. With n and m answers, v = n m / (n + m) and B bins, v D of two equal models is
about chi-squared with B - 1 degrees of freedom; of unequal ones whose distance is D', it is at most as wide as
non-central chi-squared with the parameter v D'. Of such a variable Birge's inequality says

    P(v D >= k + x + 2 sqrt((k + 2 x) t) + 2 t) <= exp(-t),  k = B - 1, x = v D'

and what is judged is the D' at which the two sides are equal: the true distance is at least that.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Final

ALARM: Final = 0.01
"""The probability, at most, that one look finds more than there is."""
_T: Final = -math.log(ALARM)
_BINS: Final = 20
"""More are joined with their neighbours: each costs some certainty, and a rare one shows little."""


def drift(counts: Mapping[str, float], others: Mapping[str, float]) -> float:
    """Return how far one side's answers lie from the other's, at least; 0-4.

    Args:
        counts: answers by bin, none negative; their sum is positive.
        others: the other side's.
    """
    n, m = sum(counts.values()), sum(others.values())
    bins = [(mine / n, theirs / m) for mine, theirs in _joined(counts, others)]
    seen = math.fsum(2 * (p - q) ** 2 / (p + q) for p, q in bins)
    scale, freedom = n * m / (n + m), len(bins) - 1
    beyond = scale * seen - freedom - 2 * _T
    if beyond <= 2 * math.sqrt(freedom * _T):
        return 0.0
    return (beyond + 4 * _T - math.sqrt(8 * _T * beyond + 16 * _T**2 + 4 * freedom * _T)) / scale


def _joined(counts: Mapping[str, float], others: Mapping[str, float]) -> Iterator[tuple[float, float]]:
    """Yield both sides' counts of a bin: of at most so many that neither is empty on both sides.

    Numbers are joined with their neighbours, classes the rare ones with each other. What is joined depends on both
    sides together only, so that chance finds no more in it.
    """
    both = {name: counts.get(name, 0.0) + others.get(name, 0.0) for name in {*counts, *others}}
    names = sorted((name for name in both if both[name] > 0), key=lambda name: (_place(name), both[name], name))
    enough = sum(both.values()) / _BINS if len(names) > _BINS else 0.0
    mine = theirs = 0.0
    for name in names:
        mine, theirs = mine + counts.get(name, 0.0), theirs + others.get(name, 0.0)
        if mine + theirs > enough or name == names[-1]:
            yield mine, theirs
            mine = theirs = 0.0


def _place(name: str) -> float:
    """Return where a bin of numbers stands among them; bins of anything else have no order."""
    try:
        return float(name)
    except ValueError:
        return math.inf

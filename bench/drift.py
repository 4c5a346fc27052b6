"""How often prediction-drift alarms although canary and stable answer alike, and how soon when they do not.

    python -m bench.drift --runs 1000

Simulates releases of 60 looks at one weight and judges all answers at it, as the operator does. The bins are those in
which the server counts. Prints two tables, as docs/analysis.md has them. The same seed gives the same tables.
"""

import argparse
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from modelops.domain.analysis.drift import drift
from modelops.server.outputs import known_bins, shares_of
from modelops.server.predictor import Outputs

LOOKS: Final = 60
BOUNDS: Final = (0.0, 0.02, 0.1)
NEEDED: Final = 200
"""minSamples, on either side."""
WEIGHT: Final = 0.2
Dice = np.random.Generator
Counts = npt.NDArray[np.int64]
Shares = Mapping[str, float]
"""Of a model's answers, by bin."""
_NORMAL: Final = np.array([statistics.NormalDist().inv_cdf((n + 0.5) / 100_000) for n in range(100_000)])


def numbers(of_normal: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]) -> Shares:
    """Return the shares of answers that are a function of something normally distributed."""
    return dict(shares_of(Outputs(of_normal(_NORMAL)), frozenset()))


def spread(by: float, times: float = 1.0) -> Shares:
    """Return answers around 200 that are mostly up to e^by times as large or small."""
    return numbers(lambda normal: 200 * times * np.exp(by * normal))


def classes(*shares: float) -> Shares:
    """Return the shares of classes."""
    names = [f"class {number}" for number in range(len(shares))]
    label = np.repeat(np.array(names, dtype=object), [round(1000 * share) for share in shares])
    return dict(shares_of(Outputs(np.zeros(len(label)), label), known_bins(names)))


@dataclass(frozen=True)
class Traffic:
    """What two versions are asked, and answer."""

    stable: Sequence[Shares]
    """At equal parts of the time; requests may change, and with them the answers of all."""
    canary: Shares | None = None
    """None: as stable's."""
    requests: float = 600
    """Between two looks, of both together."""
    together: int = 1
    """So many requests in a row are answered alike: those of one client."""
    sticky: bool = False
    """Whether a client stays with one side, as with cookies."""

    def looks(self, dice: Dice) -> Iterator[tuple[Counts, Counts]]:
        """Yield what either side has answered by each look, by bin."""
        names = self.names()
        mine, theirs = (np.zeros(len(names), dtype=np.int64) for _ in range(2))
        for look in range(LOOKS):
            usual = _row(self.stable[look * len(self.stable) // LOOKS], names)
            clients = int(dice.poisson(self.requests / self.together))
            if self.canary is None:
                asked = dice.multinomial(clients, usual)
                ours = dice.binomial(asked if self.sticky else asked * self.together, WEIGHT)
                mine += ours * self.together if self.sticky else ours
                theirs += (asked - ours) * self.together if self.sticky else asked * self.together - ours
            else:
                ours = int(dice.binomial(clients, WEIGHT))
                mine += dice.multinomial(ours, _row(self.canary, names))
                theirs += dice.multinomial(clients - ours, usual)
            yield mine, theirs

    def names(self) -> list[str]:
        """Return all bins."""
        return sorted({name for shares in (*self.stable, self.canary or {}) for name in shares})


def _row(shares: Shares, names: Sequence[str]) -> npt.NDArray[np.float64]:
    row = np.array([shares.get(name, 0.0) for name in names])
    return row / row.sum()


@dataclass(frozen=True)
class Run:
    """One release: the look of the first alarm, for each bound; None: no alarm."""

    plain: Mapping[float, int | None]
    """Of the population stability index as it is counted."""
    drift: Mapping[float, int | None]


def play(traffic: Traffic, dice: Dice) -> Run:
    """Return what one release comes to."""
    names = traffic.names()
    plain: dict[float, int | None] = dict.fromkeys(BOUNDS)
    found: dict[float, int | None] = dict.fromkeys(BOUNDS)
    for look, (mine, theirs) in enumerate(traffic.looks(dice), 1):
        if min(mine.sum(), theirs.sum()) < NEEDED:
            continue
        surely = drift(*(dict(zip(names, side.tolist(), strict=True)) for side in (mine, theirs)))
        for seen, value in ((plain, index(mine, theirs)), (found, surely)):
            for bound in BOUNDS:
                if seen[bound] is None and value > bound:
                    seen[bound] = look
    return Run(plain, found)


def index(mine: Counts, theirs: Counts) -> float:
    """Return the population stability index as it is counted: half an answer is added to each bin, against zeros."""
    there = mine + theirs > 0
    p, q = (side[there] + 0.5 for side in (mine, theirs))
    p, q = p / p.sum(), q / q.sum()
    return float(((p - q) * np.log(p / q)).sum())


def distance(traffic: Traffic) -> float:
    """Return how far the two are apart, as it would be found of any number of answers."""
    canary = traffic.canary or traffic.stable[0]
    return drift(*({name: share * 1e15 for name, share in side.items()} for side in (canary, traffic.stable[0])))


SPREAD, AROUND_ZERO, NARROW = spread(0.5), numbers(lambda normal: 10 * normal), spread(0.05)
THREE = classes(0.7, 0.25, 0.05)
RATES: Final = {"low": 20, "medium": 600, "high": 60_000}
MODELS: Final = {"numbers": SPREAD, "numbers around 0": AROUND_ZERO, "three classes": THREE}
GOOD: dict[str, Traffic] = {
    **{
        f"{name}, {rate} traffic": Traffic((shares,), requests=requests)
        for name, shares in MODELS.items()
        for rate, requests in RATES.items()
    },
    "numbers that double in time, on both sides": Traffic(tuple(spread(0.5, 1 + n / 20) for n in range(20))),
    "three classes that change in time, on both sides": Traffic((THREE, classes(0.2, 0.3, 0.5))),
    "numbers, clients that ask 50 times alike": Traffic((SPREAD,), together=50),
    "the same, and a client stays with one side": Traffic((SPREAD,), together=50, sticky=True),
}
BAD: dict[str, tuple[Sequence[Shares], Shares]] = {
    "a tenth more": ((SPREAD,), spread(0.5, 1.1)),
    "a sixth more: as far as 0.1 allows": ((SPREAD,), spread(0.5, 1.17)),
    "a third more": ((SPREAD,), spread(0.5, 1.3)),
    "a twentieth more, of numbers within a tenth": ((NARROW,), spread(0.05, 1.05)),
    "half as much again, of numbers over three decades": ((spread(1.5),), spread(1.5, 1.5)),
    "classes 70, 25, 5 %: 60, 35, 5": ((THREE,), classes(0.6, 0.35, 0.05)),
    "classes 70, 25, 5 %: 45, 50, 5": ((THREE,), classes(0.45, 0.5, 0.05)),
    "classes 70, 25, 5 %: one is always answered": ((THREE,), classes(1.0, 0.0, 0.0)),
}


def rate(found: Sequence[int | None]) -> str:
    return f"{100 * sum(one is not None for one in found) / len(found):.3g} %"


def after(found: Sequence[int | None]) -> str:
    looks = [one for one in found if one is not None]
    return f"{rate(found)}, {math.ceil(statistics.median(looks))}" if looks else "0 %"


def tables(runs: int, seed: int) -> None:
    print("| alike | index > 0.1 | drift > 0 | > 0.02 | > 0.1 |\n|---|---|---|---|---|")
    for number, (name, traffic) in enumerate(GOOD.items()):
        found = [play(traffic, np.random.default_rng((seed, number, n))) for n in range(runs)]
        cells = [rate([run.plain[0.1] for run in found])]
        cells += [rate([run.drift[bound] for run in found]) for bound in BOUNDS]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print(f"\n| unlike | distance | bound | {' | '.join(RATES)} |\n{'|---' * 6}|")
    for number, (name, (stable, canary)) in enumerate(BAD.items()):
        found_at = [
            [
                play(Traffic(stable, canary, requests), np.random.default_rng((seed, 100 + number, n)))
                for n in range(runs // 5)
            ]
            for requests in RATES.values()
        ]
        for bound in BOUNDS[1:]:
            cells = [after([run.drift[bound] for run in found]) for found in found_at]
            far = f"{distance(Traffic(stable, canary)):.2g}"
            print(f"| {name} | {far} | {bound:g} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="of each like pair; a fifth of it of the others")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    tables(args.runs, args.seed)


if __name__ == "__main__":
    main()

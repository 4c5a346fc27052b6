"""How often a labelled error is an alarm although the canary's is no larger than allowed, and how soon when it is.

    python -m bench.labels --runs 1000

Simulates releases of 60 looks at joined labels and gives counts, sums and sums of squares to the operator's own judge.
Prints two tables, as docs/analysis.md has them, and what one look costs. The same seed gives the same tables.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from bench.alarms import LOOKS, START, Dice, after, rate, report
from modelops.api.v1alpha1.analysis import Analysis, Metric
from modelops.api.v1alpha1.analysis_status import ComparisonStatus
from modelops.domain.analysis.means import Moments, Pair
from modelops.domain.analysis.sequential import alarm_level, compared, counted
from modelops.domain.analysis.verdicts import Counts

ALLOWED = 0.05
Errors = NDArray[np.float64]
Draw = Callable[[Dice, int], Errors]


def normal(dice: Dice, size: int) -> Errors:
    """Return sizes of normal errors."""
    return np.abs(dice.normal(size=size))


def lognormal(sigma: float) -> Draw:
    """Return what draws errors of which few make most of the sum."""
    return lambda dice, size: dice.lognormal(sigma=sigma, size=size)


def pareto(dice: Dice, size: int) -> Errors:
    """Return errors that have a variance only just."""
    return 1 + dice.pareto(2.5, size)


@dataclass(frozen=True)
class Labels:
    """What comes in of two versions' labels."""

    draw: Draw = normal
    """Stable's errors."""
    wrong: float | None = None
    """Instead: the share of errors 1, all others being 0."""
    larger: Callable[[int], float] = lambda _: 1.0
    """How many times stable's mean the canary's is, at a look."""
    number: float = 600
    """Labels between two looks, of both together."""
    every: int = 1
    """They come at every so many looks, so many times as many."""
    weight: Callable[[int], int] = lambda _: 20
    level: Callable[[int], float] = lambda _: 1.0
    """What all errors are multiplied by at a look."""
    clusters: int = 1
    """So many labels in a row share one error."""
    bursts: tuple[float, int] = (0.0, 1)
    """More labels, with an error of 3: how often in a look some come together on one side, and how many at most."""

    def looks(self, dice: Dice, times: float) -> Iterator[Pair]:
        """Yield what is counted at each look; the canary's errors are so many times larger still."""
        for look in range(LOOKS):
            if look % self.every:
                yield Pair(Moments(), Moments())
                continue
            total = int(dice.poisson(self.number * self.every))
            mine = int(dice.binomial(total, self.weight(look) / 100))
            factor, level, part = times * self.larger(look), self.level(look), self.weight(look) / 100
            yield Pair(
                self._moments(dice, mine, factor, level) + self._burst(dice, part),
                self._moments(dice, total - mine, 1.0, level) + self._burst(dice, 1 - part),
            )

    def _burst(self, dice: Dice, part: float) -> Moments:
        often, most = self.bursts
        size = int(sum(dice.integers(1, most + 1, size=dice.poisson(often * part)))) if often else 0
        return Moments(size, 3.0 * size, 9.0 * size)

    def _moments(self, dice: Dice, number: int, factor: float, level: float) -> Moments:
        drawn = -(-number // self.clusters)
        if self.wrong is not None:
            errors = (dice.random(drawn) < self.wrong * factor * level).astype(float)
        else:
            errors = self.draw(dice, drawn) * factor * level
        errors = np.repeat(errors, self.clusters)[:number]
        return Moments(number, float(errors.sum()), float(errors @ errors))


@dataclass(frozen=True)
class Run:
    """One release: the look of the alarm, by the judge and by the means of every look; None: no alarm."""

    sequential: int | None
    each: int | None
    undecided: bool
    """Whether a Pass was ever withheld although there were labels enough."""


def metric_of(allowed: float) -> Metric:
    return Metric.model_validate(
        {
            "name": "error",
            "builtin": "labelled-error",
            "compareTo": {"stable": {"maxRelativeIncrease": allowed, "test": "sequential"}},
        }
    )


def play(labels: Labels, dice: Dice, *, times: float = 1.0, allowed: float = ALLOWED, budget: float = 0.01) -> Run:
    """Return what one release comes to.

    Args:
        labels: what comes in.
        dice: chance.
        times: how many times larger the canary's errors are, besides.
        allowed: maxRelativeIncrease.
        budget: falseAlarmBudget.
    """
    metric = metric_of(allowed)
    level = alarm_level(Analysis(metrics=(metric,), false_alarm_budget=budget))
    state: ComparisonStatus | None = None
    each: int | None = None
    undecided = False
    for look, pair in enumerate(labels.looks(dice, times), 1):
        if each is None and pair.mine.count and pair.other.count and pair.mine.mean > (1 + allowed) * pair.other.mean:
            each = look
        until = START + timedelta(minutes=look)
        state = counted(state, metric, Counts.of(until - timedelta(minutes=1), until, (pair,)))
        found = compared(metric, state, level)
        undecided |= found.message.startswith("undecided")
        if found.verdict == "Fail":
            return Run(look, each, undecided)
    return Run(None, each, undecided)


KINDS: dict[str, Labels] = {
    "normal": Labels(),
    "lognormal, σ 1": Labels(lognormal(1)),
    "lognormal, σ 1.5": Labels(lognormal(1.5)),
    "Pareto, α 2.5": Labels(pareto),
    "0/1, 10 % wrong": Labels(wrong=0.1),
    "0/1, 1 % wrong": Labels(wrong=0.01),
}
GOOD: dict[str, Labels] = {
    **KINDS,
    "normal, weight 80": Labels(weight=lambda _: 80),
    "lognormal, σ 1.5, weight 80": Labels(lognormal(1.5), weight=lambda _: 80),
    "normal, busy: 6000 labels a look": Labels(number=6000),
    "normal, low: 20 labels a look": Labels(number=20),
    "lognormal, σ 1, low, weight 80": Labels(lognormal(1), number=20, weight=lambda _: 80),
    "0/1, 10 % wrong, low": Labels(wrong=0.1, number=20),
    "normal, bursty: all labels of 10 looks at once": Labels(every=10),
    "lognormal, σ 1, in clusters: 20 labels share one error": Labels(lognormal(1), clusters=20),
    "0/1, 10 % wrong, in clusters of 20": Labels(wrong=0.1, clusters=20),
    "normal, bursts on one side: up to 20 large ones together": Labels(bursts=(1, 20)),
    "normal, bursts on one side: up to 80 large ones together": Labels(bursts=(1, 80)),
    "lognormal, σ 1, drifting: errors grow to 10 times": Labels(lognormal(1), level=lambda look: 1 + 9 * look / LOOKS),
    "lognormal, σ 1, 5 times in every other 10 looks": Labels(lognormal(1), level=lambda look: 1 + look // 10 % 2 * 4),
    "normal; weight 5, 20, 50, 80; 10 times from look 16 on": Labels(
        weight=lambda look: (5, 20, 50, 80)[look * 4 // LOOKS], level=lambda look: 1 if look < 15 else 10
    ),
}


def _worse(labels: Labels, times: float, since: int = 0) -> Labels:
    return Labels(**{**vars(labels), "larger": lambda look: times if look >= since else 1.0})


BAD: dict[str, Labels] = {
    **{f"{name}: 15 % larger": _worse(labels, 1.15) for name, labels in KINDS.items()},
    "normal: 15 % larger, weight 50": _worse(Labels(weight=lambda _: 50), 1.15),
    "normal: 15 % larger, 6000 labels a look": _worse(Labels(number=6000), 1.15),
    "0/1, 10 % wrong: 15 % larger, 6000 labels a look": _worse(Labels(wrong=0.1, number=6000), 1.15),
    "normal: 15 % larger from look 31 on": _worse(Labels(), 1.15, since=LOOKS // 2),
    "normal: 15 % larger, all labels of 10 looks at once": _worse(Labels(every=10), 1.15),
    "normal: 15 % larger, 20 labels a look": _worse(Labels(number=20), 1.15),
    "normal: twice, 20 labels a look": _worse(Labels(number=20), 2),
    "lognormal, σ 1.5: twice": _worse(Labels(lognormal(1.5)), 2),
    "0/1, 1 % wrong: three times": _worse(Labels(wrong=0.01), 3),
    "normal: ten times": _worse(Labels(), 10),
}


def tables(runs: int, seed: int) -> None:
    heads = "errors | every look: like stable | sequential: like stable | as large as allowed | undecided for a time"
    print(f"| {heads} |\n{'|---' * 5}|")
    for number, (name, labels) in enumerate(GOOD.items()):
        same, most = (
            [play(labels, np.random.default_rng((seed, number, n)), times=times) for n in range(runs)]
            for times in (1.0, 1 + ALLOWED)
        )
        cells = [
            rate([run.each for run in same]),
            rate([run.sequential for run in same]),
            rate([run.sequential for run in most]),
            rate([1 if run.undecided else None for run in most]),
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print(f"\n| errors | sequential finds it | looks until then, median |\n{'|---' * 3}|")
    for number, (name, labels) in enumerate(BAD.items()):
        found = [play(labels, np.random.default_rng((seed, 100 + number, n))).sequential for n in range(runs // 4)]
        print(f"| {name} | {rate(found)} | {after(found, LOOKS // 2 if 'look 31' in name else 0)} |", flush=True)


def cost(looks: int = 20_000, batch: int = 100) -> float:
    """Return what one look costs, with its verdict. Seconds, of the batch with the lowest median."""
    metric, state, took = metric_of(ALLOWED), None, []
    for look in range(looks):
        since = START + timedelta(minutes=look)
        pair = Pair(Moments(120, 96 + look % 3, 120), Moments(480, 384, 480))
        counts = Counts.of(since, since + timedelta(minutes=1), (pair,))
        begun = time.perf_counter()
        state = counted(state, metric, counts)
        compared(metric, state, 0.01)
        took.append(time.perf_counter() - begun)
    return min(statistics.median(took[at : at + batch]) for at in range(0, looks, batch))


if __name__ == "__main__":
    report(__doc__, 1000, tables, cost)

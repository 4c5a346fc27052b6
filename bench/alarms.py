"""How often a comparison with stable alarms although the canary is no worse, and how soon when it is worse.

    python -m bench.alarms --runs 2000

Simulates releases of 60 looks and gives them to the operator's own judges, `test: threshold` and `test: sequential`.
Prints three tables, as docs/analysis.md has them, and what one look costs. The same seed gives the same tables.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from modelops.api.v1alpha1.analysis import Analysis, Metric
from modelops.api.v1alpha1.analysis_status import ComparisonStatus, SplitStatus
from modelops.domain.analysis import split
from modelops.domain.analysis.sequential import alarm_level, compared, counted
from modelops.domain.analysis.verdicts import Counts, Reading, judge_of

LOOKS = 60
START = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = {"maxRelativeIncrease": 0.1}
Dice = np.random.Generator
Look = tuple[int, float, float, float, float]
"""Weight, the canary's failures and requests, stable's failures and requests."""


@dataclass(frozen=True)
class Traffic:
    """What two versions go through."""

    requests: float = 600
    """Between two looks, of both together."""
    share: Callable[[int], float] = lambda _: 0.01
    """Stable's share of failures at a look."""
    worse: Callable[[int], float] = lambda _: 1.0
    """How many times that the canary's is."""
    weight: Callable[[int], int] = lambda _: 20
    sent: float | None = None
    """Percent that the gateway really sends, where it is not the weight."""
    clusters: tuple[float, int] = (0.0, 1)
    """More failures: how often in a look some fail together on one side, and how many of them at most."""
    dispersion: float = 1.0
    """How many times more the failures of either side vary than if they were independent."""

    def looks(self, dice: Dice) -> Iterator[Look]:
        """Yield what is counted at each look."""
        for look in range(LOOKS):
            weight = self.weight(look)
            sent = weight if self.sent is None else self.sent
            total = int(dice.poisson(self.requests))
            canary = int(dice.binomial(total, sent / 100))
            share = self.share(look)
            failed = self._failed(dice, canary, min(1.0, share * self.worse(look)), sent / 100 * self.worse(look))
            yield weight, failed, canary, self._failed(dice, total - canary, share, 1 - sent / 100), total - canary

    def _failed(self, dice: Dice, requests: int, share: float, part: float) -> int:
        often, most = self.clusters
        together = int(sum(dice.integers(1, most + 1, size=dice.poisson(often * part)))) if often else 0
        if self.dispersion > 1:
            mean = requests * share
            failed = int(dice.poisson(dice.gamma(mean / (self.dispersion - 1), self.dispersion - 1))) if mean else 0
        else:
            failed = int(dice.binomial(requests, share))
        return min(requests, failed + together)


@dataclass(frozen=True)
class Run:
    """One release: the look of each method's alarm; None: no alarm."""

    each: int | None
    """Threshold on every look."""
    pooled: int | None
    """Threshold on all looks so far together."""
    sequential: int | None
    split: int | None
    """Sample-ratio mismatch."""
    disbelieved: int | None
    """The first look that contradicted the weight."""
    undecided: bool
    """Whether the sequential test ever withheld a Pass although there were samples."""


def metric_of(limits: dict[str, float], test: str) -> Metric:
    return Metric.model_validate(
        {"name": "errors", "builtin": "success-rate", "compareTo": {"stable": {**limits, "test": test}}}
    )


def play(traffic: Traffic, dice: Dice, limits: dict[str, float] = LIMITS, budget: float = 0.01) -> Run:
    """Return what one release comes to; the sequential test sees what the operator would give it."""
    plain, sequential = metric_of(limits, "threshold"), metric_of(limits, "sequential")
    judge, level = judge_of(plain), alarm_level(Analysis(metrics=(sequential,), false_alarm_budget=budget))
    state: ComparisonStatus | None = None
    sides: SplitStatus | None = None
    first: dict[str, int] = {}
    pooled = [0.0] * 4
    undecided = False
    for look, (weight, failed, requests, others, all_others) in enumerate(traffic.looks(dice), 1):
        pooled = [sum(pair) for pair in zip(pooled, (failed, requests, others, all_others), strict=True)]
        for name, figures in (("each", (failed, requests, others, all_others)), ("pooled", tuple(pooled))):
            if name not in first and judge.judge(_reading(*figures)).verdict == "Fail":
                first[name] = look
        if "sequential" in first:
            continue
        until = START + timedelta(minutes=look)
        counts = Counts(until - timedelta(minutes=1), until, failed, requests, others, all_others)
        state = counted(state, sequential, counts)
        found = compared(sequential, state, level)
        undecided |= found.message.startswith("undecided")
        if found.verdict == "Fail":
            first["sequential"] = look
        requests_of_both = split.Requests(counts.since, counts.until, requests, all_others)
        sides = split.counted(sides, requests_of_both, weight, level)
        if split.is_mismatch(sides, level):
            first.setdefault("split", look)
        if split.contradicts(sides, weight, level):
            first.setdefault("disbelieved", look)
    kinds = ("each", "pooled", "sequential", "split", "disbelieved")
    return Run(*map(first.get, kinds), undecided)


def _reading(failed: float, requests: float, others: float, all_others: float) -> Reading:
    def side(bad: float, samples: float) -> dict[str, Any]:
        return {"values": (1 - bad / samples,) if samples else (), "samples": samples}

    return Reading(**side(failed, requests), stable=Reading(**side(others, all_others)))


GOOD: dict[str, Traffic] = {
    "steady": Traffic(),
    "busy, 100 times as much": Traffic(requests=60_000),
    "low: 20 requests a look, 2 % fail": Traffic(requests=20, share=lambda _: 0.02),
    "drifting: from 0.5 to 5 % fail": Traffic(share=lambda look: 0.005 + 0.045 * look / LOOKS),
    "weight 5, 20, 50, 80; 0.5 % fail at first, then 5 %": Traffic(
        weight=lambda look: (5, 20, 50, 80)[look * 4 // LOOKS], share=lambda look: 0.005 if look < 15 else 0.05
    ),
    "bursts on both sides: 10 % fail in every tenth look": Traffic(share=lambda look: 0.01 if look % 10 else 0.1),
    "bursts on one side: up to 20 fail together": Traffic(clusters=(1, 20)),
    "bursts on one side: up to 80 fail together": Traffic(clusters=(1, 80)),
    "overdispersed: 5 times the variance": Traffic(dispersion=5),
    "overdispersed and busy": Traffic(requests=6000, dispersion=5),
}
BAD: dict[str, Traffic] = {
    "1.5 times the failures": Traffic(worse=lambda _: 1.5),
    "twice": Traffic(worse=lambda _: 2),
    "three times": Traffic(worse=lambda _: 3),
    "three times, ten times the traffic": Traffic(requests=6000, worse=lambda _: 3),
    "three times from look 31 on": Traffic(worse=lambda look: 3 if look >= LOOKS // 2 else 1),
    "twice; weight 5, 20, 50, 80; stable's failures fall from 5 to 0.5 %": Traffic(
        weight=lambda look: (5, 20, 50, 80)[look * 4 // LOOKS],
        share=lambda look: 0.05 if look < 15 else 0.005,
        worse=lambda _: 2,
    ),
    "three times, up to 20 fail together": Traffic(clusters=(1, 20), worse=lambda _: 3),
    "three times, 20 requests a look, 2 % fail": Traffic(requests=20, share=lambda _: 0.02, worse=lambda _: 3),
    "half of the requests": Traffic(worse=lambda _: 50),
    "half of the requests, 20 a look": Traffic(requests=20, share=lambda _: 0.02, worse=lambda _: 25),
    "all of the requests from look 31 on": Traffic(worse=lambda look: 100 if look >= LOOKS // 2 else 1),
}
UNLIKE: dict[str, Traffic] = {
    "weight 20, sent 20": Traffic(),
    "weight 20, sent 21": Traffic(sent=21),
    "weight 20, sent 25": Traffic(sent=25),
    "weight 20, sent 40": Traffic(sent=40),
    "weight 20, sent 0": Traffic(sent=0),
    "weight 20, sent 0, 20 requests a look": Traffic(requests=20, sent=0),
    "weight 20, sent 20, 20 requests a look": Traffic(requests=20),
    "weight 20, sent 20, 60 000 requests a look": Traffic(requests=60_000),
    "weight 2, sent 2": Traffic(weight=lambda _: 2),
    "weight 2, sent 0": Traffic(weight=lambda _: 2, sent=0),
}


def rate(found: Sequence[int | None]) -> str:
    return f"{sum(one is not None for one in found) / len(found):.1%}".replace(".0%", "%").replace("%", " %")


def after(found: Sequence[int | None], since: int = 0) -> str:
    looks = [one - since for one in found if one is not None and one > since]
    return f"{statistics.median(looks):g}" if looks else "–"


def tables(runs: int, seed: int) -> None:
    print(f"| no worse than stable | every look | looks pooled | sequential | undecided for a time |\n{'|---' * 5}|")
    for number, (name, traffic) in enumerate(GOOD.items()):
        found = [play(traffic, np.random.default_rng((seed, number, n))) for n in range(runs)]
        each, pooled, sequential = ([getattr(run, kind) for run in found] for kind in ("each", "pooled", "sequential"))
        undecided = rate([1 if run.undecided else None for run in found])
        print(f"| {name} | {rate(each)} | {rate(pooled)} | {rate(sequential)} | {undecided} |", flush=True)
    print(f"\n| worse: what fails | sequential finds it | looks until then, median |\n{'|---' * 3}|")
    for number, (name, traffic) in enumerate(BAD.items()):
        found = [play(traffic, np.random.default_rng((seed, 100 + number, n))) for n in range(runs // 4)]
        sequential = [run.sequential for run in found]
        since = LOOKS // 2 if "look 31" in name else 0
        print(f"| {name} | {rate(sequential)} | {after(sequential, since)} |", flush=True)
    print(f"\n| split | held | looks until then | paused | looks until then |\n{'|---' * 5}|")
    for number, (name, traffic) in enumerate(UNLIKE.items()):
        found = [play(traffic, np.random.default_rng((seed, 200 + number, n))) for n in range(runs // 4)]
        held, paused = ([getattr(run, kind) for run in found] for kind in ("disbelieved", "split"))
        print(f"| {name} | {rate(held)} | {after(held)} | {rate(paused)} | {after(paused)} |", flush=True)


def cost(looks: int = 20_000, batch: int = 100) -> float:
    """Return what one look of one metric costs, verdict given, two limits, and of the split. Seconds.

    Of the batch with the lowest median, because others may be using the machine.
    """
    metric = metric_of({**LIMITS, "maxAbsoluteIncrease": 0.01}, "sequential")
    level = alarm_level(Analysis(metrics=(metric,)))
    state: ComparisonStatus | None = None
    sides: SplitStatus | None = None
    took = []
    for look in range(looks):
        since = START + timedelta(minutes=look)
        counts = Counts(since, since + timedelta(minutes=1), 3 + look % 3, 120, 9, 480)
        begun = time.perf_counter()
        state = counted(state, metric, counts)
        compared(metric, state, level)
        sides = split.counted(sides, split.Requests(counts.since, counts.until, 120, 480), 20, level)
        split.contradicts(sides, 20, level)
        took.append(time.perf_counter() - begun)
    return min(statistics.median(took[at : at + batch]) for at in range(0, looks, batch))


def report(about: str, runs: int, tables: Callable[[int, int], None], cost: Callable[[], float]) -> None:
    """Print a simulation as its command line asks for it, and what one look costs.

    Args:
        about: the simulation.
        runs: of each good release, unless more or fewer are asked for.
        tables: prints what so many runs from a seed come to.
        cost: returns what one look costs. Seconds.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=runs, help="of each good release; a quarter of it of the others")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    tables(args.runs, args.seed)
    print(f"\none look of one metric: {cost() * 1e6:.0f} µs")


if __name__ == "__main__":
    report(__doc__, 2000, tables, cost)

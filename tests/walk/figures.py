"""What Prometheus knows on a walk: of each metric how well canary and stable do, and how many requests say so."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from modelops.errors import ModelopsError
from modelops.ports import Series
from tests.support.fakes import FakeMetrics

Answer = tuple[float | ModelopsError | None, float | None]
"""The share of requests that went well, and how many there were; None is no series."""
WELL: Final[Answer] = (0.99, 100)


@dataclass
class Figures(FakeMetrics):
    """Answers own queries, which begin with q (the share), e (the bad ones) or s (all) and a number, and built-ins.

    A built-in is metric 0. The requests behind success-rate are those that the gateway counts. The error of a label is
    0 or 1, and answers are of two bins, so that each is what a share says.
    """

    status: Callable[[], Mapping[str, Any]] = dict
    """Tells the release's; without a canary, whoever is asked about is judged as one is."""
    canarys: dict[int, Answer] = field(default_factory=dict)
    stables: dict[int, Answer] = field(default_factory=dict)
    sent: int | None = None
    """How many requests the gateway counts of the canary to 100 of stable; None: as many as weighted."""

    def query(self, promql: str, at: datetime) -> Sequence[Series]:
        own = promql[1].isdigit()
        status = self.status()
        of_stable = bool(status.get("canary")) and _is_about(status["stable"], promql)
        number = int(promql[1]) if own else 0
        share, samples = self.stables.get(number, WELL) if of_stable else self.canarys.get(number, (None, None))
        if not own and "modelops_" not in promql:
            samples = self._requests(status.get("weight", 0), of_stable=of_stable)
        asked = promql[0] if own else _asked(promql)
        if asked == "s":
            return _series(samples)
        if isinstance(share, ModelopsError):
            raise share.with_traceback(None)  # It is one and the same each time, and would keep every frame.
        if asked == "b":
            return _bins(share, samples)
        if asked == "q" or share is None or samples is None:
            return _series(1 - share if share is not None and "labelled" in promql else share)
        return _series((1 - share) * samples)

    def _requests(self, weight: int, *, of_stable: bool) -> float | None:
        """Return how many requests the gateway counts of canary or stable; the fewer are as many as answered."""
        if self.sent is not None:
            return 100 if of_stable else self.sent
        _, fewer = self.canarys.get(0, WELL)
        if fewer is None or not 0 < weight < 100:
            return fewer
        mine, others = (100 - weight, weight) if of_stable else (weight, 100 - weight)
        return fewer * max(1, mine / others)


def _is_about(stable: Mapping[str, Any], promql: str) -> bool:
    return stable["revision"] in promql or f'version="{stable["version"]}"' in promql


def _asked(promql: str) -> str:
    """Return what a built-in's query asks about, as own queries say it; b is answers by bin."""
    if "predictions_total" in promql:
        return "b"
    if " / " in promql:
        return "q"
    bad = promql.startswith("clamp_min") or "labelled_error_sum" in promql or "labelled_error_squares" in promql
    return "e" if bad else "s"


def _series(value: float | None) -> Sequence[Series]:
    return [] if value is None else [Series({}, float(value))]


def _bins(share: float | None, samples: float | None) -> Sequence[Series]:
    if share is None or samples is None:
        return []
    return [Series({"bin": "good"}, share * samples), Series({"bin": "bad"}, (1 - share) * samples)]

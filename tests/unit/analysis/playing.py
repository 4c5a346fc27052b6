"""Releases played offline for tests: one weight of half of the traffic, judged every 5 seconds for 20."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.domain.analysis.verdicts import Reading
from modelops.domain.release.replay import Replay, Tick, play

NAN, INF = math.nan, math.inf
AWAY = "Prometheus answers 503"
Answer = float | str | Sequence[float] | Reading | None
QUERY = {"prometheus": {"query": 'share{revision="{{ .revision }}"}'}}
RANGE = {**QUERY, "thresholdRange": {"min": 0.95}}
SUCCESS = {**QUERY, "successCondition": "result[0] >= 0.95"}
FAILURE = {**QUERY, "failureCondition": "result[0] < 0.95"}
BOTH = {**QUERY, "successCondition": "result[0] >= 0.95", "failureCondition": "result[0] < 0.90"}
STEPS = [{"setWeight": 50}, {"analyze": {"duration": "20s"}}]


def reading(answer: Answer) -> Reading:
    """Return an answer as it comes from Prometheus: a text is an error, None and [] are no series."""
    if isinstance(answer, Reading):
        return answer
    if isinstance(answer, str):
        return Reading(error=answer)
    if answer is None:
        return Reading()
    return Reading(values=tuple(answer) if isinstance(answer, Sequence) else (answer,))


def release(
    *metrics: Mapping[str, Any], steps: Sequence[Any] = STEPS, interval: str = "5s", **analysis: Any
) -> ModelReleaseSpec:
    """Return a spec whose metrics are named m, m2, …, unless they have names."""
    named = [{"name": f"m{n}" if n > 1 else "m", **metric} for n, metric in enumerate(metrics, 1)]
    return ModelReleaseSpec.model_validate(
        {
            "model": {"name": "price", "version": "2"},
            "strategy": {"canary": {"steps": list(steps)}},
            "analysis": {"interval": interval, "warmUp": "0s", "metrics": named, **analysis},
        }
    )


def ticks(*answers: Answer, every: float = 5, more: int = 0, **others: Sequence[Answer]) -> list[Tick]:
    """Return a tick for each answer to m, every so many seconds; the last answer holds for so many more."""

    def at(series: Sequence[Answer], n: int) -> Answer:
        return series[min(n, len(series) - 1)]

    series: dict[str, Sequence[Answer]] = {"m": answers, **others}
    return [
        Tick(every * (n + 1), {name: reading(at(given, n)) for name, given in series.items()})
        for n in range(len(answers) + more)
    ]


def outcome(spec: ModelReleaseSpec, *answers: Answer, more: int = 20, **others: Sequence[Answer]) -> Replay:
    """Return how a release ends when the last answer holds."""
    return play("price", spec, ticks(*answers, more=more, **others))

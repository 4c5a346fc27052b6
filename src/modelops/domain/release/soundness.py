"""What is wrong with a spec that no schema can say. Pure; called by decide and by `modelops validate`."""

import json
from collections.abc import Iterator
from typing import Final, get_args

from modelops.api.v1alpha1.analysis import Analysis, ServerBuiltin
from modelops.api.v1alpha1.common import format_duration
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec, Strategy
from modelops.domain.analysis.expressions import compile_expectation
from modelops.domain.analysis.queries import unfillable
from modelops.domain.analysis.verdicts import needs_stable
from modelops.domain.release.looks import interval_of
from modelops.domain.release.route_soundness import unsound_routes
from modelops.domain.release.routing import Routing, after
from modelops.domain.release.steps import Path, effective_steps, path_of, weight_after
from modelops.domain.release.windows import zone_problem
from modelops.errors import Stalled

_LARGEST_BODY: Final = 64 * 1024


def unsound(spec: ModelReleaseSpec) -> Iterator[tuple[Path, str]]:
    """Yield every contradiction as (field, what is wrong and what to do)."""
    if spec.strategy == Strategy():
        yield ("spec", "strategy"), "names no strategy; set canary, linear, blueGreen, direct, abTest or shadow"
    yield from _queries(spec.analysis)
    yield from _nobody_answers(spec)
    yield from _deadlines(spec.analysis)
    yield from _nothing_to_measure(spec)
    yield from _nothing_to_compare_with(spec)
    yield from unsound_routes(spec)
    yield from _smoke_test(spec)
    for index, window in enumerate(spec.windows):
        if problem := zone_problem(window.time_zone):
            yield ("spec", "windows", index, "timeZone"), problem


def _queries(analysis: Analysis) -> Iterator[tuple[Path, str]]:
    for index, metric in enumerate(analysis.metrics):
        for name, words in unfillable(metric.prometheus) if metric.prometheus is not None else ():
            yield ("spec", "analysis", "metrics", index, "prometheus", name), words


def _nobody_answers(spec: ModelReleaseSpec) -> Iterator[tuple[Path, str]]:
    """Yield what only our own server's figures could answer, where another server runs."""
    runtime = spec.serving.runtime
    for index, metric in enumerate(spec.analysis.metrics):
        if metric.builtin in get_args(ServerBuiltin) and runtime != "modelops":
            words = f"only runtime modelops has these figures, and serving.runtime is {runtime}; write a query"
            yield ("spec", "analysis", "metrics", index, "builtin"), words


def _deadlines(analysis: Analysis) -> Iterator[tuple[Path, str]]:
    for index, metric in enumerate(analysis.metrics):
        interval = interval_of(metric, analysis)
        if metric.no_data_deadline is not None and metric.no_data_deadline < interval:
            words = f"must be at least the interval, {format_duration(interval)}; nobody looks again before it"
            yield ("spec", "analysis", "metrics", index, "noDataDeadline"), words


def _smoke_test(spec: ModelReleaseSpec) -> Iterator[tuple[Path, str]]:
    for index, request in enumerate(spec.smoke_test.requests if spec.smoke_test is not None else ()):
        here: Path = ("spec", "smokeTest", "requests", index)
        try:
            compile_expectation(request.expect)
        except Stalled as error:
            yield (*here, "expect"), error.message.removeprefix("expect ")
        if request.body is not None and (size := len(json.dumps(request.body))) > _LARGEST_BODY:
            yield (*here, "body"), f"has {size // 1024} KiB of JSON; at most {_LARGEST_BODY // 1024} are sent"
    steps = effective_steps(spec.strategy)
    found = [index for index, step in enumerate(steps) if step.smoke_test is not None]
    for index in found[1:]:
        yield path_of(spec.strategy, index, "smokeTest"), "there is one already; a revision is tested once"
    for index in found[:1]:
        if any(step.set_weight for step in steps[:index]) or any(
            after(steps[:at]) != Routing() for at in range(index + 1)
        ):
            words = "users' requests come before the golden ones; put it before the first weight, route or mirror"
            yield path_of(spec.strategy, index, "smokeTest"), words


def _nothing_to_measure(spec: ModelReleaseSpec) -> Iterator[tuple[Path, str]]:
    """Yield what would wait for ever: an analysis without traffic, and steps that end without any or a Pass."""
    steps = effective_steps(spec.strategy)
    for index, step in enumerate(steps):
        if step.analyze is not None and weight_after(steps[:index]) == 0 and after(steps[:index]) == Routing():
            words = "at weight 0 the canary has no requests, so this would never end; set a weight before"
            yield path_of(spec.strategy, index, "analyze"), words
    deciding = [metric.name for metric in spec.analysis.metrics if not metric.dry_run]
    analyzed = any(step.analyze is not None for step in steps)
    without = weight_after(steps) == 0 and after(steps) == Routing()
    if spec.strategy.canary is not None and without and not analyzed and deciding:
        words = f"they end at weight 0, where {deciding[0]} can never pass; set a weight, or make it a dryRun"
        yield ("spec", "strategy", "canary", "steps"), words


def _nothing_to_compare_with(spec: ModelReleaseSpec) -> Iterator[tuple[Path, str]]:
    compared = [metric.name for metric in spec.analysis.metrics if needs_stable(metric) and not metric.dry_run]
    steps = effective_steps(spec.strategy)
    for index, step in enumerate(steps):
        if step.analyze is not None and weight_after(steps[:index]) == 100 and compared:
            words = f"at weight 100 stable has no traffic, so {compared[0]} cannot be compared with it; analyze before"
            yield path_of(spec.strategy, index, "analyze"), words
    parts = [steps[: index + 1] for index in range(len(steps))]
    shared = any(0 < weight_after(part) < 100 or after(part) != Routing() for part in parts)
    if spec.strategy.canary is not None and weight_after(steps) == 100 and compared and not shared:
        words = f"they give it all of the traffic at once, so {compared[0]} is never compared; set a weight before"
        yield ("spec", "strategy", "canary", "steps"), words

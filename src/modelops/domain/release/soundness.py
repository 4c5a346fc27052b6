"""What is wrong with a spec that no schema can say. Pure; called by decide and by `modelops validate`."""

import json
from collections.abc import Iterator
from typing import Final, get_args

from modelops.api.v1alpha1.analysis import Analysis, ServerBuiltin
from modelops.api.v1alpha1.common import format_duration
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec, Strategy
from modelops.domain.analysis.expressions import compile_expectation
from modelops.domain.analysis.queries import unfillable
from modelops.domain.analysis.verdicts import has_bounds, is_of_both, is_paired, needs_stable
from modelops.domain.release.golden import WITHIN
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
    yield from _rollback_window(spec)
    yield from _nothing_to_measure(spec)
    yield from _nothing_to_compare_with(spec)
    yield from _no_time_for_copies(spec)
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
        interval, deadline = interval_of(metric, analysis), metric.no_data_deadline or analysis.no_data_deadline
        if deadline < interval:
            own = metric.no_data_deadline is not None
            of_it = f"must be at least the interval{'' if own else f' of {metric.name}'}, {format_duration(interval)}"
            field: Path = ("metrics", index, "noDataDeadline") if own else ("noDataDeadline",)
            yield ("spec", "analysis", *field), f"{of_it}; nobody looks again before it"


def _rollback_window(spec: ModelReleaseSpec) -> Iterator[tuple[Path, str]]:
    """Yield a window in which nobody would look: it keeps servers warm and takes nothing back."""
    analysis, window = spec.analysis, spec.rollback_window
    first = {
        metric.name: max(analysis.warm_up + interval_of(metric, analysis), metric.initial_delay)
        for metric in analysis.metrics
        if has_bounds(metric) and not is_of_both(metric)
    }
    if window is None or not first or window.duration > min(first.values()):
        return
    name = min(first, key=lambda one: first[one])
    words = f"must exceed {format_duration(first[name])}, after which {name} is looked at first"
    yield ("spec", "rollbackWindow", "duration"), f"{words}; set a longer one, or a shorter warmUp or interval"


def _smoke_test(spec: ModelReleaseSpec) -> Iterator[tuple[Path, str]]:
    test = spec.smoke_test
    if test is not None and test.max_latency is not None:
        number = len(test.requests) * test.repeat
        if number * test.max_latency > WITHIN:
            words = (
                f"{number} answers that take so long do not fit in {format_duration(WITHIN)}, which is all they have"
            )
            yield ("spec", "smokeTest", "maxLatency"), f"{words}; lower it, or repeat"
    for index, request in enumerate(test.requests if test is not None else ()):
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
    deciding = [metric for metric in spec.analysis.metrics if not metric.dry_run]
    # Answers to copies are compared while there are copies, wherever the weight goes then.
    compared = [metric.name for metric in deciding if needs_stable(metric) and not is_paired(metric)]
    steps = effective_steps(spec.strategy)
    for index, step in enumerate(steps):
        if step.analyze is not None and weight_after(steps[:index]) == 100 and compared:
            words = f"at weight 100 stable has no traffic, so {compared[0]} cannot be compared with it; analyze before"
            yield path_of(spec.strategy, index, "analyze"), words
    whole = next((index for index, step in enumerate(steps) if step.set_weight == 100), None)
    parts = [steps[: index + 1] for index in range(whole or 0)]
    shared = any(0 < weight_after(part) < 100 or after(part) != Routing() for part in parts)
    if spec.strategy.canary is not None and whole is not None and compared and not shared:
        words = f"they give it all of the traffic at once, so {compared[0]} is never compared; set a weight before"
        yield ("spec", "strategy", "canary", "steps"), words


def _no_time_for_copies(spec: ModelReleaseSpec) -> Iterator[tuple[Path, str]]:
    """Yield that copies end as soon as they begin, so that what compares answers to them is never asked."""
    paired = [metric.name for metric in spec.analysis.metrics if is_paired(metric) and not metric.dry_run]
    steps = effective_steps(spec.strategy)
    rests = [index for index, step in enumerate(steps) if step.analyze or step.bake or step.pause or step.approve]
    if paired and not any(after(steps[:index]).mirror for index in (*rests, len(steps))):
        words = f"copies end before anybody looks, so {paired[0]} can never pass; analyze between the two setMirror"
        yield ("spec", "strategy", "canary", "steps"), words

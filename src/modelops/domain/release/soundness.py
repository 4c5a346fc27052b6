"""What is wrong with a spec that no schema can say. Pure; called by decide and by `modelops validate`."""

from collections.abc import Iterator
from datetime import timedelta

from modelops.api.v1alpha1.analysis import Analysis
from modelops.api.v1alpha1.common import format_duration
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.domain.analysis.queries import Subject, fill
from modelops.domain.release.looks import interval_of
from modelops.domain.release.route_soundness import unsound_routes
from modelops.domain.release.strategies import steps_of
from modelops.errors import Stalled

Path = tuple[str | int, ...]
"""Of a field, below the object."""


def unsound(spec: ModelReleaseSpec) -> Iterator[tuple[Path, str]]:
    """Yield every contradiction as (field, what is wrong and what to do)."""
    yield from _queries(spec.analysis)
    yield from _deadlines(spec.analysis)
    yield from _nothing_to_compare_with(spec)
    yield from unsound_routes(spec)


def _queries(analysis: Analysis) -> Iterator[tuple[Path, str]]:
    anybody = Subject("namespace", "release", "revision")
    for index, metric in enumerate(analysis.metrics):
        if metric.prometheus is None:
            continue
        asked = metric.prometheus
        for name, query in (
            ("query", asked.query),
            ("eventsQuery", asked.events_query),
            ("samplesQuery", asked.samples_query),
        ):
            try:
                fill(query or "", anybody, timedelta(minutes=1))
            except Stalled as error:
                words = error.message.removeprefix("spec.analysis.metrics: ")
                yield ("spec", "analysis", "metrics", index, "prometheus", name), words


def _deadlines(analysis: Analysis) -> Iterator[tuple[Path, str]]:
    for index, metric in enumerate(analysis.metrics):
        interval = interval_of(metric, analysis)
        if metric.no_data_deadline is not None and metric.no_data_deadline < interval:
            words = f"must be at least the interval, {format_duration(interval)}; nobody looks again before it"
            yield ("spec", "analysis", "metrics", index, "noDataDeadline"), words


def _nothing_to_compare_with(spec: ModelReleaseSpec) -> Iterator[tuple[Path, str]]:
    compared = [metric.name for metric in spec.analysis.metrics if metric.compare_to is not None and not metric.dry_run]
    weight = 0
    for index, step in enumerate(steps_of(spec)):
        weight = weight if step.set_weight is None else step.set_weight
        if step.analyze is not None and weight == 100 and compared:
            words = f"at weight 100 stable has no traffic, so {compared[0]} cannot be compared with it; analyze before"
            yield ("spec", "strategy", "canary", "steps", index, "analyze"), words

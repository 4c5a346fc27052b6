"""Metrics that take their query from a MetricTemplate: whether the two fit, and what they make together. Pure.

What a metric says wins. Its own fixed bound, of whatever kind, replaces the template's; a comparison with stable stands
beside either.
"""

from collections.abc import Iterator
from typing import Any

from modelops.api.manifest import FieldPath
from modelops.api.v1alpha1.analysis import Metric
from modelops.api.v1alpha1.metrictemplate import MetricTemplateSpec
from modelops.domain.analysis.queries import unfillable, with_arguments
from modelops.domain.analysis.verdicts import has_bounds, is_sequential, unsound_conditions


def unsound_template(spec: MetricTemplateSpec) -> Iterator[tuple[FieldPath, str]]:
    """Yield what no schema can say of a template, as (field, what is wrong and what to do)."""
    yield from _unsound_queries(spec)
    for field, words in unsound_conditions(spec):
        yield ("spec", field), words


def unfit(metric: Metric, template: MetricTemplateSpec) -> Iterator[tuple[FieldPath, str]]:
    """Yield why a metric cannot use a template, as (field of the metric, what is wrong and what to do)."""
    assert metric.template is not None
    name, given = f"MetricTemplate {metric.template.name}", metric.template.args
    for path, words in _unsound_queries(template):
        yield ("template", "name"), f"{name} cannot be asked: {'.'.join(map(str, path))}: {words}"
    known = {argument.name: argument.default for argument in template.args}
    for argument in given:
        if argument not in known:
            takes = f"takes {', '.join(known)}" if known else "takes none"
            yield ("template", "args", argument), f"{name} has no such argument; it {takes}"
    for argument, default in known.items():
        if default is None and argument not in given:
            yield ("template", "args"), f"{name} needs {argument}, which has no default; add it"
    if not (has_bounds(metric) or has_bounds(template) or metric.compare_to):
        words = (
            f"neither it nor {name} has a bound; add thresholdRange, successCondition, failureCondition or compareTo"
        )
        yield (), words
    asked = template.prometheus
    if metric.min_samples is not None and asked.samples_query is None:
        yield ("minSamples",), f"{name} has no samplesQuery to count samples by; add one there, or leave minSamples out"
    if metric.aggregate is not None and asked.query is None:
        counted = "eventsQuery" if asked.events_query is not None else "sumQuery"
        yield ("aggregate",), f"{name} counts with {counted}, which answers one number; leave aggregate out"
    if is_sequential(metric) and asked.events_query is None and asked.squares_query is None:
        words = f"is for shares and means, and {name} has neither eventsQuery nor squaresQuery"
        words += "; add one there, or use test: threshold"
        yield ("compareTo", "stable", "test"), words


def applied(metric: Metric, template: MetricTemplateSpec) -> Metric:
    """Return the metric that one with a fitting template stands for: one with a query of its own."""
    assert metric.template is not None
    asked = template.prometheus
    values = {one.name: one.default for one in template.args if one.default is not None} | metric.template.args
    queries = {
        field: with_arguments(query, values)
        for field in ("query", "events_query", "sum_query", "squares_query", "samples_query")
        if (query := getattr(asked, field)) is not None
    }
    update: dict[str, Any] = {"template": None, "prometheus": asked.model_copy(update=queries)}
    fallback = ["aggregate", "min_samples"]
    if not has_bounds(metric):
        fallback += ["threshold_range", "success_condition", "failure_condition"]
    update |= {field: getattr(template, field) for field in fallback if getattr(metric, field) is None}
    return metric.model_copy(update=update)


def _unsound_queries(spec: MetricTemplateSpec) -> Iterator[tuple[FieldPath, str]]:
    for field, words in unfillable(spec.prometheus, (argument.name for argument in spec.args)):
        yield ("spec", "prometheus", field), words

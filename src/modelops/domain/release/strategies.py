"""Strategies that are canaries by another name: an A/B test and a shadow become the steps they stand for. Pure."""

from modelops.api.v1alpha1.analysis import Analysis, Metric
from modelops.api.v1alpha1.modelrelease import Analyze, Canary, ModelReleaseSpec, Pause, Step, Strategy
from modelops.api.v1alpha1.routing import AbTest, HeaderRoute, Mirror, Shadow
from modelops.domain.analysis.verdicts import min_samples

AB_TEST = "ab-test"
"""Name of the header route of an A/B test."""


def resolved(spec: ModelReleaseSpec) -> ModelReleaseSpec:
    """Return the spec with a canary for a strategy; a spec with a canary is returned as it is."""
    strategy = spec.strategy
    if strategy.ab_test is not None:
        analysis = _with_samples(spec.analysis, strategy.ab_test.min_samples)
        return _canary(spec.model_copy(update={"analysis": analysis}), *_ab_test(strategy.ab_test))
    if strategy.shadow is not None:
        return _canary(spec, *_shadow(strategy.shadow))
    return spec


def steps_of(spec: ModelReleaseSpec) -> tuple[Step, ...]:
    """Return the steps of a canary, whatever the strategy is called."""
    canary = resolved(spec).strategy.canary
    return () if canary is None else canary.steps


def _canary(spec: ModelReleaseSpec, *steps: Step) -> ModelReleaseSpec:
    return spec.model_copy(update={"strategy": Strategy(canary=Canary(steps=steps))})


def _ab_test(test: AbTest) -> tuple[Step, ...]:
    route = HeaderRoute(name=AB_TEST, match=test.match)
    return Step(set_header_route=route), Step(analyze=Analyze(duration=test.duration))


def _shadow(shadow: Shadow) -> tuple[Step, ...]:
    steps = Step(set_mirror=Mirror(percent=shadow.percent)), Step(analyze=Analyze(duration=shadow.duration))
    return steps if shadow.promote else (*steps, Step(pause=Pause()))


def _with_samples(analysis: Analysis, least: int | None) -> Analysis:
    """Return the analysis whose metrics need at least so many samples, where they count them."""
    if least is None:
        return analysis

    def raised(metric: Metric) -> Metric:
        counts = metric.builtin is not None or (metric.prometheus is not None and metric.prometheus.samples_query)
        return metric.model_copy(update={"min_samples": max(min_samples(metric), least)}) if counts else metric

    return analysis.model_copy(update={"metrics": tuple(raised(metric) for metric in analysis.metrics)})

"""What a strategy asks of the analysis beyond what the analysis says itself. Pure."""

from modelops.api.v1alpha1.analysis import Analysis, Metric
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.domain.analysis.verdicts import min_samples


def resolved(spec: ModelReleaseSpec) -> ModelReleaseSpec:
    """Return the spec with the analysis as its strategy wants it: an A/B test may ask for more samples."""
    test = spec.strategy.ab_test
    if test is None or test.min_samples is None:
        return spec
    return spec.model_copy(update={"analysis": _with_samples(spec.analysis, test.min_samples)})


def _with_samples(analysis: Analysis, least: int) -> Analysis:
    """Return the analysis whose metrics need at least so many samples, where they count them."""

    def raised(metric: Metric) -> Metric:
        counts = metric.builtin is not None or (metric.prometheus is not None and metric.prometheus.samples_query)
        return metric.model_copy(update={"min_samples": max(min_samples(metric), least)}) if counts else metric

    return analysis.model_copy(update={"metrics": tuple(raised(metric) for metric in analysis.metrics)})

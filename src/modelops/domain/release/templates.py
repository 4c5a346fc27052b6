"""A release with the MetricTemplates that its metrics name. Pure; called by observe, and by validate, plan, analyze."""

from collections.abc import Mapping

from modelops.api.v1alpha1.analysis import Metric
from modelops.api.v1alpha1.metrictemplate import MetricTemplateSpec
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.domain.analysis.templates import applied, unfit
from modelops.domain.release.steps import Path


def named_templates(spec: ModelReleaseSpec) -> set[str]:
    """Return the names of the MetricTemplates that a release asks."""
    return {metric.template.name for metric in spec.analysis.metrics if metric.template is not None}


def with_templates(
    spec: ModelReleaseSpec, templates: Mapping[str, MetricTemplateSpec], where: str | None
) -> tuple[ModelReleaseSpec, tuple[tuple[Path, str], ...]]:
    """Return the spec whose metrics ask for themselves; and why some cannot, as (field, what is wrong and what to do).

    Those that cannot are left as they are, with the template that nobody could ask them by.

    Args:
        spec: of the release.
        templates: by name.
        where: all of the templates are, in words; None if a release may ask others, which are left alone.
    """
    if not named_templates(spec):
        return spec, ()
    metrics: list[Metric] = []
    problems: list[tuple[Path, str]] = []
    for index, metric in enumerate(spec.analysis.metrics):
        here: Path = ("spec", "analysis", "metrics", index)
        template = None if metric.template is None else templates.get(metric.template.name)
        found: list[tuple[Path, str]] = []
        if template is not None:
            found = [((*here, *path), words) for path, words in unfit(metric, template)]
        elif metric.template is not None and where is not None:
            words = f"there is no MetricTemplate {metric.template.name} {where}; add it, or correct the name"
            found = [((*here, "template", "name"), words)]
        problems += found
        metrics.append(metric if template is None or found else applied(metric, template))
    analysis = spec.analysis.model_copy(update={"metrics": tuple(metrics)})
    return spec.model_copy(update={"analysis": analysis}), tuple(problems)

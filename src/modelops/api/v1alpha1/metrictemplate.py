"""MetricTemplate: a Prometheus query that several releases ask, with arguments and a default bound."""

from typing import Annotated

from pydantic import Field

from modelops.api.v1alpha1.analysis import (
    ONE_KIND_OF_BOUND,
    SAMPLES_ARE_COUNTED,
    Aggregate,
    ArgumentValue,
    Expression,
    PrometheusQuery,
    ThresholdRange,
)
from modelops.api.v1alpha1.common import Model, Spec, Status, rule, rules


class Argument(Model):
    """What a metric has to say, or may say, to use the template."""

    name: Annotated[str, Field(max_length=63, pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")]
    default: ArgumentValue | None = None
    """Without it the argument is required."""


class MetricTemplateSpec(Spec):
    """A question that metrics of releases ask by its name; what a metric says itself wins over what stands here."""

    model_config = {
        "json_schema_extra": rules(
            ONE_KIND_OF_BOUND,
            SAMPLES_ARE_COUNTED,
            rule(
                "!has(self.aggregate) || has(self.prometheus.query)",
                "aggregate is for query, not for eventsQuery or sumQuery",
            ),
        )
    }

    args: Annotated[
        tuple[Argument, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    """In the queries an argument is written `{{ args.name }}`."""
    prometheus: PrometheusQuery
    aggregate: Aggregate | None = None
    """What makes one number of several series."""
    threshold_range: ThresholdRange | None = None
    """The bound of metrics that have neither thresholdRange nor a condition, as are the next two."""
    success_condition: Expression | None = None
    failure_condition: Expression | None = None
    min_samples: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    """Fewer samples are NoData."""


class MetricTemplateStatus(Status):
    """A template is Ready when it can be asked; what it answers shows in the releases."""

"""How a canary is judged: metrics with Argo Rollouts' names and meaning, Flagger's range, and what both lack."""

from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import Field

from modelops.api.v1alpha1.common import Duration, Model, Name, rule, rules

Expression = Annotated[str, Field(min_length=1, max_length=1024)]
Query = Annotated[str, Field(min_length=1, max_length=8192)]
Bound = Annotated[float, Field(allow_inf_nan=False)]
Policy = Literal["Hold", "Pause", "Fail"]
Aggregate = Literal["avg", "max", "min", "sum"]
GatewayBuiltin = Literal["success-rate", "client-error-share", "slow-share", "latency"]
ServerBuiltin = Literal[
    "nonfinite-share",
    "missing-input-share",
    "unknown-category-share",
    "saturation",
    "constant-share",
    "class-share",
    "prediction-drift",
    "answer-difference",
]
LabelBuiltin = Literal["labelled-error"]
ArgumentValue = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9_.:/|*+-]+$")]
"""No quotes, backslashes, blanks, brackets or braces: it ends neither the string nor the selector that it stands in."""

DEFAULT_QUANTILE: Final = 0.99

_TOLERATED = "(!has(self.failureLimit) || self.failureLimit < 0 ? 0 : self.failureLimit)"
_IN_A_ROW = "(has(self.consecutiveSuccessLimit) ? self.consecutiveSuccessLimit : 0)"
_UNBOUNDED = "!has(self.count) || self.count == 0"

ONE_KIND_OF_BOUND = rule(
    "!has(self.thresholdRange) || !(has(self.successCondition) || has(self.failureCondition))",
    "thresholdRange excludes successCondition and failureCondition",
)
SAMPLES_ARE_COUNTED = rule(
    "!has(self.prometheus) || has(self.prometheus.samplesQuery) || !has(self.minSamples)",
    "minSamples of a prometheus metric needs samplesQuery",
)


class ThresholdRange(Model):
    """Pass if min ≤ value ≤ max."""

    model_config = {
        "json_schema_extra": rules(
            rule("has(self.min) || has(self.max)", "a thresholdRange needs min or max"),
            rule("!has(self.min) || !has(self.max) || self.min <= self.max", "min must not exceed max"),
        )
    }

    min: Bound | None = None
    max: Bound | None = None


class PrometheusQuery(Model):
    """Your own query; `{{ .revision }}`, `{{ .release }}`, `{{ .namespace }}`, `{{ .window }}` are filled in.

    So is `{{ .version }}`, the model version, where whoever counts knows no revision.
    """

    model_config = {
        "json_schema_extra": rules(
            rule(
                "[has(self.query), has(self.eventsQuery), has(self.sumQuery)].filter(x, x).size() == 1",
                "set exactly one of query, eventsQuery and sumQuery",
            ),
            rule("!has(self.eventsQuery) || has(self.samplesQuery)", "eventsQuery needs samplesQuery"),
            rule("!has(self.sumQuery) || has(self.samplesQuery)", "sumQuery needs samplesQuery"),
            rule("!has(self.squaresQuery) || has(self.sumQuery)", "squaresQuery needs sumQuery"),
        )
    }

    query: Query | None = None
    """The value."""
    events_query: Query | None = None
    """How many of the samples were bad, such as failed: the value is their share, 0–1. No series are 0."""
    sum_query: Query | None = None
    """The sum of the samples, such as of errors, 0 or more each: the value is their mean. No series are 0."""
    squares_query: Query | None = None
    """The sum of the samples' squares, from which test sequential knows how much they vary."""
    samples_query: Query | None = None
    """How many samples stand behind the value; held against minSamples."""


class StableComparison(Model):
    """How much the canary's value may differ from stable's. Of success-rate, the share of failures is compared."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "has(self.maxRelativeIncrease) || has(self.maxAbsoluteIncrease) || has(self.maxAbsoluteDecrease)",
                "a comparison with stable needs maxRelativeIncrease, maxAbsoluteIncrease or maxAbsoluteDecrease",
            )
        )
    }

    max_relative_increase: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] | None = None
    """0.1 allows a tenth more than stable's value. Over a stable value of 0 it says nothing."""
    max_absolute_increase: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """In the metric's own unit. With maxRelativeIncrease both must hold; over a stable value of 0 this one alone."""
    max_absolute_decrease: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """For what must not become less, such as the share of a class."""
    test: Literal["threshold", "sequential"] = "threshold"
    """threshold compares the two values of one look. sequential gathers evidence over all looks at the revision, for
    shares: a builtin, or eventsQuery with samplesQuery; and for means: labelled-error, or sumQuery with squaresQuery
    and samplesQuery."""


class CompareTo(Model):
    """What the canary's value is held against, besides fixed bounds."""

    stable: StableComparison


class TemplateUse(Model):
    """A MetricTemplate in this namespace, and what it is asked with."""

    name: Name
    args: Annotated[dict[Annotated[str, Field(max_length=63)], ArgumentValue], Field(max_length=16)] = {}
    """Values of its arguments, by name; text, so put numbers in quotes. No quotes, blanks or brackets in them."""


class Metric(Model):
    """One question, mostly to Prometheus, and what makes its answer good."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "[has(self.builtin), has(self.prometheus), has(self.template)].filter(x, x).size() == 1",
                "set exactly one of builtin, prometheus and template",
            ),
            rule(
                "has(self.template) || has(self.thresholdRange) || has(self.successCondition) || "
                "has(self.failureCondition) || has(self.compareTo)",
                "a metric needs thresholdRange, successCondition, failureCondition or compareTo",
            ),
            ONE_KIND_OF_BOUND,
            rule(
                "(has(self.builtin) && self.builtin == 'slow-share') == has(self.slo)",
                "slo is for builtin slow-share, which needs it",
            ),
            rule(
                "!has(self.quantile) || (has(self.builtin) && self.builtin == 'latency')",
                "quantile is for builtin latency",
            ),
            rule(
                "(has(self.builtin) && self.builtin == 'class-share') == has(self.class)",
                "class is for builtin class-share, which needs it",
            ),
            rule(
                "!has(self.builtin) || self.builtin != 'prediction-drift' || !has(self.compareTo)",
                "prediction-drift is itself a comparison with stable; give it a thresholdRange, such as {max: 0.1}",
            ),
            rule(
                "!has(self.builtin) || self.builtin != 'answer-difference' || !has(self.compareTo)",
                "answer-difference is itself a comparison with stable; give it a thresholdRange, such as {max: 0.01}",
            ),
            rule(
                "!has(self.tolerance) || (has(self.builtin) && self.builtin == 'answer-difference')",
                "tolerance is for builtin answer-difference",
            ),
            rule(
                "!has(self.builtin) || self.builtin != 'success-rate' || !has(self.compareTo) || "
                "!has(self.compareTo.stable.maxAbsoluteDecrease)",
                "of success-rate the share of failures is compared, which may decrease; use maxAbsoluteIncrease",
            ),
            SAMPLES_ARE_COUNTED,
            rule(
                "!has(self.aggregate) || has(self.template) || (has(self.prometheus) && has(self.prometheus.query))",
                "aggregate is for a prometheus metric with a query",
            ),
            rule(
                "!has(self.compareTo) || !has(self.compareTo.stable.test) || "
                "self.compareTo.stable.test != 'sequential' || has(self.builtin) || "
                "has(self.template) || has(self.prometheus.eventsQuery) || has(self.prometheus.squaresQuery)",
                "test sequential is for shares: a builtin, or prometheus with eventsQuery and samplesQuery; and for "
                "means: sumQuery, squaresQuery and samplesQuery",
            ),
            rule(
                "!has(self.builtin) || self.builtin != 'saturation' || !has(self.compareTo) || "
                "!has(self.compareTo.stable.test) || self.compareTo.stable.test != 'sequential'",
                "saturation is a share of time, and test sequential is for shares of samples; use test: threshold",
            ),
            rule(
                "!has(self.builtin) || self.builtin != 'latency' || !has(self.compareTo) || "
                "!has(self.compareTo.stable.test) || self.compareTo.stable.test != 'sequential'",
                "latency is a time, and test sequential is for shares of requests; use test: threshold, or slow-share",
            ),
            rule(
                "!has(self.builtin) || self.builtin != 'labelled-error' || !has(self.compareTo) || "
                "(has(self.compareTo.stable.test) && self.compareTo.stable.test == 'sequential')",
                "labelled-error is compared by test: sequential, which compares labels of the same age",
            ),
            rule(
                f"!has(self.failureLimit) || self.failureLimit >= 0 || {_IN_A_ROW} > 0",
                "failureLimit -1 needs consecutiveSuccessLimit, or nothing could ever fail",
            ),
            rule(
                f"{_UNBOUNDED} || self.count >= {_TOLERATED} + {_IN_A_ROW}",
                "count must be at least failureLimit + consecutiveSuccessLimit; raise count or lower a limit",
            ),
            rule(
                f"{_UNBOUNDED} || !has(self.inconclusiveLimit) || self.count >= self.inconclusiveLimit",
                "count must be at least inconclusiveLimit; raise count or lower the limit",
            ),
            rule(
                "!has(self.noDataDeadline) || !has(self.interval) || "
                "duration(self.noDataDeadline) >= duration(self.interval)",
                "noDataDeadline must be at least interval; nobody would look a second time before it",
            ),
        )
    }

    name: Name
    builtin: Literal[GatewayBuiltin, ServerBuiltin, LabelBuiltin] | None = None
    """From the gateway's figures of the revision; all but latency are ratios, 0–1. success-rate counts what is not a
    5xx; client-error-share counts 4xx: a stricter signature shows there, and `mlflow models serve` answers 400 when the
    model itself fails; latency is how long the quantile of the requests took, in seconds. From the servers' figures,
    with runtime modelops: nonfinite-share of the answers,
    missing-input-share of the values that the model was asked about, unknown-category-share of the categories,
    constant-share of the answers that are those to the row before, class-share of the answers, and saturation, the
    share of its time in which the model works; and prediction-drift, which is no share but how far the canary's answers
    lie from stable's, 0–4: as the population stability index, less what chance makes of so many samples. While
    the canary gets copies of requests, from the servers themselves: answer-difference, the share of the requests that
    stable and canary answered otherwise. From whoever joins labels with predictions: labelled-error, the mean error,
    which is no ratio either."""
    slo: Annotated[float, Field(gt=0, le=3600)] | None = None
    """For slow-share: a request that takes longer is slow. Seconds."""
    quantile: Annotated[float, Field(gt=0, lt=1)] | None = None
    """For latency: of this share of the requests, by default 0.99."""
    class_: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(default=None, alias="class")
    """For class-share: the class, as the model names it."""
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """For answer-difference: numbers that differ by no more are the same, 0 unless given; so are those that differ by a
    millionth of themselves, as one model's do in batches of another size."""
    prometheus: PrometheusQuery | None = None
    template: TemplateUse | None = None
    """The query of a MetricTemplate, and its aggregate, bound and minSamples where this metric gives none."""
    aggregate: Aggregate | None = None
    """What makes one number of several series; without it several series are an Error."""
    threshold_range: ThresholdRange | None = None
    success_condition: Expression | None = None
    """CEL over `result`, a list of numbers: `result[0] >= 0.95`."""
    failure_condition: Expression | None = None
    """CEL over `result`; tested first. Neither true with both given is inconclusive: see inconclusiveLimit."""
    compare_to: CompareTo | None = None
    """Held beside the other bounds: all must hold."""
    interval: Annotated[Duration, Field(ge=timedelta(seconds=1))] | None = None
    """From the end of one look to the next, and the window of a look. By default the analysis'."""
    initial_delay: Duration = timedelta(0)
    """No look before this much time has passed since the canary's first confirmed weight."""
    count: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """How many conclusive looks are taken at one weight; 0: as many as there is time for. NoData and Error do not
    count."""
    failure_limit: Annotated[int, Field(ge=-1, le=1000)] = 0
    """How many failures of one revision are tolerated; one more rolls back. -1: any number, with
    consecutiveSuccessLimit."""
    inconclusive_limit: Annotated[int, Field(ge=0, le=1000)] = 0
    """How many inconclusive looks are tolerated; one more pauses the release for a human."""
    consecutive_error_limit: Annotated[int, Field(ge=0, le=1000)] = 4
    """How many Errors in a row are tolerated; one more, and errorPolicy applies."""
    consecutive_success_limit: Annotated[int, Field(ge=0, le=1000)] = 0
    """So many Passes in a row at one weight are enough, and needed; 0: off."""
    dry_run: bool = False
    """Measured and shown; decides nothing."""
    min_samples: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    """Fewer samples are NoData. By default 20 for a builtin, for eventsQuery and for sumQuery, 200 for
    prediction-drift, for which stable needs as many. With test sequential the samples of all looks at one weight count,
    and stable needs as many."""
    no_data_policy: Policy | None = None
    """By default the analysis', as the next two."""
    no_data_deadline: Annotated[Duration, Field(ge=timedelta(seconds=1))] | None = None
    error_policy: Policy | None = None


class Analysis(Model):
    """How the canary is judged."""

    interval: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(minutes=1)
    """From one look to the next."""
    warm_up: Annotated[Duration, Field()] = timedelta(seconds=30)
    """Windows start this long after the weight was verified at the gateway."""
    metrics: Annotated[
        tuple[Metric, ...],
        Field(
            max_length=32,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    no_data_policy: Policy = "Hold"
    no_data_deadline: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(hours=1)
    """How long NoData may last in one step under Hold before the release pauses for a human."""
    false_alarm_budget: Annotated[float, Field(ge=0.000001, le=0.2)] = 0.01
    """The probability that one release is stopped by a test sequential although its canary is no worse than allowed,
    whatever number of looks and of metrics; divided over the deciding ones, and the check of the split. Outside of it
    are bounds, test threshold and prediction-drift, which errs by itself in 1 % of looks at most."""
    error_policy: Policy = "Hold"
    """What more Errors in a row than consecutiveErrorLimit do; Hold goes on asking, ever less often."""

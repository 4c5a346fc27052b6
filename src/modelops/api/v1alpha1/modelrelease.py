"""ModelRelease: from a registered version to all of the traffic."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from modelops.api.v1alpha1.common import (
    Duration,
    LocalRef,
    Model,
    ModelName,
    Name,
    Spec,
    Status,
    StatusModel,
    rule,
    rules,
)

Expression = Annotated[str, Field(min_length=1, max_length=1024)]
Query = Annotated[str, Field(min_length=1, max_length=8192)]
Alias = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Hostname = Annotated[str, Field(max_length=253, pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
Verdict = Literal["Pass", "Fail", "NoData", "Error"]


class ModelFrom(Model):
    """The registry chooses: the newest version that this run registered."""

    training_run: Name


class ReleasedModel(Model):
    """Which registered version: exactly one of from, version and alias."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "[has(self.from), has(self.version), has(self.alias)].filter(x, x).size() == 1",
                "set exactly one of from, version and alias",
            ),
            rule("!has(self.alias) || self.alias != self.promotedAlias", "alias and promotedAlias must differ"),
        )
    }

    name: ModelName
    from_: Annotated[ModelFrom | None, Field(alias="from")] = None
    version: Annotated[str, Field(pattern=r"^[1-9][0-9]*$", max_length=18)] | None = None
    alias: Alias | None = None
    promoted_alias: Alias = "champion"
    """The MLflow alias that promotion moves to the promoted version."""


class Serving(Model):
    """What answers requests: our server, or your own pod template."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "(self.runtime == 'custom') == has(self.podTemplate)",
                "podTemplate is for runtime custom, which needs it",
            ),
            rule("self.runtime != 'custom' || !has(self.image)", "the image of runtime custom stands in podTemplate"),
        )
    }

    runtime: Literal["modelops", "mlserver", "mlflow", "custom"] = "modelops"
    """modelops is our server; mlserver is Seldon's, mlflow is `mlflow models serve`, which has no `/v2`: it needs
    hostnames. Both get the model from an init container, so their image needs the libraries of the model only."""
    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Instead of the operator's image for this runtime, such as one with the libraries of your model."""
    pod_template: Annotated[
        dict[str, Any] | None,
        Field(json_schema_extra={"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
    ] = None
    """A core/v1 PodTemplateSpec. Its first container listens on $PORT; `$(MODEL_URI)` names the model."""
    replicas: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Left to an autoscaler when not set. A canary starts with as many."""
    resources: Annotated[
        dict[str, Any] | None,
        Field(json_schema_extra={"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
    ] = None
    """core/v1 ResourceRequirements of the server's container; not for runtime custom."""


class GatewayRef(Model):
    """A Gateway; the one reference that may cross namespaces, because the Gateway must allow it."""

    name: Name
    namespace: Name


class Traffic(Model):
    """How requests arrive. modelops owns the whole HTTPRoute."""

    gateway: GatewayRef | None = None
    """By default the gateway of the operator's configuration."""
    hostnames: Annotated[tuple[Hostname, ...], Field(max_length=16)] = ()
    """With hostnames every path on them is this release's; without, only /v2/models/<release>."""
    timeout: Annotated[Duration, Field(ge=timedelta(milliseconds=1))] = timedelta(seconds=15)
    """Of one request; a request that exceeds it counts as failed and as slow."""


class Analyze(Model):
    """Stay at this weight until every metric passed for this long."""

    duration: Annotated[Duration, Field(ge=timedelta(seconds=1))]


class Pause(Model):
    """Wait for `modelops release promote`, or for the duration when one is given."""

    duration: Annotated[Duration, Field(ge=timedelta(seconds=1))] | None = None


class Step(Model):
    """Exactly one of setWeight, analyze and pause."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "[has(self.setWeight), has(self.analyze), has(self.pause)].filter(x, x).size() == 1",
                "a step is exactly one of setWeight, analyze and pause",
            )
        )
    }

    set_weight: Annotated[int, Field(ge=0, le=100)] | None = None
    """Percent of the traffic for the canary."""
    analyze: Analyze | None = None
    pause: Pause | None = None


class Canary(Model):
    """Steps from no traffic to all of it."""

    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=50)]


class Strategy(Model):
    """How a new revision gets its traffic."""

    canary: Canary


class ThresholdRange(Model):
    """Pass if min ≤ value ≤ max."""

    model_config = {
        "json_schema_extra": rules(rule("has(self.min) || has(self.max)", "a thresholdRange needs min or max"))
    }

    min: float | None = None
    max: float | None = None


class PrometheusQuery(Model):
    """Your own query; `{{ .revision }}`, `{{ .release }}`, `{{ .namespace }}`, `{{ .window }}` are filled in."""

    query: Query
    samples_query: Query | None = None
    """How many samples stand behind the value; held against minSamples."""


class Metric(Model):
    """One question to Prometheus and what makes its answer good."""

    model_config = {
        "json_schema_extra": rules(
            rule("has(self.builtin) != has(self.prometheus)", "set exactly one of builtin and prometheus"),
            rule(
                "has(self.thresholdRange) || has(self.successCondition) || has(self.failureCondition)",
                "a metric needs thresholdRange, successCondition or failureCondition",
            ),
            rule(
                "!has(self.thresholdRange) || !(has(self.successCondition) || has(self.failureCondition))",
                "thresholdRange excludes successCondition and failureCondition",
            ),
            rule(
                "(has(self.builtin) && self.builtin == 'slow-share') == has(self.slo)",
                "slo is for builtin slow-share, which needs it",
            ),
            rule(
                "!has(self.prometheus) || has(self.prometheus.samplesQuery) || !has(self.minSamples)",
                "minSamples of a prometheus metric needs samplesQuery",
            ),
        )
    }

    name: Name
    builtin: Literal["success-rate", "client-error-share", "slow-share"] | None = None
    """From the gateway's figures of the revision; all are ratios, 0–1. success-rate counts what is not a 5xx;
    client-error-share counts 4xx: a stricter signature shows there, and `mlflow models serve` answers 400 when the
    model itself fails."""
    slo: Annotated[float, Field(gt=0, le=3600)] | None = None
    """For slow-share: a request that takes longer is slow. Seconds."""
    prometheus: PrometheusQuery | None = None
    threshold_range: ThresholdRange | None = None
    success_condition: Expression | None = None
    """CEL over `result`, a list of numbers: `result[0] >= 0.95`."""
    failure_condition: Expression | None = None
    """CEL over `result`; tested first. Neither true with both given is inconclusive, which counts as NoData."""
    failure_limit: Annotated[int, Field(ge=0, le=1000)] = 0
    """How many failures of one revision are tolerated; one more rolls back."""
    min_samples: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    """Fewer samples are NoData. By default 20 for a builtin."""


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
    no_data_policy: Literal["Hold", "Pause", "Fail"] = "Hold"
    no_data_deadline: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(hours=1)
    """How long NoData may last in one step under Hold before the release pauses for a human."""
    error_policy: Literal["Hold", "Pause", "Fail"] = "Hold"


class ModelReleaseSpec(Spec):
    """Which model, how it is served, where its traffic comes from, how it is judged."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "!self.strategy.canary.steps.exists(s, has(s.analyze)) || "
                "(has(self.analysis) && has(self.analysis.metrics) && self.analysis.metrics.size() > 0)",
                "an analyze step needs analysis.metrics",
            ),
            rule(
                "!has(self.serving) || self.serving.runtime != 'mlflow' || "
                "(has(self.traffic) && has(self.traffic.hostnames) && self.traffic.hostnames.size() > 0)",
                "runtime mlflow answers /invocations only, so traffic.hostnames must be set",
            ),
        )
    }

    model: ReleasedModel
    serving: Serving = Serving()
    traffic: Traffic = Traffic()
    strategy: Strategy
    analysis: Analysis = Analysis()
    progress_deadline: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(minutes=10)
    """How long a new revision may take to become ready before it is given up."""


class ReleaseLineage(StatusModel):
    """From traffic back to the commit."""

    commit: Annotated[str, Field(max_length=40)] = ""
    """The commit that delivered the TrainingRun (or, for a pinned version, the release)."""
    dataset_commit: Annotated[str, Field(max_length=40)] = ""
    content_digest: Annotated[str, Field(max_length=80)] = ""
    dataset_digest: Annotated[str, Field(max_length=80)] = ""
    code_digest: Annotated[str, Field(max_length=80)] = ""
    """Of the team's own training code; empty for a builtin trainer."""
    workflow_uid: Annotated[str, Field(max_length=64)] = ""
    run_id: Annotated[str, Field(max_length=64)] = ""
    version: Annotated[str, Field(max_length=32)] = ""
    artifact_digest: Annotated[str, Field(max_length=80)] = ""


class RevisionStatus(StatusModel):
    """One version with one serving template."""

    version: Annotated[str, Field(max_length=32)]
    revision: Annotated[str, Field(max_length=16)]
    """Hash of artifact digest and serving template."""
    digest: Annotated[str, Field(max_length=80)]
    """Artifact digest."""
    lineage: ReleaseLineage = ReleaseLineage()
    since: AwareDatetime | None = None
    """When it became this: stable since its promotion, canary since it was first seen."""


class Measurement(StatusModel):
    """One look at one metric."""

    time: AwareDatetime
    verdict: Verdict
    value: float | None = None
    samples: float | None = None
    message: Annotated[str, Field(max_length=512)] = ""


class MetricStatus(StatusModel):
    """What one metric said of the current canary."""

    name: Name
    query: Annotated[str, Field(max_length=8192)] = ""
    """As it was sent last."""
    bound: Annotated[str, Field(max_length=2100)] = ""
    """The condition in words, such as `≥ 0.99`."""
    passes: int = 0
    failures: int = 0
    step_passes: int = 0
    """Conclusive passes since the current weight was verified."""
    no_data_since: AwareDatetime | None = None
    error_since: AwareDatetime | None = None
    measurements: Annotated[tuple[Measurement, ...], Field(max_length=10)] = ()


class ReleaseRecord(StatusModel):
    """A revision whose fate is settled."""

    version: Annotated[str, Field(max_length=32)]
    revision: Annotated[str, Field(max_length=16)]
    outcome: Literal["Promoted", "RolledBack", "Aborted", "Superseded"]
    message: Annotated[str, Field(max_length=1024)] = ""
    started_at: AwareDatetime
    finished_at: AwareDatetime


class ModelReleaseStatus(Status):
    """Who serves, who is tried, how far, and why it waits."""

    phase: Annotated[str, Field(max_length=32)] = ""
    """For people: Pending, Initial, Progressing, Analyzing, Paused, Promoting, RollingBack, Promoted, Degraded."""
    stable: RevisionStatus | None = None
    canary: RevisionStatus | None = None
    equivalent_version: Annotated[str, Field(max_length=32)] | None = None
    """The wanted version, when its artifact is that of stable: there is nothing to release then."""
    step: int = 0
    """Index of the current step; equal to the number of steps once all are done."""
    step_started_at: AwareDatetime | None = None
    step_total: Annotated[str, Field(max_length=16)] = ""
    """For people: `2/4`."""
    weight: Annotated[int, Field(ge=0, le=100)] = 0
    """Percent that the gateway confirmed for the canary."""
    desired_weight: Annotated[int, Field(ge=0, le=100)] = 0
    weight_verified_at: AwareDatetime | None = None
    """When the gateway first confirmed `weight`; windows start here plus warmUp."""
    last_measured_at: AwareDatetime | None = None
    analysis: Annotated[tuple[MetricStatus, ...], Field(max_length=32)] = ()
    aborted: Annotated[tuple[Annotated[str, Field(max_length=16)], ...], Field(max_length=10)] = ()
    """Revisions that failed or were aborted; not tried again until retry."""
    paused_reason: Annotated[str, Field(max_length=128)] | None = None
    undo_to: Annotated[str, Field(max_length=16)] | None = None
    """The revision that `undo` is bringing back: it was promoted before, so it takes no steps."""
    retiring: Annotated[tuple[Annotated[str, Field(max_length=16)], ...], Field(max_length=10)] = ()
    """Revisions without traffic whose servers still drain."""
    retiring_since: AwareDatetime | None = None
    lineage: ReleaseLineage | None = None
    """Of the stable revision."""
    waiting_for: Annotated[str, Field(max_length=512)] | None = None
    eta: AwareDatetime | None = None
    history: Annotated[tuple[ReleaseRecord, ...], Field(max_length=10)] = ()


__all__ = ["LocalRef", "ModelReleaseSpec", "ModelReleaseStatus"]

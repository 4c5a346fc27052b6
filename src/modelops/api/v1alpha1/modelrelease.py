"""ModelRelease: from a registered version to all of the traffic."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from modelops.api.v1alpha1.analysis import Analysis, MetricStatus, Verdict
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
from modelops.api.v1alpha1.control import Freeze, OnNewVersion, RollbackWindow, Window
from modelops.api.v1alpha1.routing import AbTest, HeaderRoute, Mirror, RoutingStatus, Shadow
from modelops.api.v1alpha1.smoke import SmokeTest, SmokeTestStatus, SmokeTestStep
from modelops.api.v1alpha1.strategies import Approve, Bake, BlueGreen, CanaryScale, Direct, Linear

Alias = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Hostname = Annotated[str, Field(max_length=253, pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]


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
    input_changes: Literal["Refuse", "Allow"] = "Refuse"
    """What becomes of a version that would refuse requests which stable answers, by the inputs that modelops registered
    with both: Refuse keeps it from beginning. runtime custom takes what it likes, and is not held against them."""


class Serving(Model):
    """What answers requests: our server, or your own pod template."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "(self.runtime == 'custom') == has(self.podTemplate)",
                "podTemplate is for runtime custom, which needs it",
            ),
            rule("self.runtime != 'custom' || !has(self.image)", "the image of runtime custom stands in podTemplate"),
            rule(
                "self.surge != 'none' || self.replicas >= 2",
                "surge none takes a canary's servers from stable, which keeps one: set replicas to 2 or more",
            ),
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
    replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """Servers of each revision; a canary starts with as many. This is the scale subresource: leave it out of git where
    `kubectl scale` sets it, or an autoscaler whose scaleTargetRef is the ModelRelease."""
    surge: Literal["full", "none"] = "full"
    """Where a canary's servers come from. full: they are added to stable's. none, for scarce GPUs: stable gives each of
    them up before, one after the other as the weight rises."""
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
    """How requests arrive. modelops owns the whole HTTPRoute, or Service."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "self.mode != 'replicas' || "
                "(!has(self.gateway) && (!has(self.hostnames) || self.hostnames.size() == 0))",
                "mode replicas has no gateway: take gateway and hostnames out",
            ),
            rule(
                "self.mode == oldSelf.mode",
                "the mode of a release stays, because its address depends on it: make another release beside it",
            ),
        )
    }

    mode: Literal["gateway", "replicas"] = "gateway"
    """gateway: an HTTPRoute weighs the requests. replicas: without a gateway, one Service of the release's name selects
    the servers of stable and canary, and a weight is made of how many either has, as close as whole servers come."""
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
    """Exactly one of its fields."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "[has(self.setWeight), has(self.setCanaryScale), has(self.setHeaderRoute), has(self.setMirror), "
                "has(self.smokeTest), has(self.analyze), has(self.bake), has(self.pause), has(self.approve)]"
                ".filter(x, x).size() == 1",
                "a step is exactly one of setWeight, setCanaryScale, setHeaderRoute, setMirror, smokeTest, analyze, "
                "bake, pause and approve",
            )
        )
    }

    set_weight: Annotated[int, Field(ge=0, le=100)] | None = None
    """Percent of the traffic for the canary."""
    analyze: Analyze | None = None
    pause: Pause | None = None
    approve: Approve | None = None
    bake: Bake | None = None
    set_canary_scale: CanaryScale | None = None
    set_header_route: HeaderRoute | None = None
    set_mirror: Mirror | None = None
    smoke_test: SmokeTestStep | None = None


class Canary(Model):
    """Steps from no traffic to all of it."""

    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=50)]


class Strategy(Model):
    """How a new revision gets its traffic: exactly one way."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "[has(self.canary), has(self.linear), has(self.blueGreen), has(self.direct), has(self.abTest), "
                "has(self.shadow)].filter(x, x).size() == 1",
                "set exactly one of canary, linear, blueGreen, direct, abTest and shadow",
            )
        )
    }

    canary: Canary | None = None
    linear: Linear | None = None
    blue_green: BlueGreen | None = None
    direct: Direct | None = None
    ab_test: AbTest | None = None
    shadow: Shadow | None = None


class ModelReleaseSpec(Spec):
    """Which model, how it is served, where its traffic comes from, how it is judged."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "(!has(self.strategy.abTest) && !has(self.strategy.shadow) && "
                "!(has(self.strategy.canary) && self.strategy.canary.steps.exists(s, has(s.analyze)))) || "
                "(has(self.analysis) && has(self.analysis.metrics) && self.analysis.metrics.size() > 0)",
                "an analyze step, abTest and shadow need analysis.metrics",
            ),
            rule(
                "(!has(self.strategy.linear) && "
                "!(has(self.strategy.blueGreen) && has(self.strategy.blueGreen.postPromotion))) || "
                "(has(self.analysis) && has(self.analysis.metrics) && self.analysis.metrics.size() > 0)",
                "linear and blueGreen.postPromotion need analysis.metrics",
            ),
            rule(
                "!has(self.serving) || self.serving.runtime != 'mlflow' || "
                "(has(self.traffic) && (self.traffic.mode == 'replicas' || "
                "(has(self.traffic.hostnames) && self.traffic.hostnames.size() > 0)))",
                "runtime mlflow answers /invocations only, so traffic.hostnames must be set",
            ),
            rule(
                "!has(self.traffic) || self.traffic.mode != 'replicas' || "
                "(!has(self.strategy.abTest) && !has(self.strategy.shadow) && "
                "!(has(self.strategy.canary) && self.strategy.canary.steps.exists(s, "
                "has(s.setHeaderRoute) || has(s.setMirror) || has(s.setCanaryScale))))",
                "traffic.mode replicas has no gateway and makes weights of servers: take out abTest, shadow, "
                "setHeaderRoute, setMirror and setCanaryScale",
            ),
            rule(
                "!has(self.serving) || self.serving.surge != 'none' || "
                "((!has(self.traffic) || self.traffic.mode == 'gateway') && !has(self.rollbackWindow) && "
                "!has(self.strategy.blueGreen) && !has(self.strategy.abTest) && !has(self.strategy.shadow) && "
                "!(has(self.strategy.canary) && self.strategy.canary.steps.exists(s, "
                "has(s.setHeaderRoute) || has(s.setMirror) || has(s.setCanaryScale))))",
                "serving.surge none moves servers with the weight and has none to spare: take out traffic.mode, "
                "rollbackWindow, blueGreen, abTest, shadow, setHeaderRoute, setMirror and setCanaryScale",
            ),
            rule(
                "!has(self.traffic) || self.traffic.mode != 'replicas' || !has(self.serving) || "
                "self.serving.runtime == 'modelops' || !has(self.analysis) || !has(self.analysis.metrics) || "
                "!self.analysis.metrics.exists(m, has(m.builtin))",
                "in traffic.mode replicas only runtime modelops has builtin metrics; ask your server's by prometheus",
            ),
            rule(
                "has(self.smokeTest) || "
                "!(has(self.strategy.canary) && self.strategy.canary.steps.exists(s, has(s.smokeTest)))",
                "a smokeTest step says where spec.smokeTest is run; set it",
            ),
        )
    }

    model: ReleasedModel
    serving: Serving = Serving()
    traffic: Traffic = Traffic()
    strategy: Strategy
    smoke_test: SmokeTest | None = None
    """What a new revision must answer before it gets any traffic; also the first one, whatever the strategy."""
    analysis: Analysis = Analysis()
    progress_deadline: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(minutes=10)
    """How long a new revision may take to become ready before it is given up; time without room does not count."""
    capacity_deadline: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(hours=1)
    """How long a new revision may wait for room (nodes, GPUs, quota) before it is given up."""
    windows: Annotated[tuple[Window, ...], Field(max_length=16)] = ()
    """Outside of all of them no rollout begins and no weight rises; what takes traffic away is never delayed."""
    freeze: Freeze | None = None
    """Like outside of the windows, whatever they say; `promote --full` is refused, too."""
    on_new_version: OnNewVersion = "Supersede"
    """What a newer revision does to the one on its way: ends it, waits for its end, or is left out until retry."""
    rollback_window: RollbackWindow | None = None
    """How a promotion is watched; by default it is not."""


class ReleaseLineage(StatusModel):
    """From traffic back to the commit."""

    commit: Annotated[str, Field(max_length=40)] = ""
    """The commit that delivered the TrainingRun (or, for a pinned version, the release)."""
    release_commit: Annotated[str, Field(max_length=40)] = ""
    """The commit that had last changed the release when this was first wanted; empty for one that git did not bring."""
    dataset_commit: Annotated[str, Field(max_length=40)] = ""
    content_digest: Annotated[str, Field(max_length=80)] = ""
    dataset_digest: Annotated[str, Field(max_length=80)] = ""
    code_digest: Annotated[str, Field(max_length=80)] = ""
    """Of the team's own training code; empty for a builtin trainer."""
    workflow_uid: Annotated[str, Field(max_length=64)] = ""
    run_id: Annotated[str, Field(max_length=64)] = ""
    version: Annotated[str, Field(max_length=32)] = ""
    artifact_digest: Annotated[str, Field(max_length=80)] = ""
    judged_against: Annotated[str, Field(max_length=32)] = ""
    """The version that was champion when this one was compared with it, before it was registered; empty: with none."""


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


class MetricRecord(StatusModel):
    """The last look at a metric, of a revision whose fate is settled."""

    name: Name
    verdict: Verdict
    value: float | None = None
    bound: Annotated[str, Field(max_length=128)] = ""


class ReleaseRecord(StatusModel):
    """A revision whose fate is settled."""

    version: Annotated[str, Field(max_length=32)]
    revision: Annotated[str, Field(max_length=16)]
    outcome: Literal["Promoted", "RolledBack", "Aborted", "Superseded"]
    message: Annotated[str, Field(max_length=1024)] = ""
    started_at: AwareDatetime
    finished_at: AwareDatetime
    release_commit: Annotated[str, Field(max_length=40)] = ""
    """Of its lineage, as the next two."""
    commit: Annotated[str, Field(max_length=40)] = ""
    dataset_commit: Annotated[str, Field(max_length=40)] = ""
    metrics: Annotated[tuple[MetricRecord, ...], Field(max_length=8)] = ()
    """Of the three newest records; what did not pass comes first."""


class Approval(StatusModel):
    """A human's word that let a canary go on."""

    step: int
    """Index of the step that it left."""
    at: AwareDatetime
    by: Annotated[str, Field(max_length=128)] = ""
    """As the command says: whoever gave it, where the chart's admission is; else whoever may give one may say any."""
    command: Annotated[str, Field(max_length=128)] = ""
    """Its id."""


class RollbackWindowStatus(StatusModel):
    """A promotion that a Fail still takes back."""

    previous: RevisionStatus
    """What served before: its servers stay."""
    since: AwareDatetime
    until: AwareDatetime


class ModelReleaseStatus(Status):
    """Who serves, who is tried, how far, and why it waits."""

    phase: Annotated[str, Field(max_length=32)] = ""
    """For people: Pending, Initial, Progressing, Analyzing, Baking, Paused, Promoting, Promoted, Degraded."""
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
    """Percent that the gateway confirmed for the canary; in mode replicas, what its servers are of all."""
    desired_weight: Annotated[int, Field(ge=0, le=100)] = 0
    weight_verified_at: AwareDatetime | None = None
    """When the gateway first confirmed `weight` and `routing`; windows start here plus warmUp."""
    routing: RoutingStatus | None = None
    """Header routes and mirror that the gateway confirmed for the canary; None without any."""
    last_measured_at: AwareDatetime | None = None
    """When any metric was asked last; each has its own in `analysis`."""
    analysis_started_at: AwareDatetime | None = None
    """When the gateway first confirmed a weight for this canary; initialDelay counts from here."""
    analysis: Annotated[tuple[MetricStatus, ...], Field(max_length=32)] = ()
    aborted: Annotated[tuple[Annotated[str, Field(max_length=16)], ...], Field(max_length=10)] = ()
    """Revisions that failed or were aborted; not tried again until retry."""
    paused_reason: Annotated[str, Field(max_length=128)] | None = None
    undo_to: Annotated[str, Field(max_length=16)] | None = None
    """The revision that `undo` is bringing back: it was promoted before, so it takes no steps."""
    capacity_missing_since: AwareDatetime | None = None
    """Since when the canary's servers wait for room; None while they have it."""
    starting_since: AwareDatetime | None = None
    """When the canary's servers got the room they had waited for, or more were asked for; progressDeadline counts from
    here then."""
    ready_since: AwareDatetime | None = None
    """Since when as many of the canary's servers as it needs are ready; None while they are not."""
    smoke_test: SmokeTestStatus | None = None
    """Of the canary, and then of what became of it until the next one."""
    by_hand: bool = False
    """`promote --full` was said: what was not measured is not waited for."""
    approvals: Annotated[tuple[Approval, ...], Field(max_length=10)] = ()
    """Of the canary; the last ten."""
    alias_in_doubt: bool | None = None
    """Whether promotedAlias may be on another version than stable; the next reconcile puts it there."""
    retiring: Annotated[tuple[Annotated[str, Field(max_length=16)], ...], Field(max_length=10)] = ()
    """Revisions without traffic whose servers still drain."""
    retiring_since: AwareDatetime | None = None
    lineage: ReleaseLineage | None = None
    """Of the stable revision."""
    replicas: Annotated[int, Field(ge=0)] = 0
    """Servers of the stable revision that there are; before the first one, of the canary."""
    selector: Annotated[str, Field(max_length=256)] = ""
    """Label selector of those servers' pods: what an autoscaler measures."""
    waiting_for: Annotated[str, Field(max_length=512)] | None = None
    held_by: Literal["OutsideWindow", "Frozen"] | None = None
    """What keeps a rollout from beginning, or its weight from rising, although all else is there."""
    queued_version: Annotated[str, Field(max_length=32)] | None = None
    """The wanted version, while it waits for the end of the one on its way or for a window."""
    ignored: Annotated[tuple[Annotated[str, Field(max_length=16)], ...], Field(max_length=10)] = ()
    """Revisions that came while another was on its way, where onNewVersion is Ignore; not tried until retry."""
    rollback_window: RollbackWindowStatus | None = None
    eta: AwareDatetime | None = None
    """When it is promoted, or asks a human, at the earliest; None while what it waits for has no known end."""
    history: Annotated[tuple[ReleaseRecord, ...], Field(max_length=10)] = ()


__all__ = ["LocalRef", "ModelReleaseSpec", "ModelReleaseStatus"]

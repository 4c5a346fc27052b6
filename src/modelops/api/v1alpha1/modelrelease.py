"""ModelRelease: from a registered version to all of the traffic."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from modelops.api.v1alpha1.analysis import Analysis
from modelops.api.v1alpha1.common import (
    Duration,
    Model,
    ModelName,
    Name,
    Spec,
    rule,
    rules,
)
from modelops.api.v1alpha1.control import Freeze, OnNewVersion, RollbackWindow, Window
from modelops.api.v1alpha1.routing import AbTest, HeaderRoute, Mirror, Shadow
from modelops.api.v1alpha1.serving import Serving, Traffic
from modelops.api.v1alpha1.smoke import SmokeTest, SmokeTestStep
from modelops.api.v1alpha1.strategies import Approve, Bake, BlueGreen, CanaryScale, Direct, Linear

Alias = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Phase = Literal[
    "Pending", "Initial", "Progressing", "Analyzing", "Baking", "Paused", "Promoting", "Promoted", "Degraded"
]


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
                "!(has(self.strategy.blueGreen) && (has(self.strategy.blueGreen.postPromotion) || "
                "(has(self.strategy.blueGreen.prePromotion) && (has(self.strategy.blueGreen.prePromotion.match) || "
                "has(self.strategy.blueGreen.prePromotion.mirror)))))) || "
                "(has(self.analysis) && has(self.analysis.metrics) && self.analysis.metrics.size() > 0)",
                "linear and blueGreen.postPromotion need analysis.metrics, and so do match and mirror of prePromotion",
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
                "!(has(self.strategy.blueGreen) && has(self.strategy.blueGreen.prePromotion) && "
                "(has(self.strategy.blueGreen.prePromotion.match) || "
                "has(self.strategy.blueGreen.prePromotion.mirror))) && "
                "!(has(self.strategy.canary) && self.strategy.canary.steps.exists(s, "
                "has(s.setHeaderRoute) || has(s.setMirror) || has(s.setCanaryScale))))",
                "traffic.mode replicas has no gateway and makes weights of servers: take out abTest, shadow, "
                "setHeaderRoute, setMirror, setCanaryScale, and match and mirror of prePromotion",
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
                "!has(self.analysis) || !has(self.analysis.metrics) || "
                "!self.analysis.metrics.exists(m, has(m.builtin) && m.builtin == 'answer-difference') || "
                "has(self.strategy.shadow) || (has(self.strategy.canary) && "
                "self.strategy.canary.steps.exists(s, has(s.setMirror) && s.setMirror.percent > 0)) || "
                "(has(self.strategy.blueGreen) && has(self.strategy.blueGreen.prePromotion) && "
                "has(self.strategy.blueGreen.prePromotion.mirror))",
                "answer-difference compares answers to copies of requests: take strategy shadow, a step setMirror, or "
                "blueGreen.prePromotion.mirror",
            ),
            rule(
                "!has(self.serving) || self.serving.runtime == 'modelops' || "
                "!has(self.analysis) || !has(self.analysis.metrics) || "
                "!self.analysis.metrics.exists(m, has(m.builtin) && m.builtin == 'answer-difference')",
                "answer-difference asks what servers answered, and only runtime modelops keeps that",
            ),
            rule(
                "has(self.smokeTest) || "
                "!(has(self.strategy.canary) && self.strategy.canary.steps.exists(s, has(s.smokeTest)))",
                "a smokeTest step says where spec.smokeTest is run; set it",
            ),
            rule(
                "!has(self.rollbackWindow) || !has(self.analysis) || !has(self.analysis.metrics) || "
                "self.analysis.metrics.all(m, m.dryRun) || self.analysis.metrics.exists(m, "
                "!m.dryRun && m.failureLimit >= 0 && !(has(m.builtin) && m.builtin == 'prediction-drift') && "
                "(has(m.template) || has(m.thresholdRange) || has(m.successCondition) || has(m.failureCondition)))",
                "no metric could take a promotion back in the rollbackWindow: give one a thresholdRange, "
                "successCondition or failureCondition, and a failureLimit of 0 or more",
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
    """How long a new revision may take to become ready, and each of its weights and routes to come into force, before
    it is given up; time without room does not count."""
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

"""A release played offline: the operator's own decisions over answers that were written down. Pure.

Called by `modelops analyze`. Everything but the answers is assumed: servers are ready and have passed the smoke test,
weights are in force at once, a version serves already, nobody gives a command. A metric is looked at on the first tick
at which it is due.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from modelops.api.kinds import CONTROLLERREVISION, DEPLOYMENT, DISRUPTIONBUDGET, HTTPROUTE, MODELRELEASE, SERVICE
from modelops.api.v1alpha1.analysis import Metric
from modelops.api.v1alpha1.analysis_status import MetricStatus, Verdict
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus, RevisionStatus
from modelops.domain.analysis.means import Moments, Pair, moments
from modelops.domain.analysis.split import Requests
from modelops.domain.analysis.verdicts import Counts, Reading, counts_requests, is_drift, is_mean, is_sequential
from modelops.domain.plan import Action, ApplyObject, DeleteObject
from modelops.domain.release import believing
from modelops.domain.release.decide import decide_release
from modelops.domain.release.looks import counts_from, due, lacks_copies, look_at
from modelops.domain.release.measure import looked
from modelops.domain.release.objects import Gateway
from modelops.domain.release.observed import Obj, Observed
from modelops.domain.release.revision import ServingDefaults, revision_of
from modelops.domain.release.routing import gets_requests
from modelops.domain.release.steps import effective_steps, waits_for_human
from modelops.domain.release.strategies import resolved
from modelops.workflows.render import Owner

ASSUMED: Final = (
    "servers are ready, have passed the smoke test, and weights are in force at once; "
    "samples are enough where none are given"
)
_START: Final = datetime(2000, 1, 1, tzinfo=UTC)
_DEFAULTS: Final = ServingDefaults("server", "http://mlflow.invalid")
_GATEWAY: Final = Gateway("modelops", "modelops-system")
_PASSES: Final = 400
"""More than any rollout needs to come to rest: two for each of 50 steps, and some."""
Outcome = Literal["Promoted", "RolledBack", "Paused", "Holding"]


@dataclass(frozen=True, slots=True)
class Tick:
    """What Prometheus answered at one moment."""

    at: float
    """Seconds since the canary began."""
    answers: Mapping[str, Reading]
    """By metric; a metric that is not named has no series."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one metric's answer came to at one tick."""

    verdict: Verdict
    value: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Played:
    """What one tick came to."""

    at: float
    weight: int
    """Percent of the traffic for the canary once the tick was decided on."""
    metrics: Mapping[str, Seen]


@dataclass(frozen=True, slots=True)
class Replay:
    """How the release ended, or stands after the last tick."""

    outcome: Outcome
    at: float
    """Seconds: when it ended or paused; the last tick when it is holding."""
    reason: str
    ticks: tuple[Played, ...]


def play(name: str, spec: ModelReleaseSpec, ticks: Sequence[Tick]) -> Replay:
    """Return what a release does with these answers; ticks after its end are left out.

    Args:
        name: the release's.
        spec: sound, see `soundness`.
        ticks: at least one; their times rise.
    """
    world = _World.of(name, resolved(spec)).rest()
    played: list[Played] = []
    if world.status.canary is None:
        return _ended(world.status, 0.0, played)
    paused_at: float | None = None
    for tick in ticks:
        world = replace(world, now=_START + timedelta(seconds=tick.at))
        seen = dict(_seen(world, tick))
        world = world.rest({metric.name: world.reading(tick, metric) for metric in world.due()}, world.requests(tick))
        played.append(Played(tick.at, _weight(world.status), seen))
        if world.status.canary is None:
            return _ended(world.status, tick.at, played)
        paused_at = (tick.at if paused_at is None else paused_at) if _waits_for_a_human(world) else None
    reason = world.status.waiting_for or ""
    if paused_at is not None:
        return Replay("Paused", paused_at, world.status.paused_reason or reason, (*played,))
    return Replay("Holding", ticks[-1].at, reason, (*played,))


@dataclass(frozen=True, slots=True)
class _World:
    """A release and its surroundings, which do at once what they are told."""

    owner: Owner
    spec: ModelReleaseSpec
    status: ModelReleaseStatus
    target: RevisionStatus
    objects: Mapping[tuple[str, str], Obj]
    """By plural and name."""
    now: datetime

    @classmethod
    def of(cls, name: str, spec: ModelReleaseSpec) -> "_World":
        """Return the world before the canary: a version serves, the next one is wanted."""
        # Replicas do not matter here, nor how they make a weight, and none would never be ready.
        serving = spec.serving.model_copy(update={"replicas": 1})
        # Nor does the hour at which it is played.
        traffic = spec.traffic.model_copy(update={"mode": "gateway"})
        without = {"smoke_test": None, "windows": (), "freeze": None, "rollback_window": None}
        spec = spec.model_copy(update={"serving": serving, "traffic": traffic, **without})
        stable, canary = (
            RevisionStatus(
                version=version, revision=revision_of(spec, version, _DEFAULTS), digest=version, since=_START
            )
            for version in ("stable", "canary")
        )
        kind = MODELRELEASE.resource
        owner = Owner(kind.api_version, kind.kind, name, "default", "00000000-0000-0000-0000-000000000000")
        return cls(owner, spec, ModelReleaseStatus(stable=stable), canary, {}, _START)

    def due(self) -> tuple[Metric, ...]:
        """Return the metrics that the operator would ask now."""
        return due(self.status, self.spec.analysis, self.now)

    def reading(self, tick: Tick, metric: Metric) -> Reading:
        """Return a tick's answer; samples that were not written down are taken to be enough, where none are counted."""
        answer = tick.answers.get(metric.name, Reading())

        def enough(reading: Reading) -> Reading:
            return replace(reading, samples=math.inf) if reading.samples is None else reading

        stable = answer.stable or (Reading() if is_drift(metric) else None)
        told = replace(enough(answer), stable=None if stable is None else enough(stable))
        return replace(told, counts=self._counts(answer, metric)) if is_sequential(metric) else told

    def _counts(self, answer: Reading, metric: Metric) -> Counts | None:
        """Return what a tick's values and samples come to; None where one of them is not known."""
        since = counts_from(self.status, self.spec.analysis, metric)
        mine, other = _side(answer, metric), _side(answer.stable, metric)
        if since is None or mine is None or other is None:
            return None
        return Counts.of(max(since, _START), self.now, (Pair(mine, other),))

    def requests(self, tick: Tick) -> Requests | None:
        """Return what the gateway counted, as far as one of its metrics says so of both; None: it is not asked."""
        if (since := believing.counts_from(self.spec, self.status, self.now)) is None:
            return None
        for metric in self.spec.analysis.metrics:
            answer = tick.answers.get(metric.name, Reading())
            stable = answer.stable or Reading()
            if counts_requests(metric) and answer.samples is not None and stable.samples is not None:
                return Requests(since, self.now, answer.samples, stable.samples)
        return Requests(since, since)

    def rest(self, readings: Mapping[str, Reading] | None = None, requests: Requests | None = None) -> "_World":
        """Return the world after as many reconciles as there is something to do, the readings given to the first."""
        world = self
        for _ in range(_PASSES):
            before = world
            plan = decide_release(world.observed(readings or {}, requests))
            assert isinstance(plan.status, ModelReleaseStatus)
            world = replace(world, status=plan.status, objects=_acted(world.objects, plan.actions))
            if readings is None and (world.status, world.objects) == (before.status, before.objects):
                return world
            readings = requests = None
        return world

    def observed(self, readings: Mapping[str, Reading], requests: Requests | None) -> Observed:
        """Return one look at it."""

        def children(plural: str) -> dict[str, Obj]:
            return {name: obj for (kind, name), obj in self.objects.items() if kind == plural}

        return Observed(
            owner=self.owner,
            spec=self.spec,
            status=self.status,
            target=self.target,
            waiting="",
            rival="",
            route=self.objects.get((HTTPROUTE.plural, self.owner.name)),
            deployments=children(DEPLOYMENT.plural),
            pods={},
            services=children(SERVICE.plural),
            budgets=children(DISRUPTIONBUDGET.plural),
            records=children(CONTROLLERREVISION.plural),
            readings=readings,
            command=None,
            gateway=_GATEWAY,
            defaults=_DEFAULTS,
            now=self.now,
            requests=requests,
        )


def _side(answer: Reading | None, metric: Metric) -> Moments | None:
    """Return what one side counted; None where that is not known."""
    if answer is None or answer.samples is None or (answer.samples and len(answer.values) != 1):
        return None
    value = answer.values[0] if answer.samples else 0.0
    if is_mean(metric):
        try:
            return None if answer.squares is None else moments(answer.samples, value * answer.samples, answer.squares)
        except ValueError:
            return None
    if not 0 <= value <= 1:
        return None
    bad = 1 - value if metric.builtin == "success-rate" else value
    return Moments(answer.samples, round(bad * answer.samples))


def _acted(objects: Mapping[tuple[str, str], Obj], actions: Sequence[Action]) -> dict[tuple[str, str], Obj]:
    """Return the objects after the actions, with what kubelet and gateway add."""
    after = dict(objects)
    for action in actions:
        match action:
            case ApplyObject(resource=resource, obj=obj):
                status: dict[str, Any] = {}
                if resource is DEPLOYMENT:
                    status = {"readyReplicas": obj["spec"]["replicas"], "observedGeneration": 1}
                if resource is HTTPROUTE:
                    conditions = [{"type": kind, "status": "True"} for kind in ("Accepted", "ResolvedRefs")]
                    status = {"parents": [{"conditions": conditions}]}
                meta = {**obj["metadata"], "generation": 1}
                after[resource.plural, meta["name"]] = {**obj, "metadata": meta, "status": status}
            case DeleteObject(resource=resource, name=name):
                after.pop((resource.plural, name), None)
            case _:
                pass
    return after


def _seen(world: _World, tick: Tick) -> Iterator[tuple[str, Seen]]:
    """Yield what every metric's answer is worth, whether or not it is looked at now."""
    asked = {metric.name for metric in world.due()}
    for metric in world.spec.analysis.metrics:
        before = next((one for one in world.status.analysis if one.name == metric.name), MetricStatus(name=metric.name))
        judged, _ = looked(before, metric, world.reading(tick, metric), world.spec.analysis)
        reason = judged.message
        if metric.name not in asked:
            reason += f"; not counted: {_why_not(world, metric)}"
        elif metric.dry_run:
            reason += "; dry run"
        yield metric.name, Seen(judged.verdict, judged.value, reason)


def _why_not(world: _World, metric: Metric) -> str:
    look = look_at(world.status, world.spec.analysis, metric)
    if look is not None:
        return f"not due before {(look - _START).total_seconds():g} s"
    if not gets_requests(world.status):
        return "no weight is in force"
    return "the canary gets no copies" if lacks_copies(world.status, metric) else "its looks at this weight are over"


def _weight(status: ModelReleaseStatus) -> int:
    if status.canary is not None:
        return status.weight
    return 100 if status.history[-1].outcome == "Promoted" else 0


def _ended(status: ModelReleaseStatus, at: float, played: Sequence[Played]) -> Replay:
    last = status.history[-1]
    return Replay("Promoted" if last.outcome == "Promoted" else "RolledBack", at, last.message, tuple(played))


def _waits_for_a_human(world: _World) -> bool:
    if world.status.paused_reason is not None:
        return True
    steps, at = effective_steps(world.spec.strategy), world.status.step
    return at < len(steps) and waits_for_human(steps[at])

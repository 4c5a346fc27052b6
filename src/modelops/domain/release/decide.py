"""What a ModelRelease does next. Pure and total; walked without I/O in tests/unit/release.

target ──► new revision? ──► canary: ready ─► setWeight ─► confirmed ─► measured ─► … ─► 100 ─► confirmed ─► Promoted
                                 │ too late          any Fail beyond failureLimit, abort │
                                 └──────────► weight 0 in the same tick ◄────────────────┘ ─► RolledBack | Aborted
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from modelops.api.kinds import CONTROLLERREVISION, DEPLOYMENT, DISRUPTIONBUDGET, SERVICE
from modelops.api.manifest import dotted
from modelops.api.v1alpha1.common import format_duration
from modelops.api.v1alpha1.modelrelease import ModelReleaseStatus, Pause, RevisionStatus
from modelops.domain import status as statuses
from modelops.domain.plan import Action, DeleteObject, EventSpec, Plan, SetAlias
from modelops.domain.release import in_force, objects, settle
from modelops.domain.release.clock import set_right
from modelops.domain.release.commands import handle
from modelops.domain.release.looks import next_look, window_start
from modelops.domain.release.measure import tally, weigh
from modelops.domain.release.observed import Observed
from modelops.domain.release.routing import gets_requests, step_words
from modelops.domain.release.soundness import unsound
from modelops.domain.release.starting import given_up_at, starting
from modelops.domain.release.strategies import resolved, steps_of
from modelops.domain.release.summary import pause_reason, summarise

_IDLE: Final = timedelta(minutes=1)
_ASK_AGAIN: Final = timedelta(seconds=10)
_LONGEST_DRAIN: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one decision has come to so far."""

    status: ModelReleaseStatus
    actions: tuple[Action, ...] = ()
    events: tuple[EventSpec, ...] = ()
    decisive: bool = False
    """A verdict was reached: it is written down before it is acted on, so that no crash can lose it."""

    def with_status(self, **update: Any) -> "Turn":
        """Return the turn with fields of the status replaced."""
        return replace(self, status=self.status.model_copy(update=update))

    def saying(self, reason: str, message: str, *, warning: bool = False) -> "Turn":
        """Return the turn with one more Event."""
        return replace(self, events=(*self.events, EventSpec(reason, message, "Warning" if warning else "Normal")))


def decide_release(seen: Observed) -> Plan:
    """Return the plan for a ModelRelease."""
    if seen.rival:
        message = (
            f"{seen.rival} is older and moves alias {seen.spec.model.promoted_alias} of model {seen.spec.model.name}; "
            "give this one another spec.model.promotedAlias"
        )
        return Plan(seen.status, statuses.stalled("AliasConflict", message))
    for path, problem in unsound(seen.spec):
        return Plan(seen.status, statuses.stalled("InvalidSpec", f"{dotted(path)}: {problem}"))
    seen = replace(seen, spec=resolved(seen.spec))
    right, back = set_right(seen.status, seen.now)
    status, events = handle(replace(seen, status=right))
    turn = Turn(status, events=events, decisive=status != seen.status)
    if back:
        message = f"the clock was set back by {format_duration(back)}; the step and its measurements begin anew"
        turn = turn.saying("ClockSetBack", message, warning=True)
    turn = _choose(seen, turn)
    if turn.status.canary is not None:
        turn = _drive(seen, turn)
    turn = _shape(seen, turn)
    status, conditions = summarise(seen, turn.status)
    return Plan(
        status,
        conditions,
        turn.actions,
        turn.events,
        requeue_after=_when(seen, status),
        status_first=turn.decisive,
    )


def _choose(seen: Observed, turn: Turn) -> Turn:
    """Make the wanted revision the canary, unless it serves already or was given up."""
    target, status = seen.target, turn.status
    if target is None or status.undo_to is not None:
        # What is brought back serves first; then what the spec asks for may try.
        return turn
    stable, canary = status.stable, status.canary
    turn = _same_artifact(turn, target)
    if canary is not None and canary.revision != target.revision:
        message = f"version {target.version} (revision {target.revision}) is wanted now"
        turn = replace(turn, status=settle.ended(turn.status, "Superseded", seen.now, message), decisive=True)
        turn = turn.saying("Superseded", f"version {canary.version}: {message}")
        canary = None
    if canary is not None or target.revision in turn.status.aborted:
        return turn
    if stable is not None and stable.revision == target.revision:
        return turn
    turn = replace(turn, status=settle.begin(turn.status, target, seen.now), decisive=True)
    return turn.saying("CanaryStarted", f"version {target.version}, revision {target.revision}")


def _same_artifact(turn: Turn, target: RevisionStatus) -> Turn:
    """Say of a newer version, once, that it is bit for bit what serves already; nothing is released then."""
    stable = turn.status.stable
    same = stable is not None and stable.revision == target.revision and stable.version != target.version
    equivalent = target.version if same else None
    if equivalent == turn.status.equivalent_version:
        return turn
    turn = turn.with_status(equivalent_version=equivalent)
    if stable is None or equivalent is None:
        return turn
    return turn.saying("SameArtifact", f"version {equivalent} is the same artifact as version {stable.version}")


def _drive(seen: Observed, turn: Turn) -> Turn:
    """Take the canary one move further: at most one change of weight, or its end."""
    turn = turn.with_status(waiting_for=None, eta=None)
    turn = replace(turn, status=in_force.confirm(seen, turn.status))
    turn, failed, hold, waiting = _measure(seen, turn)
    if failed:
        return _end(seen, turn, "RolledBack", failed)
    status, canary = turn.status, turn.status.canary
    assert canary is not None
    if not gets_requests(status) and not objects.is_ready(seen.deployment(canary)):
        wait = starting(seen, status, canary)
        turn = replace(turn, status=wait.status, events=(*turn.events, *wait.events))
        return _end(seen, turn, "RolledBack", wait.failed) if wait.failed else turn
    if status.stable is None:
        return _initial(seen, turn)
    if hold and status.paused_reason is None:
        turn = turn.with_status(paused_reason=hold[:128]).saying(pause_reason(hold), hold, warning=True)
    if turn.status.paused_reason is not None:
        return turn.with_status(waiting_for=f"a human: {turn.status.paused_reason}; promote or abort")
    return _step(seen, turn, waiting)


def _measure(seen: Observed, turn: Turn) -> tuple[Turn, str, str, str]:
    """Take the readings in; return also why to roll back, why to pause, and what has not passed yet."""
    analysis = seen.spec.analysis
    if seen.readings and turn.status.canary == seen.status.canary:
        figures = tally(turn.status, analysis, seen.readings, seen.now)
        turn = turn.with_status(analysis=figures, last_measured_at=seen.now)
    else:
        turn = turn.with_status(analysis=tally(turn.status, analysis, {}, seen.now))
    found = weigh(turn.status.analysis, analysis, seen.now)
    return turn, found.failed, found.hold, found.waiting


def _initial(seen: Observed, turn: Turn) -> Turn:
    """Nothing serves yet: ready servers get the route and all of the traffic; there is nothing to compare with."""
    if turn.status.weight == 100:
        return _promote(seen, turn, "Initial: the first version, nothing to compare with")
    return turn.with_status(desired_weight=100, waiting_for=objects.refusal(seen.route) or "the gateway")


def _step(seen: Observed, turn: Turn, waiting: str) -> Turn:
    status, steps = turn.status, steps_of(seen.spec)
    if awaited := in_force.awaited(seen, status):
        return turn.with_status(waiting_for=awaited)
    if status.step >= len(steps):
        return _last(seen, turn)
    step, begun = steps[status.step], status.step_started_at or seen.now
    if step.set_weight is not None:
        if status.desired_weight != step.set_weight:
            told = turn.with_status(
                desired_weight=step.set_weight, waiting_for=f"the gateway to confirm weight {step.set_weight}"
            )
            return told.saying("WeightSet", f"weight {step.set_weight} for version {_version(status)}")
        return _next(seen, turn)
    if step.set_header_route is not None or step.set_mirror is not None:
        return _next(seen, turn.saying("RouteSet", f"{step_words(step)} for version {_version(status)}"))
    if step.pause is not None:
        return _paused(seen, turn, step.pause, begun)
    assert step.analyze is not None
    start = window_start(status, seen.spec.analysis)
    until = max(begun, start or begun) + step.analyze.duration
    if seen.now < until:
        return turn.with_status(waiting_for="the analysis to last long enough", eta=until)
    if waiting:
        return turn.with_status(waiting_for=waiting, eta=None)
    return _next(seen, turn)


def _paused(seen: Observed, turn: Turn, pause: Pause, begun: datetime) -> Turn:
    if pause.duration is None:
        return turn.with_status(waiting_for=f"`modelops release promote {seen.owner.name}`", eta=None)
    until = begun + pause.duration
    return _next(seen, turn) if seen.now >= until else turn.with_status(waiting_for="the pause to end", eta=until)


def _next(seen: Observed, turn: Turn) -> Turn:
    """Go to the next step; what it asks for is looked at in the same turn."""
    moved = turn.with_status(step=turn.status.step + 1, step_started_at=seen.now, waiting_for=None, eta=None)
    waiting = weigh(moved.status.analysis, seen.spec.analysis, seen.now).waiting
    return _step(seen, moved, waiting)


def _last(seen: Observed, turn: Turn) -> Turn:
    """All steps are done: every metric must have passed once, then all of the traffic, then it is promoted."""
    status = turn.status
    # A revision that undo brings back was proven when it was promoted.
    dry = {metric.name for metric in seen.spec.analysis.metrics if metric.dry_run}
    unproven = [metric.name for metric in status.analysis if metric.passes == 0 and metric.name not in dry]
    if status.undo_to is not None:
        unproven = []
    if unproven and status.desired_weight != 100:
        return turn.with_status(waiting_for=f"one Pass of {', '.join(unproven)}: nothing is promoted unmeasured")
    if status.desired_weight != 100:
        return turn.with_status(desired_weight=100, waiting_for="the gateway to confirm all of the traffic")
    passes = "; ".join(
        f"{metric.name} {metric.measurements[-1].message}" for metric in status.analysis if metric.measurements
    )
    if status.undo_to is not None:
        return _promote(seen, turn, "undone by hand: it was promoted before")
    return _promote(seen, turn, passes or "all steps done")


def _promote(seen: Observed, turn: Turn, message: str) -> Turn:
    canary = turn.status.canary
    assert canary is not None
    model = seen.spec.model
    alias = SetAlias(model.name, model.promoted_alias, canary.version)
    # The alias first: a crash between the two repeats both, and the alias says the same again.
    turn = replace(turn, status=settle.promoted(turn.status, seen.now, message), actions=(*turn.actions, alias))
    return turn.saying("Promoted", f"version {canary.version} takes all of the traffic: {message}")


def _end(seen: Observed, turn: Turn, outcome: settle.Outcome, message: str) -> Turn:
    canary = turn.status.canary
    assert canary is not None
    turn = replace(turn, status=settle.ended(turn.status, outcome, seen.now, message), decisive=True)
    return turn.saying(outcome, f"version {canary.version}: {message}", warning=True)


def _shape(seen: Observed, turn: Turn) -> Turn:
    """Bring the objects to what the status says: the route first, then servers; retired ones go when drained."""
    status = turn.status
    stable, canary = status.stable, status.canary
    actions: list[Action] = list(turn.actions)
    for revision in (stable, canary):
        if revision is None:
            continue
        name = seen.name_of(revision.revision)
        record, service, budget, deployment = objects.revision_objects(
            seen.owner, seen.spec, revision, seen.defaults, seen.records.get(name)
        )
        if name not in seen.records:
            actions.append(record)
        actions += objects.needed(service, seen.services.get(name))
        actions += objects.needed(budget, seen.budgets.get(name))
        actions += objects.needed(deployment, seen.deployments.get(name))
    routed = True
    wanted = in_force.route_of(seen, status)
    if wanted is not None:
        route = objects.needed(wanted, seen.route)
        routed = not route and objects.confirmed(seen.route)
        # Once every backend's Service is there, the route may come before anything else.
        first = objects.backends_of(wanted.obj).keys() <= seen.services.keys()
        actions = [*route, *actions] if first else [*actions, *route]
    turn = replace(turn, actions=tuple(actions))
    return _retire(seen, turn, routed=routed) if status.retiring else turn


def _retire(seen: Observed, turn: Turn, *, routed: bool) -> Turn:
    """End servers without traffic, once the gateway has confirmed that and what was in flight has ended."""
    status = turn.status
    if not routed:
        return turn if status.retiring_since is None else turn.with_status(retiring_since=None)
    if status.retiring_since is None:
        return turn.with_status(retiring_since=seen.now)
    if seen.now - status.retiring_since < drain_time(seen):
        return turn
    actions = list(turn.actions)
    for revision in status.retiring:
        name = seen.name_of(revision)
        for resource, existing in (
            (DEPLOYMENT, seen.deployments),
            (DISRUPTIONBUDGET, seen.budgets),
            (SERVICE, seen.services),
        ):
            if name in existing:
                uid = existing[name]["metadata"].get("uid")
                # Undo may bring the revision back under the same names.
                actions.append(DeleteObject(resource, seen.owner.namespace, name, uid, existing[name]))
    actions += _forget(seen, status)
    return replace(turn, actions=tuple(actions)).with_status(retiring=(), retiring_since=None)


def _forget(seen: Observed, status: ModelReleaseStatus) -> list[Action]:
    """Drop the records of revisions that the history has forgotten; the others can be served again."""
    known = {record.revision for record in status.history}
    known |= {one.revision for one in (status.stable, status.canary) if one is not None}
    names = {seen.name_of(revision) for revision in known}
    return [
        DeleteObject(CONTROLLERREVISION, seen.owner.namespace, name, record["metadata"].get("uid"), record)
        for name, record in seen.records.items()
        if name not in names
    ]


def drain_time(seen: Observed) -> timedelta:
    """Return how long a revision without traffic keeps its servers: as long as a request may take, and a second."""
    return min(seen.spec.traffic.timeout, _LONGEST_DRAIN) + timedelta(seconds=1)


def _when(seen: Observed, status: ModelReleaseStatus) -> timedelta:
    """Return when something is due by the clock; everything else comes as an event."""
    due = [seen.now + _IDLE]
    if status.retiring and status.retiring_since is not None:
        due.append(status.retiring_since + drain_time(seen))
    if status.canary is not None:
        look = next_look(status, seen.spec.analysis)
        if look is not None:
            due.append(look)
        if status.eta is not None:
            due.append(status.eta)
        if not gets_requests(status) and not objects.is_ready(seen.deployment(status.canary)):
            # Pods are not watched: what keeps them is asked again.
            due += [given_up_at(seen, status, status.canary), seen.now + _ASK_AGAIN]
    return max(timedelta(milliseconds=50), min(due) - seen.now)


def _version(status: ModelReleaseStatus) -> str:
    return status.canary.version if status.canary else "?"

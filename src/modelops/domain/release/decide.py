"""What a ModelRelease does next. Pure and total; walked without I/O in tests/unit/release.

target ──► new revision? ──► canary: ready ─► setWeight ─► confirmed ─► measured ─► … ─► 100 ─► confirmed ─► Promoted
                                 │ too late          any Fail beyond failureLimit, abort │
                                 └──────────► weight 0 in the same tick ◄────────────────┘ ─► RolledBack | Aborted
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from modelops.api.kinds import CONTROLLERREVISION, DEPLOYMENT, DISRUPTIONBUDGET, SERVICE
from modelops.api.manifest import dotted
from modelops.api.v1alpha1.common import format_duration
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.domain import status as statuses
from modelops.domain.plan import Action, ConditionSpec, DeleteObject, Plan, SetAlias
from modelops.domain.release import believing, in_force, objects, placing, settle, smoke_test, telling
from modelops.domain.release.alias import alias_set_right
from modelops.domain.release.clock import set_right
from modelops.domain.release.commands import handle
from modelops.domain.release.forecast import foreseen
from modelops.domain.release.leaving import leaves_at, staying
from modelops.domain.release.looks import next_look
from modelops.domain.release.measure import tally, weigh
from modelops.domain.release.newer import choose
from modelops.domain.release.observed import Observed
from modelops.domain.release.routing import gets_requests
from modelops.domain.release.scale import canary_replicas, is_staffed, noted, stable_replicas
from modelops.domain.release.soundness import unsound
from modelops.domain.release.starting import given_up_at, starting
from modelops.domain.release.stepping import move, without_skipped
from modelops.domain.release.steps import Path, is_past_all
from modelops.domain.release.strategies import resolved
from modelops.domain.release.strays import taken_up
from modelops.domain.release.summary import pause_reason, summarise
from modelops.domain.release.taken import taken
from modelops.domain.release.turn import Turn
from modelops.domain.release.watching import by_bounds, next_watch, opened, watch

_IDLE: Final = timedelta(minutes=1)
_ASK_AGAIN: Final = timedelta(seconds=10)


def decide_release(seen: Observed) -> Plan:
    """Return the plan for a ModelRelease."""
    if seen.rival:
        message = (
            f"{seen.rival} is older and moves alias {seen.spec.model.promoted_alias} of model {seen.spec.model.name}; "
            "give this one another spec.model.promotedAlias"
        )
        return Plan(seen.status, statuses.stalled("AliasConflict", message))
    if (found := taken(seen)) is not None:
        # No watch tells when a Service that is not ours is gone.
        return Plan(seen.status, statuses.stalled(*found), requeue_after=_IDLE)
    for path, problem in unsound(seen.spec):
        return Plan(seen.status, statuses.stalled("InvalidSpec", f"{dotted(path)}: {problem}"))
    seen = replace(seen, spec=by_bounds(resolved(seen.spec), seen.status))
    right, back = set_right(seen.status, seen.now)
    status, events = handle(replace(seen, status=right))
    turn = Turn(status, events=events, decisive=status != seen.status)
    if back:
        message = f"the clock was set back by {format_duration(back)}; the step and its measurements begin anew"
        turn = turn.saying("ClockSetBack", message, warning=True)
    turn = choose(seen, turn)
    if turn.status.canary is not None:
        turn = _drive(seen, turn)
    elif turn.status.rollback_window is not None:
        turn = watch(seen, turn)
    if placing.is_settling(seen, turn.status) and turn.status.waiting_for is None:
        turn = turn.with_status(waiting_for=placing.awaited(seen, turn.status))
    turn = _shape(seen, replace(turn, status=taken_up(seen, turn.status)))
    turn = alias_set_right(seen, turn)
    status, conditions = summarise(seen, foreseen(seen, turn.status))
    return Plan(
        status,
        _stalled_by(seen.unfit, conditions),
        turn.actions,
        turn.events,
        requeue_after=_when(seen, turn.status),
        status_first=turn.decisive,
    )


def _stalled_by(unfit: Sequence[tuple[Path, str]], conditions: tuple[ConditionSpec, ...]) -> tuple[ConditionSpec, ...]:
    """Return the conditions of a release whose metrics cannot all be asked: a human must act, whatever serves.

    Nothing begins and no weight rises then; what can be asked may still take back what has begun.
    """
    if not unfit:
        return conditions
    kept = (one for one in conditions if one.type not in ("Ready", "Reconciling"))
    return *statuses.stalled("InvalidSpec", _first(unfit)), *kept


def _first(unfit: Sequence[tuple[Path, str]]) -> str:
    path, problem = unfit[0]
    return f"{dotted(path)}: {problem}"


def _drive(seen: Observed, turn: Turn) -> Turn:
    """Take the canary one move further: at most one change of weight, or its end."""
    # What was read is of the weight that was in force then: another one may have been confirmed since.
    turn, failed, hold = _measure(seen, turn)
    if failed:
        return _end(seen, turn, "RolledBack", failed)
    status = noted(seen, in_force.confirm(seen, without_skipped(seen, turn.status)))
    turn, canary = replace(turn, status=status), status.canary
    assert canary is not None
    if not gets_requests(status) and not is_staffed(seen, status):
        wait = starting(seen, status, canary)
        turn = replace(turn, status=wait.status, events=(*turn.events, *wait.events))
        return _end(seen, turn, "RolledBack", wait.failed) if wait.failed else turn
    turn, failed = smoke_test.tested(seen, turn)
    if failed:
        return _end(seen, turn, "RolledBack", failed)
    status = turn.status
    if status.stable is None:
        return _initial(seen, turn)
    if hold and status.paused_reason is None and not status.by_hand:
        turn = turn.with_status(paused_reason=hold[:128]).saying(pause_reason(hold), hold, warning=True)
    if turn.status.paused_reason is not None:
        return turn.with_status(waiting_for=f"a human: {turn.status.paused_reason}; promote or abort")
    if seen.unfit and not is_past_all(turn.status):
        return turn.with_status(waiting_for=f"a MetricTemplate that fits: {_first(seen.unfit)}", eta=None)
    if doubt := believing.doubt(seen.spec, turn.status):
        return believing.held(seen, turn, doubt)
    moved = move(seen, turn, weigh(turn.status, seen.spec.analysis, seen.now).waiting)
    if moved.failed:
        return _end(seen, moved.turn, "RolledBack", moved.failed)
    return _promote(seen, moved.turn, moved.promoted) if moved.promoted else moved.turn


def _measure(seen: Observed, turn: Turn) -> tuple[Turn, str, str]:
    """Take the readings in; return also why to roll back, and why to pause."""
    analysis, same = seen.spec.analysis, turn.status.canary == seen.status.canary
    if seen.readings and same:
        figures = tally(turn.status, analysis, seen.readings, seen.now)
        looked = turn.with_status(analysis=figures, last_measured_at=seen.now)
        turn = replace(looked, events=(*turn.events, *telling.verdicts(turn.status, looked.status)))
    else:
        turn = turn.with_status(analysis=tally(turn.status, analysis, {}, seen.now))
    found = weigh(turn.status, analysis, seen.now)
    if seen.requests is not None and same:
        turn = replace(turn, status=believing.taken(seen.spec, turn.status, seen.requests, seen.now))
    return turn, found.failed, believing.alarm(seen.spec, turn.status) or found.hold


def _initial(seen: Observed, turn: Turn) -> Turn:
    """Nothing serves yet: ready servers get the route and all of the traffic; there is nothing to compare with."""
    if smoke_test.is_awaited(seen.spec, turn.status):
        return turn.with_status(waiting_for=smoke_test.awaited_words(turn.status))
    if turn.status.weight == 100:
        return _promote(seen, turn, f"Initial: {seen.last_good or 'the first version, nothing to compare with'}")
    bringer = "the Service" if placing.is_used(seen.spec) else "the gateway"
    return turn.with_status(desired_weight=100, waiting_for=objects.refusal(seen.route) or bringer)


def _promote(seen: Observed, turn: Turn, message: str) -> Turn:
    canary = turn.status.canary
    assert canary is not None
    model = seen.spec.model
    alias = SetAlias(model.name, model.promoted_alias, canary.version)
    # The alias first: a crash between the two repeats both, and the alias says the same again.
    promoted = opened(seen, turn.status, settle.promoted(turn.status, seen.now, message))
    turn = replace(turn, status=promoted, actions=(*turn.actions, alias))
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
    window = status.rollback_window
    for revision, replicas in (
        (stable, stable_replicas(seen, status)),
        (canary, canary_replicas(seen, status)),
        (None if window is None else window.previous, seen.spec.serving.replicas),
    ):
        if revision is None:
            continue
        name = seen.name_of(revision.revision)
        record, service, budget, deployment = objects.revision_objects(
            seen.owner, seen.spec, revision, seen.defaults, seen.records.get(name), replicas
        )
        if name not in seen.records:
            actions.append(record)
        actions += objects.needed(service, seen.services.get(name))
        actions += objects.needed(budget, seen.budgets.get(name))
        actions += objects.needed(deployment, seen.deployments.get(name))
    turn = replace(turn, actions=tuple(actions))
    if status.retiring:
        turn = _retire(seen, turn, routed=in_force.is_routed(seen, status))
    wanted = in_force.route_of(seen, turn.status)
    if wanted is None:
        return turn
    route = objects.needed(wanted, seen.route)
    # Once every backend's Service is there, the route may come before anything else.
    first = objects.backends_of(wanted.obj).keys() <= seen.services.keys()
    return replace(turn, actions=(*route, *turn.actions) if first else (*turn.actions, *route))


def _retire(seen: Observed, turn: Turn, *, routed: bool) -> Turn:
    """End servers without traffic, once the gateway has confirmed that and what was in flight has ended."""
    status = turn.status
    if not routed:
        return turn if status.retiring_since is None else turn.with_status(retiring_since=None)
    if status.retiring_since is None:
        return turn.with_status(retiring_since=seen.now)
    going = [one for one in status.retiring if seen.now >= leaves_at(seen, status, one, status.retiring_since)]
    if not going:
        return turn
    actions = list(turn.actions)
    for revision in going:
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
    left = tuple(one for one in status.retiring if one not in going)
    since = status.retiring_since if left else None
    turn = replace(turn, actions=tuple(actions)).with_status(retiring=left, retiring_since=since)
    return replace(turn, status=taken_up(seen, turn.status, going))


def _forget(seen: Observed, status: ModelReleaseStatus) -> list[Action]:
    """Drop the records of revisions that the history has forgotten; the others can be served again."""
    known = {one.revision for one in status.history} | {one.revision for one in staying(status)}
    names = {seen.name_of(revision) for revision in known}
    return [
        DeleteObject(CONTROLLERREVISION, seen.owner.namespace, name, record["metadata"].get("uid"), record)
        for name, record in seen.records.items()
        if name not in names
    ]


def _when(seen: Observed, status: ModelReleaseStatus) -> timedelta:
    """Return when something is due by the clock; everything else comes as an event."""
    due = [seen.now + _IDLE, *next_watch(seen, status), *smoke_test.next_look(seen.spec, status, seen.now)]
    if status.eta is not None:
        due.append(status.eta)
    if status.queued_version is not None and status.canary is None and seen.status.canary is not None:
        # No event tells of what this pass has ended.
        due.append(seen.now)
    if status.retiring and status.retiring_since is not None:
        due += [leaves_at(seen, status, one, status.retiring_since) for one in status.retiring]
    if placing.is_settling(seen, status) or (status.canary is not None and status.ready_since is None):
        # Pods are not watched: what keeps them is asked again.
        due.append(seen.now + _ASK_AGAIN)
    if status.canary is not None:
        looks = next_look(status, seen.spec.analysis), believing.next_count(seen.spec, status)
        due += [look for look in looks if look is not None]
        ends = [in_force.given_up_at(seen, status)]
        if status.ready_since is None:
            ends.append(given_up_at(seen, status, status.canary))
        due += [until for until in ends if until is not None and until > seen.now]
    return max(timedelta(milliseconds=50), min(due) - seen.now)

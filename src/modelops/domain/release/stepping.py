"""One move along a canary's steps: at most one change of weight. Pure; called by decide.

A step says what it waits for, or gives way to the next one in the same turn. The weight rises only when as many servers
as it needs are ready and no metric's last look was NoData or Error.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from modelops.api.v1alpha1.analysis import Metric
from modelops.api.v1alpha1.common import format_duration
from modelops.api.v1alpha1.modelrelease import Step
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.domain.analysis.verdicts import needs_stable
from modelops.domain.release import in_force, lending, placing, smoke_test
from modelops.domain.release.approvals import approval_words
from modelops.domain.release.gate import held, shut_for
from modelops.domain.release.holding import holding
from modelops.domain.release.looks import is_measured, window_start
from modelops.domain.release.measurable import back_to, ends_with
from modelops.domain.release.measure import weigh
from modelops.domain.release.observed import Observed
from modelops.domain.release.routing import gets_requests, step_words
from modelops.domain.release.scale import is_scaled, is_staffed, noted
from modelops.domain.release.starting import starting
from modelops.domain.release.steps import effective_steps, is_past_all, needs_passes, weight_after
from modelops.domain.release.turn import Turn


@dataclass(frozen=True, slots=True)
class Move:
    """Where one move has led."""

    turn: Turn
    promoted: str = ""
    """Why it is promoted, or nothing."""
    failed: str = ""
    """Why it is given up, or nothing."""


def without_skipped(seen: Observed, status: ModelReleaseStatus) -> ModelReleaseStatus:
    """Return the status past all steps if undo or a human's word skips them, those of a changed spec included."""
    steps = len(effective_steps(seen.spec.strategy))
    skips = status.canary is not None and is_past_all(status)
    return status.model_copy(update={"step": steps}) if skips and status.step < steps else status


def move(seen: Observed, turn: Turn, waiting: str) -> Move:
    """Go on from the current step as far as one change of weight.

    Args:
        seen: the release.
        turn: with a canary whose servers were ready once.
        waiting: which metrics have not passed at this weight, or nothing.
    """
    status, steps = turn.status, effective_steps(seen.spec.strategy)
    if (stays := _in_force(seen, turn)) is not None:
        return stays
    if smoke_test.is_awaited(seen.spec, status):
        return _waiting(turn, smoke_test.awaited_words(status))
    if status.step >= len(steps):
        return _last(seen, turn)
    step = steps[status.step]
    if step.set_weight != 100 and (missing := _last_chance(seen, status)):
        return _waiting(turn, f"one Pass of {missing}: no later step measures it")
    return _take(seen, turn, step, waiting)


def _take(seen: Observed, turn: Turn, step: Step, waiting: str) -> Move:
    """Do what the current step says."""
    status, steps = turn.status, effective_steps(seen.spec.strategy)
    if step.set_weight is not None:
        return _next(seen, turn) if status.desired_weight == step.set_weight else _weigh(seen, turn, step.set_weight)
    # Other steps may have come under a canary on its way: its weight is what those up to here say.
    if (weight := weight_after(steps[: status.step])) != status.desired_weight:
        return _weigh(seen, turn, weight)
    if step.smoke_test is not None:
        return _next(seen, turn)
    if step.set_header_route is not None or step.set_mirror is not None:
        return _route(seen, turn, step)
    if step.set_canary_scale is not None:
        return _next(seen, turn) if is_staffed(seen, status) else _staff(seen, turn)
    if step.approve is not None:
        return _waiting(turn, f"approval: `modelops release promote {seen.owner.name}`")
    return _timed(seen, turn, step, waiting)


def _in_force(seen: Observed, turn: Turn) -> Move | None:
    """Stay until what the steps so far ask for is in force; None once it is."""
    status = turn.status
    if missing := in_force.awaited(seen, status):
        short = placing.is_used(seen.spec) and not is_staffed(seen, status)
        return _staff(seen, turn) if short else _unconfirmed(seen, turn, missing)
    shut = shut_for(seen, status) if in_force.withholds(seen, status) else None
    return None if shut is None else Move(held(seen, turn, shut))


def _timed(seen: Observed, turn: Turn, step: Step, waiting: str) -> Move:
    """Stay for a time: a pause, a bake, an analysis."""
    status, begun = turn.status, turn.status.step_started_at or seen.now
    if step.pause is not None:
        if step.pause.duration is None:
            return _waiting(turn, f"`modelops release promote {seen.owner.name}`")
        until, what, missing = begun + step.pause.duration, "the pause to end", ""
    elif step.bake is not None:
        # Without requests it is the servers that are tried, so the time counts from when they were ready.
        since = begun if gets_requests(status) else max(begun, status.ready_since or seen.now)
        until, what, missing = since + step.bake.duration, "the bake to end", _held(seen, status)
    else:
        assert step.analyze is not None
        start = window_start(status, seen.spec.analysis)
        until, what, missing = max(begun, start or begun) + step.analyze.duration, "the analysis to last", waiting
        what += " long enough"
    if seen.now < until:
        return Move(turn.with_status(waiting_for=what, eta=until))
    return _waiting(turn, missing) if missing else _next(seen, turn)


def _next(seen: Observed, turn: Turn) -> Move:
    """Go to the next step; what it asks for is looked at in the same turn."""
    moved = turn.with_status(step=turn.status.step + 1, step_started_at=seen.now, waiting_for=None, eta=None)
    return move(seen, moved, weigh(moved.status, seen.spec.analysis, seen.now).waiting)


def _weigh(seen: Observed, turn: Turn, weight: int) -> Move:
    """Ask the gateway for another weight, once what it needs is there."""
    status = turn.status
    if weight > status.desired_weight:
        if lending.is_used(seen.spec):
            weight = lending.rising(seen.spec.serving.replicas, status.desired_weight, weight)
        if missing := _held(seen, status):
            return _waiting(turn, missing)
        if weight == 100 and (compared := [one for one in _unproven(seen, status) if needs_stable(one)]):
            return _without_pass(seen, turn, compared, "at weight 100 there is nothing to compare with")
        if is_scaled(seen.spec) and not is_staffed(seen, status):
            return _staff(seen, turn)
        if (shut := shut_for(seen, status)) is not None:
            return Move(held(seen, turn, shut))
    version = status.canary.version if status.canary else "?"
    last = weight == 100 and status.step >= len(effective_steps(seen.spec.strategy))
    what = "all of the traffic" if last else f"weight {weight}"
    told = turn.with_status(
        desired_weight=weight,
        unconfirmed_since=seen.now,
        waiting_for=f"the gateway to confirm {what}",
        eta=None,
    )
    if placing.is_used(seen.spec):
        told = told.with_status(waiting_for=placing.awaited(seen, told.status))
        what = placing.words(seen.spec, weight)
    return Move(told.saying("WeightSet", f"{what} for version {version}"))


def _route(seen: Observed, turn: Turn, step: Step) -> Move:
    """Leave a step that sets a route; one that brings requests waits for whatever a weight waits for."""
    status, header, mirror = turn.status, step.set_header_route, step.set_mirror
    if (header is not None and header.match) or (mirror is not None and mirror.percent):
        if missing := _held(seen, status):
            return _waiting(turn, missing)
        if (shut := shut_for(seen, status)) is not None:
            return Move(held(seen, turn, shut))
    version = status.canary.version if status.canary else "?"
    return _next(seen, turn.saying("RouteSet", f"{step_words(step)} for version {version}"))


def _last(seen: Observed, turn: Turn) -> Move:
    """All steps are done: every metric must have passed once, then all of the traffic, then it is promoted."""
    status = turn.status
    if missing := _unproven(seen, status):
        return _without_pass(seen, turn, missing, "nothing is promoted unmeasured")
    if status.desired_weight != 100:
        return _weigh(seen, turn, 100)
    if silent := _held(seen, status):
        return _waiting(turn, silent)
    return Move(turn, promoted=_why(seen, status))


def _without_pass(seen: Observed, turn: Turn, missing: Sequence[Metric], why: str) -> Move:
    """Wait for a Pass of each metric; go back to where one is measured if other steps under a canary skipped that."""
    status = turn.status
    lost = [one for one in missing if not is_measured(status, one)]
    if (index := back_to(lost, effective_steps(seen.spec.strategy)[: status.step])) is not None:
        return move(seen, turn.with_status(step=index, step_started_at=seen.now, waiting_for=None, eta=None), "")
    return _waiting(turn, f"one Pass of {_names(missing)}: {why}")


def _is_judged(seen: Observed, status: ModelReleaseStatus) -> bool:
    """Return whether metrics decide: not of what undo brings back, which was proven, nor against a human's word."""
    return not is_past_all(status) and needs_passes(seen.spec.strategy)


def _unproven(seen: Observed, status: ModelReleaseStatus) -> list[Metric]:
    """Return the deciding metrics without a Pass."""
    if not _is_judged(seen, status):
        return []
    without = {metric.name for metric in status.analysis if metric.passes == 0}
    return [metric for metric in seen.spec.analysis.metrics if metric.name in without and not metric.dry_run]


def _last_chance(seen: Observed, status: ModelReleaseStatus) -> str:
    """Return the metrics without a Pass that can be measured now, and no more once this step is done; or nothing."""
    steps = effective_steps(seen.spec.strategy)
    if weight_after(steps[: status.step]) != status.desired_weight:
        return ""
    return _names(one for one in _unproven(seen, status) if ends_with(one, steps, status.step))


def _names(metrics: Iterable[Metric]) -> str:
    return ", ".join(metric.name for metric in metrics)


def _held(seen: Observed, status: ModelReleaseStatus) -> str:
    if not _is_judged(seen, status):
        return ""
    return holding(status.analysis, seen.spec.analysis)


def _why(seen: Observed, status: ModelReleaseStatus) -> str:
    """Return what the history says of a promotion."""
    if status.undo_to is not None:
        return "undone by hand: it was promoted before"
    passes = "; ".join(f"{one.name} {one.measurements[-1].message}" for one in status.analysis if one.measurements)
    if not needs_passes(seen.spec.strategy):
        passes = f"{'direct' if seen.spec.strategy.direct else 'blue-green'}: nothing is analyzed"
    skipped = ["by hand: the steps that were left are skipped"] if status.by_hand else []
    return "; ".join([passes or "all steps done", *skipped, *map(approval_words, status.approvals)])


def _staff(seen: Observed, turn: Turn) -> Move:
    """Wait for the servers that the canary needs, at most until its deadline."""
    # The step may have changed in this turn, and with it how many they are.
    status = noted(seen, turn.status)
    assert status.canary is not None
    wait = starting(seen, status, status.canary)
    return Move(replace(turn, status=wait.status, events=(*turn.events, *wait.events)), failed=wait.failed)


def _unconfirmed(seen: Observed, turn: Turn, missing: str) -> Move:
    """Wait for what was asked for to come into force, at most for progressDeadline."""
    turn = turn.with_status(unconfirmed_since=turn.status.unconfirmed_since or seen.now)
    until = in_force.given_up_at(seen, turn.status)
    if until is None or seen.now < until:
        return _waiting(turn, missing)
    limit = format_duration(seen.spec.progress_deadline)
    return Move(turn, failed=f"DeadlineExceeded: not in force within {limit}: {missing}")


def _waiting(turn: Turn, what: str) -> Move:
    return Move(turn.with_status(waiting_for=what, eta=None))

"""What to do about a TrainingRun: one Workflow per set of inputs, its result read once. Pure and total.

data not pinned ──► Waiting      pool refuses ──► Admitted=False      suspended ──► its Workflow is ended
both there ──► inputs seen before and registered? ──► reuse that version
               else attempt written ──► train → evaluate → register ──► Registered | CriteriaNotMet | Failed
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from modelops.api.kinds import WORKFLOW
from modelops.api.v1alpha1.common import format_duration
from modelops.api.v1alpha1.dataset import Attempt
from modelops.api.v1alpha1.trainingrun import AttemptRecord
from modelops.domain import attempts, preflight, status
from modelops.domain.plan import ConditionSpec, CreateObject, EventSpec, Plan
from modelops.domain.training.inputs import Data
from modelops.domain.training.observed import Observed, inputs_hash, is_running, record_of
from modelops.domain.training.settle import read, settle, settled, superseded
from modelops.domain.training.starting import SOON, begin, workflow_of, working
from modelops.domain.workflow_waits import wait_of

_LOST_LIMIT: Final = 3
_WAIT: Final = timedelta(seconds=30)
_LATE: Final = timedelta(minutes=1)
_UNWATCHED: Final = timedelta(minutes=5)
"""Between two looks at a WorkflowTemplate, which nothing watches."""


def decide_training(seen: Observed) -> Plan:
    """Return the plan for a TrainingRun."""
    plan = attempts.tidied(_decide(seen), seen.strays)
    refused = preflight.refusal(plan, seen.place)
    if refused is None:
        return plan
    conditions = (*refused.conditions, ConditionSpec("Admitted", "False", refused.reason, refused.message))
    return attempts.tidied(Plan(seen.status, conditions, requeue_after=preflight.AGAIN), seen.strays)


def _decide(seen: Observed) -> Plan:
    if seen.spec.suspend:
        return _suspended(seen)
    if seen.data is None:
        if is_running(seen) and seen.gone:
            return _stop(seen, "DependencyNotReady", seen.waiting)
        # A Workflow that runs goes on: what is waited for may come back as it was, and hours of training with it.
        message = f"{seen.waiting}; its Workflow goes on" if is_running(seen) else seen.waiting
        conditions = (
            status.not_ready("DependencyNotReady", message),
            status.reconciling("DependencyNotReady", message),
        )
        return Plan(seen.status, conditions, requeue_after=_WAIT)
    if not seen.admission.admitted:
        refused = ConditionSpec("Admitted", "False", seen.admission.reason, seen.admission.message)
        return Plan(seen.status, (*status.stalled(seen.admission.reason, seen.admission.message), refused))
    inputs = inputs_hash(seen, seen.data)
    attempt = seen.status.attempt
    if attempt is None or attempt.inputs_hash != inputs:
        known = _registered_before(seen, inputs)
        if known is not None:
            return _reuse(seen, known, inputs)
        return begin(seen, seen.data, inputs, "Created" if attempt is None else _why(seen))
    if seen.command is not None:
        return begin(seen, seen.data, inputs, "Command")
    if record := record_of(seen, attempt):
        if record.outcome == attempts.SUSPENDED:
            return begin(seen, seen.data, inputs, "Resumed")
        look = None if seen.template is None else _UNWATCHED
        let_go = attempts.let_go(seen.workflow)
        return Plan(seen.status, settled(seen, record, seen.status), let_go, requeue_after=look)
    return _follow(seen, seen.data, attempt)


def _suspended(seen: Observed) -> Plan:
    """Read what has ended, end what runs, and begin nothing."""
    attempt, said = seen.status.attempt, (status.suspended(),)
    if attempt is None or record_of(seen, attempt):
        return Plan(seen.status, said, attempts.end(seen.workflow))
    match attempts.progress_of(seen.workflow, attempt, seen.owner.uid).phase:
        case "Foreign":
            return Plan(seen.status, said)
        case "Succeeded" | "Failed" if seen.data is None:
            # It is held until its result can be told.
            return Plan(seen.status, said, requeue_after=_WAIT)
        case "Succeeded" | "Failed" if seen.data and inputs_hash(seen, seen.data) == attempt.inputs_hash:
            return replace(_follow(seen, seen.data, attempt), conditions=said)
        case _:
            new = seen.status.model_copy(update={"workflow": None})
            plan = settle(seen, new, attempt, attempts.SUSPENDED, "ended by suspend; another begins on resume")
            # On record first: a Workflow that is ended here is not one that was lost.
            return replace(plan, conditions=said, actions=attempts.end(seen.workflow), status_first=True)


def _follow(seen: Observed, data: Data, attempt: Attempt) -> Plan:
    progress = attempts.progress_of(seen.workflow, attempt, seen.owner.uid)
    new = seen.status.model_copy(update={"workflow": progress.ref or seen.status.workflow})
    match progress.phase:
        case "Missing":
            if seen.status.workflow is None or not seen.status.workflow.uid:
                create = CreateObject(WORKFLOW, workflow_of(seen, data, attempt))
                actions = (*attempts.end(seen.workflow), create)
                return Plan(new, working(seen, "starting"), actions, requeue_after=SOON)
            lost = attempt.lost + 1
            if lost >= _LOST_LIMIT:
                message = f"the Workflow vanished {lost} times before it ended; see who deletes Workflows, then retry"
                return settle(seen, new, attempt, "Lost", message)
            return begin(seen, data, attempt.inputs_hash, "WorkflowLost", lost=lost)
        case "Foreign":
            return Plan(new, status.stalled("WorkflowNameTaken", progress.message + "; delete it"))
        case "Running":
            assert seen.workflow is not None
            wait = wait_of(seen.workflow, seen.now)
            if wait is not None:
                return Plan(new, working(seen, wait.message, wait.reason), requeue_after=_LATE)
            done = progress.ref.progress if progress.ref else ""
            message = progress.message or f"Workflow is running{f', {done} steps done' if done else ''}"
            return Plan(new, working(seen, message), requeue_after=_LATE if done else SOON)
        case "Failed":
            return settle(seen, new, attempt, "Failed", _with_limit(seen, progress.message))
        case "Succeeded":
            return read(seen, data, new, attempt, progress.result)


def _stop(seen: Observed, reason: str, message: str) -> Plan:
    """End a Workflow whose inputs are gone; the attempt stays on record as superseded."""
    attempt = seen.status.attempt
    assert attempt is not None
    history = (*seen.status.history, superseded(seen, attempt))[-10:]
    new = seen.status.model_copy(update={"attempt": None, "workflow": None, "history": history})
    conditions = (status.not_ready(reason, message), status.reconciling(reason, message))
    return Plan(new, conditions, attempts.end(seen.workflow), requeue_after=_WAIT)


def _reuse(seen: Observed, known: AttemptRecord, inputs: str) -> Plan:
    """The same inputs were trained and registered before: that version is this run's again, nothing is trained."""
    attempt = Attempt(id=known.id, trigger="Reused", inputs_hash=inputs, started_at=seen.now)
    record = known.model_copy(update={"trigger": "Reused", "finished_at": seen.now, "started_at": seen.now})
    new = seen.status.model_copy(
        update={
            "attempt": attempt,
            "workflow": None,
            "model_version": known.model_version,
            "history": (*seen.status.history, record)[-10:],
        }
    )
    event = EventSpec("Registered", f"same inputs as before: version {known.model_version} is used again")
    return Plan(new, settled(seen, record, new), attempts.end(seen.workflow), events=(event,))


def _why(seen: Observed) -> str:
    lineage = seen.status.lineage
    if lineage is None:
        return "SpecChanged"
    if seen.data is not None and lineage.dataset_digest != seen.data.revision.digest:
        return "DataChanged"
    code = seen.code or seen.template
    if code is not None and lineage.code_digest and lineage.code_digest != code.digest:
        return "CodeChanged"
    return "SpecChanged"


def _registered_before(seen: Observed, inputs: str) -> AttemptRecord | None:
    for record in reversed(seen.status.history):
        if record.inputs_hash == inputs and record.outcome == "Registered":
            return record
    return None


def _with_limit(seen: Observed, message: str) -> str:
    """Say whose deadline it was that a step exceeded."""
    if "deadline" not in message.lower():
        return message
    return f"{message} (spec.compute.timeout is {format_duration(seen.admission.timeout)}; raise it, or train less)"

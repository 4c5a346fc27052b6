"""What to do about a Dataset: pin its bytes by one Workflow per set of inputs. Pure and total.

no blob yet ──► Waiting        blob known ──► attempt written ──► Workflow ──► revision pinned
suspended ──► its Workflow is ended
                               inputs change ──► next attempt; the old revision stays until it is replaced
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from modelops.api.kinds import WORKFLOW
from modelops.api.v1alpha1.dataset import Attempt, DatasetRevision, DatasetSpec, DatasetStatus, WorkflowRef
from modelops.domain import attempts, preflight, status
from modelops.domain.plan import ConditionSpec, CreateObject, EventSpec, Plan
from modelops.domain.workflow_waits import wait_of
from modelops.workflows.render import Owner, Runtime, prepare_workflow

_LOST_LIMIT: Final = 3
"""How often the Workflow of the same inputs may vanish before a human is asked."""
_SOON: Final = timedelta(seconds=5)
_WAIT: Final = timedelta(seconds=30)
_LATE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where the file is, as far as it is known."""

    url: str
    commit: str
    blob: str | None
    """Object id of the file at that commit; None if there is no such file."""
    path: str
    secret: str | None


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything the decision depends on."""

    owner: Owner
    spec: DatasetSpec
    status: DatasetStatus
    source: DataSource | None
    """None while the GitSource is missing or has applied nothing."""
    waiting: str
    """Why there is no source."""
    workflow: Mapping[str, Any] | None
    """The Workflow of the attempt in status."""
    strays: tuple[Mapping[str, Any], ...]
    """Its other Workflows: of attempts that were given up."""
    runtime: Runtime
    command: str | None
    """Id of an unhandled `retry` command."""
    artifact_url: str
    """Prefix of links to a run's artifacts."""
    now: datetime
    place: preflight.Place | None = None
    """Its namespace, where a Workflow is about to be made."""


def decide_dataset(seen: Observed) -> Plan:
    """Return the plan for a Dataset."""
    plan = attempts.tidied(_decide(seen), seen.strays)
    refused = preflight.refusal(plan, seen.place)
    if refused is None:
        return plan
    conditions = (*refused.conditions, *_kept_validated(seen))
    return attempts.tidied(Plan(seen.status, conditions, requeue_after=preflight.AGAIN), seen.strays)


def _decide(seen: Observed) -> Plan:
    if seen.spec.suspend:
        return _suspended(seen)
    if seen.source is None:
        return Plan(
            seen.status,
            (
                *_kept_ready(seen, "DependencyNotReady", seen.waiting),
                status.reconciling("DependencyNotReady", seen.waiting),
            ),
            requeue_after=_WAIT,
        )
    if seen.source.blob is None:
        message = f"{seen.source.path} does not exist at commit {seen.source.commit[:12]}; correct spec.source.git.path"
        return Plan(seen.status, status.stalled("FileNotFound", message))
    inputs = inputs_of(seen.spec, seen.source.blob)
    attempt = seen.status.attempt
    if attempt is None or attempt.inputs_hash != inputs:
        trigger = "Created" if attempt is None else "InputsChanged"
        return _start(seen, seen.source.blob, inputs, trigger)
    if seen.command is not None:
        return _start(seen, seen.source.blob, inputs, "Command")
    if _phase(seen) == attempts.SUSPENDED:
        return _start(seen, seen.source.blob, inputs, "Resumed")
    if seen.status.revision is not None and _pinned(seen, attempt):
        return Plan(seen.status, _good(seen.status.revision, seen.status), attempts.let_go(seen.workflow))
    return _follow(seen, seen.source.blob, attempt)


def _suspended(seen: Observed) -> Plan:
    """Read what has ended, end what runs, and begin nothing."""
    attempt, said = seen.status.attempt, (status.suspended(), *_kept_validated(seen))
    if attempt is None or _pinned(seen, attempt) or _on_record(seen) or _phase(seen) == attempts.SUSPENDED:
        return Plan(seen.status, said, attempts.end(seen.workflow))
    blob = seen.source.blob if seen.source is not None else None
    match attempts.progress_of(seen.workflow, attempt, seen.owner.uid).phase:
        case "Foreign":
            return Plan(seen.status, said)
        case "Succeeded" | "Failed" if blob is None:
            # It is held until its result can be told.
            return Plan(seen.status, said, requeue_after=_WAIT)
        case "Succeeded" | "Failed" if blob and inputs_of(seen.spec, blob) == attempt.inputs_hash:
            plan = _follow(seen, blob, attempt)
            validated = (condition for condition in plan.conditions if condition.type == "Validated")
            return replace(plan, conditions=(status.suspended(), *validated))
        case _:
            name = attempts.workflow_name("ds", seen.owner.name, attempt)
            stopped = seen.status.model_copy(update={"workflow": WorkflowRef(name=name, phase=attempts.SUSPENDED)})
            # On record first: a Workflow that is ended here is not one that was lost.
            return Plan(stopped, said, attempts.end(seen.workflow), status_first=True)


def _follow(seen: Observed, blob: str, attempt: Attempt) -> Plan:
    progress = attempts.progress_of(seen.workflow, attempt, seen.owner.uid)
    new = seen.status.model_copy(update={"workflow": progress.ref or seen.status.workflow})
    match progress.phase:
        case "Missing":
            if _on_record(seen) and (told := _kept_validated(seen)):
                return Plan(seen.status, (*status.stalled(told[0].reason, told[0].message), *told))
            if seen.status.workflow is None or not seen.status.workflow.uid:
                actions = (*attempts.end(seen.workflow), CreateObject(WORKFLOW, _render(seen, blob, attempt)))
                return Plan(new, _working(seen, "starting"), actions, requeue_after=_SOON)
            lost = attempt.lost + 1
            if lost >= _LOST_LIMIT:
                message = f"the Workflow vanished {lost} times before it ended; see who deletes Workflows, then retry"
                conditions = (*status.stalled("WorkflowLost", message), _invalid("WorkflowLost", message))
                return Plan(new, conditions, attempts.let_go(seen.workflow))
            return _start(seen, blob, attempt.inputs_hash, "WorkflowLost", lost=lost)
        case "Foreign":
            return Plan(new, status.stalled("WorkflowNameTaken", progress.message + "; delete it"))
        case "Running":
            assert seen.workflow is not None
            wait = wait_of(seen.workflow, seen.now)
            if wait is not None:
                return Plan(new, _working(seen, wait.message, wait.reason), requeue_after=_LATE)
            done = progress.ref is not None and progress.ref.progress
            message = progress.message or "checking the data"
            return Plan(new, _working(seen, message), requeue_after=_LATE if done else _SOON)
        case "Failed":
            message = progress.message
            return Plan(
                new,
                (*status.stalled("PreparationFailed", message), _invalid("PreparationFailed", message)),
                attempts.let_go(seen.workflow) if _on_record(seen) else (),
                events=_once(seen, EventSpec("PreparationFailed", message, "Warning")),
            )
        case "Succeeded":
            return _pin(seen, new, progress.result)


def _pin(seen: Observed, new: DatasetStatus, text: str | None) -> Plan:
    result = attempts.parse_result(text)
    if isinstance(result, str):
        return _unreadable(seen, new, result)
    try:
        revision = DatasetRevision.model_validate(result)
    except ValidationError as error:
        return _unreadable(
            seen, new, f"the Workflow's result lacks {error.errors()[0]['loc']}; is the trainer image too old?"
        )
    report = result.get("report")
    pinned = new.model_copy(
        update={
            "revision": revision,
            "profile": result.get("profile"),
            "splits": result.get("splits"),
            "quarantined": result.get("quarantined"),
            "report": str(report) if report else f"{seen.artifact_url}{revision.run_id}",
        }
    )
    event = EventSpec("Validated", f"{revision.rows} rows pinned as {revision.digest[:19]}")
    return Plan(pinned, _good(revision, pinned), events=_once(seen, event))


def _unreadable(seen: Observed, new: DatasetStatus, message: str) -> Plan:
    """A Workflow whose result cannot be read is as good as failed: the revision before it is not this attempt's."""
    assert new.workflow is not None
    conditions = (*status.stalled("BadResult", message), _invalid("BadResult", message))
    failed = new.model_copy(update={"workflow": new.workflow.model_copy(update={"phase": "Error"})})
    return Plan(failed, conditions, attempts.let_go(seen.workflow) if _on_record(seen) else ())


def _start(seen: Observed, blob: str, inputs: str, trigger: str, *, lost: int = 0) -> Plan:
    old = seen.status.attempt
    counter = attempts.tried(seen.owner.uid, inputs, (old.id,) if old is not None else ())
    attempt = attempts.new_attempt(seen.owner.uid, inputs, trigger, counter=counter, now=seen.now, lost=lost)
    update: dict[str, Any] = {"attempt": attempt, "workflow": None}
    if seen.command is not None:
        update["last_handled_command"] = seen.command
    new = seen.status.model_copy(update=update)
    actions = (*attempts.end(seen.workflow), CreateObject(WORKFLOW, _render(seen, blob, attempt)))
    message = f"attempt {attempt.id}: {trigger}"
    return Plan(new, _working(seen, message), actions, status_first=True, requeue_after=_SOON)


def _render(seen: Observed, blob: str, attempt: Attempt) -> dict[str, Any]:
    assert seen.source is not None
    step = {
        **attempts.told(seen.owner.namespace, seen.owner.name, attempt),
        "git": {"url": seen.source.url, "commit": seen.source.commit, "path": seen.source.path, "blob": blob},
        "dataset": _spec(seen.spec),
    }
    name = attempts.workflow_name("ds", seen.owner.name, attempt)
    return prepare_workflow(seen.owner, name, attempt.id, attempt.inputs_hash, step, seen.runtime, seen.source.secret)


def inputs_of(spec: DatasetSpec, blob: str) -> str:
    """Return the hash of what preparation depends on: the file's bytes and the contract, not where the file lies."""
    said = _spec(spec)
    said.pop("source")
    return attempts.inputs_hash({"blob": blob, "spec": said, "reader": 1})


def _spec(spec: DatasetSpec) -> dict[str, Any]:
    dumped: dict[str, Any] = spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"suspend"})
    return dumped


def _pinned(seen: Observed, attempt: Attempt) -> bool:
    """Return whether the revision in status is this attempt's: its Workflow was read to the end."""
    workflow = seen.status.workflow
    return workflow is not None and workflow.phase == "Succeeded" and workflow.name.endswith(attempt.id)


def _on_record(seen: Observed) -> bool:
    """Return whether the status tells already how this attempt's Workflow ended, but not with a revision."""
    return _phase(seen) in ("Failed", "Error")


def _phase(seen: Observed) -> str:
    """Return how far the attempt's Workflow was when it was last looked at; empty if it was not."""
    return seen.status.workflow.phase if seen.status.workflow is not None else ""


def _good(revision: DatasetRevision, new: DatasetStatus) -> tuple[ConditionSpec, ...]:
    parts = ", ".join(f"{count} {part}" for part, count in (new.splits or {}).items())
    message = f"{revision.rows} rows ({parts}), {new.quarantined or 0} in quarantine"
    return status.ready("Pinned", message), ConditionSpec("Validated", "True", "Pinned", message)


def _working(seen: Observed, message: str, reason: str = "Preparing") -> tuple[ConditionSpec, ...]:
    return (*_kept_ready(seen, reason, message), status.reconciling(reason, message))


def _kept_ready(seen: Observed, reason: str, message: str) -> tuple[ConditionSpec, ...]:
    """An object that is being brought up to date is not Ready; its old revision stays in status for readers."""
    return (status.not_ready(reason, message), *_kept_validated(seen))


def _kept_validated(seen: Observed) -> tuple[ConditionSpec, ...]:
    return tuple(status.said(condition) for condition in seen.status.conditions if condition.type == "Validated")


def _invalid(reason: str, message: str) -> ConditionSpec:
    return ConditionSpec("Validated", "False", reason, message)


def _once(seen: Observed, event: EventSpec) -> tuple[EventSpec, ...]:
    said = {(c.reason, c.message[:900]) for c in seen.status.conditions}
    already = event.type == "Warning" and (event.reason, event.message) in said
    return () if already else (event,)

"""What to do about a TrainingRun: one Workflow per set of inputs, its result read once. Pure and total.

data not pinned ──► Waiting      pool refuses ──► Admitted=False
both there ──► inputs seen before and registered? ──► reuse that version
               else attempt written ──► train → evaluate → register ──► Registered | CriteriaNotMet | Failed
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from pydantic import ValidationError

from modelops.api.kinds import WORKFLOW
from modelops.api.v1alpha1.common import API_VERSION, format_duration
from modelops.api.v1alpha1.dataset import Attempt
from modelops.api.v1alpha1.trainingrun import (
    AttemptRecord,
    CriterionResult,
    MlflowRun,
    TrainingLineage,
    TrainingRunSpec,
    TrainingRunStatus,
)
from modelops.domain import attempts, preflight, status
from modelops.domain.plan import Action, ConditionSpec, CreateObject, EventSpec, Plan
from modelops.domain.training.admit import Admission
from modelops.domain.training.inputs import Code, Data, inputs_of
from modelops.domain.training.template import Template
from modelops.domain.workflow_waits import wait_of
from modelops.workflows.render import Owner, Runtime, training_workflow

_LOST_LIMIT: Final = 3
_SOON: Final = timedelta(seconds=5)
_LATE: Final = timedelta(minutes=1)
_UNWATCHED: Final = timedelta(minutes=5)
"""Between two looks at a WorkflowTemplate, which nothing watches."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything the decision depends on."""

    owner: Owner
    spec: TrainingRunSpec
    status: TrainingRunStatus
    data: Data | None
    waiting: str
    """Why there is no data."""
    gone: bool
    """Whether the Dataset does not exist: nothing that runs can be of use. Else a wait may pass."""
    code: Code | None
    """Of trainer.git."""
    admission: Admission
    workflow: Mapping[str, Any] | None
    """The Workflow of the attempt in status."""
    strays: tuple[Mapping[str, Any], ...]
    """Its other Workflows: of attempts that were given up."""
    runtime: Runtime
    commit: str
    """Commit that delivered the manifest; empty if it was applied by hand."""
    command: str | None
    """Id of an unhandled `retry` command."""
    mlflow_url: str
    now: datetime
    template: Template | None = None
    """Of trainer.workflowTemplate."""
    place: preflight.Place | None = None
    """Its namespace, where a Workflow is about to be made."""


def decide_training(seen: Observed) -> Plan:
    """Return the plan for a TrainingRun."""
    plan = attempts.tidied(_decide(seen), seen.strays)
    refused = preflight.refusal(plan, seen.place)
    if refused is None:
        return plan
    conditions = (*refused.conditions, ConditionSpec("Admitted", "False", refused.reason, refused.message))
    return attempts.tidied(Plan(seen.status, conditions, requeue_after=preflight.AGAIN), seen.strays)


def _decide(seen: Observed) -> Plan:
    if seen.data is None:
        if _running(seen) and seen.gone:
            return _stop(seen, "DependencyNotReady", seen.waiting)
        # A Workflow that runs goes on: what is waited for may come back as it was, and hours of training with it.
        message = f"{seen.waiting}; its Workflow goes on" if _running(seen) else seen.waiting
        conditions = (
            status.not_ready("DependencyNotReady", message),
            status.reconciling("DependencyNotReady", message),
        )
        return Plan(seen.status, conditions, requeue_after=timedelta(seconds=30))
    if not seen.admission.admitted:
        refused = ConditionSpec("Admitted", "False", seen.admission.reason, seen.admission.message)
        return Plan(seen.status, (*status.stalled(seen.admission.reason, seen.admission.message), refused))
    inputs = attempts.inputs_hash(inputs_of(seen.spec, seen.data, seen.code or seen.template))
    attempt = seen.status.attempt
    if attempt is None or attempt.inputs_hash != inputs:
        known = _registered_before(seen, inputs)
        if known is not None:
            return _reuse(seen, known, inputs)
        return _start(seen, seen.data, inputs, "Created" if attempt is None else _why(seen), counter=0)
    if seen.command is not None:
        return _start(seen, seen.data, inputs, "Command", counter=_counter(seen, inputs) + 1)
    if record := _record_of(seen, attempt):
        look = None if seen.template is None else _UNWATCHED
        let_go = attempts.let_go(seen.workflow)
        return Plan(seen.status, _settled(seen, record, seen.status), let_go, requeue_after=look)
    return _follow(seen, seen.data, attempt)


def _follow(seen: Observed, data: Data, attempt: Attempt) -> Plan:
    progress = attempts.progress_of(seen.workflow, attempt, seen.owner.uid)
    new = seen.status.model_copy(update={"workflow": progress.ref or seen.status.workflow})
    match progress.phase:
        case "Missing":
            if seen.status.workflow is None or not seen.status.workflow.uid:
                create = CreateObject(WORKFLOW, _render(seen, data, attempt))
                actions = (*attempts.end(seen.workflow), create)
                return Plan(new, _working(seen, "starting"), actions, requeue_after=_SOON)
            lost = _counter(seen, attempt.inputs_hash) + 1
            if lost >= _LOST_LIMIT:
                message = f"the Workflow vanished {lost} times before it ended; see who deletes Workflows, then retry"
                return _settle(seen, new, attempt, "Lost", message)
            return _start(seen, data, attempt.inputs_hash, "WorkflowLost", counter=lost)
        case "Foreign":
            return Plan(new, status.stalled("WorkflowNameTaken", progress.message + "; delete it"))
        case "Running":
            assert seen.workflow is not None
            wait = wait_of(seen.workflow, seen.now)
            if wait is not None:
                return Plan(new, _working(seen, wait.message, wait.reason), requeue_after=_LATE)
            done = progress.ref.progress if progress.ref else ""
            message = progress.message or f"Workflow is running{f', {done} steps done' if done else ''}"
            return Plan(new, _working(seen, message), requeue_after=_LATE if done else _SOON)
        case "Failed":
            return _settle(seen, new, attempt, "Failed", _with_limit(seen, progress.message))
        case "Succeeded":
            return _read(seen, data, new, attempt, progress.result)


def _read(seen: Observed, data: Data, new: TrainingRunStatus, attempt: Attempt, text: str | None) -> Plan:
    result = attempts.parse_result(text)
    if isinstance(result, str):
        return _settle(seen, new, attempt, "Failed", result)
    try:
        criteria = tuple(CriterionResult.model_validate(entry) for entry in result.get("criteria") or ())
        metrics = {str(name): float(value) for name, value in (result.get("metrics") or {}).items()}
        run_id, passed = str(result["runId"]), result["passed"] is True
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        return _settle(seen, new, attempt, "Failed", f"the Workflow's result is not as agreed: {error}"[:500])
    experiment = str(result.get("experimentId", ""))
    looks = seen.status.test_looks if _same_data(seen, data) else 0
    url = f"{seen.mlflow_url}/#/experiments/{experiment}/runs/{run_id}"
    lineage = TrainingLineage(
        commit=seen.commit,
        dataset_commit=data.revision.commit,
        content_digest=data.revision.content_digest,
        dataset_digest=data.revision.digest,
        code_digest=_code_digest(seen),
        workflow_uid=new.workflow.uid if new.workflow else "",
        run_id=run_id,
    )
    update: dict[str, Any] = {
        "mlflow": MlflowRun(experiment_id=experiment, run_id=run_id, url=url),
        "metrics": metrics,
        "criteria": criteria,
        "test_looks": looks + 1,
        "lineage": lineage,
    }
    if not passed:
        failed = "; ".join(f"{c.criterion}: {_figure(c.value)}" for c in criteria if not c.passed)
        message = f"not met: {failed}" if failed else str(result.get("message") or "criteria not met")
        return _settle(seen, new.model_copy(update=update), attempt, "CriteriaNotMet", message)
    version = str(result.get("modelVersion"))
    update |= {"model_version": version, "artifact_digest": result.get("artifactDigest")}
    met = "; ".join(f"{c.criterion}: {_figure(c.value)}" for c in criteria)
    message = f"{seen.spec.model.name} version {version}" + (f", {met}" if met else "")
    return _settle(seen, new.model_copy(update=update), attempt, "Registered", message, version=version)


def _settle(
    seen: Observed,
    new: TrainingRunStatus,
    attempt: Attempt,
    outcome: str,
    message: str,
    *,
    version: str | None = None,
) -> Plan:
    record = AttemptRecord(
        id=attempt.id,
        trigger=attempt.trigger,
        inputs_hash=attempt.inputs_hash,
        outcome=outcome,
        model_version=version,
        message=message[:900],
        started_at=attempt.started_at,
        finished_at=seen.now,
    )
    settled = new.model_copy(update={"history": (*new.history, record)[-10:]})
    event = EventSpec(outcome, record.message, "Normal" if outcome == "Registered" else "Warning")
    return Plan(settled, _settled(seen, record, settled), events=(event,))


def _settled(seen: Observed, record: AttemptRecord, new: TrainingRunStatus) -> tuple[ConditionSpec, ...]:
    admitted = ConditionSpec("Admitted", "True", seen.admission.reason, seen.admission.message)
    if record.outcome == "Registered":
        return (
            status.ready("Registered", record.message),
            ConditionSpec("Succeeded", "True", "Registered", record.message),
            ConditionSpec("Registered", "True", "Registered", f"version {new.model_version}"),
            admitted,
        )
    finished: Literal["True", "False"] = "True" if record.outcome == "CriteriaNotMet" else "False"
    return (
        *status.stalled(record.outcome, record.message),
        ConditionSpec("Succeeded", finished, record.outcome, record.message),
        ConditionSpec("Registered", "False", record.outcome, record.message),
        admitted,
    )


def _start(seen: Observed, data: Data, inputs: str, trigger: str, *, counter: int) -> Plan:
    attempt = attempts.new_attempt(seen.owner.uid, inputs, trigger, counter=counter, now=seen.now)
    update: dict[str, Any] = {"attempt": attempt, "workflow": None}
    if seen.command is not None:
        update["last_handled_command"] = seen.command
    old = seen.status.attempt
    if _running(seen) and old is not None:
        update["history"] = (*seen.status.history, _superseded(seen, old))[-10:]
    new = seen.status.model_copy(update=update)
    actions: tuple[Action, ...] = (*attempts.end(seen.workflow), CreateObject(WORKFLOW, _render(seen, data, attempt)))
    message = f"attempt {attempt.id}: {trigger}"
    return Plan(new, _working(seen, message), actions, status_first=True, requeue_after=_SOON)


def _stop(seen: Observed, reason: str, message: str) -> Plan:
    """End a Workflow whose inputs are gone; the attempt stays on record as superseded."""
    attempt = seen.status.attempt
    assert attempt is not None
    history = (*seen.status.history, _superseded(seen, attempt))[-10:]
    new = seen.status.model_copy(update={"attempt": None, "workflow": None, "history": history})
    conditions = (status.not_ready(reason, message), status.reconciling(reason, message))
    return Plan(new, conditions, attempts.end(seen.workflow), requeue_after=timedelta(seconds=30))


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
    return Plan(new, _settled(seen, record, new), attempts.end(seen.workflow), events=(event,))


def _superseded(seen: Observed, attempt: Attempt) -> AttemptRecord:
    return AttemptRecord(
        id=attempt.id,
        trigger=attempt.trigger,
        inputs_hash=attempt.inputs_hash,
        outcome="Superseded",
        message="its inputs changed before it ended",
        started_at=attempt.started_at,
        finished_at=seen.now,
    )


def _render(seen: Observed, data: Data, attempt: Attempt) -> dict[str, Any]:
    step = {
        "apiVersion": API_VERSION,
        "namespace": seen.owner.namespace,
        "name": seen.owner.name,
        "attempt": attempt.id,
        "inputsHash": attempt.inputs_hash,
        "commit": seen.commit,
        "data": {
            "runId": data.revision.run_id,
            "contentDigest": data.revision.content_digest,
            "digest": data.revision.digest,
            "commit": data.revision.commit,
        },
        "dataset": data.spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"suspend"}),
        "run": seen.spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"suspend", "compute"}),
        "promotedAlias": "champion",
        "gpus": seen.admission.gpus,
    }
    secret = None
    if seen.code is not None:
        code, secret = seen.code, seen.code.secret
        step["code"] = {"url": code.url, "commit": code.commit, "path": code.path, "digest": code.digest}
    if seen.template is not None:
        step["templateDigest"] = seen.template.digest
    name = attempts.workflow_name("tr", seen.owner.name, attempt)
    own = seen.spec.trainer.own
    return training_workflow(seen.owner, name, attempt.id, attempt.inputs_hash, step, seen.runtime, secret, own=own)


def _code_digest(seen: Observed) -> str:
    code = seen.code or seen.template
    return code.digest if code is not None else seen.spec.trainer.image_digest


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


def _record_of(seen: Observed, attempt: Attempt) -> AttemptRecord | None:
    for record in reversed(seen.status.history):
        if record.id == attempt.id and record.outcome != "Superseded":
            return record
    return None


def _running(seen: Observed) -> bool:
    attempt = seen.status.attempt
    return attempt is not None and _record_of(seen, attempt) is None


def _same_data(seen: Observed, data: Data) -> bool:
    lineage = seen.status.lineage
    return lineage is not None and lineage.dataset_digest == data.revision.digest


def _counter(seen: Observed, inputs: str) -> int:
    attempt = seen.status.attempt
    for count in range(100):
        candidate = attempts.new_attempt(seen.owner.uid, inputs, "", counter=count, now=seen.now)
        if attempt is not None and candidate.id == attempt.id:
            return count
    return 0


def _working(seen: Observed, message: str, reason: str = "Running") -> tuple[ConditionSpec, ...]:
    return (
        status.not_ready(reason, message),
        status.reconciling(reason, message),
        ConditionSpec("Admitted", "True", seen.admission.reason, seen.admission.message),
    )


def _with_limit(seen: Observed, message: str) -> str:
    """Say whose deadline it was that a step exceeded."""
    if "deadline" not in message.lower():
        return message
    return f"{message} (spec.compute.timeout is {format_duration(seen.admission.timeout)}; raise it, or train less)"


def _figure(value: float | None) -> str:
    return "no value" if value is None else f"{value:.4g}"

"""How an attempt ends: its Workflow's result is read, put on record, and told."""

from typing import Any, Literal

from pydantic import ValidationError

from modelops.api.v1alpha1.dataset import Attempt
from modelops.api.v1alpha1.trainingrun import (
    AttemptRecord,
    CriterionResult,
    MlflowRun,
    TrainingLineage,
    TrainingRunStatus,
)
from modelops.domain import attempts, status
from modelops.domain.plan import ConditionSpec, EventSpec, Plan
from modelops.domain.training.inputs import Data
from modelops.domain.training.observed import Observed, code_digest, is_same_data


def read(seen: Observed, data: Data, new: TrainingRunStatus, attempt: Attempt, text: str | None) -> Plan:
    """Return the plan that puts a Workflow's result on record.

    Args:
        seen: what is there.
        data: that it trained on.
        new: the status so far.
        attempt: that has ended.
        text: the result, as the step wrote it.
    """
    result = attempts.parse_result(text)
    if isinstance(result, str):
        return settle(seen, new, attempt, "Failed", result)
    try:
        criteria = tuple(CriterionResult.model_validate(entry) for entry in result.get("criteria") or ())
        metrics = {str(name): float(value) for name, value in (result.get("metrics") or {}).items()}
        run_id, passed = str(result["runId"]), result["passed"] is True
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        return settle(seen, new, attempt, "Failed", f"the Workflow's result is not as agreed: {error}"[:500])
    experiment = str(result.get("experimentId", ""))
    looks = seen.status.test_looks if is_same_data(seen, data) else 0
    url = f"{seen.mlflow_url}/#/experiments/{experiment}/runs/{run_id}"
    lineage = TrainingLineage(
        commit=seen.commit,
        dataset_commit=data.revision.commit,
        content_digest=data.revision.content_digest,
        dataset_digest=data.revision.digest,
        code_digest=code_digest(seen),
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
        return settle(seen, new.model_copy(update=update), attempt, "CriteriaNotMet", message)
    version = str(result.get("modelVersion"))
    update |= {"model_version": version, "artifact_digest": result.get("artifactDigest")}
    met = "; ".join(f"{c.criterion}: {_figure(c.value)}" for c in criteria)
    message = f"{seen.spec.model.name} version {version}" + (f", {met}" if met else "")
    return settle(seen, new.model_copy(update=update), attempt, "Registered", message, version=version)


def settle(
    seen: Observed,
    new: TrainingRunStatus,
    attempt: Attempt,
    outcome: str,
    message: str,
    *,
    version: str | None = None,
) -> Plan:
    """Return the plan that puts the outcome of an attempt on record and tells it.

    Args:
        seen: what is there.
        new: the status so far.
        attempt: that has ended.
        outcome: one word, as in `status.history`.
        message: cut after 900 characters.
        version: of the model that it registered.
    """
    record = _record(seen, attempt, outcome, message[:900], version)
    ended = new.model_copy(update={"history": (*new.history, record)[-10:]})
    event = EventSpec(outcome, record.message, "Normal" if outcome in ("Registered", attempts.SUSPENDED) else "Warning")
    return Plan(ended, settled(seen, record, ended), events=(event,))


def settled(seen: Observed, record: AttemptRecord, new: TrainingRunStatus) -> tuple[ConditionSpec, ...]:
    """Return the conditions of a run whose attempt is on record."""
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


def superseded(seen: Observed, attempt: Attempt) -> AttemptRecord:
    """Return the record of an attempt that ends because another begins, or none can."""
    return _record(seen, attempt, "Superseded", "its inputs changed before it ended")


def _record(seen: Observed, attempt: Attempt, outcome: str, message: str, version: str | None = None) -> AttemptRecord:
    return AttemptRecord(
        id=attempt.id,
        trigger=attempt.trigger,
        inputs_hash=attempt.inputs_hash,
        outcome=outcome,
        model_version=version,
        message=message,
        started_at=attempt.started_at,
        finished_at=seen.now,
    )


def _figure(value: float | None) -> str:
    return "no value" if value is None else f"{value:.4g}"

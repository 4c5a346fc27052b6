"""How an attempt begins: what triggered it is put on record first, then its Workflow is made."""

from datetime import timedelta
from typing import Any, Final

from modelops.api.kinds import WORKFLOW
from modelops.api.v1alpha1.dataset import Attempt
from modelops.domain import attempts, status
from modelops.domain.plan import Action, ConditionSpec, CreateObject, Plan
from modelops.domain.training.inputs import Data
from modelops.domain.training.observed import Observed, is_running
from modelops.domain.training.settle import superseded
from modelops.workflows.render import training_workflow

SOON: Final = timedelta(seconds=5)
"""After which a Workflow that was just made is looked at."""


def begin(seen: Observed, data: Data, inputs: str, trigger: str, *, lost: int = 0) -> Plan:
    """Return the plan that begins another attempt and ends the Workflow of the one before.

    Args:
        seen: what is there.
        data: that it trains on.
        inputs: the digest of its inputs.
        trigger: why it begins, one word.
        lost: how many Workflows of these inputs vanished before they ended.
    """
    old = seen.status.attempt
    ids = {record.id for record in seen.status.history} | ({old.id} if old is not None else set())
    counter = attempts.tried(seen.owner.uid, inputs, ids)
    attempt = attempts.new_attempt(seen.owner.uid, inputs, trigger, counter=counter, now=seen.now, lost=lost)
    update: dict[str, Any] = {"attempt": attempt, "workflow": None}
    if seen.command is not None:
        update["last_handled_command"] = seen.command
    if is_running(seen) and old is not None:
        update["history"] = (*seen.status.history, superseded(seen, old))[-10:]
    new = seen.status.model_copy(update=update)
    create = CreateObject(WORKFLOW, workflow_of(seen, data, attempt))
    actions: tuple[Action, ...] = (*attempts.end(seen.workflow), create)
    message = f"attempt {attempt.id}: {trigger}"
    return Plan(new, working(seen, message), actions, status_first=True, requeue_after=SOON)


def workflow_of(seen: Observed, data: Data, attempt: Attempt) -> dict[str, Any]:
    """Return the Workflow of an attempt."""
    step = {
        **attempts.told(seen.owner.namespace, seen.owner.name, attempt),
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


def working(seen: Observed, message: str, reason: str = "Running") -> tuple[ConditionSpec, ...]:
    """Return the conditions of a run whose Workflow is being made, or runs."""
    return (
        status.not_ready(reason, message),
        status.reconciling(reason, message),
        ConditionSpec("Admitted", "True", seen.admission.reason, seen.admission.message),
    )

"""Attempts: how work in a Workflow is started once, recognised again, and read when it ended. Pure.

Dataset and TrainingRun decide differently what their inputs are and what a result means; everything between is here.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from modelops.api.kinds import WORKFLOW
from modelops.api.labels import ATTEMPT, INPUTS_HASH, finalizers_of
from modelops.api.v1alpha1.common import API_VERSION
from modelops.api.v1alpha1.dataset import Attempt, WorkflowRef
from modelops.domain.plan import Action, DeleteObject, LetGo, Plan

_RESULT_LIMIT: Final = 8192
_COUNTED: Final = 1000
SUSPENDED: Final = "Suspended"
"""Outcome of an attempt that was ended because its object is suspended."""
Phase = Literal["Missing", "Foreign", "Running", "Succeeded", "Failed"]


@dataclass(frozen=True, slots=True)
class Progress:
    """What the current attempt's Workflow is doing."""

    phase: Phase
    ref: WorkflowRef | None = None
    message: str = ""
    result: str | None = None
    """The output parameter `result`, as text."""


def inputs_hash(inputs: Mapping[str, Any]) -> str:
    """Return the hash of an attempt's inputs: sha256 of canonical JSON."""
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def new_attempt(uid: str, inputs: str, trigger: str, *, counter: int, now: datetime, lost: int = 0) -> Attempt:
    """Return an attempt; the id follows from the object, its inputs and how often they were tried."""
    return Attempt(id=_identifier(uid, inputs, counter), trigger=trigger, inputs_hash=inputs, started_at=now, lost=lost)


def tried(uid: str, inputs: str, ids: Collection[str]) -> int:
    """Return how often these inputs were tried, by the ids of attempts that are on record."""
    return max((count + 1 for count in range(_COUNTED) if _identifier(uid, inputs, count) in ids), default=0)


def workflow_name(prefix: str, name: str, attempt: Attempt) -> str:
    """Return the Workflow's name: at most 63 characters, the same for the same attempt."""
    return f"{prefix}-{name[:40].rstrip('-')}-{attempt.id}"


def told(namespace: str, name: str, attempt: Attempt) -> dict[str, Any]:
    """Return what every step is told about whom it works for; what it works on is added.

    Args:
        namespace: of the Dataset or TrainingRun.
        name: of it.
        attempt: that its Workflow is.
    """
    return {
        "apiVersion": API_VERSION,
        "namespace": namespace,
        "name": name,
        "attempt": attempt.id,
        "inputsHash": attempt.inputs_hash,
    }


def progress_of(workflow: Mapping[str, Any] | None, attempt: Attempt, owner_uid: str) -> Progress:
    """Read a Workflow as the attempt's, or say that it is not."""
    if workflow is None:
        return Progress("Missing")
    meta, status = workflow["metadata"], workflow.get("status") or {}
    owners = {reference.get("uid") for reference in meta.get("ownerReferences") or ()}
    annotations, labels = meta.get("annotations") or {}, meta.get("labels") or {}
    if (
        owner_uid not in owners
        or annotations.get(INPUTS_HASH) != attempt.inputs_hash
        or labels.get(ATTEMPT) != attempt.id
    ):
        return Progress("Foreign", message=f"Workflow {meta['name']} exists but belongs to something else")
    ref = WorkflowRef(
        name=meta["name"],
        uid=meta.get("uid", ""),
        phase=status.get("phase", "Pending"),
        progress=str(status.get("progress", "")),
    )
    if meta.get("deletionTimestamp") and not ended(workflow):
        # It is only here because we hold it: whoever runs it has let go of it.
        return Progress("Missing", ref)
    match status.get("phase"):
        case "Succeeded":
            return Progress("Succeeded", ref, result=_result(status))
        case "Failed" | "Error":
            return Progress("Failed", ref, message=_failure(status))
        case _:
            return Progress("Running", ref, message=str(status.get("message", "")))


def ended(workflow: Mapping[str, Any]) -> bool:
    """Return whether a Workflow has come to an end."""
    return (workflow.get("status") or {}).get("phase") in ("Succeeded", "Failed", "Error")


def let_go(workflow: Mapping[str, Any] | None) -> tuple[Action, ...]:
    """Return what lets a Workflow go whose result is on record; nothing if it is gone, or not held."""
    if workflow is None or not finalizers_of(workflow):
        return ()
    return (LetGo(WORKFLOW, workflow),)


def end(workflow: Mapping[str, Any] | None) -> tuple[Action, ...]:
    """Return what ends a Workflow that is of no use any more; one that has ended by itself stays to be looked at."""
    if workflow is None:
        return ()
    meta = workflow["metadata"]
    if ended(workflow) or meta.get("deletionTimestamp"):
        return let_go(workflow)
    return (*let_go(workflow), DeleteObject(WORKFLOW, meta["namespace"], meta["name"], meta.get("uid")))


def tidied(plan: Plan, strays: Sequence[Mapping[str, Any]]) -> Plan:
    """Return a plan that also ends the Workflows of attempts that were given up: a crash may have come in between."""
    actions = tuple(action for stray in strays for action in end(stray))
    return replace(plan, actions=(*actions, *plan.actions)) if actions else plan


def parse_result(text: str | None) -> dict[str, Any] | str:
    """Return the decoded result of version 1, or a line that says what is wrong with it."""
    if text is None:
        return "the Workflow succeeded without its output parameter `result`"
    if len(text.encode()) > _RESULT_LIMIT:
        return f"the Workflow's result has more than {_RESULT_LIMIT} bytes"
    try:
        decoded = json.loads(text)
    except ValueError as error:
        return f"the Workflow's result is not JSON: {error}"
    if not isinstance(decoded, dict) or decoded.get("version") != 1:
        return "the Workflow's result is not of version 1; is the trainer image as new as the operator?"
    return decoded


def _identifier(uid: str, inputs: str, counter: int) -> str:
    return hashlib.sha256(f"{uid}/{inputs}/{counter}".encode()).hexdigest()[:8]


def _result(status: Mapping[str, Any]) -> str | None:
    for node in _nodes(status):
        for parameter in (node.get("outputs") or {}).get("parameters") or ():
            if parameter.get("name") == "result" and parameter.get("value") is not None:
                return str(parameter["value"])
    return None


def _failure(status: Mapping[str, Any]) -> str:
    """Return the message of the step that failed last, else the Workflow's own."""
    failed = [
        node
        for node in _nodes(status)
        if node.get("phase") in ("Failed", "Error") and node.get("type") == "Pod" and node.get("message")
    ]
    failed.sort(key=lambda node: str(node.get("finishedAt") or ""))
    if failed:
        step = failed[-1].get("templateName") or failed[-1].get("displayName") or "a step"
        return f"{step}: {failed[-1]['message']}"[:900]
    return str(status.get("message") or "the Workflow failed and left no message")[:900]


def _nodes(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list((status.get("nodes") or {}).values())

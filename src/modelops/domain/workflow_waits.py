"""Why a Workflow that has not ended does not get on: nobody took it up, no room for its pod, no image. Pure.

Argo writes a pending pod's reason into the node of its step: the scheduler's words, the kubelet's, or the API server's
refusal. A TrainingRun and a Dataset hand them on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from modelops.domain.status import CAPACITY

NOT_TAKEN_UP: Final = "WorkflowNotTakenUp"
PENDING: Final = "PodPending"
_PATIENCE: Final = timedelta(seconds=30)
"""A controller that runs takes a Workflow up in a second or two."""
_NO_ROOM: Final = ("Unschedulable", "SchedulingGated", "exceeded quota", "Insufficient ")
_LONGEST: Final = 400


@dataclass(frozen=True, slots=True)
class Wait:
    """What a Workflow waits for."""

    reason: str
    """CamelCase, for a condition."""
    message: str


def wait_of(workflow: Mapping[str, Any], now: datetime) -> Wait | None:
    """Return what a Workflow waits for, or None while it gets on."""
    status = workflow.get("status") or {}
    if not status.get("phase"):
        made = datetime.fromisoformat(str(workflow["metadata"]["creationTimestamp"]))
        if now - made < _PATIENCE:
            return None
        return Wait(
            NOT_TAKEN_UP, "no Argo Workflows controller has taken the Workflow up: does one watch this namespace?"
        )
    nodes = (status.get("nodes") or {}).values()
    pending = [node for node in nodes if node.get("type") == "Pod" and node.get("phase") == "Pending"]
    for node in sorted(pending, key=lambda node: str(node.get("startedAt") or "")):
        said = " ".join(str(node.get("message") or "").split())[:_LONGEST]
        if said and said not in ("ContainerCreating", "PodInitializing"):
            step = node.get("templateName") or node.get("displayName") or "a step"
            return Wait(CAPACITY if any(words in said for words in _NO_ROOM) else PENDING, f"step {step} waits: {said}")
    return None

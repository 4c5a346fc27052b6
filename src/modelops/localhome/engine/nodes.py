"""A Workflow's status as Argo writes it: phase, progress, and a node per task and per try. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from modelops.localhome.engine.parse import Task


@dataclass(slots=True)
class Try:
    """One pod that was."""

    phase: str
    started: str
    finished: str = ""
    message: str = ""
    exit_code: int | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)


def stamp() -> str:
    """Return the time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def node_id(workflow: str, name: str) -> str:
    """Return a node's id: the Workflow's name and a number from the node's name, as Argo does it."""
    return f"{workflow}-{int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)}"


def try_node(workflow: str, task: Task, index: int, found: Try) -> dict[str, Any]:
    """Return the node of one try."""
    name = f"{workflow}.{task.name}({index})"
    node: dict[str, Any] = {
        "id": node_id(workflow, name),
        "name": name,
        "displayName": f"{task.name}({index})",
        "type": "Pod",
        "templateName": task.template,
        "phase": found.phase,
        "startedAt": found.started,
        "progress": f"{int(found.phase == 'Succeeded')}/1",
    }
    if found.finished:
        node["finishedAt"] = found.finished
    if found.message:
        node["message"] = found.message
    outputs: dict[str, Any] = {}
    if found.exit_code is not None:
        outputs["exitCode"] = str(found.exit_code)
    if found.outputs:
        outputs["parameters"] = [{"name": key, "value": value} for key, value in found.outputs.items()]
    if outputs:
        node["outputs"] = outputs
    return node


def succeeded_before(workflow: Mapping[str, Any], task: Task) -> Mapping[str, str] | None:
    """Return the outputs of a task that an earlier engine finished; None if it did not."""
    for node in ((workflow.get("status") or {}).get("nodes") or {}).values():
        if node.get("type") == "Pod" and node.get("templateName") == task.template and node["phase"] == "Succeeded":
            parameters = (node.get("outputs") or {}).get("parameters") or ()
            return {parameter["name"]: parameter["value"] for parameter in parameters}
    return None


def tries_before(workflow: Mapping[str, Any], task: Task) -> int:
    """Return how many tries of a task an earlier engine began."""
    nodes = ((workflow.get("status") or {}).get("nodes") or {}).values()
    return sum(node.get("type") == "Pod" and node.get("templateName") == task.template for node in nodes)

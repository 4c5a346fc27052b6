"""A Workflow that does not get on says why, in Argo's words, in the condition of whoever waits for it."""

from typing import Any

import pytest

from modelops.api.kinds import DATASET, WORKFLOW
from tests.unit.training.test_walk import NS, World

NO_GPU = "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu."


def node(message: str = "", phase: str = "Pending", **more: Any) -> dict[str, Any]:
    return {"type": "Pod", "phase": phase, "templateName": "train", "message": message, **more}


@pytest.mark.parametrize(
    ("nodes", "reason", "message"),
    [
        ({"a": node(NO_GPU)}, "WaitingForCapacity", f"step train waits: {NO_GPU}"),
        ({"a": node("SchedulingGated: Scheduling is blocked")}, "WaitingForCapacity", "SchedulingGated"),
        ({"a": node('pods "x" is forbidden: exceeded quota: team')}, "WaitingForCapacity", "exceeded quota"),
        ({"a": node("ImagePullBackOff: no such image")}, "PodPending", "step train waits: ImagePullBackOff"),
        ({"a": node("PodInitializing")}, "Running", "Workflow is running"),
        ({"a": node(NO_GPU, phase="Running")}, "Running", "Workflow is running"),
        ({"a": node(NO_GPU, type="DAG")}, "Running", "Workflow is running"),
    ],
)
def test_training_says_what_its_pod_waits_for(nodes: dict[str, Any], reason: str, message: str) -> None:
    """Room, an image, a quota: as Argo has it from the scheduler, the kubelet and the API server."""
    world = World()
    world.pin()
    world.reconcile()
    [workflow] = world.workflows("tr")
    world.cluster.set_status(WORKFLOW, NS, workflow["metadata"]["name"], {"phase": "Running", "nodes": nodes})
    world.reconcile()
    found = world.condition("Ready")
    assert found["reason"] == reason
    assert message in found["message"]


def said(world: World) -> tuple[str, str]:
    """Return reason and message of the Dataset's Ready."""
    found = world.condition("Ready", DATASET.resource, "listings")
    return found["reason"], found["message"]


def test_workflow_that_nobody_takes_up() -> None:
    """Without a controller a Workflow has no phase; after half a minute that is said, of a Dataset as of a run."""
    world = World()
    world.reconcile()
    assert said(world) == ("Preparing", "checking the data")
    world.clock.advance(seconds=31)
    world.reconcile()
    reason, message = said(world)
    assert reason == "WorkflowNotTakenUp"
    assert message.startswith("no Argo Workflows controller has taken the Workflow up")
    [workflow] = world.workflows("ds")
    world.cluster.set_status(WORKFLOW, NS, workflow["metadata"]["name"], {"phase": "Running", "progress": "0/1"})
    world.reconcile()
    assert said(world)[0] == "Preparing"

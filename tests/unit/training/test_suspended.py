"""A Dataset or a TrainingRun that is suspended: what runs is ended, what has ended is read, nothing begins."""

from typing import Any

import pytest

from modelops.api.kinds import DATASET, GITSOURCE, TRAININGRUN, WORKFLOW
from modelops.api.labels import RESULT
from modelops.errors import Transient, Waiting
from tests.unit.training.test_walk import COMMIT, NS, World


@pytest.fixture
def world() -> World:
    return World()


NAMES = {"tr": (TRAININGRUN.resource, "price"), "ds": (DATASET.resource, "listings")}


def ask(world: World, kind: str, *, suspend: bool) -> None:
    """Set spec.suspend; nobody has looked yet."""
    resource, name = NAMES[kind]
    found = world.cluster.get(resource, NS, name)
    assert found is not None
    world.cluster.put(resource, {**found, "spec": {**found["spec"], "suspend": suspend}})
    world.clock.advance(seconds=5)


def suspend(world: World, kind: str) -> None:
    ask(world, kind, suspend=True)
    world.reconcile()


def resume(world: World, kind: str) -> None:
    ask(world, kind, suspend=False)
    world.reconcile()


def begun(world: World, kind: str) -> str:
    """Let a Workflow of a kind run, and return its name."""
    if kind == "tr":
        world.pin()
    else:
        world.reconcile()
    [workflow] = world.workflows(kind)
    return str(workflow["metadata"]["name"])


def ready(world: World, kind: str) -> tuple[str, str]:
    found = world.condition("Ready", *NAMES[kind])
    return found["status"], found["reason"]


@pytest.mark.parametrize("kind", ["tr", "ds"])
def test_workflow_that_runs_is_ended_and_another_begins_on_resume(world: World, kind: str) -> None:
    """Nothing runs while it is suspended; then a fresh attempt does, which is not one that was lost."""
    first = begun(world, kind)

    suspend(world, kind)
    assert (world.workflows(kind), ready(world, kind)) == ([], ("Unknown", "Suspended"))
    world.cluster.calls.clear()
    world.reconcile()
    assert world.cluster.calls == []

    resume(world, kind)
    [workflow] = world.workflows(kind)
    assert workflow["metadata"]["name"] != first
    attempt = world.status(*NAMES[kind])["attempt"]
    assert (attempt["trigger"], attempt["lost"]) == ("Resumed", 0)
    if kind == "tr":
        world.registered()
        assert [record["outcome"] for record in world.status()["history"]] == ["Suspended", "Registered"]


def test_workflow_is_ended_though_its_inputs_are_away(world: World) -> None:
    """Neither a GitSource that is gone nor a mirror that is empty keeps GPUs busy."""
    begun(world, "tr")
    world.cluster.delete(GITSOURCE.resource, NS, "models")
    world.train(trainer={"workflowTemplate": {"name": "gone"}}, suspend=True)
    world.reconcile()
    assert world.workflows("tr") == []
    assert ready(world, "tr") == ("Unknown", "Suspended")

    other = World()
    begun(other, "ds")

    def empty(*_: Any) -> Any:
        raise Waiting("NotFetched", "being fetched")

    other.git.blob = empty  # type: ignore[method-assign]
    suspend(other, "ds")
    assert (other.workflows("ds"), ready(other, "ds")) == ([], ("Unknown", "Suspended"))


@pytest.mark.parametrize("kind", ["tr", "ds"])
def test_result_of_what_has_ended_is_read_and_its_workflow_let_go(world: World, kind: str) -> None:
    """Argo may clean up what ended while its object was suspended; the result stands, and resume tells it."""
    begun(world, kind)
    resource, name = NAMES[kind]
    ask(world, kind, suspend=True)
    if kind == "tr":
        world.registered()
    else:
        world.prepared()
        world.reconcile()

    [workflow] = world.workflows(kind)
    assert ready(world, kind) == ("Unknown", "Suspended")
    assert RESULT not in (workflow["metadata"].get("finalizers") or ())
    status = world.status(resource, name)
    assert status["modelVersion" if kind == "tr" else "revision"]

    world.cluster.delete(WORKFLOW, NS, workflow["metadata"]["name"])
    resume(world, kind)
    assert ready(world, kind) == ("True", "Registered" if kind == "tr" else "Pinned")
    assert world.workflows(kind) == []


def test_failed_preparation_is_told_on_resume(world: World) -> None:
    """It failed while it was suspended, and its Workflow is gone: the same data are not tried again."""
    begun(world, "ds")
    world.end("ds", phase="Failed", message="row 3: price is no number")
    suspend(world, "ds")
    assert ready(world, "ds") == ("Unknown", "Suspended")
    world.cluster.delete(WORKFLOW, NS, world.workflows("ds")[0]["metadata"]["name"])
    resume(world, "ds")
    assert (ready(world, "ds"), world.workflows("ds")) == (("False", "PreparationFailed"), [])
    assert "row 3" in world.condition("Ready", *NAMES["ds"])["message"]


def test_result_waits_while_its_data_are_not_ready(world: World) -> None:
    """What a model was made of is not known then: its Workflow is held, and read once it is."""
    begun(world, "tr")
    source = world.cluster.get(GITSOURCE.resource, NS, "models")
    assert source is not None
    world.cluster.delete(GITSOURCE.resource, NS, "models")
    world.reconcile()
    world.registered()
    suspend(world, "tr")
    [workflow] = world.workflows("tr")
    assert RESULT in workflow["metadata"]["finalizers"]
    assert world.status().get("modelVersion") is None

    world.cluster.put(GITSOURCE.resource, source)
    world.cluster.set_status(GITSOURCE.resource, NS, "models", {"lastAppliedRevision": f"main@{COMMIT}"})
    world.reconcile()
    assert (world.status()["modelVersion"], ready(world, "tr")) == ("1", ("Unknown", "Suspended"))


@pytest.mark.parametrize("kind", ["tr", "ds"])
def test_crash_between_the_record_and_the_end_loses_nothing(world: World, kind: str) -> None:
    """That it is suspended stands in the status first; whoever goes on ends the Workflow."""
    name = begun(world, kind)
    world.cluster.failures[f"let-go workflows/{name}"] = Transient("Killed", "")
    ask(world, kind, suspend=True)
    loop = world.runs if kind == "tr" else world.datasets
    loop.reconcile((NS, NAMES[kind][1]))
    assert [workflow["metadata"]["name"] for workflow in world.workflows(kind)] == [name]

    world.reconcile()
    assert (world.workflows(kind), ready(world, kind)) == ([], ("Unknown", "Suspended"))


def test_suspending_again_and_again_counts_as_no_loss(world: World) -> None:
    """Only Workflows that vanished in a row are counted."""
    begun(world, "tr")
    for _ in range(4):
        suspend(world, "tr")
        resume(world, "tr")
    for lost in (1, 2):
        world.cluster.delete(WORKFLOW, NS, world.workflows("tr")[-1]["metadata"]["name"])
        world.reconcile()
        assert world.status()["attempt"]["lost"] == lost
    world.cluster.delete(WORKFLOW, NS, world.workflows("tr")[-1]["metadata"]["name"])
    world.reconcile()
    assert world.condition("Stalled")["reason"] == "Lost"
    assert "3 times" in world.condition("Stalled")["message"]


def test_inputs_that_come_back_are_tried_under_a_name_of_their_own(world: World) -> None:
    """What ended their first attempt is not the end of the second."""
    first = begun(world, "tr")
    world.end("tr", phase="Failed", message="killed")
    world.reconcile()
    world.train(hyperparameters={"epochs": 3})
    world.reconcile()
    world.train()
    world.reconcile()
    assert world.workflows("tr")[-1]["metadata"]["name"] != first
    world.registered()
    assert ready(world, "tr") == ("True", "Registered")


@pytest.mark.parametrize("kind", ["tr", "ds"])
def test_suspended_object_can_be_deleted(world: World, kind: str) -> None:
    """Also where its Workflow could not be ended before."""
    name = begun(world, kind)
    resource, owner = NAMES[kind]
    ask(world, kind, suspend=True)
    assert [workflow["metadata"]["name"] for workflow in world.workflows(kind)] == [name]
    world.cluster.delete(resource, NS, owner)
    loop = world.runs if kind == "tr" else world.datasets
    assert loop.reconcile((NS, owner)).gone
    assert world.workflows(kind) == []

"""A Workflow is not gone before its result is on record, whoever deletes it; and nobody is held for nothing."""

from typing import Any

import pytest

from modelops.api.kinds import DATASET, TRAININGRUN, WORKFLOW
from modelops.api.labels import RESULT
from modelops.domain.plan import CreateObject
from modelops.errors import Transient
from tests.unit.training.test_walk import NS, World


@pytest.fixture
def world() -> World:
    return World()


def held(workflow: dict[str, Any]) -> bool:
    return RESULT in (workflow["metadata"].get("finalizers") or ())


def delete(world: World, kind: str) -> str:
    """Let somebody delete the newest Workflow of a kind: a person, or Argo when its time is up."""
    name: str = world.workflows(kind)[-1]["metadata"]["name"]
    world.cluster.delete(WORKFLOW, NS, name)
    return name


def test_result_is_read_before_the_workflow_goes(world: World) -> None:
    """Argo deletes what has ended while nobody reconciles; the version is registered all the same."""
    world.pin()
    result = {"version": 1, "runId": "r1", "experimentId": "1", "passed": True, "modelVersion": "1"}
    world.end("tr", result | {"artifactDigest": "sha256:m", "metrics": {}, "criteria": []})
    delete(world, "tr")
    assert held(world.workflows("tr")[0])
    world.reconcile()
    assert world.condition("Ready")["reason"] == "Registered"
    assert world.workflows("tr") == []


def test_status_is_written_before_the_workflow_is_let_go(world: World) -> None:
    """A crash in between leaves it held, and the next pass lets it go."""
    world.pin()
    delete(world, "tr")  # it waits for us, still running: a new attempt follows, and it goes
    world.reconcile()
    assert [held(workflow) for workflow in world.workflows("tr")] == [True]
    world.cluster.failures[f"let-go workflows/{world.workflows('tr')[0]['metadata']['name']}"] = Transient("Away", "")
    world.registered()
    assert world.condition("Ready")["reason"] == "Registered"
    world.reconcile()
    assert not held(world.workflows("tr")[0])


def test_running_workflow_that_is_deleted_by_hand_counts_as_lost(world: World) -> None:
    """It goes, and its successor is another attempt."""
    world.pin()
    first = delete(world, "tr")
    world.reconcile()
    [workflow] = world.workflows("tr")
    assert workflow["metadata"]["name"] != first
    assert world.status()["attempt"]["trigger"] == "WorkflowLost"


def test_workflow_that_was_superseded_goes(world: World) -> None:
    """Changed inputs end what runs, and hold nothing."""
    world.pin()
    first = world.workflows("tr")[0]["metadata"]["name"]
    world.train(hyperparameters={"epochs": 3})
    world.reconcile()
    [workflow] = world.workflows("tr")
    assert workflow["metadata"]["name"] != first


def test_crash_between_a_new_attempt_and_the_end_of_the_old_one(world: World) -> None:
    """The attempt is on record, its predecessor still runs: the next pass ends it."""
    world.pin()
    [old] = world.workflows("tr")
    name = old["metadata"]["name"]
    world.clock.advance(seconds=5)
    world.train(hyperparameters={"epochs": 3})
    world.cluster.failures[f"let-go workflows/{name}"] = Transient("Killed", "")
    world.runs.reconcile((NS, "price"))
    assert world.status()["attempt"]["id"] not in name
    assert [workflow["metadata"]["name"] for workflow in world.workflows("tr")] == [name]
    world.reconcile()
    [workflow] = world.workflows("tr")
    assert workflow["metadata"]["name"] != name


def test_object_that_was_read_too_early_ends_nothing(world: World) -> None:
    """A Workflow that is younger than the attempt in status belongs to an attempt that was not seen yet."""
    world.pin()
    stale = world.cluster.get(TRAININGRUN.resource, NS, "price")
    assert stale is not None
    world.clock.advance(seconds=5)
    world.train(hyperparameters={"epochs": 3})
    world.reconcile()
    [young] = world.workflows("tr")
    ports = world.runs._ports
    observed = world.runs._reconciler.observe(stale, ports)
    assert observed.strays == ()
    plan = world.runs._reconciler.decide(observed)
    assert all(isinstance(action, CreateObject) for action in plan.actions)
    assert world.workflows("tr") == [young]


@pytest.mark.parametrize("kind", ["tr", "ds"])
def test_owner_that_is_deleted_takes_its_workflow_along(world: World, kind: str) -> None:
    """The garbage collector marks it; who reconciles the owner's absence lets it go."""
    if kind == "tr":
        world.pin()
    else:
        world.reconcile()
    resource, name, loop = {
        "tr": (TRAININGRUN.resource, "price", world.runs),
        "ds": (DATASET.resource, "listings", world.datasets),
    }[kind]
    world.cluster.delete(resource, NS, name)
    assert [workflow["metadata"].get("deletionTimestamp") is not None for workflow in world.workflows(kind)] == [True]
    outcome = loop.reconcile((NS, name))
    assert outcome.gone
    assert world.workflows(kind) == []


def test_failed_preparation_stays_said_when_its_workflow_goes(world: World) -> None:
    """What failed on its data fails again: it is not tried again because Argo cleaned up, but when a human says so."""
    world.reconcile()
    world.end("ds", phase="Failed", message="row 3: price is no number")
    world.reconcile()
    assert not held(world.workflows("ds")[0])
    delete(world, "ds")
    world.reconcile()
    found = world.condition("Ready", DATASET.resource, "listings")
    assert (found["reason"], world.workflows("ds")) == ("PreparationFailed", [])
    assert "price is no number" in found["message"]


def test_result_that_nobody_can_read_makes_no_old_revision_ready(world: World) -> None:
    """New data whose preparation leaves no result is not what was pinned before."""
    world.pin()
    world.git.oid = "b" * 40
    world.reconcile()
    world.end("ds", "no json")
    world.reconcile()
    found = world.condition("Ready", DATASET.resource, "listings")
    assert (found["status"], found["reason"]) == ("False", "BadResult")

"""A dependency that is away for a while costs no training; one that is gone for good ends it."""

from pathlib import Path

import pytest

from modelops.adapters.git import GitMirrors
from modelops.api.kinds import DATASET, GITSOURCE
from modelops.errors import Waiting
from tests.support.git_server import Repository
from tests.unit.training.test_code_inputs import Farm
from tests.unit.training.test_walk import NS, World


def test_source_that_is_away_for_a_while_stops_no_training() -> None:
    """The Dataset is not ready meanwhile; the Workflow goes on, and its result is read once the Dataset is back."""
    world = World()
    world.pin()
    before = world.workflows("tr")
    source = world.cluster.get(GITSOURCE.resource, NS, "models")
    assert source is not None
    world.cluster.delete(GITSOURCE.resource, NS, "models")
    world.reconcile()
    assert world.condition("Ready", DATASET.resource, "listings")["status"] == "False"
    assert world.condition("Ready")["reason"] == "DependencyNotReady"
    assert world.condition("Ready")["message"].endswith("; its Workflow goes on")
    assert world.workflows("tr") == before
    world.cluster.put(GITSOURCE.resource, source)
    world.cluster.set_status(GITSOURCE.resource, NS, "models", source["status"])
    world.reconcile()
    world.registered()
    assert world.status()["modelVersion"] == "1"
    assert len(world.workflows("tr")) == 1


def test_dataset_that_is_deleted_ends_the_training() -> None:
    """Its inputs are gone; nobody pays for what nobody can use."""
    world = World()
    world.pin()
    world.cluster.delete(DATASET.resource, NS, "listings")
    world.reconcile()
    assert world.workflows("tr") == []
    assert world.status()["history"][-1]["outcome"] == "Superseded"
    assert world.condition("Ready")["message"] == f"there is no Dataset listings in namespace {NS}"


def test_replica_that_has_fetched_nothing_yet_stops_no_training(tmp_path: Path) -> None:
    """Whoever takes over begins with an empty mirror: that a file is not there yet is not that it does not exist."""
    farm = Farm(tmp_path)
    farm.own()
    farm.pin()
    before, git = farm.workflows("tr"), farm.git
    farm.git = GitMirrors(tmp_path / "another replica's", ["file"])  # type: ignore[assignment]
    farm.take_over()
    farm.reconcile()
    assert farm.condition("Ready", DATASET.resource, "listings")["status"] == "True"
    assert farm.condition("Reconciling", DATASET.resource, "listings")["reason"] == "NotFetched"
    assert farm.workflows("tr") == before
    farm.git = git
    farm.take_over()
    farm.reconcile()
    assert farm.condition("Reconciling", DATASET.resource, "listings") == {}
    assert farm.workflows("tr") == before


def test_nothing_is_said_of_a_path_before_its_commit_is_there(tmp_path: Path) -> None:
    """Neither a file nor a directory is called missing by a mirror that lacks the commit."""
    repository = Repository.make(tmp_path / "one.git")
    commit = repository.commit({"a.csv": "a\n"})
    mirrors, remote = GitMirrors(tmp_path / "mirrors", ["file"]), Farm.remote_of(repository)
    for ask in (mirrors.blob, mirrors.tree):
        with pytest.raises(Waiting, match=f"commit {commit[:12]} is being fetched"):
            ask(remote, commit, "a.csv")
    mirrors.fetch(remote, branch="main", tag=None, commit=None)
    assert mirrors.blob(remote, commit, "a.csv") is not None

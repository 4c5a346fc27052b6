"""A Dataset and a TrainingRun walked from creation to a registered version without I/O, and every way it can fail."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from modelops.api.kinds import COMPUTEPOOL, DATASET, GITSOURCE, TRAININGRUN, WORKFLOW
from modelops.api.labels import APPLIED_COMMIT, COMMAND
from modelops.api.labels import GITSOURCE as GITSOURCE_LABEL
from modelops.errors import Transient
from modelops.ports import GitBlob
from modelops.reconcile.bundle import Ports, Settings
from modelops.reconcile.dataset import DatasetReconciler
from modelops.reconcile.loop import Loop
from modelops.reconcile.trainingrun import TrainingRunReconciler
from tests.support.fakes import FakeClock, FakeCluster, FakeMetrics, FakeRegistry, FakeServers

NS, COMMIT = "pricing", "c" * 40
DATASET_SPEC: dict[str, Any] = {
    "source": {"git": {"path": "data/a.csv"}},
    "format": "csv",
    "task": "regression",
    "target": "price",
    "schema": {"strict": True, "columns": [{"name": "id", "type": "string"}, {"name": "price", "type": "float"}]},
}
RUN_SPEC: dict[str, Any] = {
    "datasetRef": {"name": "listings"},
    "model": {"name": "price"},
    "trainer": {"builtin": "torch-mlp"},
}


@dataclass
class OneFile:
    """A repository with one file whose blob changes when a test says so."""

    oid: str = "a" * 40

    def fetch(self, *_: Any, **__: Any) -> str:
        return COMMIT

    def blob(self, _: Any, __: str, path: str) -> GitBlob | None:
        return GitBlob(path, self.oid, 10)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


@dataclass
class World:
    """The two objects, their loops, and Argo as played by the test."""

    clock: FakeClock = field(default_factory=FakeClock)
    git: OneFile = field(default_factory=OneFile)
    fallback: str | None = None

    def __post_init__(self) -> None:
        self.cluster = FakeCluster(self.clock)
        self.take_over()
        self.cluster.put(GITSOURCE.resource, self._object("models", {"url": "https://git.example.com/m.git"}))
        self.cluster.set_status(GITSOURCE.resource, NS, "models", {"lastAppliedRevision": f"main@{COMMIT}"})
        self.cluster.put(DATASET.resource, self._object("listings", DATASET_SPEC))
        self.train()

    def take_over(self) -> None:
        """Reconcile as another process from now on: with what the cluster and git hold, and nothing else."""
        settings = Settings(pool_fallback=self.fallback)
        ports = Ports(self.cluster, self.git, FakeRegistry(), FakeMetrics(), self.clock, FakeServers(), settings)  # type: ignore[arg-type]
        self.datasets = Loop(DatasetReconciler(), ports)
        self.runs = Loop(TrainingRunReconciler(), ports)

    def _object(self, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        labels, annotations = {GITSOURCE_LABEL: "models"}, {APPLIED_COMMIT: COMMIT}
        return {
            "metadata": {"name": name, "namespace": NS, "labels": labels, "annotations": annotations},
            "spec": spec,
        }

    def train(self, **more: Any) -> None:
        """Create or change the TrainingRun."""
        self.cluster.put(TRAININGRUN.resource, self._object("price", RUN_SPEC | more))

    def reconcile(self, times: int = 4) -> None:
        """Reconcile both several times; nothing more happens after the first that changed nothing."""
        for _ in range(times):
            self.datasets.reconcile((NS, "listings"))
            self.runs.reconcile((NS, "price"))

    def workflows(self, kind: str) -> list[dict[str, Any]]:
        """Return the Workflows of a kind, oldest first."""
        found = [w for w in self.cluster.list(WORKFLOW, NS) if w["metadata"]["name"].startswith(kind)]
        return sorted(found, key=lambda w: int(w["metadata"]["resourceVersion"]))

    def end(self, kind: str, result: Any = None, *, phase: str = "Succeeded", message: str = "") -> None:
        """Let Argo end the newest Workflow of a kind."""
        node: dict[str, Any] = {"type": "Pod", "templateName": "step", "phase": phase, "message": message}
        if result is not None:
            text = result if isinstance(result, str) else json.dumps(result)
            node["outputs"] = {"parameters": [{"name": "result", "value": text}]}
        name = self.workflows(kind)[-1]["metadata"]["name"]
        self.cluster.set_status(WORKFLOW, NS, name, {"phase": phase, "nodes": {"n": node}, "progress": "1/1"})

    def pin(self, digest: str = "sha256:d1") -> None:
        """Let preparation begin and succeed."""
        self.reconcile()
        self.prepared(digest)

    def prepared(self, digest: str = "sha256:d1") -> None:
        """Let preparation succeed."""
        splits = {"train": 70, "validation": 15, "test": 15}
        result = {"version": 1, "contentDigest": "sha256:c", "digest": digest, "rows": 100, "bytes": 10}
        self.end("ds", result | {"commit": COMMIT, "runId": "r0", "splits": splits, "quarantined": 0, "profile": {}})
        self.reconcile()

    def registered(self, version: str = "1") -> None:
        """Let training succeed."""
        criteria = [{"criterion": "r2_score ≥ 0.9", "value": 0.95, "bound": 0.9, "passed": True}]
        result = {"version": 1, "runId": "r1", "experimentId": "1", "passed": True, "modelVersion": version}
        self.end("tr", result | {"artifactDigest": "sha256:m", "metrics": {"r2_score": 0.95}, "criteria": criteria})
        self.reconcile()

    def status(self, resource: Any = TRAININGRUN.resource, name: str = "price") -> dict[str, Any]:
        """Return a status."""
        found = self.cluster.get(resource, NS, name)
        return (found or {}).get("status") or {}

    def condition(self, kind: str, resource: Any = TRAININGRUN.resource, name: str = "price") -> dict[str, Any]:
        """Return a condition."""
        return next((c for c in self.status(resource, name).get("conditions", ()) if c["type"] == kind), {})


@pytest.fixture
def world() -> World:
    return World()


def test_from_commit_to_registered_version(world: World) -> None:
    """One Workflow each; the version stands in the status with everything it came from."""
    world.pin()
    assert world.condition("Ready", DATASET.resource, "listings")["status"] == "True"
    world.registered()
    status = world.status()
    assert status["modelVersion"] == "1"
    assert status["lineage"]["commit"] == COMMIT
    assert status["lineage"]["datasetDigest"] == "sha256:d1"
    assert world.condition("Registered")["status"] == "True"
    assert (len(world.workflows("ds")), len(world.workflows("tr"))) == (1, 1)

    world.cluster.calls.clear()
    world.reconcile()
    assert world.cluster.calls == []


def test_crash_between_status_and_workflow_starts_one_workflow(world: World) -> None:
    """The attempt is on record first, so the next pass creates the very same Workflow."""
    world.pin()
    again = World()
    name = world.workflows("tr")[0]["metadata"]["name"]
    again.cluster.failures[f"create workflows/{name}"] = Transient("ApiAway", "no answer")
    again.pin()
    again.reconcile()
    assert [w["metadata"]["name"] for w in again.workflows("tr")] == [name]


@pytest.mark.parametrize(
    ("result", "said"),
    [
        pytest.param(None, "without its output parameter", id="no result"),
        pytest.param("{", "not JSON", id="broken JSON"),
        pytest.param({"version": 2}, "not of version 1", id="another version"),
        pytest.param("x" * 9000, "more than 8192 bytes", id="too large"),
        pytest.param({"version": 1, "passed": True}, "not as agreed", id="fields missing"),
    ],
)
def test_bad_result_is_said_in_one_line(world: World, result: Any, said: str) -> None:
    """A Workflow that reports nonsense fails its attempt, and nothing is released."""
    world.pin()
    world.end("tr", result)
    world.reconcile()
    assert said in world.condition("Stalled")["message"]
    assert world.status().get("modelVersion") is None


def test_message_of_the_failed_step_reaches_the_condition(world: World) -> None:
    """Where, what, what to do: the step's own line."""
    world.pin()
    world.end("tr", phase="Failed", message="Error (exit code 64): target price is constant")
    world.reconcile()
    assert world.condition("Ready")["message"] == "step: Error (exit code 64): target price is constant"


def test_criteria_not_met_registers_nothing(world: World) -> None:
    """A run below its bar is on record, and never a version."""
    world.pin()
    criteria = [{"criterion": "r2_score ≥ 0.9", "value": 0.5, "bound": 0.9, "passed": False}]
    result = {"version": 1, "runId": "r1", "experimentId": "1", "passed": False, "modelVersion": None}
    world.end("tr", result | {"metrics": {"r2_score": 0.5}, "criteria": criteria})
    world.reconcile()
    assert world.condition("Stalled")["reason"] == "CriteriaNotMet"
    assert "r2_score ≥ 0.9: 0.5" in world.condition("Stalled")["message"]
    assert world.status().get("modelVersion") is None


def test_new_data_is_a_new_attempt_and_known_inputs_are_not_trained_again(world: World) -> None:
    """Changed bytes train again; going back to inputs that were registered uses that version."""
    world.pin()
    world.registered("1")
    world.train(hyperparameters={"epochs": 7})
    world.reconcile()
    world.registered("2")
    assert len(world.workflows("tr")) == 2
    world.train()
    world.reconcile()
    assert len(world.workflows("tr")) == 2
    assert world.status()["modelVersion"] == "1"


def test_changed_inputs_end_the_workflow_that_runs(world: World) -> None:
    """Nobody pays for training that nobody wants any more."""
    world.pin()
    old = world.workflows("tr")[0]["metadata"]["name"]
    world.train(hyperparameters={"epochs": 9})
    world.reconcile()
    names = [w["metadata"]["name"] for w in world.workflows("tr")]
    assert old not in names
    assert len(names) == 1
    assert world.status()["history"][-1]["outcome"] == "Superseded"


def test_retry_is_a_new_attempt(world: World) -> None:
    """The same inputs once more, under another name."""
    world.pin()
    world.end("tr", phase="Failed", message="killed")
    world.reconcile()
    world.cluster.annotate(TRAININGRUN.resource, NS, "price", **{COMMAND: json.dumps({"verb": "retry", "id": "x1"})})
    world.reconcile()
    assert len(world.workflows("tr")) == 2
    assert world.status()["lastHandledCommand"] == "x1"


def test_foreign_workflow_under_the_name_is_not_adopted(world: World) -> None:
    """Only a Workflow with our owner and inputs is ours."""
    world.pin()
    workflow = world.workflows("tr")[0]
    workflow["metadata"]["ownerReferences"] = []
    world.cluster.put(WORKFLOW, workflow)
    world.reconcile()
    assert world.condition("Stalled")["reason"] == "WorkflowNameTaken"


@pytest.mark.parametrize(
    ("pool", "compute", "reason"),
    [
        pytest.param(None, {"pool": "a100"}, "PoolNotFound", id="unknown pool"),
        pytest.param({"namespaces": ["other"]}, {"pool": "a100"}, "PoolForbidden", id="namespace not allowed"),
        pytest.param(
            {"maxPerRun": {"gpus": 1}}, {"pool": "a100", "gpus": 4}, "CeilingExceeded", id="more than the ceiling"
        ),
    ],
)
def test_pool_that_refuses_admits_nothing(
    world: World, pool: dict[str, Any] | None, compute: dict[str, Any], reason: str
) -> None:
    """What the platform team does not give is refused, not cut."""
    if pool is not None:
        world.cluster.put(COMPUTEPOOL.resource, {"metadata": {"name": "a100"}, "spec": pool})
    world.train(compute=compute)
    world.pin()
    admitted = world.condition("Admitted")
    assert admitted["status"] == "False"
    assert admitted["reason"] == reason
    assert world.workflows("tr") == []

"""Objects as the operator holds them: releases walked by the real domain, and what they are made from."""

from typing import Any

from prometheus_client import CollectorRegistry

from modelops.api.kinds import DATASET, GITSOURCE, KINDS, MODELRELEASE, TRAININGRUN, Kind
from modelops.ports import Answer
from modelops.reconcile.loop import Outcome
from modelops.telemetry.metrics import OperatorMetrics
from tests.unit.release.world import NAME, NAMESPACE, SUCCESS, World

AT = "2026-03-02T10:00:00Z"
ATTEMPT = {"id": "a1", "trigger": "Created", "inputsHash": "sha256:1", "startedAt": AT}
RECORD = {**ATTEMPT, "outcome": "Failed", "message": "exit code 1", "finishedAt": AT}
STALLED = {"type": "Stalled", "status": "True", "reason": "Failed", "message": "exit code 1", "lastTransitionTime": AT}
STATUSES: dict[str, dict[str, Any]] = {
    "GitSource": {
        "lastAttemptedRevision": "main@sha1:2", "lastAppliedRevision": "main@sha1:1", "lastFetchedAt": AT,
        "inventory": [{"apiVersion": "modelops.dev/v1alpha1", "kind": "Dataset", "name": "rows"}],
        "conditions": [{**STALLED, "type": "Ready", "status": "False"}],
    },
    "Dataset": {
        "attempt": ATTEMPT, "workflow": {"name": "w", "phase": "Running"}, "quarantined": 3,
        "revision": {"contentDigest": "", "digest": "", "rows": 1000, "bytes": 4096, "commit": "", "runId": ""},
        "splits": {"train": 700, "validation": 150, "test": 150},
    },
    "TrainingRun": {
        "attempt": ATTEMPT, "workflow": {"name": "w", "phase": "Failed"}, "modelVersion": "7", "testLooks": 2,
        "history": [RECORD], "conditions": [STALLED, {**STALLED, "type": "Succeeded", "status": "False"}],
    },
}  # fmt: skip
RELATIVE = {
    **SUCCESS,
    "compareTo": {"stable": {"maxRelativeIncrease": 0.5, "maxAbsoluteIncrease": 0.02}},
}
SEQUENTIAL = {
    "name": "refused",
    "builtin": "client-error-share",
    "compareTo": {"stable": {"maxRelativeIncrease": 0.1, "test": "sequential"}},
}


def held(world: World, name: str = NAME) -> dict[str, Any]:
    """Return a world's release under a name of its own, as the operator's cache has it."""
    obj = world.cluster.get(MODELRELEASE.resource, NAMESPACE, NAME)
    assert obj is not None
    return {**obj, "metadata": {**obj["metadata"], "name": name}}


def made(kind: Kind, name: str = "one", **status: Any) -> dict[str, Any]:
    """Return an object with a status."""
    return {
        "metadata": {"namespace": NAMESPACE, "name": name},
        "spec": {},
        "status": STATUSES[kind.resource.kind] | status,
    }


def walked() -> dict[str, dict[str, Any]]:
    """Return a release in every state that a panel or an alert looks for, by name."""
    found = {}
    world = World()
    limits = {"maxLatency": "1s", "maxMemory": "1Gi"}
    world.servers.answer = Answer(200, b"process_resident_memory_bytes 1e+08\n", 0.01)
    world.release(smokeTest={"requests": [{"name": "any", "path": "/"}], **limits})
    world.first()
    world.canary()
    world.settle(seconds=80)
    world.canary("3")
    world.answer(value=0.9)
    world.settle(seconds=20)
    found["degraded"] = held(world, "degraded")
    good, world.servers.answer = world.servers.answer, Answer(404, b"", 0.01)
    world.train("4")
    world.settle(seconds=20)
    found["untested"] = held(world, "untested")
    world.servers.answer = good
    world.canary("5")
    world.settle(seconds=16)
    found["analyzing"] = held(world, "analyzing")
    world.answer(samples=0)
    world.settle(seconds=10)
    found["unjudged"] = held(world, "unjudged")
    world.command("pause")
    world.settle()
    found["paused"] = held(world, "paused")
    status = {**found["analyzing"]["status"], "capacityMissingSince": AT, "eta": AT}
    found["waiting"] = {**held(world, "waiting"), "status": status}
    compared = held(world, "compared")
    compared["spec"] = {**compared["spec"], "analysis": {"interval": "10s", "metrics": [RELATIVE, SEQUENTIAL]}}
    look = {"time": AT, "verdict": "Pass", "value": 0.98, "stable": 0.96, "samples": 100}
    metric = {"name": SUCCESS["name"], "outcome": "Running", "measurements": [look]}
    evidence = {"ticks": 3, "worse": [9.0] * 15}
    refused = {"name": "refused", "outcome": "Running", "comparison": {"countedUntil": AT, "evidence": evidence}}
    found["compared"] = {**compared, "status": {**found["analyzing"]["status"], "analysis": [metric, refused]}}
    return found


def estate(registry: CollectorRegistry | None = None) -> OperatorMetrics:
    """Return an operator's figures of all of these objects, with a reconcile that failed."""
    metrics = OperatorMetrics(registry or CollectorRegistry())
    metrics.leads()
    for kind in KINDS:
        metrics.reconciled(kind, Outcome(None), 0.02)
        metrics.reconciled(kind, Outcome(None, error="ApiAway"), 0.5)
        metrics.watches(kind.resource, lambda: 1.7e9)
        metrics.listed(kind.resource)
    for obj in walked().values():
        metrics.observed(MODELRELEASE, obj)
    for kind in (GITSOURCE, DATASET, TRAININGRUN):
        metrics.observed(kind, made(kind))
    return metrics

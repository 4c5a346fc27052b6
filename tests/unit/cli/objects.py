"""Specs and statuses that tests of several verbs use."""

from typing import Any

DATASET: dict[str, Any] = {
    "source": {"git": {"path": "data/listings.csv", "sourceRef": {"name": "pricing"}}},
    "task": "regression",
    "target": "price",
    "schema": {"columns": [{"name": "area", "type": "float"}, {"name": "price", "type": "float", "min": 1}]},
}
RUN: dict[str, Any] = {
    "datasetRef": {"name": "listings"},
    "model": {"name": "price"},
    "trainer": {"builtin": "torch-mlp"},
    "hyperparameters": {"epochs": 50},
}
RELEASE: dict[str, Any] = {
    "model": {"name": "price", "from": {"trainingRun": "price"}},
    "strategy": {"canary": {"steps": [{"setWeight": 10}, {"analyze": {"duration": "5m"}}, {"pause": {}}]}},
    "analysis": {
        "metrics": [{"name": "ok", "builtin": "success-rate", "thresholdRange": {"min": 0.99}}],
    },
}
NOW = "2026-01-01T12:00:00Z"


def condition(kind: str, status: str, reason: str, message: str = "", generation: int = 1) -> dict[str, Any]:
    """Return a condition."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": NOW,
        "observedGeneration": generation,
    }


def pinned(digest: str = "sha256:aa") -> dict[str, Any]:
    """Return the status of a Dataset whose data is pinned."""
    return {
        "observedGeneration": 1,
        "conditions": [condition("Ready", "True", "Pinned")],
        "revision": {
            "contentDigest": "sha256:cc",
            "digest": digest,
            "rows": 10,
            "bytes": 100,
            "commit": "c" * 40,
            "runId": "r1",
        },
    }


def revision(version: str) -> dict[str, Any]:
    """Return a revision of a release as the status has it."""
    return {"version": version, "revision": f"rev{version}", "digest": f"sha256:{version}", "since": NOW}


def record(version: str, outcome: str) -> dict[str, Any]:
    """Return an entry of a release's history."""
    return {
        "version": version,
        "revision": f"rev{version}",
        "outcome": outcome,
        "message": "because",
        "startedAt": NOW,
        "finishedAt": NOW,
    }


def serving(version: str, *history: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the status of a release whose version serves."""
    return {
        "observedGeneration": 1,
        "conditions": [condition("Ready", "True", "Serving", f"version {version} serves 100 % of the traffic")],
        "phase": "Promoted",
        "stable": revision(version),
        "history": list(history) or [record(version, "Promoted")],
        **more,
    }

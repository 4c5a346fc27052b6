"""`modelops doctor`: what is there, what is missing, how to get it; one exit code."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelops.adapters.cluster import KubeClient
from modelops.api import kinds
from modelops.cli.checks import Finding
from modelops.cli.checks.cluster import cluster
from tests.support.local_apiserver import LocalApiServer
from tests.unit.cli.conftest import ROOT, Run
from tests.unit.cli.objects import RUN

Put = Callable[..., dict[str, Any]]


def looked(client: KubeClient, namespace: str) -> dict[str, Finding]:
    """Return the findings by subject."""
    return {finding.subject: finding for finding in cluster(client, namespace, local=True)}


def test_complete_cluster_has_nothing_missing(client: KubeClient, namespace: str) -> None:
    """API, CRDs of this version, the other kinds, permissions."""
    found = looked(client, namespace)

    assert {subject: one.state for subject, one in found.items() if subject != "operator"} == {
        "api": "ok",
        "crds": "ok",
        "workflows": "ok",
        "httproutes": "ok",
        "deployments": "ok",
        "permissions": "ok",
    }


def test_operator_that_does_not_look_is_missing(
    client: KubeClient, namespace: str, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object whose newest spec nobody has seen for a while tells."""
    put(kinds.TRAININGRUN, "price", RUN)
    assert looked(client, namespace)["operator"].state != "missing"  # it may still come
    monkeypatch.setattr("modelops.cli.checks.cluster._LATE", timedelta(0))

    found = looked(client, namespace)["operator"]

    assert (found.state, "trainingrun/price" in found.detail) == ("missing", True)
    assert "modelops local logs operator" in found.advice


def test_older_definitions_are_named_field_by_field(tmp_path: Path) -> None:
    """Which fields this program knows and the cluster does not."""
    crds = tmp_path / "crds"
    crds.mkdir()
    for path in (ROOT / "crds").glob("*.yaml"):
        definition = yaml.safe_load(path.read_text())
        if definition["spec"]["names"]["kind"] == "ModelRelease":
            status = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
            del status["properties"]["undoTo"]
        (crds / path.name).write_text(yaml.safe_dump(definition))
    older = LocalApiServer(tmp_path / "api", crds).start()
    try:
        found = looked(KubeClient.from_kubeconfig(str(older.kubeconfig)), "default")["crds"]
    finally:
        older.stop()

    assert found.state == "warn"
    assert "modelreleases.modelops.dev lacks status.undoTo" in found.detail
    assert found.advice == "install the CRDs: kubectl apply -f crds/"


def test_machine_and_cluster_are_told_as_json(modelops: Run) -> None:
    """With one flag that says whether all is well."""
    done = modelops("doctor", "-o", "json")

    told = json.loads(done.out)
    assert told["ok"] is (done.code == 0)
    subjects = {one["subject"] for section in told["checks"].values() for one in section}
    assert {"python", "git", "prometheus", "envoy", "disk", "api", "crds", "permissions"} <= subjects


def test_named_cluster_that_is_away_is_missing(modelops: Run, tmp_path: Path) -> None:
    """Exit 1, and what to do."""
    done = modelops("doctor", "--kubeconfig", str(tmp_path / "none"))

    assert done.code == 1
    assert "missing api" in done.out
    assert "→ start a local home (modelops local up), or give --kubeconfig or --context" in done.out

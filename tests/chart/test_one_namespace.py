"""`watchNamespace` on a real API server: an operator lives by the Role of its namespace, and sees no other.

As in test_lifecycle the operator is a process under its service account; Argo's part is played here, MLflow is real.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from modelops.adapters.mlflow_runs import MlflowRuns
from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import (
    CONFIGMAP,
    DATASET,
    DEPLOYMENT,
    GITSOURCE,
    HTTPROUTE,
    MODELRELEASE,
    NAMESPACE,
    SECRET,
    SERVICE,
    WORKFLOW,
    Resource,
)
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.errors import ModelopsError
from tests.chart.cluster import CHART, SYSTEM, Cluster
from tests.chart.node import Node
from tests.golden.chart import ROOT
from tests.support.git_server import Repository
from tests.support.mlflow_server import running_mlflow
from tests.support.operators import until
from tests.tenancy.conftest import configmap

pytestmark = [pytest.mark.real_apiserver, pytest.mark.slow]
TEAM, OTHER = "pricing", "vision"
VALUES = [f"--values={ROOT / 'one-namespace.values.yaml'}", "--set=crds.install=true"]
VALUES += ["--set=git.allowedSchemes={file}", f"--set=tenants[0].namespace={TEAM}", "--set=rbac.secrets=tenants"]
VALUES += ["--set=tenants[0].pullSecrets={registry}"]
HEAD = "apiVersion: modelops.dev/v1alpha1\nkind: "
FILES = {
    "deploy/notes.yaml": configmap("notes"),
    "deploy/listings.yaml": (
        f"{HEAD}Dataset\nmetadata: {{name: listings}}\n"
        "spec: {source: {git: {path: data.csv}}, task: regression, target: price,"
        " schema: {columns: [{name: price, type: float}]}}\n"
    ),
    "deploy/price.yaml": (
        f"{HEAD}ModelRelease\nmetadata: {{name: price}}\n"
        'spec: {model: {name: price, version: "1"}, traffic: {hostnames: [price.example.com]},'
        " strategy: {canary: {steps: [{setWeight: 20}]}}}\n"
    ),
    "data.csv": "price\n1.5\n2.5\n",
}


def _status(cluster: Cluster, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
    return (cluster.admin.get(resource, namespace, name) or {}).get("status") or {}


def _reasons(cluster: Cluster, resource: Resource, namespace: str, name: str) -> dict[str, str]:
    """Return the type of each condition that is True → its reason."""
    found = _status(cluster, resource, namespace, name).get("conditions") or ()
    return {one["type"]: one["reason"] for one in found if one["status"] == "True"}


def _prepared(cluster: Cluster, commit: str) -> None:
    """Let the Dataset's Workflow end well, as Argo would."""
    workflow = until(lambda: cluster.admin.list(WORKFLOW, TEAM), 60, "the Dataset has its Workflow")[0]
    result = {"version": 1, "contentDigest": "sha256:c", "digest": "sha256:d", "rows": 2, "bytes": 14, "commit": commit}
    result |= {"runId": "r", "splits": {"train": 1, "validation": 1, "test": 0}, "quarantined": 0, "profile": {}}
    outputs = {"parameters": [{"name": "result", "value": json.dumps(result)}]}
    node = {"type": "Pod", "templateName": "prepare", "phase": "Succeeded", "outputs": outputs}
    status = {"phase": "Succeeded", "nodes": {"n": node}, "progress": "1/1"}
    cluster.admin.merge_patch(WORKFLOW, TEAM, workflow["metadata"]["name"], {"status": status})


def _sees_nothing_elsewhere(cluster: Cluster) -> None:
    """Neither all namespaces at once nor another one; Secrets neither, where nobody is a tenant."""
    operator = cluster.as_account(ServiceAccount(SYSTEM, "modelops"))
    assert operator.list(DATASET.resource, TEAM)
    for namespace in (None, OTHER):
        with pytest.raises(ModelopsError, match="forbidden"):
            operator.list(DATASET.resource, namespace)
    assert operator.get(SECRET, TEAM, "git") is not None
    with pytest.raises(ModelopsError, match="forbidden"):
        operator.get(SECRET, OTHER, "git")


def test_operator_lives_by_the_role_of_its_namespace(cluster: Cluster, tmp_path: Path) -> None:
    """It syncs a GitSource with a Secret, pins a Dataset and begins a release; what lies elsewhere is not its own."""
    admin = cluster.admin
    for name in (TEAM, OTHER):
        admin.apply(NAMESPACE, {"metadata": {"name": name}})
    repository = Repository.make(tmp_path / "repo")
    commit = repository.commit(FILES)
    with running_mlflow(tmp_path / "mlflow") as mlflow, Node(cluster, tmp_path) as node:
        runs = MlflowRuns(mlflow)
        run = runs.create_run(runs.experiment("price"), "price", {}, start_time=0)
        runs.ensure_model("price")
        runs.create_version("price", run, "model", {"modelops.artifactDigest": f"sha256:{1:064d}"})
        cluster.helm("install", "modelops", str(CHART), "--create-namespace", *VALUES, f"--set=mlflow.url={mlflow}")
        until(lambda: node.failure or [pod for pod in node.pods if pod.ready], 60, "the operator is ready")
        assert node.failure is None
        spec = {"url": repository.path.as_uri(), "path": "deploy", "interval": "1s", "secretRef": {"name": "git"}}
        for name in (TEAM, OTHER):
            where = {"namespace": name, "name": "git"}
            admin.apply(SECRET, {"metadata": where, "stringData": {"username": "team", "password": "x"}})
            admin.apply(GITSOURCE.resource, {"metadata": {**where, "name": "models"}, "spec": spec})

        until(lambda: "Ready" in _reasons(cluster, GITSOURCE.resource, TEAM, "models"), 60, "the GitSource is synced")
        assert admin.get(CONFIGMAP, TEAM, "notes") is not None
        _prepared(cluster, commit)
        until(lambda: "Ready" in _reasons(cluster, DATASET.resource, TEAM, "listings"), 60, "the Dataset is pinned")
        until(lambda: admin.list(DEPLOYMENT, TEAM), 60, "the release has servers")
        deployment = admin.list(DEPLOYMENT, TEAM)[0]
        assert deployment["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "registry"}]
        generation, replicas = deployment["metadata"]["generation"], deployment["spec"]["replicas"]
        path = f"/apis/apps/v1/namespaces/{TEAM}/deployments/{deployment['metadata']['name']}/status"
        ready = {"observedGeneration": generation, "replicas": replicas, "readyReplicas": replicas}
        patch = "application/merge-patch+json"
        admin.request("PATCH", path, body={"status": ready}, content_type=patch)
        until(lambda: admin.get(HTTPROUTE, TEAM, "price"), 60, "the release has its route")
        release = ModelReleaseStatus.model_validate(_status(cluster, MODELRELEASE.resource, TEAM, "price"))
        assert release.canary is not None
        assert deployment["metadata"]["name"] == f"price-{release.canary.revision}"
        assert [one["metadata"]["name"] for one in admin.list(SERVICE, TEAM)] == [deployment["metadata"]["name"]]

        said = "".join(path.read_text() for path in tmp_path.glob("modelops-*.log"))
        assert "orbidden" not in said
        _sees_nothing_elsewhere(cluster)
        cluster.helm("uninstall", "modelops", "--timeout=120s")

    assert _status(cluster, GITSOURCE.resource, OTHER, "models") == {}
    assert admin.get(CONFIGMAP, OTHER, "notes") is None

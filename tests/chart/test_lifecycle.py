"""The chart on a real API server: installed, upgraded, uninstalled; the operator works with the rights that it gives.

There are no nodes: tests/chart/node.py runs the commands of the chart's pods, the uninstall Job's too, as processes
under their service accounts. Helm itself is real, and waits for the Job as it would anywhere.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import (
    COMPUTEPOOL,
    CONFIGMAP,
    DATASET,
    DEPLOYMENT,
    GITSOURCE,
    KINDS,
    LEASE,
    NAMESPACE,
    SERVICE,
    TRAININGRUN,
    WORKFLOW,
    Resource,
)
from modelops.api.labels import MANAGED_BY, MANAGER, RESULT
from tests.chart.cluster import CHART, SYSTEM, Cluster
from tests.chart.node import JOB, Node
from tests.support.operators import CRD, until

pytestmark = [pytest.mark.real_apiserver, pytest.mark.slow]
TEAM = "team"
OURS = "modelops.dev/result"
_RBAC, _ADMISSION = "rbac.authorization.k8s.io", "admissionregistration.k8s.io"
SYSTEM_WIDE = [
    Resource(_RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False),
    Resource(_RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    Resource(_ADMISSION, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", namespaced=False),
    Resource(
        _ADMISSION, "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", namespaced=False
    ),
]
NAMESPACED = [
    DEPLOYMENT,
    SERVICE,
    JOB,
    Resource("", "v1", "ServiceAccount", "serviceaccounts"),
    Resource(_RBAC, "v1", "Role", "roles"),
    Resource(_RBAC, "v1", "RoleBinding", "rolebindings"),
    Resource("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
]


def _of_the_chart(admin: KubeClient) -> set[str]:
    labels = {"app.kubernetes.io/instance": "modelops"}
    found = [(one, obj) for one in SYSTEM_WIDE for obj in admin.list(one, None, labels)]
    found += [(one, obj) for one in NAMESPACED for space in (SYSTEM, TEAM) for obj in admin.list(one, space, labels)]
    return {f"{resource.kind}/{obj['metadata']['name']}" for resource, obj in found}


def _ready(admin: KubeClient, resource: Resource, namespace: str | None, name: str) -> str | None:
    status = (admin.get(resource, namespace, name) or {}).get("status") or {}
    return next((one["reason"] for one in status.get("conditions") or () if one["type"] == "Ready"), None)


def _upgraded_chart(directory: Path) -> Path:
    """Return a chart of the next version, whose Datasets have one field more."""
    chart = directory / "modelops"
    shutil.copytree(CHART, chart)
    path = chart / "files" / "crds" / "datasets.yaml"
    definition = yaml.safe_load(path.read_text())
    version = definition["spec"]["versions"][0]
    version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["addedLater"] = {"type": "string"}
    path.write_text(yaml.safe_dump(definition))
    return chart


def _repository(directory: Path) -> str:
    dataset = {"source": {"git": {"path": "data.csv"}}, "format": "csv", "task": "regression", "target": "price"}
    dataset |= {"schema": {"columns": [{"name": "price", "type": "float"}]}}
    run = {"datasetRef": {"name": "listings"}, "model": {"name": "m"}, "trainer": {"builtin": "torch-mlp"}}
    api = "modelops.dev/v1alpha1"
    objects: list[dict[str, Any]] = [
        {"apiVersion": api, "kind": "Dataset", "metadata": {"name": "listings"}, "spec": dataset},
        {"apiVersion": api, "kind": "TrainingRun", "metadata": {"name": "price"}, "spec": run},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "notes"}, "data": {"a": "1"}},
    ]
    directory.mkdir()
    (directory / "all.yaml").write_text(yaml.safe_dump_all(objects))
    (directory / "data.csv").write_text("price\n1.5\n2.5\n")
    who = ["-c", "user.name=Team", "-c", "user.email=team@example.com"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], [*who, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", "-C", str(directory), *words], check=True)
    return directory.as_uri()


def _held(admin: KubeClient, resource: Resource, name: str) -> None:
    """Put a finalizer of ours on an object, as an operator of another version might."""
    admin.merge_patch(resource, TEAM, name, {"metadata": {"finalizers": [OURS]}})


def test_install_upgrade_uninstall(cluster: Cluster, tmp_path: Path) -> None:
    """It works after each, with the chart's rights alone; at the end nothing of it is left and nothing hangs."""
    admin = cluster.admin
    with Node(cluster, tmp_path) as node:
        cluster.helm("install", "modelops", str(CHART), "--create-namespace")
        admin.apply(NAMESPACE, {"metadata": {"name": TEAM}})
        until(
            lambda: node.failure or (len(node.pods) == 2 and all(pod.ready for pod in node.pods)), 60, "both are ready"
        )
        assert node.failure is None
        admin.apply(COMPUTEPOOL.resource, {"metadata": {"name": "gpu"}, "spec": {}})
        until(lambda: _ready(admin, COMPUTEPOOL.resource, None, "gpu"), 60, "the pool has a status")
        lease = admin.get(LEASE, SYSTEM, "modelops")
        assert lease is not None
        assert lease["spec"]["holderIdentity"].startswith("modelops-")
        first = {pod.name for pod in node.pods}

        values = ["--set=git.allowedSchemes={file,https}", f"--set=tenants[0].namespace={TEAM}", "--set=replicas=1"]
        cluster.helm("upgrade", "modelops", str(_upgraded_chart(tmp_path / "next")), *values)
        definition = admin.get(CRD, None, "datasets.modelops.dev")
        assert definition is not None
        spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        assert spec["addedLater"] == {"type": "string"}
        until(lambda: len(node.pods) == 1 and node.pods[0].name not in first and node.pods[0].ready, 60, "replaced")
        source = {"url": _repository(tmp_path / "repo"), "ref": {"branch": "main"}, "path": ".", "interval": "1s"}
        admin.apply(GITSOURCE.resource, {"metadata": {"name": "team", "namespace": TEAM}, "spec": source})
        until(lambda: admin.get(CONFIGMAP, TEAM, "notes"), 60, "the repository's objects are there")
        until(lambda: admin.list(WORKFLOW, TEAM), 60, "the Dataset has its Workflow")
        until(lambda: _ready(admin, TRAININGRUN.resource, TEAM, "price"), 60, "the run has a status")
        said = "".join(path.read_text() for path in tmp_path.glob("modelops-*.log"))
        assert "orbidden" not in said

        workflow = admin.list(WORKFLOW, TEAM)[0]
        assert workflow["metadata"]["labels"][MANAGED_BY] == MANAGER
        assert workflow["metadata"]["finalizers"] == [RESULT]
        _held(admin, DATASET.resource, "listings")
        cluster.helm("uninstall", "modelops", "--timeout=120s")
        assert node.pods == []

    assert "2 finalizers taken off" in node.jobs["modelops-uninstall"]
    assert _of_the_chart(admin) == set()
    # Nobody holds the Workflow any more: deleted, it is gone.
    admin.delete(WORKFLOW, TEAM, workflow["metadata"]["name"])
    assert admin.list(WORKFLOW, TEAM) == []
    # Everybody's objects and their kinds stay, until somebody deletes them; and then they go.
    assert admin.get(GITSOURCE.resource, TEAM, "team") is not None
    for kind in KINDS:
        for obj in admin.list(kind.resource, None):
            admin.delete(kind.resource, obj["metadata"].get("namespace"), obj["metadata"]["name"])
        assert list(admin.list(kind.resource, None)) == []
        admin.delete(CRD, None, f"{kind.resource.plural}.{kind.resource.group}")
    until(lambda: not [one for one in admin.list(CRD, None) if one["spec"]["group"] == "modelops.dev"], 60, "CRDs go")

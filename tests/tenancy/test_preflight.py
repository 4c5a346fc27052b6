"""Before a Workflow is made a real API server is asked, with the operator's own token: rights, accounts, quotas."""

from pathlib import Path
from typing import Any

import pytest

from modelops.adapters.cached_cluster import CachedCluster
from modelops.adapters.clock import SystemClock
from modelops.adapters.cluster import KubeClient
from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import DATASET, GITSOURCE, NAMESPACE, RESOURCEQUOTA, SERVICEACCOUNT, WORKFLOW
from modelops.api.labels import GITSOURCE as LABEL
from modelops.reconcile.bundle import Ports
from modelops.reconcile.dataset import DatasetReconciler
from modelops.reconcile.loop import Loop
from modelops.shell.registry import watched
from tests.support.fakes import FakeMetrics, FakeRegistry
from tests.support.installed import OPERATOR, token_of
from tests.support.kube_apiserver import kubeconfig
from tests.support.operators import let_workflows_run
from tests.tenancy.conftest import Cluster
from tests.unit.training.test_walk import COMMIT, DATASET_SPEC, OneFile

pytestmark = pytest.mark.real_apiserver
NS = "preflight"


class Operator:
    """The Dataset's loop with the operator's rights."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        path = directory / "operator.kubeconfig"
        path.write_text(kubeconfig(cluster.server.url, token_of(cluster.admin, OPERATOR)))
        client = KubeClient.from_kubeconfig(str(path))
        ports = Ports(CachedCluster(client, watched()), OneFile(), FakeRegistry(), FakeMetrics(), SystemClock())  # type: ignore[arg-type]
        self._admin, self._ports = cluster.admin, ports

    def said(self) -> tuple[str, str]:
        """Return reason and message of Ready after a pass that knows nothing yet."""
        Loop(DatasetReconciler(), self._ports).reconcile((NS, "listings"))
        found = self._admin.get(DATASET.resource, NS, "listings") or {}
        return next((c["reason"], c["message"]) for c in found["status"]["conditions"] if c["type"] == "Ready")


def quota(admin: KubeClient, used: str) -> None:
    """Limit the namespace's pods to four; the status is what a controller manager would write."""
    hard = {"pods": "4"}
    made = admin.apply(RESOURCEQUOTA, {"metadata": {"name": "team", "namespace": NS}, "spec": {"hard": hard}})
    admin.replace_status(RESOURCEQUOTA, made | {"status": {"hard": hard, "used": {"pods": used}}})


def delivered(admin: KubeClient) -> None:
    """Make a Dataset, and the GitSource that it comes from."""
    admin.apply(NAMESPACE, {"metadata": {"name": NS}})
    where: dict[str, Any] = {"namespace": NS, "name": "models"}
    spec = {"url": "https://git.example.com/m.git", "suspend": True}
    source = admin.apply(GITSOURCE.resource, {"metadata": where, "spec": spec})
    admin.replace_status(GITSOURCE.resource, source | {"status": {"lastAppliedRevision": f"main@{COMMIT}"}})
    meta = {"namespace": NS, "name": "listings", "labels": {LABEL: "models"}}
    admin.apply(DATASET.resource, {"metadata": meta, "spec": DATASET_SPEC})


def test_every_answer_of_a_real_api_server(cluster: Cluster, tmp_path: Path) -> None:
    """No account, an account without rights, a full quota, room: each is told, and the last makes the Workflow."""
    admin, account = cluster.admin, ServiceAccount(NS, "default")
    delivered(admin)
    operator = Operator(cluster, tmp_path)

    assert operator.said()[0] == "ServiceAccountNotFound"
    admin.apply(SERVICEACCOUNT, {"metadata": {"name": "default", "namespace": NS}})
    reason, message = operator.said()
    assert reason == "Forbidden"
    assert "may not create and patch workflowtaskresults.argoproj.io" in message
    let_workflows_run(admin, account)
    quota(admin, "4")
    assert operator.said() == (
        "QuotaExceeded",
        "ResourceQuota team of namespace preflight has no room: pods: 1 asked, 4 of 4 used; it starts once there is",
    )
    assert admin.list(WORKFLOW, NS) == []
    quota(admin, "3")
    assert operator.said()[0] == "Preparing"
    assert len(admin.list(WORKFLOW, NS)) == 1


def test_operator_without_rights_says_so(cluster: Cluster, tmp_path: Path) -> None:
    """The API server tells every account what it may do itself."""
    path = tmp_path / "nobody.kubeconfig"
    nobody = ServiceAccount("preflight-nobody", "nobody")
    cluster.admin.apply(NAMESPACE, {"metadata": {"name": nobody.namespace}})
    cluster.admin.apply(SERVICEACCOUNT, {"metadata": {"name": nobody.name, "namespace": nobody.namespace}})
    path.write_text(kubeconfig(cluster.server.url, token_of(cluster.admin, nobody)))
    client = KubeClient.from_kubeconfig(str(path))

    assert client.may(None, nobody.namespace, "create", WORKFLOW) is False
    assert client.may(nobody, nobody.namespace, "create", WORKFLOW) is None
    assert cluster.admin.may(None, nobody.namespace, "create", WORKFLOW) is True

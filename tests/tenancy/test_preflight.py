"""Before a Workflow is made a real API server is asked, with the operator's own token: rights, accounts, quotas."""

from pathlib import Path

import pytest

from modelops.adapters.cached_cluster import CachedCluster
from modelops.adapters.clock import SystemClock
from modelops.adapters.cluster import KubeClient
from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import NAMESPACE, RESOURCEQUOTA, SERVICEACCOUNT, WORKFLOW
from modelops.api.v1alpha1.trainingrun import TrainingRunStatus
from modelops.domain.plan import CreateObject, Plan
from modelops.domain.preflight import refusal
from modelops.reconcile.bundle import Ports
from modelops.reconcile.places import Places
from modelops.shell.registry import watched
from tests.golden.workflows import rendered
from tests.support.fakes import FakeMetrics, FakeRegistry, FakeServers
from tests.support.installed import OPERATOR, token_of
from tests.support.kube_apiserver import kubeconfig
from tests.support.operators import let_workflows_run
from tests.tenancy.conftest import Cluster

pytestmark = pytest.mark.real_apiserver


def client_of(cluster: Cluster, account: ServiceAccount, directory: Path) -> KubeClient:
    """Return a client with an account's token."""
    path = directory / f"{account.name}.kubeconfig"
    path.write_text(kubeconfig(cluster.server.url, token_of(cluster.admin, account)))
    return KubeClient.from_kubeconfig(str(path))


def told(client: KubeClient, namespace: str) -> tuple[str, str]:
    """Return reason and message with which a Workflow on a GPU would be refused; empty if it would run."""
    cluster = CachedCluster(client, watched())
    ports = Ports(cluster, None, FakeRegistry(), FakeMetrics(), SystemClock(), FakeServers())  # type: ignore[arg-type]
    plan = Plan(TrainingRunStatus(), (), (CreateObject(WORKFLOW, rendered()["train-gpu.yaml"]),))
    found = refusal(plan, Places().of(namespace, ports))
    return (found.reason, found.message) if found else ("", "")


def quota(admin: KubeClient, namespace: str, used: str) -> None:
    """Limit a namespace to four GPUs; the status is what a controller manager would write."""
    hard, meta = {"requests.nvidia.com/gpu": "4"}, {"name": "team", "namespace": namespace}
    made = admin.apply(RESOURCEQUOTA, {"metadata": meta, "spec": {"hard": hard}})
    admin.replace_status(RESOURCEQUOTA, made | {"status": {"hard": hard, "used": {"requests.nvidia.com/gpu": used}}})


def test_every_answer_of_a_real_api_server(cluster: Cluster, tmp_path: Path) -> None:
    """No account, an account without rights, a full quota, room; the operator's rights are enough to know."""
    admin, account = cluster.admin, ServiceAccount("preflight", "default")
    operator = client_of(cluster, OPERATOR, tmp_path)
    admin.apply(NAMESPACE, {"metadata": {"name": account.namespace}})

    assert told(operator, account.namespace)[0] == "ServiceAccountNotFound"
    admin.apply(SERVICEACCOUNT, {"metadata": {"name": account.name, "namespace": account.namespace}})
    reason, message = told(operator, account.namespace)
    assert reason == "Forbidden"
    assert "may not create and patch workflowtaskresults.argoproj.io" in message
    let_workflows_run(admin, account)
    quota(admin, account.namespace, "4")
    reason, message = told(operator, account.namespace)
    assert reason == "QuotaExceeded"
    assert "team of namespace preflight has no room: requests.nvidia.com/gpu: 1 asked, 4 of 4 used" in message
    quota(admin, account.namespace, "3")
    assert told(operator, account.namespace) == ("", "")


def test_operator_without_rights_says_so(cluster: Cluster, tmp_path: Path) -> None:
    """Everybody is told what they may do themselves; what they may not ask is taken as granted."""
    nobody = ServiceAccount("preflight-nobody", "nobody")
    cluster.admin.apply(NAMESPACE, {"metadata": {"name": nobody.namespace}})
    cluster.admin.apply(SERVICEACCOUNT, {"metadata": {"name": nobody.name, "namespace": nobody.namespace}})

    client = client_of(cluster, nobody, tmp_path)

    assert told(client, nobody.namespace)[1].startswith("the operator may not create workflows.argoproj.io")
    assert client.may(nobody, nobody.namespace, "create", WORKFLOW) is None
    assert cluster.admin.may(None, nobody.namespace, "create", WORKFLOW) is True

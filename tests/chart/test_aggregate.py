"""`rbac.aggregate` on a real API server: what who may view, edit or administer a namespace may do with our kinds.

The cluster's three roles are gathered by Kubernetes' own controller manager, which runs that one controller here.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelops.adapters.cluster import KubeClient
from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import KINDS, NAMESPACE, SERVICEACCOUNT
from tests.chart.cluster import CHART, Cluster
from tests.support import go_programs
from tests.support.installed import CLUSTERROLEBINDING, bind
from tests.support.operators import until

pytestmark = pytest.mark.real_apiserver
PROGRAM = "kube-controller-manager"
GROUP, TEAM, OTHER = "modelops.dev", "pricing", "vision"
ROLES = ("view", "edit", "admin")
EVERYWHERE = ServiceAccount(TEAM, "view-everywhere")
POOLS = "computepools"
OF_A_NAMESPACE = sorted(kind.resource.plural for kind in KINDS if kind.resource.plural != POOLS)
READ, WRITE = ("get", "list", "watch"), ("create", "patch", "update", "delete", "deletecollection")


def may(client: KubeClient, verb: str, resource: str, namespace: str | None = TEAM) -> bool:
    """Return whether a client may do something, as a SelfSubjectAccessReview has it; `plural/subresource`."""
    plural, _, subresource = resource.partition("/")
    about = {"verb": verb, "group": GROUP, "resource": plural, "subresource": subresource, "namespace": namespace or ""}
    kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = client.request("POST", path, body={**kind, "spec": {"resourceAttributes": about}})
    assert answer is not None
    return bool(answer["status"]["allowed"])


@pytest.fixture(scope="module")
def people(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, KubeClient]]:
    """Role → a client of somebody who has it in the team's namespace, by a RoleBinding; the chart is installed."""
    program = go_programs.find(PROGRAM)
    if program is None:
        pytest.skip(f"{PROGRAM} not found: build it with Go: python -m tests.e2e.cluster build")
    admin = cluster.admin
    log = Path(tmp_path_factory.mktemp("aggregate"), f"{PROGRAM}.log")
    only = ("--controllers=clusterrole-aggregation-controller", "--leader-elect=false", "--secure-port=0")
    with log.open("wb") as out:
        command = [program, f"--kubeconfig={cluster.config}", *only]
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        cluster.helm("install", "modelops", str(CHART), "--create-namespace")
        for name in (TEAM, OTHER):
            admin.apply(NAMESPACE, {"metadata": {"name": name}})
        accounts = {role: ServiceAccount(TEAM, role) for role in ROLES}
        for account in (*accounts.values(), EVERYWHERE):
            admin.apply(SERVICEACCOUNT, {"metadata": {"name": account.name, "namespace": TEAM}})
        for role, account in accounts.items():
            bind(admin, TEAM, role, role, account, "ClusterRole")
        role_ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
        subject = {"kind": "ServiceAccount", "name": EVERYWHERE.name, "namespace": TEAM}
        bound = {"metadata": {"name": EVERYWHERE.name}, "roleRef": role_ref, "subjects": [subject]}
        admin.apply(CLUSTERROLEBINDING, bound)
        clients = {role: cluster.as_account(account) for role, account in accounts.items()}
        until(lambda: all(may(client, "list", OF_A_NAMESPACE[0]) for client in clients.values()), 60, log.read_text)
        yield clients
    finally:
        process.terminate()
        process.wait(20)
        cluster.helm("uninstall", "modelops", "--no-hooks")


@pytest.mark.parametrize("role", ROLES)
def test_everybody_reads_what_the_namespace_has(people: dict[str, KubeClient], role: str) -> None:
    """All kinds of a namespace, and how many servers a release has; in that namespace."""
    client = people[role]
    refused = [(verb, plural) for plural in OF_A_NAMESPACE for verb in READ if not may(client, verb, plural)]
    assert refused == []
    assert may(client, "get", "modelreleases/scale")
    assert not any(
        may(client, verb, plural, where) for plural in OF_A_NAMESPACE for verb in READ for where in (OTHER, None)
    )


@pytest.mark.parametrize("role", ROLES)
def test_who_may_edit_writes_and_who_may_view_does_not(people: dict[str, KubeClient], role: str) -> None:
    """Every verb over every kind of a namespace, or none."""
    client = people[role]
    allowed = {(verb, plural) for plural in OF_A_NAMESPACE for verb in WRITE if may(client, verb, plural)}
    assert allowed == ({(verb, plural) for plural in OF_A_NAMESPACE for verb in WRITE} if role != "view" else set())
    assert [may(client, verb, "modelreleases/scale") for verb in ("patch", "update")] == [role != "view"] * 2


@pytest.mark.parametrize("role", ROLES)
def test_nobody_writes_a_status_or_a_pool(people: dict[str, KubeClient], role: str) -> None:
    """A status is the operator's, and a pool the platform team's."""
    client = people[role]
    assert not any(may(client, verb, f"{plural}/status") for plural in (*OF_A_NAMESPACE, POOLS) for verb in WRITE)
    assert not any(may(client, verb, POOLS, None) for verb in WRITE)


def test_pools_are_seen_by_who_may_view_the_cluster(people: dict[str, KubeClient], cluster: Cluster) -> None:
    """They belong to no namespace: a RoleBinding does not reach them, a ClusterRoleBinding does."""
    assert not any(may(people[role], verb, POOLS, None) for role in ROLES for verb in READ)
    everywhere = cluster.as_account(EVERYWHERE)
    assert all(may(everywhere, verb, POOLS, None) for verb in READ)
    assert not any(may(everywhere, verb, POOLS, None) for verb in WRITE)

"""A tenant who means harm gets nowhere: not out of its namespace, not at other kinds, not into somebody else's name."""

import base64
from typing import Any

import pytest

from modelops.adapters.cluster import KubeClient
from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import COMPUTEPOOL, CONFIGMAP, DATASET, GITSOURCE, SECRET, SERVICEACCOUNT
from modelops.errors import ModelopsError
from tests.support.installed import (
    CLUSTERROLEBINDING,
    OPERATOR,
    ROLE,
    ROLEBINDING,
    bind,
    everything_in,
    token_of,
)
from tests.support.kube_apiserver import kubeconfig
from tests.tenancy.conftest import Cluster, Team, configmap, dataset

pytestmark = pytest.mark.real_apiserver

_RBAC = "apiVersion: rbac.authorization.k8s.io/v1\n"
_CLUSTER_ADMIN = "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\n"
_HOSTILE_NAMES = (
    "system:admin",
    "system:serviceaccount:kube-system:default",
    "modelops-system/modelops",
    "modelops-system:modelops",
    "../modelops-system/modelops",
    "sync,system:masters",
    "sync\nImpersonate-Group: system:masters",
    "sync\r\nImpersonate-Group: system:masters",
    "Sync",
    "sync ",
    ".",
    "..",
    "sync.",
    "%2e%2e",
    "",
    "a" * 254,
)


def test_manifest_of_another_namespace_is_refused_whatever_the_account_may_there(team: Team, other: Team) -> None:
    """A GitSource stays in its namespace even if its account is an administrator of both; the rest is applied."""
    account = team.account()
    bind(team.admin, other.namespace, "careless", "cluster-admin", account, "ClusterRole")
    before = everything_in(team.admin, other.namespace, (CONFIGMAP, DATASET.resource))
    there = f", namespace: {other.namespace}"
    team.repository.commit(
        {
            "deploy/a.yaml": configmap("theirs", there, value="stolen") + "---\n" + dataset("new", there),
            "deploy/mine.yaml": configmap("mine", f", namespace: {team.namespace}"),
        }
    )
    team.source()

    message = team.says("False BuildFailed")
    assert "deploy/a.yaml:3" in message
    assert f"namespace {other.namespace} is not the GitSource's; leave it out or write {team.namespace}" in message
    assert team.configmap("mine")
    assert everything_in(team.admin, other.namespace, (CONFIGMAP, DATASET.resource)) == before
    assert team.cluster.writes_by(other.namespace) == []


def test_kinds_that_widen_a_tenant_s_reach_are_refused_even_to_an_administrator(team: Team) -> None:
    """No roles, bindings, accounts, secrets, pools or GitSources come from git; the operator never asks for any."""
    account = team.account()
    team.admin.apply(
        CLUSTERROLEBINDING,
        {
            "metadata": {"name": f"careless-{team.namespace}"},
            "roleRef": {"apiGroup": CLUSTERROLEBINDING.group, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}],
        },
    )
    subject = f"subjects: [{{kind: ServiceAccount, name: sync, namespace: {team.namespace}}}]\n"
    evil = f"evil-{team.namespace}"
    hostile = {
        "binding": f"{_RBAC}kind: RoleBinding\nmetadata: {{name: evil}}\n{_CLUSTER_ADMIN}{subject}",
        "clusterbinding": f"{_RBAC}kind: ClusterRoleBinding\nmetadata: {{name: {evil}}}\n{_CLUSTER_ADMIN}{subject}",
        "role": f"{_RBAC}kind: Role\nmetadata: {{name: evil}}\nrules: []\n",
        "pool": f"apiVersion: modelops.dev/v1alpha1\nkind: ComputePool\nmetadata: {{name: {evil}}}\nspec: {{}}\n",
        "account": "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: evil}\n",
        "secret": "apiVersion: v1\nkind: Secret\nmetadata: {name: evil}\n",
        "source": (
            "apiVersion: modelops.dev/v1alpha1\nkind: GitSource\nmetadata: {name: evil}\n"
            f"spec: {{url: '{team.repository.url}', path: other}}\n"
        ),
    }
    files = {f"deploy/{name}.yaml": text for name, text in hostile.items()}
    team.repository.commit({**files, "deploy/z.yaml": configmap("mine")})
    team.source()

    message = team.says("False BuildFailed", "and 2 more")
    kinds = "Dataset, TrainingRun, MetricTemplate, ModelRelease, ConfigMap"
    assert f"a GitSource does not apply RoleBinding; it applies {kinds}" in message
    assert team.configmap("mine")
    for resource in (ROLE, ROLEBINDING, SERVICEACCOUNT, SECRET, GITSOURCE.resource):
        assert team.admin.get(resource, team.namespace, "evil") is None, resource
    for resource in (CLUSTERROLEBINDING, COMPUTEPOOL.resource):
        assert team.admin.get(resource, None, evil) is None, resource
    asked = {(event.get("objectRef") or {}).get("name") for event in team.cluster.calls()}
    assert not asked & {"evil", evil}


def test_names_that_are_no_account_s_are_refused_by_the_schema(team: Team) -> None:
    """No user, no group, no other namespace, no second header line can be written into serviceAccountName."""
    for name in _HOSTILE_NAMES:
        with pytest.raises(ModelopsError, match="serviceAccountName"):
            team.source("hostile", serviceAccountName=name)
    assert team.admin.get(GITSOURCE.resource, team.namespace, "hostile") is None


@pytest.mark.parametrize(
    "field", ["serviceAccountGroups", "serviceAccountNamespace", "impersonate", "groups"], ids=lambda name: name
)
def test_nothing_else_says_as_whom_to_act(team: Team, field: str) -> None:
    """There is no field for a group or a namespace; the API server refuses one that is made up."""
    with pytest.raises(ModelopsError, match=field):
        team.source("hostile", **{field: "system:masters"})


def test_secret_of_another_namespace_is_never_read(team: Team, other: Team) -> None:
    """secretRef is looked up in the GitSource's namespace; a name cannot lead out of it."""
    data = {"password": base64.b64encode(b"swordfish").decode()}
    other.admin.apply(SECRET, {"metadata": {"name": "git", "namespace": other.namespace}, "data": data})
    team.account()
    team.repository.commit({"deploy/c.yaml": configmap("c")})
    team.source(secretRef={"name": "git"})
    team.says("False SecretNotFound", f"there is no Secret git in namespace {team.namespace}")
    for name in (f"../../{other.namespace}/secrets/git", f"{other.namespace}/git"):
        with pytest.raises(ModelopsError, match="secretRef"):
            team.source("hostile", secretRef={"name": name})
    with pytest.raises(ModelopsError, match="namespace"):
        team.source("hostile", secretRef={"name": "git", "namespace": other.namespace})

    read = {event["objectRef"]["namespace"] for event in team.cluster.calls() if _about(event) == "secrets"}
    assert team.namespace in read
    assert other.namespace not in read


def test_operator_s_token_may_act_as_nobody_but_the_accounts_it_was_let(cluster: Cluster, team: Team) -> None:
    """Whoever holds the operator's token is no user, no group and no account of a namespace that did not agree."""
    path = cluster.server.directory / "stolen.kubeconfig"
    path.write_text(kubeconfig(cluster.server.url, token_of(cluster.admin, OPERATOR)))
    client = KubeClient.from_kubeconfig(str(path))
    account = team.account()
    assert client.acting_as(account).list_page(DATASET.resource, team.namespace, limit=1) is not None

    refused = {
        "user": {"Impersonate-User": "system:admin"},
        "account elsewhere": {"Impersonate-User": ServiceAccount("kube-system", "default").user},
        "the operator's own": {"Impersonate-User": OPERATOR.user},
        "group": {"Impersonate-User": account.user, "Impersonate-Group": "system:masters"},
        "uid": {"Impersonate-User": account.user, "Impersonate-Uid": "1"},
        "extra": {"Impersonate-User": account.user, "Impersonate-Extra-scopes": "all"},
    }
    for what, headers in refused.items():
        assert cluster.status(client, headers, f"/api/v1/namespaces/{team.namespace}/configmaps") == 403, what


def test_object_of_another_gitsource_is_neither_adopted_nor_changed(team: Team) -> None:
    """Who came first keeps it, whatever label git brings; the other is told whose it is."""
    team.account()
    team.account("second")
    team.repository.commit({"first/a.yaml": dataset("shared")})
    team.source("first", path="first")
    team.synced("first")
    before = team.dataset("shared")
    label = ", labels: {modelops.dev/gitsource: first}"
    commit = team.repository.commit(
        {"second/a.yaml": dataset("shared", label, target="rent"), "second/b.yaml": configmap("b", label)}
    )
    team.source("second", path="second", serviceAccountName="second")

    message = team.says("False BuildFailed", name="second")
    assert "second/a.yaml:1: Dataset/shared belongs to GitSource first; remove it from one of the two" in message
    team.synced("first", commit=commit)
    found, mine = team.dataset("shared"), team.configmap("b")
    assert found is not None
    assert before is not None
    assert mine is not None
    assert found["spec"] == before["spec"]
    assert mine["metadata"]["labels"]["modelops.dev/gitsource"] == "second"


def test_forged_inventory_prunes_nothing_of_another(team: Team) -> None:
    """Even who can write a GitSource's status, and may delete, makes it prune only what carries its own label."""
    team.account()
    team.repository.commit(
        {"first/a.yaml": dataset("theirs"), "deploy/b.yaml": dataset("b"), "deploy/c.yaml": configmap("c")}
    )
    team.source("first", path="first")
    team.synced("first")
    hand_made = {"metadata": {"name": "by-hand", "namespace": team.namespace}, "data": {"from": "hand"}}
    team.admin.apply(CONFIGMAP, hand_made)
    team.source(suspend=True)
    forged: list[dict[str, Any]] = [
        {"apiVersion": "modelops.dev/v1alpha1", "kind": "Dataset", "name": "theirs"},
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "by-hand"},
        {"apiVersion": "v1", "kind": "Secret", "name": "git"},
    ]
    team.admin.merge_patch(
        GITSOURCE.resource, team.namespace, "source", {"status": {"inventory": forged}}, subresource="status"
    )
    team.admin.apply(SECRET, {"metadata": {"name": "git", "namespace": team.namespace}})
    team.admin.merge_patch(GITSOURCE.resource, team.namespace, "source", {"spec": {"suspend": False}})
    team.says("PruneBlocked")
    commit = team.repository.commit({"deploy/d.yaml": configmap("d")})
    notes = {"modelops.dev/confirm-prune": commit}
    team.admin.merge_patch(GITSOURCE.resource, team.namespace, "source", {"metadata": {"annotations": notes}})

    team.synced(commit=commit)
    assert team.dataset("theirs")
    assert team.configmap("by-hand")
    assert team.admin.get(SECRET, team.namespace, "git")


def _about(event: dict[str, Any]) -> str:
    return str((event.get("objectRef") or {}).get("resource"))

"""What an account may not do is told in one line, stops nothing else, and is noticed when it is granted."""

import pytest

from modelops.api.kinds import CONFIGMAP, SERVICEACCOUNT
from tests.support.installed import OPERATOR, ROLEBINDING, bind, grant
from tests.support.operators import until
from tests.tenancy.conftest import Cluster, Team, configmap, dataset, make_team

pytestmark = pytest.mark.real_apiserver


def test_forbidden_objects_are_told_and_the_others_apply(team: Team) -> None:
    """Where, what and what to do, in one line; what may be applied is."""
    account = team.account(role="")
    grant(team.admin, account, ("get,list,create,patch,delete", "datasets.modelops.dev"), ("get", "configmaps"))
    files = {f"deploy/{name}.yaml": configmap(name) for name in "cdefg"}
    team.repository.commit({"deploy/a.yaml": dataset("a"), "deploy/z.yaml": dataset("z"), **files})
    team.source()

    message = team.says("False Forbidden", "and 2 more")
    assert f"ConfigMap c: {account} may not patch configmaps in namespace {team.namespace}" in message
    assert message.count("grant it: ") == 1
    assert message.endswith(f"--clusterrole=modelops-tenant --serviceaccount={team.namespace}:sync")
    assert "\n" not in message
    assert team.dataset("a")
    assert team.dataset("z")
    assert not any(team.configmap(name) for name in "cdefg")


def test_what_is_told_does_not_tell_whether_it_exists(team: Team) -> None:
    """An account that may not read a kind learns nothing from the operator's cache, which holds it."""
    team.account("other")
    team.repository.commit({"theirs/there.yaml": dataset("there")})
    team.source("theirs", path="theirs", serviceAccountName="other")
    team.synced("theirs")
    account = team.account(role="")
    grant(team.admin, account, ("create,patch", "datasets.modelops.dev"))

    team.repository.commit({"deploy/a.yaml": dataset("there") + "---\n" + dataset("nowhere")})
    team.source()
    message = team.says("False Forbidden")
    told = [f"Dataset {name}: {account} may not get datasets in namespace" for name in ("nowhere", "there")]
    assert all(line in message for line in told)
    assert "theirs" not in message


def test_only_deletion_is_forbidden(team: Team) -> None:
    """What may not be pruned stays, is told and is not forgotten: granted, it goes."""
    account = team.account(role="")
    grant(team.admin, account, ("get,list,create,patch", "datasets.modelops.dev"))
    both = {"deploy/a.yaml": dataset("a"), "deploy/b.yaml": dataset("b")}
    team.source()
    team.synced(commit=team.repository.commit(both))

    team.repository.commit({"deploy/a.yaml": dataset("a", target="rent"), "deploy/b.yaml": None})
    team.says("False Forbidden", "Dataset b: ", "may not delete datasets")
    changed = team.dataset("a")
    assert changed is not None
    assert changed["spec"]["target"] == "rent"
    assert team.dataset("b")

    grant(team.admin, account, ("get,list,create,patch,delete", "datasets.modelops.dev"))
    team.synced()
    assert team.dataset("b") is None


def test_rights_withdrawn_in_the_middle_change_nothing_until_they_are_granted_again(team: Team) -> None:
    """Neither applied nor pruned meanwhile; the condition says why, and by itself when it is over."""
    account = team.account()
    team.source()
    team.synced(commit=team.repository.commit({"deploy/a.yaml": dataset("a"), "deploy/b.yaml": dataset("b")}))

    team.admin.delete(ROLEBINDING, team.namespace, "sync")
    commit = team.repository.commit({"deploy/a.yaml": dataset("a", target="rent"), "deploy/b.yaml": None})
    message = team.says("False Forbidden", "may not get datasets")
    assert "kubectl -n" in message
    kept = team.dataset("a")
    assert kept is not None
    assert kept["spec"]["target"] == "price"
    assert team.dataset("b")

    bind(team.admin, team.namespace, "sync", "modelops-tenant", account, "ClusterRole")
    team.synced(commit=commit)
    assert team.dataset("b") is None


def test_account_deleted_in_the_middle_is_not_acted_as(team: Team) -> None:
    """Its bindings would still grant everything to whoever acts under its name; nothing is written until it is back."""
    team.account()
    team.source()
    team.synced(commit=team.repository.commit({"deploy/a.yaml": dataset("a"), "deploy/b.yaml": dataset("b")}))

    team.admin.delete(SERVICEACCOUNT, team.namespace, "sync")
    until(lambda: team.admin.get(SERVICEACCOUNT, team.namespace, "sync") is None, 20, "the account is gone")
    commit = team.repository.commit({"deploy/c.yaml": configmap("c"), "deploy/b.yaml": None})
    message = team.says("ServiceAccountNotFound", "which spec.serviceAccountName names")
    assert f"create it: kubectl -n {team.namespace} create serviceaccount sync" in message
    assert team.configmap("c") is None
    assert team.dataset("b")

    team.account()
    team.synced(commit=commit)
    assert team.configmap("c")
    assert team.dataset("b") is None


def test_operator_acts_as_accounts_only_where_it_was_let(cluster: Cluster, operator: object, team: Team) -> None:
    """A namespace whose owner did not let the operator act as its accounts is told how to; withdrawn, it stops."""
    made = make_team(cluster, team.repository.path.parent, impersonated=False)
    made.account()
    made.repository.commit({"deploy/c.yaml": configmap("c")})
    made.source()
    message = made.says("False ImpersonationForbidden", f"the operator ({OPERATOR.user}) may not act as")
    binding = "create rolebinding modelops-impersonator --clusterrole=modelops-impersonator"
    assert f"kubectl -n {made.namespace} {binding} --serviceaccount=modelops-system:modelops" in message
    assert made.configmap("c") is None

    bind(cluster.admin, made.namespace, "modelops-impersonator", "modelops-impersonator", OPERATOR, "ClusterRole")
    made.synced()

    cluster.admin.delete(ROLEBINDING, made.namespace, "modelops-impersonator")
    made.repository.commit({"deploy/c.yaml": configmap("c", value="later")})
    made.says("ImpersonationForbidden")
    found = cluster.admin.get(CONFIGMAP, made.namespace, "c")
    assert found is not None
    assert found["data"] == {"from": "git"}

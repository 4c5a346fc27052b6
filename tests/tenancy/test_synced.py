"""A tenant whose account may do it is served: applied, changed, pruned and granted more, always as the account."""

import pytest

from tests.support.installed import grant
from tests.tenancy.conftest import DEFAULT, Team, configmap, dataset

pytestmark = pytest.mark.real_apiserver


def test_everything_is_written_as_the_account_and_nothing_else(team: Team) -> None:
    """The audit log shows who: git's objects as the account with its groups, status and Events as the operator."""
    account = team.account()
    first = team.repository.commit(
        {"deploy/a.yaml": dataset("a"), "deploy/b.yaml": dataset("b"), "deploy/c.yaml": configmap("c")}
    )
    team.source()
    team.synced(commit=first)
    changed = team.repository.commit({"deploy/a.yaml": dataset("a", target="rent"), "deploy/b.yaml": None})
    team.synced(commit=changed)

    assert team.dataset("b") is None
    found = team.dataset("a")
    assert found is not None
    assert found["spec"]["target"] == "rent"
    seen = set()
    for event in team.cluster.writes_by(team.namespace):
        about = event["objectRef"]
        if about.get("subresource") == "status" or about["resource"] == "events":
            assert "impersonatedUser" not in event
            continue
        who = event["impersonatedUser"]
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{team.namespace}", "system:authenticated"]
        assert (who["username"], sorted(who["groups"])) == (account.user, sorted(groups))
        seen.add((event["verb"], about["resource"], about["name"]))
    assert seen >= {
        ("patch", "datasets", "a"),
        ("patch", "datasets", "b"),
        ("patch", "configmaps", "c"),
        ("delete", "datasets", "b"),
    }


def test_account_that_reads_one_by_one_is_enough(team: Team) -> None:
    """Without `list` nothing is told from the operator's cache; each object is read as the account."""
    account = team.account(role="")
    grant(team.admin, account, ("get,create,patch,delete", "datasets.modelops.dev"))
    commit = team.repository.commit({"deploy/a.yaml": dataset("a")})
    team.source()
    team.synced(commit=commit)

    again = team.repository.commit({"deploy/a.yaml": dataset("a", target="rent")})
    team.synced(commit=again)


def test_grant_is_noticed_within_an_interval(team: Team) -> None:
    """Nothing watches RBAC; what was refused is tried again each interval."""
    account = team.account(role="")
    grant(team.admin, account, ("get,create,patch", "configmaps"))
    team.repository.commit({"deploy/a.yaml": dataset("a"), "deploy/c.yaml": configmap("c")})
    team.source()
    team.says("False Forbidden", "may not get datasets")
    assert team.configmap("c")

    team.account()
    team.synced()
    assert team.dataset("a")


def test_locked_down_operator_gives_an_account_to_who_names_none(team: Team) -> None:
    """The setting is the account of every GitSource without one; where a namespace lacks it nothing is written."""
    team.repository.commit({"deploy/c.yaml": configmap("c")})
    team.source(serviceAccountName=None)
    message = team.says("False ServiceAccountNotFound", "MODELOPS_DEFAULT_SERVICE_ACCOUNT")
    assert f"kubectl -n {team.namespace} create serviceaccount {DEFAULT}" in message
    assert team.configmap("c") is None

    account = team.account(DEFAULT)
    team.synced()
    writes = [one for one in team.cluster.writes_by(team.namespace) if one["objectRef"]["resource"] == "configmaps"]
    assert {one["impersonatedUser"]["username"] for one in writes} == {account.user}

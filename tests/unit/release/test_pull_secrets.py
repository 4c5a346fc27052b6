"""Servers pull their images with what the account of the namespace's Workflow pods has; who serves is left alone."""

from dataclasses import replace
from typing import Any

import pytest

from modelops.api.kinds import DEPLOYMENT, SERVICEACCOUNT, Resource
from modelops.reconcile.bundle import Settings
from tests.support.fakes import FakeCluster
from tests.unit.release.world import NAME, NAMESPACE, World

ACCOUNT = "modelops-workflow"


class Asked(FakeCluster):
    """Counts how often an account is read."""

    asked_for = 0

    def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        self.asked_for += resource == SERVICEACCOUNT
        return super().get(resource, namespace, name)


def a_world(account: str | None = ACCOUNT, **serving: Any) -> World:
    """Return a release in a namespace whose Workflows run as an account."""
    world = World(cluster_of=Asked)
    world.ports = replace(world.ports, settings=Settings(workflow_service_account=account))
    world.loop._ports = world.ports
    if serving:
        world.release(serving={"replicas": 1, **serving})
    return world


def give(world: World, *secrets: str, account: str = ACCOUNT) -> None:
    """Let an account, by default that of Workflow pods, have pull Secrets."""
    meta = {"name": account, "namespace": NAMESPACE}
    world.cluster.put(SERVICEACCOUNT, {"metadata": meta, "imagePullSecrets": [{"name": name} for name in secrets]})


def pulled(world: World, revision: str) -> list[str] | None:
    """Return the names of a revision's pull Secrets; None if its pods have no such field."""
    found = world.cluster.get(DEPLOYMENT, NAMESPACE, f"{NAME}-{revision}")
    assert found is not None
    secrets = found["spec"]["template"]["spec"].get("imagePullSecrets")
    return None if secrets is None else [one["name"] for one in secrets]


@pytest.mark.parametrize(
    "serving",
    [
        {"runtime": "modelops"},
        {"runtime": "mlserver"},
        {"runtime": "mlflow"},
        {"runtime": "custom", "image": "registry.example.com/ml/ours:1"},
    ],
    ids=lambda serving: serving["runtime"],
)
def test_servers_pull_with_the_secrets_of_the_workflows_account(serving: dict[str, Any]) -> None:
    """Whichever of our templates runs them."""
    world = a_world(**serving)
    give(world, "registry", "other")

    assert pulled(world, world.first()) == ["registry", "other"]


def test_those_of_the_servers_own_account_are_not_lost() -> None:
    """Kubernetes gives a pod its account's only if it names none: so they are named, too, or none is."""
    world, without = a_world(), a_world()
    give(world, "registry", "shared")
    for one in (world, without):
        give(one, "shared", "by-hand", account="default")

    assert pulled(world, world.first()) == ["registry", "shared", "by-hand"]
    assert pulled(without, without.first()) is None


@pytest.mark.parametrize("account", [ACCOUNT, None])
def test_without_secrets_the_pods_have_no_such_field(account: str | None) -> None:
    """No account is named, or there is none, as on a laptop: the pods are what they were."""
    world = a_world(account)

    assert pulled(world, world.first()) is None


def test_a_team_s_own_template_names_its_own() -> None:
    """We add nothing to whom it pulls as."""
    own = {"spec": {"containers": [{"name": "server", "image": "theirs"}], "imagePullSecrets": [{"name": "theirs"}]}}
    world = a_world(runtime="custom", podTemplate=own)
    give(world, "registry")

    assert pulled(world, world.first()) == ["theirs"]


def test_another_secret_begins_no_revision_and_touches_no_server() -> None:
    """Its hash is as before and its Deployment is not written; what begins afterwards has the new one."""
    without = a_world()
    world = a_world()
    give(world, "registry")
    first = world.first()
    assert first == without.first()
    calls = len(world.cluster.calls)

    give(world, "renamed")
    world.settle(60)

    assert len(world.cluster.calls) == calls
    assert pulled(world, first) == ["registry"]
    second = world.canary()
    assert (pulled(world, first), pulled(world, second)) == (["registry"], ["renamed"])


def test_the_account_is_read_only_for_who_begins() -> None:
    """A release that serves costs no read."""
    world = a_world()
    give(world, "registry")
    world.first()
    assert isinstance(world.cluster, Asked)
    assert world.cluster.asked_for > 0
    before = world.cluster.asked_for

    world.settle(600)

    assert world.cluster.asked_for == before

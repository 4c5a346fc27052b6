"""Before a Workflow is made: is it allowed, can its pods run and report, is there room? Else a condition says it."""

from decimal import Decimal
from typing import Any

import pytest

from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import COMPUTEPOOL, DATASET, RESOURCEQUOTA, TRAININGRUN
from modelops.api.labels import COMMAND
from modelops.domain.quantities import quantity
from tests.unit.training.test_walk import NS, World

DEFAULT = ServiceAccount(NS, "default")
GPU = "requests.nvidia.com/gpu"


def quota(world: World, hard: str, used: str, resource: str = GPU, **spec: Any) -> None:
    """Let the platform team limit the namespace."""
    world.cluster.put(RESOURCEQUOTA, {"metadata": {"name": "team", "namespace": NS}, "spec": spec})
    world.cluster.set_status(RESOURCEQUOTA, NS, "team", {"hard": {resource: hard}, "used": {resource: used}})


def on_gpus(world: World, gpus: int, **more: Any) -> None:
    """Let the run ask for GPUs."""
    world.cluster.put(COMPUTEPOOL.resource, {"metadata": {"name": "gpu"}, "spec": {"resourceName": "nvidia.com/gpu"}})
    world.train(compute={"pool": "gpu", "gpus": gpus}, **more)


@pytest.fixture
def world() -> World:
    return World()


def test_full_quota_holds_a_run_until_there_is_room(world: World) -> None:
    """Nothing is made and no attempt begun; the words say which quota, how full and what was asked; then it goes on."""
    on_gpus(world, 2)
    quota(world, "8", "7")
    world.pin()
    assert (world.workflows("tr"), world.status().get("attempt")) == ([], None)
    for kind, status in (("Admitted", "False"), ("Ready", "False"), ("Reconciling", "True")):
        found = world.condition(kind)
        assert (found["status"], found["reason"]) == (status, "QuotaExceeded")
    assert world.condition("Admitted")["message"] == (
        "ResourceQuota team of namespace pricing has no room: requests.nvidia.com/gpu: 2 asked, 7 of 8 used; "
        "it starts once there is"
    )
    quota(world, "8", "6")
    outcome = world.runs.reconcile((NS, "price"))
    assert outcome.requeue_after is not None
    world.clock.time += outcome.requeue_after
    world.reconcile()
    assert len(world.workflows("tr")) == 1
    assert world.condition("Admitted")["status"] == "True"
    world.registered()


@pytest.mark.parametrize(
    ("resource", "hard", "used", "said"),
    [
        ("pods", "4", "4", "pods: 1 asked, 4 of 4 used"),
        ("count/workflows.argoproj.io", "1", "1", "count/workflows.argoproj.io: 1 asked, 1 of 1 used"),
        ("requests.cpu", "500m", "0.5", "requests.cpu: some asked, 0.5 of 500m used"),
        ("limits.memory", "1Gi", "1073741824", "limits.memory: some asked, 1073741824 of 1Gi used"),
        ("pods", "0", "0", "ask for less, or for a larger quota"),
        ("requests.cpu", "2", "1900m", ""),
        ("configmaps", "1", "1", ""),
        ("requests.storage", "1Gi", "1Gi", ""),
    ],
)
def test_what_a_quota_counts(world: World, resource: str, hard: str, used: str, said: str) -> None:
    """Pods, Workflows and what every pod has to ask for; a Dataset waits as a run does."""
    quota(world, hard, used, resource)
    world.reconcile()
    found = world.condition("Ready", DATASET.resource, "listings")
    assert found["reason"] == ("QuotaExceeded" if said else "Preparing")
    assert said in found["message"]
    assert bool(world.workflows("ds")) is not bool(said)


def test_quota_of_some_pods_only_is_left_to_the_workflow(world: World) -> None:
    """Which pods it counts is decided by what others add to them."""
    quota(world, "0", "0", "pods", scopes=["BestEffort"])
    world.reconcile()
    assert len(world.workflows("ds")) == 1


def test_new_inputs_replace_a_workflow_although_the_quota_is_full(world: World) -> None:
    """It is full of the run's own pod, which goes."""
    on_gpus(world, 8)
    world.pin()
    first = world.workflows("tr")[0]["metadata"]["name"]
    quota(world, "8", "8")
    world.clock.advance(minutes=1)
    on_gpus(world, 8, hyperparameters={"epochs": 3})
    world.reconcile()
    assert [workflow["metadata"]["name"] for workflow in world.workflows("tr")] != [first]
    assert len(world.workflows("tr")) == 1


@pytest.mark.parametrize(
    ("rights", "remedy"),
    [
        ({"operator": set()}, "the operator may not create workflows.argoproj.io in namespace pricing"),
        ({DEFAULT.user: {"create workflowtaskresults"}}, "create role default-results --verb=create,patch"),
    ],
)
def test_missing_right_is_said_with_what_grants_it(world: World, rights: dict[str, set[str]], remedy: str) -> None:
    """A human has to act; once that is done it goes on by itself."""
    world.pin()
    world.registered()
    world.train(hyperparameters={"epochs": 3})
    world.cluster.rights = rights
    world.clock.advance(minutes=6)
    world.reconcile()
    assert world.condition("Stalled")["reason"] == world.condition("Admitted")["reason"] == "Forbidden"
    assert remedy in world.condition("Admitted")["message"]
    assert len(world.workflows("tr")) == 1
    world.cluster.rights = {}
    world.clock.advance(seconds=15)
    world.reconcile()
    assert world.condition("Stalled") == {}
    assert len(world.workflows("tr")) == 2


def test_account_that_does_not_exist(world: World) -> None:
    """Its pods could not be made."""
    world.cluster.accounts = set()
    world.reconcile()
    found = world.condition("Stalled", DATASET.resource, "listings")
    assert found["reason"] == "ServiceAccountNotFound"
    assert found["message"].endswith("create it: kubectl -n pricing create serviceaccount default")
    world.cluster.accounts = {DEFAULT}
    world.clock.advance(seconds=15)
    world.reconcile()
    assert len(world.workflows("ds")) == 1


def test_command_waits_for_room(world: World) -> None:
    """A retry that is refused is not forgotten."""
    world.pin()
    world.registered()
    quota(world, "1", "1", "pods")
    world.clock.advance(minutes=1)
    world.cluster.annotate(TRAININGRUN.resource, NS, "price", **{COMMAND: '{"verb": "retry", "id": "1"}'})
    world.reconcile()
    assert world.condition("Admitted")["reason"] == "QuotaExceeded"
    assert len(world.workflows("tr")) == 1
    quota(world, "2", "1", "pods")
    world.clock.advance(seconds=15)
    world.reconcile()
    assert len(world.workflows("tr")) == 2


def test_asked_once_a_namespace_and_not_at_rest(world: World) -> None:
    """Rights are asked for minutes ahead; who starts nothing asks nothing."""
    world.pin()
    asked = world.cluster.asked
    for epochs in (3, 4, 5):
        world.train(hyperparameters={"epochs": epochs})
        world.reconcile()
    assert world.cluster.asked == asked
    world.registered()
    world.clock.advance(hours=1)
    world.reconcile()
    assert world.cluster.asked == asked


@pytest.mark.parametrize(
    ("text", "number"),
    [("3", "3"), ("500m", "0.5"), ("2Gi", str(2 << 30)), ("1k", "1000"), ("1e3", "1000"), ("1E", "1e18"), ("-1", "-1")],
)
def test_quantities(text: str, number: str) -> None:
    """As Kubernetes writes them."""
    assert quantity(text) == Decimal(number)


def test_what_is_no_quantity() -> None:
    """It is named."""
    with pytest.raises(ValueError, match="'2 GB' is no quantity"):
        quantity("2 GB")

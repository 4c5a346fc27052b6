"""A canary whose servers do not start: why, in the cluster's own words, and how long it is waited for."""

from typing import Any

import pytest

from modelops.api.kinds import DEPLOYMENT, DISRUPTIONBUDGET, POD
from modelops.domain.release.pods import obstacle
from modelops.domain.release.revision import labels_of
from tests.unit.release.world import NAME, NAMESPACE, World

NO_ROOM = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."


@pytest.fixture
def world() -> World:
    return World(servers_start=False)


def unschedulable(name: str = "a", message: str = NO_ROOM, reason: str = "Unschedulable") -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    return {"metadata": {"name": name}, "status": {"phase": "Pending", "conditions": [condition]}}


def running(name: str = "a", **container: Any) -> dict[str, Any]:
    status = {"name": "server", "ready": False, **container}
    conditions = [{"type": "PodScheduled", "status": "True"}]
    return {"metadata": {"name": name}, "status": {"conditions": conditions, "containerStatuses": [status]}}


def show(world: World, pod: dict[str, Any]) -> None:
    """Let the canary's only pod be this one."""
    for known in world.cluster.list(POD, NAMESPACE):
        world.cluster.delete(POD, NAMESPACE, known["metadata"]["name"])
    meta = pod["metadata"] | {"namespace": NAMESPACE, "labels": labels_of(NAME, world.status["canary"]["revision"])}
    world.cluster.put(POD, {"metadata": meta})
    world.cluster.set_status(POD, NAMESPACE, meta["name"], pod["status"])


def waiting(reason: str, message: str = "", /, **ended: Any) -> dict[str, Any]:
    last = {"lastState": {"terminated": ended}} if ended else {}
    return running(state={"waiting": {"reason": reason, "message": message}}, **last)


@pytest.mark.parametrize(
    ("pods", "said", "capacity"),
    [
        ([unschedulable()], f"pod a: Unschedulable: {NO_ROOM}", True),
        ([unschedulable(reason="SchedulingGated", message="")], "pod a: SchedulingGated:", True),
        (
            [waiting("ImagePullBackOff", "no such image x:1")],
            "pod a, container server: ImagePullBackOff: no such",
            False,
        ),
        (
            [
                waiting(
                    "CrashLoopBackOff", "back-off 5m0s", exitCode=1, reason="Error", message="model: digest differs\n"
                )
            ],
            "pod a, container server: CrashLoopBackOff: Error with exit code 1: model: digest differs",
            False,
        ),
        (
            [running(state={"running": {}}, lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}})],
            "pod a, container server: OOMKilled with exit code 137",
            False,
        ),
        ([waiting("CreateContainerConfigError", 'secret "x" not found')], 'secret "x" not found', False),
        ([waiting("ImagePullBackOff"), unschedulable("b")], "pod b: Unschedulable", True),
    ],
)
def test_pod_says_why(pods: list[dict[str, Any]], said: str, capacity: bool) -> None:
    """Reason, exit code and last words, in one line; missing room comes before everything else."""
    found = obstacle({}, pods)
    assert found is not None
    assert said in found.message
    assert found.capacity is capacity
    assert "\n" not in found.message


@pytest.mark.parametrize(
    "pod",
    [
        waiting("ContainerCreating"),
        waiting("PodInitializing"),
        running(state={"running": {}}),
        running(ready=True, state={"running": {}}, lastState={"terminated": {"exitCode": 1, "reason": "Error"}}),
        {"metadata": {"name": "a"}},
        unschedulable() | {"metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"}},
    ],
)
def test_pod_that_is_on_its_way_says_nothing(pod: dict[str, Any]) -> None:
    """Starting is no trouble, and what was overcome is over."""
    assert obstacle({}, [pod]) is None


@pytest.mark.parametrize(
    ("message", "capacity"), [("exceeded quota: team, requested: pods=1", True), ("denied", False)]
)
def test_pods_that_may_not_be_made(message: str, capacity: bool) -> None:
    """A quota is missing room; any other refusal is not."""
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    found = obstacle({"status": {"conditions": [condition]}}, [])
    assert found is not None
    assert (found.message, found.capacity) == (f"FailedCreate: {message}", capacity)


def test_missing_room_is_waited_for_beyond_the_progress_deadline(world: World) -> None:
    """The release says that it waits for room and for what; when there is room, progressDeadline counts anew."""
    world.release(progressDeadline="60s", capacityDeadline="1h")
    world.train("1")
    world.settle()
    show(world, unschedulable())
    world.settle(seconds=600)
    assert world.status["waitingFor"] == f"room: pod a: Unschedulable: {NO_ROOM}"
    assert world.reason("Progressing").startswith("WaitingForCapacity: ")
    assert world.reason("Ready").startswith("WaitingForCapacity: ")
    assert [event.reason for event in world.cluster.events].count("WaitingForCapacity") == 1
    show(world, waiting("ContainerCreating"))
    world.settle(seconds=50)
    assert world.status["canary"]["version"] == "1"
    assert "CapacityFound" in [event.reason for event in world.cluster.events]
    world.settle(seconds=20)
    assert "not ready within 1m" in world.status["history"][-1]["message"]


def test_room_that_never_comes_is_given_up(world: World) -> None:
    """After capacityDeadline, with the scheduler's words; the reason is DeadlineExceeded."""
    world.release(capacityDeadline="20m")
    world.train("1")
    world.settle()
    show(world, unschedulable())
    world.settle(seconds=1195)
    assert not world.status.get("history")
    world.settle(seconds=20)
    assert world.status["history"][-1]["message"] == (
        f"DeadlineExceeded: not ready within 20m: no room: pod a: Unschedulable: {NO_ROOM}"
    )
    assert world.reason("Degraded").startswith("DeadlineExceeded")


def test_room_that_comes_goes_on(world: World) -> None:
    """Without a word from anybody: the Deployment's own event is enough."""
    world.train("1")
    world.settle()
    show(world, unschedulable())
    world.settle(seconds=600)
    world.servers_start = True
    world.settle()
    assert world.status["phase"] == "Promoted"
    assert "capacityMissingSince" not in world.status or world.status["capacityMissingSince"] is None


def test_stable_that_fell_over_says_why(world: World) -> None:
    """Ready is False with the pod's last words."""
    world.servers_start = True
    world.first()
    world.servers_start = False
    revision = world.status["stable"]["revision"]
    pod = waiting("CrashLoopBackOff", exitCode=1, reason="Error", message="MLflow is away")
    pod["metadata"] |= {"namespace": NAMESPACE, "labels": labels_of(NAME, revision)}
    world.cluster.put(POD, pod)
    world.cluster.set_status(POD, NAMESPACE, "a", pod["status"])
    deployment = world.cluster.list(DEPLOYMENT, NAMESPACE)[0]["metadata"]
    status = {"observedGeneration": deployment["generation"], "readyReplicas": 0}
    world.cluster.set_status(DEPLOYMENT, NAMESPACE, deployment["name"], status)
    world.settle(seconds=1)
    assert "CrashLoopBackOff: Error with exit code 1: MLflow is away" in world.reason("Ready")


def test_each_revision_has_a_disruption_budget(world: World) -> None:
    """One server at a time leaves with its node; the budget goes with its revision."""
    world.servers_start = True
    old = world.first()
    assert [one["metadata"]["name"] for one in world.cluster.list(DISRUPTIONBUDGET, NAMESPACE)] == [f"{NAME}-{old}"]
    new = world.canary()
    world.settle(seconds=300)
    [budget] = world.cluster.list(DISRUPTIONBUDGET, NAMESPACE)
    assert budget["metadata"]["name"] == f"{NAME}-{new}"
    assert budget["spec"]["maxUnavailable"] == 1
    selector = budget["spec"]["selector"]["matchLabels"].items()
    assert selector <= labels_of(NAME, new).items()

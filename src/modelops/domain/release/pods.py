"""Why servers do not become ready, read from their pods: no room, no image, no start. Pure.

A Deployment says only that it has no ready replicas; its pods say why. Reasons and messages are the scheduler's and the
kubelet's own words (core/v1 PodStatus).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_QUIET: Final = frozenset({"ContainerCreating", "PodInitializing", "Completed"})
"""What a container that is about to start waits for."""
_LONGEST: Final = 300


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps servers from becoming ready."""

    message: str
    """One line: which pod, which reason, the cluster's own words."""
    capacity: bool = False
    """Whether room is missing, which only time, an autoscaler or a quota's owner can bring."""


def obstacle(deployment: Mapping[str, Any] | None, pods: Sequence[Mapping[str, Any]]) -> Obstacle | None:
    """Return the first thing that keeps a Deployment's servers from becoming ready, room before all else.

    Args:
        deployment: of one revision; None while there is none.
        pods: its pods, in any order.
    """
    refused = _refused(deployment)
    if refused is not None:
        return refused
    ordered = sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))
    found = [one for pod in ordered if not pod["metadata"].get("deletionTimestamp") for one in _of_pod(pod)]
    return min(found, key=lambda one: not one.capacity, default=None)


def _refused(deployment: Mapping[str, Any] | None) -> Obstacle | None:
    """Return why the API server takes no more pods: a quota, or an admission policy."""
    for condition in ((deployment or {}).get("status") or {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            message = str(condition.get("message", ""))
            line = _line(f"{condition.get('reason', 'FailedCreate')}: {message}")
            return Obstacle(line, capacity="exceeded quota" in message)
    return None


def _of_pod(pod: Mapping[str, Any]) -> Iterator[Obstacle]:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            reason, message = condition.get("reason", ""), condition.get("message", "")
            # A scheduling gate is Kueue's or somebody else's queue: room, too.
            yield Obstacle(_line(f"pod {name}: {reason}: {message}"), capacity=True)
    for one in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        why = _of_container(one)
        if why:
            yield Obstacle(_line(f"pod {name}, container {one['name']}: {why}"))


def _of_container(found: Mapping[str, Any]) -> str:
    """Return why a container does not run, with what it said when it ended last."""
    state = found.get("state") or {}
    waiting = state.get("waiting") or {}
    ended = (found.get("lastState") or {}).get("terminated") or state.get("terminated") or {}
    reason = waiting.get("reason", "")
    if found.get("ready") or reason in _QUIET or (not reason and ended.get("exitCode", 0) == 0):
        return ""
    said = (ended.get("message") or "").strip() or waiting.get("message", "")
    code = f"{ended.get('reason', 'ended')} with exit code {ended['exitCode']}" if "exitCode" in ended else ""
    return ": ".join(part for part in (reason, code, said) if part)


def _line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST]

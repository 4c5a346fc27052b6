"""What has to hold of a release without a gateway: of who is behind its Service, after anything that may happen."""

from datetime import datetime, timedelta
from typing import Any

from modelops.domain.release.placing import split
from tests.unit.release.world import World

_PATIENCE = timedelta(minutes=2)
"""The progressDeadline, after which stable serves with what it has."""


def servers_stay(world: World, before: dict[str, int]) -> None:
    """As many ready servers as are wanted stay behind the Service, unless stable's do not come for too long.

    Args:
        world: after the step.
        before: who was behind the Service before it.
    """
    found = sum(world.behind().values())
    assert found > 0
    assert found >= min(sum(before.values()), world.spec["serving"]["replicas"]) or _overdue(world)


def only_who_is_meant(world: World) -> None:
    """A canary has requests once it is to have any; what was given up has them only until stable is whole."""
    status, behind = world.status, world.behind()
    stable, canary = status["stable"]["revision"], status.get("canary")
    others, replicas = behind.keys() - {stable}, world.spec["serving"]["replicas"]
    given_up = {record["revision"] for record in status["history"]}
    if canary is None:
        assert not others or (others <= given_up and world.scaled()[stable] == replicas)
        return
    exposed = status.get("desiredWeight", 0) > 0 or status.get("analysisStartedAt")
    meant = {canary["revision"]} if exposed else set()
    if status.get("undoTo") and (exposed or world.scaled()[stable] == replicas):
        # A human brought this one back in the middle: what was given up stays until it, or stable, is whole.
        meant |= given_up - {canary["revision"]}
    assert others <= meant


def weight_is_what_serves(world: World, before: dict[str, Any]) -> None:
    """A weight that was confirmed in this step is the share of the servers; later, an autoscaler may have spoken.

    Args:
        world: after the step.
        before: the status before it.
    """
    status, behind = world.status, world.behind()
    at, asked = status.get("weightVerifiedAt"), status.get("desiredWeight", 0)
    if status.get("canary") is None or at is None or not 0 < asked < 100:
        return
    if (earlier := before.get("weightVerifiedAt")) and datetime.fromisoformat(earlier) >= datetime.fromisoformat(at):
        # Confirmed before; a clock that is set back moves the time.
        return
    aim = split(world.spec["serving"]["replicas"], asked)
    if aim.weight == status["weight"]:
        assert behind == {status["stable"]["revision"]: aim.stable, status["canary"]["revision"]: aim.canary}


def stable_serves_alone(world: World) -> None:
    """In the end."""
    stable = world.status["stable"]["revision"]
    assert world.behind() == {stable: world.spec["serving"]["replicas"]}


def _overdue(world: World) -> bool:
    status: dict[str, Any] = world.status
    since = status.get("stepStartedAt") or status["history"][-1]["finishedAt"]
    return world.clock.now() - datetime.fromisoformat(since) >= _PATIENCE

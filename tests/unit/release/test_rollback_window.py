"""After a promotion: the metrics go on being asked, the old servers stay warm, and a Fail takes it back at once."""

from datetime import timedelta
from typing import Any

import pytest

from modelops.api.kinds import DEPLOYMENT
from modelops.domain.analysis.queries import EnvoyFigures, Subject
from modelops.errors import Transient
from modelops.reconcile.loop import Loop
from modelops.reconcile.modelrelease import ModelReleaseReconciler
from tests.unit.release.world import NAME, NAMESPACE, SUCCESS, World


@pytest.fixture
def world() -> World:
    found = World()
    found.release(rollbackWindow={"duration": "10m"})
    return found


def promoted(world: World) -> tuple[str, str]:
    """Promote version 2 over version 1; return both revisions."""
    old = world.first()
    new = world.canary()
    world.settle(seconds=80)
    assert world.status["phase"] == "Promoted"
    assert world.route() == {new: 100}
    return old, new


def answer(world: World, value: float, samples: float = 100) -> None:
    """Let Prometheus answer for what serves."""
    figures = EnvoyFigures(Subject(NAMESPACE, NAME, world.status["stable"]["revision"]))
    spans = [timedelta(seconds=seconds) for seconds in range(1, 700)]
    world.metrics.answers = {figures.success_rate(span): value for span in spans}
    world.metrics.answers |= {figures.samples(span): samples for span in spans}


def test_good_version_outlives_its_rollback_window(world: World) -> None:
    """Both have servers until it ends; then the old ones go."""
    old, new = promoted(world)
    answer(world, 1.0)
    world.settle(seconds=500)
    assert world.deployments() == {old, new}
    assert world.status["rollbackWindow"]["previous"]["version"] == "1"
    assert world.status["analysis"][0]["measurements"][-1]["verdict"] == "Pass"

    world.settle(seconds=100)
    assert "rollbackWindow" not in world.status
    world.settle(seconds=10)
    assert world.deployments() == {new}
    assert [record["outcome"] for record in world.status["history"]] == ["Promoted", "Promoted"]


def test_fail_after_the_promotion_takes_it_back_in_the_pass_that_found_it(world: World) -> None:
    """Status, then the route; the alias and the servers after; the revision is not tried again."""
    old, new = promoted(world)
    answer(world, 0.5)
    while world.status["stable"]["revision"] == new:
        world.clock.advance(seconds=1)
        calls = len(world.cluster.calls)
        world.loop.reconcile((NAMESPACE, NAME))
    assert world.cluster.calls[calls:] == [f"status modelreleases/{NAME}", f"apply httproutes/{NAME}"]
    assert world.route() == {old: 100}

    world.settle(seconds=20)
    assert world.registry.aliases[NAME, "champion"] == "1"
    assert world.status["aborted"] == [new]
    record = world.status["history"][-1]
    assert (record["version"], record["outcome"]) == ("2", "RolledBack")
    assert record["message"].startswith("after its promotion: success-rate is 0.5 against ≥ 0.99")
    assert world.deployments() == {old}
    assert world.conditions["Degraded"] == "True"
    assert world.status["lineage"]["version"] == "1"
    world.settle(seconds=300)
    assert world.status.get("canary") is None


def test_registry_that_is_away_delays_the_alias_and_not_the_rollback(world: World) -> None:
    """What the alias has to be stands in the status until it is; a restart forgets nothing."""
    old, _ = promoted(world)
    answer(world, 0.5)
    world.registry.down = True
    world.settle(seconds=30)
    assert world.route() == {old: 100}
    assert world.registry.aliases[NAME, "champion"] == "2"
    assert world.status["aliasInDoubt"] is True

    world.registry.down = False
    world.loop = Loop(ModelReleaseReconciler(), world.loop._ports, jitter=lambda: 1.0)
    world.settle(seconds=30)
    assert world.registry.aliases[NAME, "champion"] == "1"
    assert "aliasInDoubt" not in world.status


@pytest.mark.parametrize("policy", ["Hold", "Pause", "Fail"])
def test_no_answer_takes_nothing_back(world: World, policy: str) -> None:
    """Whatever the policies say of a canary: a night without requests is no failure of what serves."""
    world.release(
        analysis={
            "interval": "10s",
            "warmUp": "5s",
            "metrics": [SUCCESS],
            "noDataPolicy": policy,
            "errorPolicy": policy,
        }
    )
    _, new = promoted(world)
    answer(world, 1.0, samples=0)
    world.settle(seconds=100)
    world.metrics.answers = {"envoy": Transient("MetricsUnavailable", "503")}
    world.settle(seconds=100)
    assert world.route() == {new: 100}
    assert "rollbackWindow" in world.status


def test_rollback_waits_for_old_servers_that_are_gone(world: World) -> None:
    """Traffic never goes to a revision that does not answer."""
    old, new = promoted(world)
    world.cluster.set_status(DEPLOYMENT, NAMESPACE, f"{NAME}-{old}", {"readyReplicas": 0, "observedGeneration": 1})
    world.servers_start = False
    answer(world, 0.5)
    world.settle(seconds=30)
    assert world.route() == {new: 100}
    assert world.status["waitingFor"].startswith("servers of version 1 to roll back to: success-rate is 0.5")

    world.servers_start = True
    world.settle(seconds=5)
    assert world.route() == {old: 100}


def test_old_servers_that_somebody_deleted_come_back(world: World) -> None:
    """They are kept, not only left."""
    old, new = promoted(world)
    world.cluster.delete(DEPLOYMENT, NAMESPACE, f"{NAME}-{old}")
    world.settle(seconds=5)
    assert world.deployments() == {old, new}


@pytest.mark.parametrize(("policy", "begins"), [("Supersede", True), ("Queue", False), ("Ignore", False)], ids=str)
def test_newer_version_ends_the_rollback_window_only_where_it_may(world: World, policy: str, begins: bool) -> None:
    """A fix is never held up by default; else the window comes to its end first."""
    world.release(onNewVersion=policy)
    old, new = promoted(world)
    world.train("3")
    world.settle(seconds=30)
    assert ("canary" in world.status) == begins
    assert ("rollbackWindow" in world.status) != begins
    if begins:
        assert old not in world.deployments()
        return
    assert world.status["queuedVersion"] == "3"
    assert "the end of the rollback window at " in world.status["waitingFor"]
    assert new in world.route()
    answer(world, 1.0)
    world.settle(seconds=600)
    assert world.status["canary"]["version"] == "3"


def test_undo_in_the_rollback_window_is_immediate(world: World) -> None:
    """The servers are warm: no second passes, and none of them is started anew."""
    old, _ = promoted(world)
    began = world.clock.now()
    servers = world.cluster.get(DEPLOYMENT, NAMESPACE, f"{NAME}-{old}")
    world.command("undo", revision=old)
    world.settle()
    assert world.clock.now() == began
    assert world.route() == {old: 100}
    assert world.status["stable"]["revision"] == old
    assert "rollbackWindow" not in world.status
    after: Any = world.cluster.get(DEPLOYMENT, NAMESPACE, f"{NAME}-{old}")
    assert servers is not None
    assert after["metadata"]["uid"] == servers["metadata"]["uid"]


def test_comparison_is_skipped_and_failures_of_the_canary_count_on(world: World) -> None:
    """Stable has no traffic any more; one Fail is forgiven over the whole revision, not again after its promotion."""
    compared = {
        "name": "slow",
        "builtin": "slow-share",
        "slo": 0.2,
        "compareTo": {"stable": {"maxAbsoluteIncrease": 0.1, "test": "sequential"}},
    }
    world.release(
        analysis={
            "interval": "10s",
            "warmUp": "5s",
            "metrics": [{**SUCCESS, "failureLimit": 1}, {**compared, "dryRun": True}],
        }
    )
    old, new = promoted(world)
    answer(world, 0.5)
    while world.status["analysis"][0].get("failures", 0) == 0:
        world.settle(seconds=1)
    assert world.route() == {new: 100}
    world.settle(seconds=10)
    assert world.route() == {old: 100}
    slow = next(one for one in world.status["analysis"] if one["name"] == "slow")
    assert slow["outcome"] == "Skipped"


def test_metric_that_tolerates_any_fail_does_so_here_too(world: World) -> None:
    """Another one, with a bound of its own, still takes it back."""
    tolerant = {**SUCCESS, "name": "tolerant", "failureLimit": -1, "consecutiveSuccessLimit": 2}
    strict = {**SUCCESS, "thresholdRange": {"min": 0.3}}
    world.release(analysis={"interval": "10s", "warmUp": "5s", "metrics": [strict, tolerant]})
    old, new = promoted(world)
    answer(world, 0.5)
    world.settle(seconds=60)
    assert world.status["analysis"][1]["measurements"][-1]["verdict"] == "Fail"
    assert world.route() == {new: 100}
    answer(world, 0.2)
    world.settle(seconds=20)
    assert world.route() == {old: 100}


def test_clock_set_back_begins_the_rollback_window_anew(world: World) -> None:
    """Otherwise nobody would look until the clock is where it was."""
    promoted(world)
    world.clock.advance(hours=-1)
    world.settle(seconds=1)
    answer(world, 0.5)
    world.settle(seconds=20)
    assert world.status["history"][-1]["outcome"] == "RolledBack"


def test_restart_at_any_second_changes_nothing(world: World) -> None:
    """All of it stands in the status."""
    old, new = promoted(world)
    answer(world, 1.0)
    for second in range(60):
        world.loop = Loop(ModelReleaseReconciler(), world.loop._ports, jitter=lambda: 1.0)
        world.settle(seconds=1)
        if second == 40:
            assert world.route() == {new: 100}
            answer(world, 0.5)
    assert world.route() == {old: 100}
    assert world.status["history"][-1]["outcome"] == "RolledBack"

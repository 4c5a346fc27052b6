"""Whole rollouts without I/O: every way a canary can go, and what stands in the status then."""

from typing import Any

import pytest

from modelops.api.kinds import MODELRELEASE, SERVICE
from modelops.errors import Transient
from tests.unit.release.world import NAME, NAMESPACE, STEPS, SUCCESS, World


@pytest.fixture
def world() -> World:
    return World()


def test_first_version_takes_all_of_the_traffic_once_ready(world: World) -> None:
    """Without a stable revision there is nothing to compare with: ready, routed, promoted as Initial."""
    world.servers_start = False
    world.train("1")
    world.settle()
    assert world.route() == {}
    assert world.conditions["Ready"] == "False"

    world.servers_start = True
    world.settle()

    revision = world.status["stable"]["revision"]
    assert world.route() == {revision: 100}
    assert world.reason("Promoted").startswith("Initial")
    assert world.registry.aliases[NAME, "champion"] == "1"
    assert world.status["lineage"]["commit"] == "c" * 40


def test_good_canary_goes_through_all_steps_and_is_promoted(world: World) -> None:
    """20 %, judged, 50 %, judged, 100 %, then the alias; the old servers go last."""
    old = world.first()
    new = world.canary()
    world.settle(seconds=39)
    assert world.route() == {old: 50, new: 50}
    world.settle(seconds=40)

    assert world.weights == [{old: 100}, {old: 80, new: 20}, {old: 50, new: 50}, {new: 100}]
    assert world.status["phase"] == "Promoted"
    assert world.status["stable"]["version"] == "2"
    assert world.registry.aliases[NAME, "champion"] == "2"
    assert [record["outcome"] for record in world.status["history"]] == ["Promoted", "Promoted"]

    world.settle(seconds=10)
    assert world.deployments() == {new}
    assert [s["metadata"]["name"] for s in world.cluster.list(SERVICE, NAMESPACE)] == [f"{NAME}-{new}"]


def test_bad_canary_is_rolled_back_in_the_pass_that_found_it(world: World) -> None:
    """One Fail beyond the limit: weight 0 in the same reconcile, status before it, servers later."""
    old = world.first()
    world.canary()
    world.answer(value=0.9)
    while world.status["phase"] == "Analyzing":
        world.clock.advance(seconds=1)
        calls = len(world.cluster.calls)
        world.loop.reconcile((NAMESPACE, NAME))

    assert world.cluster.calls[calls:] == [f"status modelreleases/{NAME}", f"apply httproutes/{NAME}"]
    assert world.route() == {old: 100}
    assert world.conditions["Degraded"] == "True"
    assert world.conditions["Ready"] == "True"
    assert "success-rate is 0.9 against ≥ 0.99" in world.reason("Degraded")
    world.settle(seconds=20)
    assert world.deployments() == {old}
    assert world.registry.aliases[NAME, "champion"] == "1"


def test_verdict_survives_a_crash_between_status_and_route(world: World) -> None:
    """The verdict is written first, so a restart finishes the rollback instead of measuring again."""
    old = world.first()
    world.canary()
    world.answer(value=0.0)
    world.cluster.failures[f"apply httproutes/{NAME}"] = Transient("ApiAway", "no answer")
    world.settle(seconds=15.1)
    world.metrics.answers.clear()
    world.settle(seconds=5)

    assert world.route() == {old: 100}
    assert world.status["history"][-1]["outcome"] == "RolledBack"


def test_rolled_back_revision_waits_for_retry_while_a_newer_one_may_come(world: World) -> None:
    """An aborted revision is not tried again by itself; retry tries it; a newer version needs no word."""
    world.first()
    bad = world.canary()
    world.command("abort")
    world.settle(seconds=20)
    assert world.status["aborted"] == [bad]
    assert world.status["history"][-1]["outcome"] == "Aborted"
    world.settle(seconds=300)
    assert world.status.get("canary") is None

    world.command("retry", revision=bad)
    world.settle()
    assert world.status["canary"]["revision"] == bad
    world.command("abort")
    world.settle()
    world.train("3")
    world.settle()
    assert world.status["canary"]["version"] == "3"


def test_no_data_holds_then_pauses_and_never_promotes(world: World) -> None:
    """Too few samples are no verdict: held at the weight, then paused for a human at the deadline."""
    old = world.first()
    world.release(analysis={"interval": "10s", "warmUp": "0s", "metrics": [SUCCESS], "noDataDeadline": "2m"})
    new = world.canary()
    world.answer(samples=3)
    world.settle(seconds=100)
    assert world.route() == {old: 80, new: 20}
    assert "3 of 50 samples" in world.status["waitingFor"]
    world.settle(seconds=60)
    assert world.status["phase"] == "Paused"
    assert world.route() == {old: 80, new: 20}

    world.answer()
    world.command("promote")
    world.settle(seconds=90)
    assert world.status["stable"]["revision"] == new


@pytest.mark.parametrize(
    ("policy", "phase", "outcome"),
    [
        pytest.param("Hold", "Analyzing", "Promoted", id="hold waits for Prometheus to come back"),
        pytest.param("Pause", "Paused", "Promoted", id="pause waits for a human"),
        pytest.param("Fail", "Degraded", "RolledBack", id="fail rolls back"),
    ],
)
def test_unreachable_prometheus_is_an_error_and_no_verdict(world: World, policy: str, phase: str, outcome: str) -> None:
    """Error neither promotes nor, unless a policy says so, rolls back."""
    world.first()
    world.release(analysis={"interval": "10s", "warmUp": "5s", "metrics": [SUCCESS], "errorPolicy": policy})
    world.canary()
    world.metrics.answers = {"envoy": Transient("MetricsUnavailable", "Prometheus does not answer")}
    world.settle(seconds=60)

    assert world.status["phase"] == phase
    assert world.status["history"][-1]["outcome"] == outcome


def test_pause_step_waits_for_promote(world: World) -> None:
    """A pause without a duration waits for a human, who is bound to the revision and the step."""
    world.release(strategy={"canary": {"steps": [{"setWeight": 10}, {"pause": {}}, {"analyze": {"duration": "20s"}}]}})
    old = world.first()
    world.train("2")
    world.settle()
    new = world.status["canary"]["revision"]
    assert world.conditions["Paused"] == "True"
    world.answer()
    world.settle(seconds=600)
    assert world.route() == {old: 90, new: 10}

    world.command("promote", revision="0000000000")
    world.settle()
    assert world.cluster.events[-1].reason == "CommandIgnored"
    world.command("promote")
    world.settle(seconds=30)
    assert world.route() == {new: 100}


def test_promote_full_skips_what_is_left(world: World) -> None:
    """A human's word replaces the analysis; the metrics stay to be read."""
    world.first()
    new = world.canary()
    world.command("promote", full=True)
    world.settle()
    assert world.status["stable"]["revision"] == new


def test_newer_version_supersedes_the_canary(world: World) -> None:
    """Two commits in quick succession: the first canary ends without a verdict, the second starts at the first step."""
    old = world.first()
    world.canary("2")
    new = world.canary("3")
    assert world.status["history"][-1]["outcome"] == "Superseded"
    assert world.route() == {old: 80, new: 20}


def test_servers_that_never_become_ready_are_given_up(world: World) -> None:
    """After progressDeadline; without traffic ever having gone there."""
    old = world.first()
    world.release(progressDeadline="60s")
    world.servers_start = False
    world.train("2")
    world.settle(seconds=70)
    assert world.status["history"][-1]["outcome"] == "RolledBack"
    assert "not ready within 1m" in world.status["history"][-1]["message"]
    assert world.weights == [{old: 100}]


def test_registry_that_is_away_stops_no_rollback(world: World) -> None:
    """What a rollback needs is Prometheus and the API server."""
    old = world.first()
    world.canary()
    world.registry.down = True
    world.answer(value=0.5)
    world.settle(seconds=20)
    assert world.route() == {old: 100}


def test_weight_counts_only_once_the_gateway_confirmed_it(world: World) -> None:
    """Windows start when the weight is in force; until then nothing is asked."""
    world.first()
    world.gateway_confirms = False
    world.train("2")
    world.settle(seconds=120)
    assert world.status["weight"] == 0
    assert world.status["waitingFor"] == "the gateway to confirm weight 20"
    assert world.metrics.queries == []


def test_younger_release_of_the_same_alias_is_stalled(world: World) -> None:
    """Two releases that move one alias would fight; the older one keeps it."""
    world.first()
    other: dict[str, Any] = {"metadata": {"name": "other", "namespace": NAMESPACE}, "spec": world.spec}
    world.clock.advance(seconds=5)
    world.cluster.put(MODELRELEASE.resource, other)
    world.loop.reconcile((NAMESPACE, "other"))
    found = world.cluster.get(MODELRELEASE.resource, NAMESPACE, "other")
    assert found is not None
    assert found["status"]["conditions"][0]["reason"] == "AliasConflict"


def test_settled_release_writes_nothing(world: World) -> None:
    """Reconciled again and again, a release that is done makes no call but reads."""
    world.first()
    world.settle(seconds=30)
    world.cluster.calls.clear()
    for _ in range(5):
        world.clock.advance(seconds=30)
        world.pass_()
    assert world.cluster.calls == []


def test_changed_strategy_or_replicas_starts_no_canary(world: World) -> None:
    """They are no part of a revision; replicas are applied in place."""
    revision = world.first()
    world.release(strategy={"canary": {"steps": STEPS[:2]}}, serving={"runtime": "modelops", "replicas": 3})
    world.settle()
    assert world.status["stable"]["revision"] == revision
    assert world.status.get("canary") is None
    assert world.cluster.objects["deployments", NAMESPACE, f"{NAME}-{revision}"]["spec"]["replicas"] == 3


def test_stable_servers_that_vanish_come_back_as_they_were(world: World) -> None:
    """The template of a revision is kept; what the spec says now belongs to the next one."""
    revision = world.first()
    key = ("deployments", NAMESPACE, f"{NAME}-{revision}")
    before = world.cluster.objects[key]["spec"]["template"]
    world.release(serving={"runtime": "modelops", "replicas": 1, "resources": {"limits": {"cpu": "1"}}})
    del world.cluster.objects[key]
    world.settle()
    assert world.cluster.objects[key]["spec"]["template"] == before
    assert world.status["canary"]["revision"] != revision


def test_records_are_kept_as_long_as_the_history(world: World) -> None:
    """Twelve versions later the first one's template is gone, the last ten are there."""
    world.release(strategy={"canary": {"steps": [{"setWeight": 50}]}}, analysis={"interval": "10s"})
    world.first()
    for version in range(2, 14):
        world.train(str(version))
        world.settle(seconds=20)
        assert world.status["stable"]["version"] == str(version)
    assert sum(kind == "controllerrevisions" for kind, _, _ in world.cluster.objects) == 10


def test_clock_set_back_starts_the_step_anew_and_never_stands_still(world: World) -> None:
    """An hour back in the middle of an analysis: said once, measured again from the beginning, promoted in time."""
    world.first()
    new = world.canary()
    world.settle(seconds=25)
    world.clock.advance(seconds=-3600)
    world.settle()
    backs = [event for event in world.cluster.events if "ClockSetBack" in str(event)]
    assert len(backs) == 1
    assert "set back by 1h" in str(backs[0])
    assert world.status["analysis"][0].get("stepPasses", 0) == 0

    world.settle(seconds=30)
    assert world.status["stable"]["version"] == "1"
    world.settle(seconds=60)
    assert world.status["stable"]["revision"] == new
    assert len([event for event in world.cluster.events if "ClockSetBack" in str(event)]) == 1


def test_version_with_the_same_artifact_is_named_and_not_released(world: World) -> None:
    """Training that gives the same bytes again is no new revision; the status says so, and forgets it with the next."""
    world.first()
    world.train("2", digest="sha256:1")
    world.settle(seconds=5)
    assert world.status["equivalentVersion"] == "2"
    assert "version 2 is the same artifact, there is nothing to release" in world.reason("Ready")
    assert world.status.get("canary") is None
    world.cluster.calls.clear()
    world.settle(seconds=120)
    assert world.cluster.calls == []

    world.canary("3")
    assert world.status.get("equivalentVersion") is None


def test_versions_in_quick_succession_are_superseded_cleanly(world: World) -> None:
    """Four versions within one analysis: each gives way at weight 0, the last one goes all the way, nothing is left."""
    old = world.first()
    for version in ("2", "3", "4"):
        world.train(version)
        world.settle(seconds=3)
    newest = world.canary("5")
    world.settle(seconds=90)
    assert [record["outcome"] for record in world.status["history"]] == ["Promoted", *["Superseded"] * 3, "Promoted"]
    assert world.status["stable"]["revision"] == newest
    assert world.status["aborted"] == []
    world.settle(seconds=30)
    assert world.deployments() == {newest}
    assert all(sum(weights.values()) == 100 for weights in world.weights)
    assert {old: 100} in world.weights


def test_more_than_a_status_remembers_drain_one_after_the_other(world: World) -> None:
    """Eleven are superseded before one has drained: the eleventh is taken up in the pass that ends the ten others."""
    old = world.first()
    for version in range(2, 13):
        world.train(str(version))
        world.pass_()
    world.train("13", digest="sha256:1")
    world.pass_()
    assert len(world.deployments()) == 12
    assert len(world.status["retiring"]) == 10
    while len(world.deployments()) == 12:
        world.clock.advance(seconds=1)
        world.pass_()
    (left,) = world.deployments() - {old}
    assert world.status["retiring"] == [left]
    world.settle(seconds=30)
    assert world.deployments() == {old}


def _two_promoted(world: World) -> tuple[str, str]:
    """Promote versions 1 and 2, one after the other; return their revisions."""
    world.release(strategy={"canary": {"steps": [{"setWeight": 50}, {"analyze": {"duration": "20s"}}]}})
    old = world.first()
    new = world.canary()
    world.settle(seconds=120)
    assert world.status["stable"]["version"] == "2"
    assert world.deployments() == {new}
    return old, new


def test_undo_brings_the_version_before_back_once_its_servers_are_ready(world: World) -> None:
    """No steps, no measuring; the alias, the lineage and the template are those of then, what served is held back."""
    old, new = _two_promoted(world)
    lineage = world.status["lineage"]
    world.metrics.queries.clear()
    world.metrics.answers.clear()
    world.servers_start = False
    world.command("undo", revision=old)
    world.settle(seconds=30)
    assert world.route() == {new: 100}

    world.servers_start = True
    world.settle(seconds=60)

    assert world.weights[-1] == {old: 100}
    assert world.status["stable"]["version"] == "1"
    assert world.status["lineage"] != lineage
    assert world.status["lineage"]["commit"] == "c" * 40
    assert world.status["aborted"] == [new]
    assert world.status.get("undoTo") is None
    assert world.registry.aliases[NAME, "champion"] == "1"
    assert world.metrics.queries == []
    assert [(r["version"], r["outcome"]) for r in world.status["history"][-2:]] == [("2", "Aborted"), ("1", "Promoted")]
    assert "undone by hand: back to version 1" in world.reason("Degraded")
    assert world.conditions["Ready"] == "True"


def test_undone_version_stays_held_back_until_retry(world: World) -> None:
    """The TrainingRun still names version 2; nothing happens until a human says retry, then it takes its steps."""
    old, new = _two_promoted(world)
    world.command("undo", revision=old)
    world.settle(seconds=600)
    assert world.status["stable"]["revision"] == old
    assert world.status.get("canary") is None

    world.command("retry", revision=new)
    world.settle()
    assert world.status["canary"]["revision"] == new
    assert world.route() == {old: 50, new: 50}


def test_version_that_comes_during_an_undo_waits_for_it(world: World) -> None:
    """First the known good one serves, then the newest is tried against it."""
    old, new = _two_promoted(world)
    world.servers_start = False
    world.command("undo", revision=old)
    world.settle(seconds=10)
    world.train("3")
    world.settle(seconds=10)
    assert world.status["canary"]["revision"] == old
    assert world.route() == {new: 100}

    world.servers_start = True
    world.settle(seconds=30)
    assert world.status["stable"]["revision"] == old
    assert world.status["canary"]["version"] == "3"


def test_undo_ends_what_is_in_progress(world: World) -> None:
    """A canary that nobody wants to wait for is aborted, and the version before the stable one comes back."""
    old, new = _two_promoted(world)
    third = world.canary("3")
    world.command("undo", revision=old)
    world.settle(seconds=60)
    assert world.status["stable"]["revision"] == old
    assert set(world.status["aborted"]) == {new, third}


def test_second_undo_does_not_come_back_to_what_was_undone(world: World) -> None:
    """Killed in the middle or asked twice, an undo is done once."""
    old, new = _two_promoted(world)
    world.command("undo", revision=old)
    world.settle(seconds=60)
    world.command("undo", revision=old, id="again")
    world.settle(seconds=60)
    assert world.cluster.events[-1].reason == "CommandIgnored"
    assert "serves already" in world.cluster.events[-1].message
    assert world.status["aborted"] == [new]


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        pytest.param("0000000000", "was not promoted before", id="a revision that nobody knows"),
        pytest.param("", "was not promoted before", id="no revision"),
    ],
)
def test_undo_to_nowhere_is_ignored(world: World, revision: str, said: str) -> None:
    """The answer is an Event; nothing moves."""
    _, new = _two_promoted(world)
    world.command("undo", revision=revision)
    world.settle(seconds=30)
    assert said in world.cluster.events[-1].message
    assert world.route() == {new: 100}
    assert "aborted" not in world.status or not world.status["aborted"]


def test_undo_to_servers_that_do_not_start_leaves_what_serves(world: World) -> None:
    """After progressDeadline it is given up; traffic never moved."""
    world.release(progressDeadline="60s")
    old, new = _two_promoted(world)
    world.servers_start = False
    world.command("undo", revision=old)
    world.settle(seconds=90)
    assert world.status["history"][-1]["outcome"] == "RolledBack"
    assert world.route() == {new: 100}
    assert world.status["stable"]["revision"] == new


def test_promote_full_waits_for_ready_servers(world: World) -> None:
    """All of the traffic on servers that do not answer would be an outage by hand."""
    old = world.first()
    world.servers_start = False
    world.train("2")
    world.settle()
    world.command("promote", full=True)
    world.settle(seconds=5)
    assert world.route() == {old: 100}
    assert "not ready yet" in world.cluster.events[-1].message

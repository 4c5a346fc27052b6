"""What has to hold of a release after anything that may happen, and in the end."""

import json
from typing import Any, Final

import orjson

from modelops.api.v1alpha1.common import parse_duration
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.domain.release.smoke_test import digest_of
from modelops.domain.release.steps import effective_steps, needs_passes
from tests.unit.release.world import NAME
from tests.walk import placed
from tests.walk.release import Release

_MOST_STATUS: Final = 64 * 1024


def no_pass_meets_a_bug(release: Release) -> None:
    """The loop catches what should never be raised, and goes on."""
    assert release.error != "InternalError"


def users_come_after_golden_requests(release: Release) -> None:
    """A canary gets its first request once it has passed the smoke test, or a human said so."""
    before, after = release.before, release.status
    revision = _canary(after)
    if revision is None or revision in release.forced or not _is_asked(after):
        return
    if _canary(before) == revision and _is_asked(before):
        return
    test = ModelReleaseSpec.model_validate(release.world.spec).smoke_test
    if test is not None:
        assert (after["smokeTest"]["outcome"], after["smokeTest"]["digest"]) == ("Passed", digest_of(test))


def weight_rises_only_when_earned(release: Release) -> None:
    """Past an analysis every deciding metric has passed at that weight, and its last look was a Pass."""
    before, after = release.before, release.status
    if _canary(before) != _canary(after) or after.get("desiredWeight", 0) <= before.get("desiredWeight", 0):
        return
    by_hand = release.by_hand or after.get("undoTo")
    assert after.get("pausedReason") is None or release.by_hand
    assert by_hand or after.get("byHand") or not before.get("stable") or release.is_open()
    passed = effective_steps(release.strategy)[before.get("step", 0) : after.get("step", 0)]
    if by_hand or not any(one.analyze is not None for one in passed):
        return
    for metric in release.deciding():
        assert metric["stepPasses"] > 0, metric
        assert metric["measurements"][-1]["verdict"] == "Pass" or metric["outcome"] == "Successful", metric


def end_is_on_record(release: Release) -> None:
    """A canary that is one no more was promoted, measured or by hand, or it has no traffic and its end is told."""
    before, after = release.before, release.status
    revision = _canary(before)
    if revision is None and (after["stable"] or {}).get("revision") != before["stable"]["revision"]:
        assert after["stable"]["revision"] == before["rollbackWindow"]["previous"]["revision"]
        assert after["history"][-1]["outcome"] == "RolledBack"
    if revision is None or revision == _canary(after):
        return
    record = next(one for one in reversed(after["history"]) if one["revision"] == revision)
    if record["outcome"] != "Promoted":
        # Another one may begin in the same step.
        assert after.get("desiredWeight", 0) == 0 or _canary(after) is not None
        return
    assert (after["stable"] or {}).get("revision") == revision
    if revision in release.forced or before.get("stable") is None or not needs_passes(release.strategy):
        return
    for metric in release.deciding():
        assert metric.get("passes", 0) > 0, metric


def every_request_has_a_server(release: Release) -> None:
    """Weights sum to 100; stable is never scaled down, nor is what has all of the traffic."""
    if release.is_placed:
        return
    assert sum(release.route.values()) == 100
    wanted = release.world.spec["serving"]["replicas"]
    stable = release.status["stable"]["revision"]
    for revision, weight in release.route.items():
        servers = release.servers[revision]
        if release.is_lent and (release.status.get("canary") or not release.whole):
            # Short of one while the canary's starts, and of the one that stays stable's until a promotion is done. Of a
            # weight that falls, as when the steps change, stable gets its servers once the gateway has confirmed it.
            had = 100 - release.status.get("weight", 0) if revision == stable else 100
            assert servers >= max(1, wanted * min(weight, had) // 100 - 1)
            continue
        assert servers == wanted if weight == 100 or revision == stable else 1 <= servers <= wanted


def servers_go_after_their_last_request(release: Release) -> None:
    """Once the gateway has confirmed that no more come, and what was in flight has ended."""
    assert not release.serving - release.servers.keys()
    timeout = parse_duration(release.world.spec["traffic"]["timeout"]).total_seconds()
    for revision in release.gone & release.asked.keys():
        assert release.elapsed - release.asked[revision] >= timeout


def one_release_at_a_time(release: Release) -> None:
    """Besides stable and canary only what drains has servers; the route knows no third."""
    status = release.status
    warm = (status.get("rollbackWindow") or {}).get("previous") or {}
    ours = {_canary(status), (status.get("stable") or {}).get("revision"), warm.get("revision")}
    assert len(release.route) <= 2
    if release.whole:
        assert set(release.route) <= ours
        # A status remembers ten that drain; more are taken up as room comes.
        retiring = set(status.get("retiring", ()))
        assert len(retiring) == 10 or release.servers.keys() <= ours | retiring


def without_canary_stable_has_it_all(release: Release) -> None:
    """In the very pass that ended the canary."""
    if release.whole and not release.is_placed and release.status.get("canary") is None:
        assert release.route == {release.status["stable"]["revision"]: 100}


def champion_is_what_serves(release: Release) -> None:
    """A kill between the two leaves the alias on a canary that is to have all of the traffic, or has just ended."""
    status = release.status
    canary = status.get("canary") or {}
    ahead = status.get("desiredWeight") == 100 and canary.get("version")
    version = release.world.registry.aliases[NAME, "champion"]
    assert status.get("aliasInDoubt") or version in (status["stable"]["version"], ahead)


def status_stays_small(release: Release) -> None:
    """As JSON with its spaces, which are at most as many as the other characters."""
    if 2 * len(orjson.dumps(release.status)) > _MOST_STATUS:
        assert len(json.dumps(release.status, ensure_ascii=False).encode()) <= _MOST_STATUS


def servers_are_weights(release: Release) -> None:
    """Where there is no gateway."""
    if not release.is_placed:
        return
    placed.servers_stay(release.world, release.behind)
    if release.whole:
        placed.only_who_is_meant(release.world)
        placed.weight_is_what_serves(release.world, release.before)


PROMISES: Final = (
    no_pass_meets_a_bug,
    servers_are_weights,
    users_come_after_golden_requests,
    weight_rises_only_when_earned,
    end_is_on_record,
    every_request_has_a_server,
    servers_go_after_their_last_request,
    one_release_at_a_time,
    without_canary_stable_has_it_all,
    champion_is_what_serves,
    status_stays_small,
)


def are_kept(release: Release) -> None:
    """After a step.

    Raises:
        AssertionError: one is broken.
    """
    for promise in PROMISES:
        promise(release)


def are_kept_in_the_end(release: Release) -> None:
    """Once everything works again and all is well, it comes to an end that the spec allows.

    Raises:
        AssertionError: it does not.
    """
    release.end()
    world = release.world
    assert world.status["phase"] in ("Promoted", "Degraded"), world.status
    assert world.deployments() == {world.status["stable"]["revision"]}
    if release.is_placed:
        world.pass_()
        placed.stable_serves_alone(world)


def _is_asked(status: dict[str, Any]) -> bool:
    """Whether requests come to the canary, or are to come."""
    return max(status.get("desiredWeight", 0), status.get("weight", 0)) > 0 or status.get("routing") is not None


def _canary(status: dict[str, Any]) -> str | None:
    return (status.get("canary") or {}).get("revision")

"""What has to hold of a release after anything that may happen, and in the end."""

import json
from typing import Any, Final

import orjson

from modelops.api.v1alpha1.common import parse_duration
from modelops.api.v1alpha1.modelrelease import Step
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.domain.release import believing
from modelops.domain.release.smoke_test import digest_of
from modelops.domain.release.steps import effective_steps, needs_passes
from tests.unit.release.world import NAME
from tests.walk import placed
from tests.walk.release import Release, canary_of

_MOST_STATUS: Final = 64 * 1024


def no_pass_meets_a_bug(release: Release) -> None:
    """The loop catches what should never be raised, and goes on."""
    assert release.error != "InternalError"


def users_come_after_golden_requests(release: Release) -> None:
    """A canary gets its first request once it has passed the smoke test, or a human said so by `promote --full`."""
    before, after = release.before, release.status
    revision = canary_of(after)
    if revision is None or revision == release.forced or not _is_asked(after):
        return
    if canary_of(before) == revision and _is_asked(before):
        return
    test = release.spec.smoke_test
    if test is not None:
        assert (after["smokeTest"]["outcome"], after["smokeTest"]["digest"]) == ("Passed", digest_of(test))


def only_a_human_skips_metrics(release: Release) -> None:
    """By `promote --full` or `undo` of this very canary; a plain `promote` ends a step or a pause and no more."""
    if release.status.get("byHand") or release.status.get("undoTo"):
        assert release.forced == canary_of(release.status)


def weight_rises_only_when_earned(release: Release) -> None:
    """So does a route or mirror begin: in a window, not while it is paused, nor on silence, past analyses passed."""
    before, after = release.before, release.status
    revision = canary_of(after)
    if revision is None:
        return
    had, at = (before.get("desiredWeight", 0), before.get("step", 0)) if canary_of(before) == revision else (0, 0)
    rises = after.get("desiredWeight", 0) > had
    if not rises and after.get("step", 0) == at:
        return
    passed = effective_steps(release.strategy)[at : after.get("step", 0)]
    if not rises and not any(map(_brings_requests, passed)):
        return
    if revision == release.forced:
        assert after.get("undoTo") or not release.is_frozen()
        return
    assert after.get("pausedReason") is None
    assert release.is_open()
    if not needs_passes(release.strategy):
        return
    for metric, found in release.deciding():
        assert not _is_silent(release, metric, found), found
        if any(one.analyze is not None for one in passed) and not _lacks_copies(before, metric):
            assert found["stepPasses"] > 0, found
            assert found["measurements"][-1]["verdict"] == "Pass" or found["outcome"] == "Successful", found
        if rises and after["desiredWeight"] == 100 and _is_needed_before_all(release, metric):
            assert found.get("passes", 0) > 0, metric


def weight_rises_only_when_shown(release: Release) -> None:
    """The gateway's counts do not contradict the one in force, or a human said so by `promote --full`."""
    before, after = release.before, release.status
    if canary_of(before) != canary_of(after) or after.get("desiredWeight", 0) <= before.get("desiredWeight", 0):
        return
    status = ModelReleaseStatus.model_validate(after)
    assert canary_of(after) == release.forced or believing.doubt(release.spec, status) == ""


def routes_begin_only_when_they_may(release: Release) -> None:
    """No header route or mirror comes to a canary that is paused or frozen, or outside of its windows."""
    revision = canary_of(release.status)
    if not release.whole or revision != canary_of(release.before) or revision == release.forced:
        return
    had, has = ((len(rules), any("filters" in rule for rule in rules)) for rules in (release.had, release.rules))
    # What the gateway has not confirmed to be gone may still be there, and then nothing comes.
    left = release.before.get("routing") or {"headerRoutes": (), "mirrorPercent": 0}
    there = (len(left["headerRoutes"]) + 1, left["mirrorPercent"] > 0)
    if any(now > max(before, known) for now, before, known in zip(has, had, there, strict=True)):
        assert release.status.get("pausedReason") is None
        assert release.is_open()


def end_is_on_record(release: Release) -> None:
    """A canary that is one no more was promoted, measured or by hand, or it has no traffic and its end is told.

    What serves instead without having been the canary has served before: what it was promoted over.
    """
    before, after = release.before, release.status
    revision, serves = canary_of(before), after["stable"]["revision"]
    if revision is None and serves != before["stable"]["revision"]:
        assert serves == before["rollbackWindow"]["previous"]["revision"]
        assert serves in release.served
        assert after["history"][-1]["outcome"] == "RolledBack"
    if revision is None or revision == canary_of(after):
        assert revision is None or serves == before["stable"]["revision"]
        return
    record = next(one for one in reversed(after["history"]) if one["revision"] == revision)
    if record["outcome"] != "Promoted":
        assert serves == before["stable"]["revision"]
        # Another one may begin in the same step.
        assert after.get("desiredWeight", 0) == 0 or canary_of(after) is not None
        return
    assert serves == revision
    if revision == release.forced or not needs_passes(release.strategy):
        return
    for metric, found in release.deciding():
        assert found.get("passes", 0) > 0, metric


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
            # A rollback that was cut short has given none back yet.
            lent = max(one.get("weight", 0) for one in (release.status, {} if release.whole else release.before))
            had = 100 - lent if revision == stable else 100
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
    ours = {canary_of(status), (status.get("stable") or {}).get("revision"), warm.get("revision")}
    assert len(release.route) <= 2
    if release.whole:
        assert set(release.route) <= ours
        # A status remembers ten that drain; more are taken up as room comes.
        retiring = set(status.get("retiring", ()))
        assert len(retiring) == 10 or release.servers.keys() <= ours | retiring


def without_canary_stable_has_it_all(release: Release) -> None:
    """In the very pass that ended the canary: no weight, no header route and no mirror names another one."""
    if release.whole and not release.is_placed and release.status.get("canary") is None:
        stable = release.status["stable"]["revision"]
        assert release.route == {stable: 100}
        assert all(_named(rule) == {f"{NAME}-{stable}"} for rule in release.rules), release.rules


def champion_is_what_serves(release: Release) -> None:
    """A kill between the two leaves the alias on a canary that is to have all of the traffic, or has just ended."""
    status = release.status
    canary = status.get("canary") or {}
    ahead = status.get("desiredWeight") == 100 and canary.get("version")
    version = release.world.registry.aliases[NAME, "champion"]
    if version != release.champion:
        # It moves to what is promoted in this pass, or would have been but for the kill.
        assert version == status["stable"]["version"] or not release.whole
        release.champion = version
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


def last_good(release: Release) -> set[str]:
    """Return the versions of which one has to serve once the status is lost: the alias', were there no doubt of it."""
    alias = release.world.registry.aliases[NAME, "champion"]
    return {alias, release.status["stable"]["version"]} if release.status.get("aliasInDoubt") else {alias}


def nothing_is_gained(release: Release, had: dict[str, int]) -> None:
    """Of a status that was lost: nobody but the one that serves again has more of the traffic than before."""
    serves = release.status.get("stable", release.status.get("canary") or {}).get("revision")
    assert all(weight <= had.get(one, 0) for one, weight in release.route.items() if one != serves), release.route


PROMISES: Final = (
    no_pass_meets_a_bug,
    servers_are_weights,
    users_come_after_golden_requests,
    only_a_human_skips_metrics,
    weight_rises_only_when_earned,
    weight_rises_only_when_shown,
    routes_begin_only_when_they_may,
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


def _brings_requests(step: Step) -> bool:
    header, mirror = step.set_header_route, step.set_mirror
    return bool((header is not None and header.match) or (mirror is not None and mirror.percent))


def _is_silent(release: Release, metric: dict[str, Any], found: dict[str, Any]) -> bool:
    """Whether the last look at this weight was no answer, which no human has forgiven since."""
    at = found.get("measuredAt")
    if at is None or at == release.forgiven.get(metric["name"]):
        return False
    in_a_row, count = metric.get("consecutiveSuccessLimit", 0), metric.get("count", 0)
    if (in_a_row and found["consecutivePasses"] >= in_a_row) or (count and found["stepLooks"] >= count):
        # It has had all of its looks here.
        return False
    return found["measurements"][-1]["verdict"] in ("NoData", "Error")


def _lacks_copies(status: dict[str, Any], metric: dict[str, Any]) -> bool:
    """Whether answers to the same requests are compared, and there are none: this metric passes where there are."""
    routing = status.get("routing") or {"mirrorPercent": 0}
    return metric.get("builtin") == "answer-difference" and not routing["mirrorPercent"]


def _is_needed_before_all(release: Release, metric: dict[str, Any]) -> bool:
    """Whether a metric must have passed before the canary gets all: by the last move, or if it knows stable's figures.

    With all of the traffic in force already, bounds alone judge.
    """
    last = release.status.get("step", 0) >= len(effective_steps(release.strategy))
    return last or ("compareTo" in metric and release.before.get("weight", 0) < 100)


def _named(rule: dict[str, Any]) -> set[str]:
    """Return the Services that a rule sends requests or copies to."""
    copied = [one["requestMirror"]["backendRef"] for one in rule.get("filters", ()) if "requestMirror" in one]
    return {ref["name"] for ref in (*rule["backendRefs"], *copied)}

"""When a release may move: windows, freezes, a newer version on the way, and how long it still takes."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelops.api.v1alpha1.control import Freeze, Window
from modelops.domain.release.windows import is_open
from modelops.reconcile.loop import Loop
from modelops.reconcile.modelrelease import ModelReleaseReconciler
from tests.unit.release.world import NAME, NAMESPACE, World


def window(world: World, *, opens: int, shuts: int) -> dict[str, str]:
    """Return a window of every day, in minutes from now."""
    begin, end = (world.clock.now() + timedelta(minutes=minutes) for minutes in (opens, shuts))
    return {"from": f"{begin:%H:%M}", "to": f"{end:%H:%M}"}


@pytest.fixture
def world() -> World:
    return World()


def test_new_rollout_begins_when_a_window_opens(world: World) -> None:
    """Outside, the wanted version waits and the status says until when; an Event says so once."""
    old = world.first()
    world.release(windows=[window(world, opens=30, shuts=60)])
    world.train("2")
    world.settle(seconds=600)
    status = world.status
    assert status.get("canary") is None
    assert status["queuedVersion"] == "2"
    assert world.reason("Progressing").startswith("OutsideWindow: version 2 waits for the window Mon-Sun ")
    assert 15 * 60 < (_moment(status["eta"]) - world.clock.now()).total_seconds() <= 30 * 60
    assert [event.reason for event in world.cluster.events].count("OutsideWindow") == 1

    world.settle(seconds=(_moment(status["eta"]) - world.clock.now()).total_seconds() + 1)
    assert world.status["canary"]["version"] == "2"
    assert world.route()[old] == 80
    assert "queuedVersion" not in world.status


def test_weight_waits_at_a_windows_end_and_goes_on_in_the_next(world: World) -> None:
    """What has its weight keeps it and is measured on."""
    old = world.first()
    world.release(windows=[window(world, opens=0, shuts=1), window(world, opens=10, shuts=20)])
    world.clock.advance(seconds=60 - world.clock.now().second - 20)
    new = world.canary()
    world.settle(seconds=60)
    assert world.route() == {old: 80, new: 20}
    assert world.reason("Progressing").startswith("OutsideWindow")
    passes = world.status["analysis"][0]["passes"]
    world.settle(seconds=60)
    assert world.status["analysis"][0]["passes"] > passes
    world.settle(seconds=600)
    assert world.status["phase"] == "Promoted"
    assert world.status["stable"]["revision"] == new


def test_suspended_rollout_holds_and_nobody_judges_it(world: World) -> None:
    """Weights and servers stay while every request fails; on resume the first look rolls back."""
    old, new = world.first(), world.canary()
    route, servers = world.route(), world.scaled()
    world.release(suspend=True)
    world.answer(value=0.2)
    world.settle(seconds=600)
    assert (world.route(), world.scaled()) == (route, servers)
    assert route[new] > 0
    assert world.reason("Ready").startswith("Suspended")

    world.release(suspend=False)
    world.settle(seconds=60)
    assert world.route() == {old: 100}


@pytest.mark.parametrize("closed", ["windows", "freeze", "operator"])
@pytest.mark.parametrize("how", ["abort", "fail", "revert"])
def test_what_takes_traffic_away_is_never_delayed(world: World, closed: str, how: str) -> None:
    """Abort, Fail and a revert in git act at once, whatever is closed."""
    old = world.first()
    world.canary()
    shut(world, closed)
    if how == "fail":
        world.answer(value=0.0)
    elif how == "revert":
        world.release(model={"name": "price", "version": "1"})
    else:
        world.command("abort")
    world.settle(seconds=15 if how == "fail" else 0)
    assert world.route() == {old: 100}


@pytest.mark.parametrize("closed", ["windows", "freeze", "operator"])
def test_first_version_waits_for_no_window(world: World, closed: str) -> None:
    """Nobody has anything to lose by it, and a cluster that was rebuilt serves at any hour."""
    shut(world, closed)
    assert world.first()


def test_undo_of_a_promotion_waits_for_no_freeze(world: World) -> None:
    """The version before serves again although its weight rises for that."""
    old = world.first()
    new = world.canary()
    world.settle(seconds=100)
    assert world.route() == {new: 100}
    world.release(freeze={"reason": "holidays"})
    world.command("undo", revision=old)
    world.settle()
    assert world.route() == {old: 100}


def test_promote_full_goes_through_outside_of_windows(world: World) -> None:
    """A human who says so watches it; the Event tells when it was said."""
    world.first()
    new = world.canary()
    shut(world, "windows")
    world.command("promote", full=True)
    world.settle()
    assert world.route() == {new: 100}
    assert any("outside of the windows" in str(event) for event in world.cluster.events)


def test_promote_full_outside_of_windows_waits_for_servers_only(world: World) -> None:
    """The weight rises once all servers are there; a freeze that begins meanwhile holds it."""
    steps = [{"setCanaryScale": {"replicas": 1}}, {"setWeight": 20}, {"analyze": {"duration": "30s"}}]
    world.release(strategy={"canary": {"steps": steps}}, serving={"runtime": "modelops", "replicas": 3})
    old = world.first()
    new = world.canary()
    shut(world, "windows")
    world.command("promote", full=True)
    world.loop.reconcile((NAMESPACE, NAME))
    world.release(freeze={"reason": "holidays"})
    world.settle(seconds=20)
    assert world.route() == {old: 80, new: 20}
    world.release(freeze=None)
    world.settle()
    assert world.route() == {new: 100}


@pytest.mark.parametrize("closed", ["freeze", "operator"])
def test_promote_full_is_refused_under_a_freeze(world: World, closed: str) -> None:
    """Whoever froze has the last word; the refusal says what to do."""
    old = world.first()
    new = world.canary()
    shut(world, closed)
    world.command("promote", full=True)
    world.settle()
    assert world.route() == {old: 80, new: 20}
    refused = next(str(event) for event in world.cluster.events if "CommandIgnored" in str(event))
    assert "take the freeze out" in refused
    assert "holidays" in refused


def test_freeze_ends_at_its_time(world: World) -> None:
    """The status says when; the reason is Frozen."""
    world.first()
    until = world.clock.now() + timedelta(minutes=5)
    world.release(freeze={"until": until.isoformat(), "reason": "holidays"})
    world.train("2")
    world.settle()
    assert world.reason("Progressing").startswith("Frozen: version 2 waits for the end of the freeze until ")
    assert "(holidays)" in world.status["waitingFor"]
    assert _moment(world.status["eta"]) == until
    world.settle(seconds=301)
    assert world.status["canary"]["version"] == "2"


def test_freeze_that_ends_outside_of_windows_waits_for_the_next(world: World) -> None:
    """The later of the two."""
    world.first()
    until = world.clock.now() + timedelta(minutes=5)
    world.release(freeze={"until": until.isoformat()}, windows=[window(world, opens=30, shuts=60)])
    world.train("2")
    world.settle()
    assert _moment(world.status["eta"]) > world.clock.now() + timedelta(minutes=28)


@pytest.mark.parametrize(
    ("policy", "during", "after"),
    [("Supersede", "3", "3"), ("Queue", "2", "3"), ("Ignore", "2", None)],
)
def test_newer_version_supersedes_waits_or_is_left_out(
    world: World, policy: str, during: str, after: str | None
) -> None:
    """While one is on its way; and what is released once that has ended."""
    world.first()
    world.release(onNewVersion=policy)
    world.canary()
    world.train("3")
    world.settle()
    assert world.status["canary"]["version"] == during
    if policy == "Queue":
        assert world.status["queuedVersion"] == "3"
        assert world.reason("Progressing").endswith("; version 3 is queued")
    if policy != "Supersede":
        world.command("abort")
        world.settle(seconds=20)
    assert (world.status.get("canary") or {}).get("version") == after
    if policy == "Ignore":
        left_out = world.status["ignored"][-1]
        assert "modelops release retry" in world.status["waitingFor"]
        world.command("retry", revision=left_out)
        world.settle()
        assert world.status["canary"]["version"] == "3"


def test_newer_version_ends_nothing_outside_of_windows(world: World) -> None:
    """What is on its way goes on; the newer one is queued whatever the policy is."""
    old = world.first()
    new = world.canary()
    shut(world, "windows")
    world.train("3")
    world.settle()
    assert world.route() == {old: 80, new: 20}
    assert world.status["queuedVersion"] == "3"


@pytest.mark.parametrize(
    ("steps", "seconds"),
    [
        pytest.param([{"setWeight": 20}, {"analyze": {"duration": "30s"}}], 35, id="one analysis and its warm-up"),
        pytest.param(
            [{"setWeight": 20}, {"analyze": {"duration": "30s"}}, {"setWeight": 50}, {"analyze": {"duration": "1s"}}],
            35 + 15,
            id="an analysis lasts a look at least",
        ),
        pytest.param(
            [{"setWeight": 20}, {"analyze": {"duration": "30s"}}, {"pause": {"duration": "1h"}}, {"setWeight": 80}],
            35 + 3600,
            id="a pause with a duration",
        ),
        pytest.param(
            [{"setWeight": 20}, {"analyze": {"duration": "30s"}}, {"bake": {"duration": "2h"}}, {"approve": {}}],
            35 + 7200,
            id="as far as a human is asked",
        ),
    ],
)
def test_eta_tells_when_it_is_promoted_or_asks_a_human(world: World, steps: list[Any], seconds: int) -> None:
    """At the earliest; it does not move while all goes well."""
    world.first()
    world.release(strategy={"canary": {"steps": steps}})
    begun = world.clock.now()
    world.canary()
    assert _moment(world.status["eta"]) == begun + timedelta(seconds=seconds)
    world.settle(seconds=20)
    assert _moment(world.status["eta"]) == begun + timedelta(seconds=seconds)


def test_eta_counts_the_way_to_the_next_window(world: World) -> None:
    """A weight that rises outside of the windows rises when one opens."""
    world.first()
    world.release(windows=[window(world, opens=0, shuts=1), window(world, opens=30, shuts=60)])
    world.release(strategy={"canary": {"steps": [{"setWeight": 20}, {"analyze": {"duration": "90s"}}]}})
    world.canary()
    opens = world.clock.now() + timedelta(minutes=30)
    assert _moment(world.status["eta"]) == opens.replace(second=0, microsecond=0)


def test_eta_is_none_while_a_human_is_awaited(world: World) -> None:
    """Nobody knows when."""
    world.first()
    world.release(strategy={"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}})
    world.train("2")
    world.settle()
    assert world.status.get("eta") is None


_HAPPENING = st.sampled_from(
    ["good", "bad", "few", "abort", "retry", "promote", "commit", "wait", "wait", "pause", "unpause", "freeze", "thaw"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(_HAPPENING, max_size=10),
    st.sampled_from(["Supersede", "Queue", "Ignore"]),
    st.integers(-2, 2),
    st.integers(1, 3),
    st.booleans(),
)
def test_no_weight_rises_while_it_is_closed(
    happenings: list[str], policy: str, opens: int, lasts: int, restarts: bool
) -> None:
    """After any sequence: weights rise in windows only, aborts are immediate, and a restart changes nothing."""
    world = World()
    world.first()
    spec = window(world, opens=opens, shuts=opens + lasts)
    world.release(windows=[spec], freeze=None, onNewVersion=policy, rollbackWindow={"duration": "40s"})
    found = Window.model_validate(spec)
    for happening in happenings:
        world.happens(happening)
        for second in range(17):
            before, stable = world.route(), world.status["stable"]["revision"]
            if restarts:
                world.loop = Loop(ModelReleaseReconciler(), world.loop._ports, jitter=lambda: 1.0)
            aborting = second == 0 and happening == "abort" and world.status.get("canary")
            world.settle()
            # Where it was queued, the next one may begin at once.
            assert not aborting or aborting["revision"] not in world.route()
            back = {record["revision"] for record in world.status["history"] if record["outcome"] == "RolledBack"}
            risen = {one for one, weight in world.route().items() if weight > before.get(one, 0) and one != stable}
            if not is_open([found], world.clock.now()) or world.spec["freeze"]:
                # But for a promotion that is taken back.
                assert not risen or (stable in back and stable not in world.route())
            world.clock.advance(seconds=1)
        assert sum(world.route().values()) == 100
        world.pass_()
        world.cluster.calls.clear()
        world.pass_()
        assert world.cluster.calls == []


def shut(world: World, how: str) -> None:
    """Close windows that were open, or freeze."""
    if how == "windows":
        world.release(windows=[window(world, opens=60, shuts=120)])
    elif how == "freeze":
        world.release(freeze={"reason": "holidays"})
    else:
        ports = world.loop._ports
        frozen = ports.settings.model_copy(update={"freeze": Freeze(reason="holidays")})
        world.loop = Loop(ModelReleaseReconciler(), replace(ports, settings=frozen), jitter=lambda: 1.0)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize("how", ["freeze", "windows", "pause"])
def test_route_of_changed_steps_does_not_begin_while_nothing_may(world: World, how: str) -> None:
    """A step would have waited with it; it begins once it may, and is waited for then."""
    world.release(strategy={"canary": {"steps": [{"setWeight": 20}, {"pause": {}}, {"setWeight": 50}]}})
    world.first()
    world.train("2")
    world.settle()
    if how == "pause":
        world.command("pause")
    else:
        shut(world, how)
    world.settle()
    route = {"setHeaderRoute": {"name": "testers", "match": [{"header": "X-Tester", "exact": "1"}]}}
    world.release(strategy={"canary": {"steps": [route, {"pause": {}}, {"setWeight": 50}]}})
    world.settle(seconds=30)
    assert len(world.rules()) == 1
    assert world.status["step"] == 1

    if how == "pause":
        world.command("unpause")
    else:
        world.release(windows=[], freeze=None)
    world.settle(seconds=30)
    assert len(world.rules()) == 2
    assert world.status["routing"]["headerRoutes"] == ["testers"]

"""Steps beside setWeight and analyze: what each waits for, what ends it, and what a restart changes (nothing)."""

from datetime import timedelta
from typing import Any

import pytest

from modelops.domain.analysis.queries import EnvoyFigures, Subject
from tests.unit.release.world import NAME, NAMESPACE, SUCCESS, World

ANALYZE = {"analyze": {"duration": "20s"}}
BAKE = {"bake": {"duration": "60s"}}


@pytest.fixture
def world() -> World:
    return World()


def through(world: World, *steps: dict[str, Any], replicas: int = 1, **spec: Any) -> tuple[str, str]:
    """Release version 1, then begin version 2 with these steps; return both revisions."""
    serving = {"runtime": "modelops", "replicas": replicas}
    world.release(strategy={"canary": {"steps": list(steps)}}, serving=serving, **spec)
    old = world.first()
    world.train("2")
    world.settle()
    world.answer()
    return old, str(world.status["canary"]["revision"])


def servers(world: World, revision: str) -> int:
    """Return how many servers a revision is to have."""
    return int(world.cluster.objects["deployments", NAMESPACE, f"{NAME}-{revision}"]["spec"]["replicas"])


def said(world: World, reason: str) -> str:
    """Return the last Event of a reason."""
    return [event.message for event in world.cluster.events if event.reason == reason][-1]


def test_approve_waits_for_promote_and_tells_who_and_when(world: World) -> None:
    """Nobody's silence is a yes; the word is in the status, and stays in the history."""
    old, new = through(world, {"setWeight": 10}, ANALYZE, {"approve": {}}, {"setWeight": 50}, ANALYZE)
    world.settle(seconds=1200)
    assert world.route() == {old: 90, new: 10}
    assert world.status["phase"] == "Paused"
    assert world.reason("Paused").startswith("WaitingForApproval")
    assert world.status["waitingFor"] == f"approval: `modelops release promote {NAME}`"

    world.command("promote", by="ann@example.com", id="word-1")
    world.settle()
    at = world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    assert world.status["approvals"] == [{"step": 2, "at": at, "by": "ann@example.com", "command": "word-1"}]
    assert world.route() == {old: 50, new: 50}
    world.settle(seconds=60)
    assert world.status["stable"]["revision"] == new
    assert f"step 3 approved by ann@example.com at {at}" in world.status["history"][-1]["message"]


@pytest.mark.parametrize("verb", ["promote", "unpause"])
def test_word_that_ends_a_pause_is_kept_like_an_approval(world: World, verb: str) -> None:
    """Who goes on although a metric has no answer is known, with what had paused it."""
    analysis = {
        "interval": "10s",
        "warmUp": "5s",
        "metrics": [SUCCESS],
        "noDataPolicy": "Pause",
        "noDataDeadline": "20s",
    }
    world.release(analysis=analysis)
    _, new = through(world, {"setWeight": 20}, ANALYZE)
    world.answer(samples=1)
    world.settle(seconds=60)
    why = world.status["pausedReason"]
    assert "NoData" in why
    world.command(verb, by="ann@example.com", id="word-1")
    world.settle()
    at = world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    word = {"step": 1, "at": at, "by": "ann@example.com", "command": "word-1", "pausedReason": why}
    assert world.status["approvals"] == [word]
    assert said(world, "Unpaused") == f"by ann@example.com; it was paused: {why}"
    world.answer()
    world.settle(seconds=90)
    assert world.status["stable"]["revision"] == new
    assert f"pause at step 2 ({why}) ended by ann@example.com at {at}" in world.status["history"][-1]["message"]


def test_events_and_history_say_whose_word_it_was(world: World) -> None:
    """Of every verb, as far as the command says."""
    old, new = through(world, {"setWeight": 20}, {"approve": {}}, {"setWeight": 50}, ANALYZE)
    ann: dict[str, Any] = {"by": "ann@example.com"}
    world.command("pause", **ann)
    world.settle()
    assert world.status["pausedReason"] == said(world, "Paused") == "by ann@example.com"
    world.command("unpause")
    world.settle()
    assert said(world, "Unpaused") == "by hand; it was paused: by ann@example.com"
    world.command("unpause", **ann)
    world.settle()
    assert said(world, "CommandIgnored").startswith("unpause: it is not paused")
    assert len(world.status["approvals"]) == 1

    world.command("abort", **ann)
    world.settle()
    assert world.status["history"][-1]["message"] == "aborted by ann@example.com"
    world.command("retry", revision=new, **ann)
    world.settle()
    assert said(world, "Retried") == f"revision {new}, by ann@example.com"
    world.command("promote", **ann)
    world.settle()
    assert said(world, "PromotedByHand") == "step 2 is left, by ann@example.com"
    world.command("promote", full=True, **ann)
    world.settle()
    assert said(world, "PromotedByHand").endswith("are skipped, by ann@example.com")
    world.command("undo", revision=old, **ann)
    world.settle(seconds=60)
    assert said(world, "Undone") == "version 2 is held back; version 1 comes back, by ann@example.com"
    assert "undone by ann@example.com: back to version 1" in world.reason("Degraded")


def test_approval_is_bound_to_its_step_and_its_canary(world: World) -> None:
    """A word that comes late approves nothing; the next canary begins without any."""
    through(world, {"approve": {}}, {"setWeight": 50}, {"approve": {}}, ANALYZE)
    world.command("promote", id="one")
    world.settle(seconds=1)
    assert world.status["step"] == 2
    world.command("promote", step=0, id="two")
    world.settle(seconds=60)
    assert world.status["step"] == 2
    assert [event.reason for event in world.cluster.events].count("CommandIgnored") == 1
    assert [one["command"] for one in world.status["approvals"]] == ["one"]
    world.train("3")
    world.settle()
    assert not world.status.get("approvals")
    assert world.status["step"] == 0


@pytest.mark.parametrize("by", ["x" * 200, "a\nb", "", None, 7, ["ann"]])
def test_strange_names_are_kept_within_bounds(world: World, by: Any) -> None:
    """Whatever stands in a command, the status is valid and of one line."""
    through(world, {"approve": {}}, {"setWeight": 50}, ANALYZE)
    world.command("promote", by=by)
    world.settle(seconds=5)
    found = world.status["approvals"][0].get("by", "")
    assert len(found) <= 128
    assert "\n" not in found


def test_fail_rolls_back_while_an_approval_is_waited_for(world: World) -> None:
    """Metrics are asked all the time; who should approve finds it rolled back."""
    old, _ = through(world, {"setWeight": 10}, {"approve": {}})
    world.answer(value=0.5)
    world.settle(seconds=30)
    assert world.route() == {old: 100}
    assert world.status["history"][-1]["outcome"] == "RolledBack"


def test_bake_lasts_its_time_and_needs_no_pass(world: World) -> None:
    """Nothing to look at is no reason to stay: the weight rises when the time is over."""
    delayed = {**SUCCESS, "initialDelay": "90s"}
    analysis = {"interval": "10s", "warmUp": "5s", "metrics": [delayed]}
    old, new = through(world, {"setWeight": 20}, BAKE, {"setWeight": 50}, ANALYZE, analysis=analysis)
    world.settle(seconds=59)
    assert world.status["phase"] == "Baking"
    assert world.status["waitingFor"] == "the bake to end"
    assert world.route() == {old: 80, new: 20}
    world.settle(seconds=2)
    assert world.route() == {old: 50, new: 50}
    world.settle(seconds=60)
    assert world.status["stable"]["revision"] == new


def test_fail_ends_a_bake(world: World) -> None:
    """Also long after it began."""
    analysis = {"interval": "30m", "warmUp": "5s", "metrics": [SUCCESS]}
    old, _ = through(world, {"setWeight": 20}, {"bake": {"duration": "48h"}}, analysis=analysis)
    subject = Subject(NAMESPACE, NAME, world.status["canary"]["revision"])
    for asked, answer in (("success_rate", 1.0), ("samples", 100.0)):
        world.metrics.answers[getattr(EnvoyFigures(subject), asked)(timedelta(minutes=30))] = answer
    for _ in range(8):
        world.settle(seconds=3 * 3600)
    assert world.status["phase"] == "Baking"
    assert world.status["analysis"][0]["passes"] > 40
    world.metrics.answers[EnvoyFigures(subject).success_rate(timedelta(minutes=30))] = 0.5
    world.settle(seconds=1800)
    assert world.route() == {old: 100}


@pytest.mark.parametrize("silence", ["few", "away"])
def test_bake_holds_at_its_end_while_a_metric_has_no_answer(world: World, silence: str) -> None:
    """NoData and Error at the end hold the weight; the first answer, or a human after the deadline, lets it go on."""
    old, new = through(world, {"setWeight": 20}, BAKE, {"setWeight": 50}, ANALYZE)
    if silence == "few":
        world.answer(samples=1)
    else:
        world.metrics.answers.clear()
    world.settle(seconds=300)
    assert world.route() == {old: 80, new: 20}
    assert world.status["waitingFor"].startswith("success-rate: NoData")
    assert world.status["phase"] == "Baking"
    world.answer()
    world.settle(seconds=20)
    assert world.route() == {old: 50, new: 50}


def test_bake_is_not_cut_short_by_promote(world: World) -> None:
    """Delayed labels take their time; only --full skips it, and says so."""
    _, new = through(world, {"setWeight": 20}, {"bake": {"duration": "48h"}})
    world.settle(seconds=60)
    world.command("promote")
    world.settle(seconds=60)
    assert world.cluster.events[-1].reason == "CommandIgnored"
    world.command("promote", full=True)
    world.settle(seconds=30)
    assert world.status["stable"]["revision"] == new
    assert "by hand: the steps that were left are skipped" in world.status["history"][-1]["message"]


@pytest.mark.parametrize("rise", [{"setWeight": 50}, None])
def test_timed_pause_ends_but_the_weight_does_not_rise_on_no_data(world: World, rise: dict[str, Any] | None) -> None:
    """Not to another weight, and not to all of the traffic, although there was a Pass before."""
    pause = {"pause": {"duration": "60s"}}
    old, new = through(world, {"setWeight": 20}, pause, *([rise] if rise else []))
    world.settle(seconds=30)
    world.answer(samples=1)
    world.settle(seconds=200)
    assert world.route() == {old: 80, new: 20}
    assert world.status["waitingFor"].startswith("success-rate: NoData")
    world.answer()
    world.settle(seconds=60)
    assert world.status["stable"]["revision"] == new


def test_a_word_forgives_what_has_no_answer(world: World) -> None:
    """Too little traffic at 1 % for any verdict: who says promote lets the weight rise to where there is enough."""
    old, new = through(world, {"setWeight": 1}, {"pause": {}}, {"setWeight": 50}, ANALYZE)
    world.answer(samples=1)
    world.settle(seconds=120)
    world.command("promote")
    world.settle()
    assert world.route() == {old: 50, new: 50}
    world.settle(seconds=120)
    assert world.route() == {old: 50, new: 50}


def test_falling_weight_waits_for_nothing_and_is_earned_anew(world: World) -> None:
    """A peak and then a rest: no data and a freeze hold what rises, not what falls."""
    steps = ({"setWeight": 50}, {"pause": {"duration": "60s"}}, {"setWeight": 10}, ANALYZE)
    old, new = through(world, *steps)
    assert world.route() == {old: 50, new: 50}
    world.release(freeze={"reason": "holidays"})
    world.answer(samples=1)
    world.settle(seconds=60)
    assert world.route() == {old: 90, new: 10}
    world.settle(seconds=300)
    assert world.route() == {old: 90, new: 10}
    world.release(freeze=None)
    world.answer()
    world.settle(seconds=60)
    assert world.status["stable"]["revision"] == new


@pytest.mark.parametrize(
    ("scale", "want"),
    [
        pytest.param({"replicas": 2}, 2, id="so many"),
        pytest.param({"replicas": 9}, 9, id="more than stable has"),
        pytest.param({"percent": 25}, 2, id="percent, rounded up"),
        pytest.param({"percent": 100}, 5, id="all"),
        pytest.param({"matchTrafficWeight": True}, 1, id="no weight yet: one"),
    ],
)
def test_canary_is_scaled_before_it_has_traffic(world: World, scale: dict[str, Any], want: int) -> None:
    """A first step that scales spares servers from the beginning; stable keeps all of its own."""
    old, new = through(world, {"setCanaryScale": scale}, {"approve": {}}, {"setWeight": 50}, ANALYZE, replicas=5)
    assert world.status["step"] == 1
    assert (servers(world, old), servers(world, new)) == (5, want)


def test_servers_follow_the_weight_and_come_before_it(world: World) -> None:
    """matchTrafficWeight: every weight finds its servers ready, all of the traffic all of them."""
    match = {"setCanaryScale": {"matchTrafficWeight": True}}
    steps = [match, {"setWeight": 20}, {"approve": {}}, {"setWeight": 50}, ANALYZE]
    old, new = through(world, *steps, replicas=5)
    assert (world.route(), servers(world, new)) == ({old: 80, new: 20}, 1)
    world.servers_start = False
    world.command("promote")
    world.settle(seconds=60)
    assert (world.route(), servers(world, new)) == ({old: 80, new: 20}, 3)
    assert world.status["waitingFor"].startswith("servers of version 2")
    world.servers_start = True
    world.settle()
    assert world.route() == {old: 50, new: 50}
    world.servers_start = False
    world.settle(seconds=60)
    assert (world.route(), servers(world, new)) == ({old: 50, new: 50}, 5)
    world.servers_start = True
    world.settle()
    assert world.status["stable"]["revision"] == new
    assert servers(world, old) == 5


def test_servers_that_do_not_come_are_waited_for_until_the_deadline(world: World) -> None:
    """The deadline counts from when more were asked for; then it is rolled back, and stable has everything."""
    steps = [{"setCanaryScale": {"replicas": 1}}, {"setWeight": 10}, {"bake": {"duration": "20m"}}]
    steps += [{"setCanaryScale": {"percent": 100}}, {"setWeight": 80}, ANALYZE]
    old, _ = through(world, *steps, replicas=4, progressDeadline="5m")
    world.settle(seconds=1190)
    world.servers_start = False
    world.settle(seconds=300)
    assert world.status["step"] == 3
    world.settle(seconds=20)
    assert world.status["history"][-1]["outcome"] == "RolledBack"
    assert "not ready within 5m" in world.status["history"][-1]["message"]
    assert (world.route(), servers(world, old)) == ({old: 100}, 4)


def test_promote_full_waits_for_all_of_the_servers(world: World) -> None:
    """One server of four does not get all of the traffic because somebody is in a hurry."""
    old, new = through(world, {"setCanaryScale": {"replicas": 1}}, {"setWeight": 10}, {"approve": {}}, replicas=4)
    world.servers_start = False
    world.command("promote", full=True)
    world.settle(seconds=30)
    assert (world.route(), servers(world, new)) == ({old: 90, new: 10}, 4)
    world.servers_start = True
    world.settle()
    assert world.status["stable"]["revision"] == new


def test_first_version_has_all_of_its_servers(world: World) -> None:
    """There is nothing to spare them for: it takes all of the traffic."""
    old, _ = through(world, {"setCanaryScale": {"replicas": 1}}, {"approve": {}}, {"setWeight": 20}, replicas=3)
    assert servers(world, old) == 3


def test_weight_of_100_by_step_is_not_promoted_unmeasured(world: World) -> None:
    """The step gives it all of the traffic; the promotion still waits for one Pass of every metric."""
    old, new = through(world, {"setWeight": 100})
    assert world.route() == {new: 100}
    assert world.status["stable"]["revision"] == old
    assert world.status["waitingFor"] == "one Pass of success-rate: nothing is promoted unmeasured"
    world.settle(seconds=20)
    assert world.status["stable"]["revision"] == new


@pytest.mark.parametrize("last", [(), ({"setWeight": 67},)], ids=["all", "all, then less"])
def test_copies_do_not_end_before_what_nothing_measures_later_has_passed(
    world: World, last: tuple[dict[str, Any], ...]
) -> None:
    """A pause asks for no Pass, and all of the traffic leaves nothing to compare with: it would wait without end.

    A weight after that would be no later chance: all of the traffic waits for the Pass.
    """
    metric = {"name": "compared", "builtin": "success-rate", "compareTo": {"stable": {"maxAbsoluteDecrease": 0.05}}}
    analysis = {"interval": "10s", "metrics": [metric | {"minSamples": 50}]}
    steps = {"setMirror": {"percent": 100}}, {"pause": {"duration": "20s"}}, {"setMirror": {"percent": 0}}
    through(world, *steps, {"setWeight": 100}, *last, analysis=analysis)
    world.metrics.answers = {}
    world.settle(seconds=60)
    assert world.status["routing"]["mirrorPercent"] == 100
    assert world.status["waitingFor"] == "one Pass of compared: no later step measures it"

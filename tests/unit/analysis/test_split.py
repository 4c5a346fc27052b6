"""Whether the requests come as weighted: what the counts say of the weight, and what a release makes of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelops.api.v1alpha1.analysis_status import SplitStatus
from modelops.domain.analysis.split import Requests, at_new_weight, contradicts, counted, is_mismatch, is_too_few
from modelops.domain.analysis.verdicts import Reading
from modelops.domain.release.replay import Replay, Tick, play
from modelops.domain.status import to_wire
from modelops.errors import Transient
from modelops.ports import Series
from tests.support.fakes import FakeMetrics
from tests.unit.analysis.playing import release
from tests.unit.release.world import SUCCESS, World

START = datetime(2026, 1, 1, tzinfo=UTC)
LEVEL = 0.01
OWN = {"name": "own", "prometheus": {"query": "share"}, "thresholdRange": {"min": 0.9}}


def looks(
    number: int, canary: float, stable: float, weight: int = 20, before: SplitStatus | None = None
) -> SplitStatus:
    """Return the split after so many minutes alike."""
    found = before
    begun = START if before is None or before.counted_until is None else before.counted_until
    for minute in range(number):
        since = begun + timedelta(minutes=minute)
        found = counted(found, Requests(since, since + timedelta(minutes=1), canary, stable), weight, LEVEL)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("canary", "stable", "weight", "contrary"),
    [
        pytest.param(120, 480, 20, False, id="as weighted"),
        pytest.param(126, 474, 20, False, id="a gateway that rounds"),
        pytest.param(0, 600, 20, True, id="none comes"),
        pytest.param(300, 300, 20, True, id="half instead of a fifth"),
        pytest.param(600, 0, 20, True, id="all comes"),
        pytest.param(0, 30, 20, False, id="none of a few"),
        pytest.param(0, 60, 20, True, id="none of enough"),
        pytest.param(0, 300, 1, False, id="none, of weight 1"),
        pytest.param(0, 0, 20, False, id="no traffic"),
        pytest.param(11_000, 49_000, 20, False, id="within the tolerated odds, whatever the traffic"),
        pytest.param(10_000, 50_000, 20, True, id="beyond them"),
    ],
)
def test_counts_of_one_look(canary: float, stable: float, weight: int, *, contrary: bool) -> None:
    """They contradict a weight only where a gateway that sends by it would hardly ever count them."""
    assert contradicts(looks(1, canary, stable, weight), weight, LEVEL) is contrary


def test_too_few_to_tell_is_said_of_the_number_alone() -> None:
    """Whether none for the canary would have been noticed."""
    assert is_too_few(looks(1, 3, 9), 20, LEVEL)
    assert not is_too_few(looks(5, 3, 9), 20, LEVEL)


def test_counts_add_up_at_a_weight_and_evidence_over_weights() -> None:
    """A look after one that contradicted the weight is by itself: what came before was of another one."""
    few = looks(3, 2, 8)
    assert (few.canary, few.stable) == (6, 24)
    after = looks(1, 120, 480, before=looks(1, 0, 600))
    assert (after.canary, after.stable, after.evidence.ticks) == (120, 480, 2)
    anew = at_new_weight(after)
    assert anew is not None
    assert (anew.canary, anew.counted_until, anew.evidence) == (0, None, after.evidence)
    assert at_new_weight(None) is None


@pytest.mark.parametrize("requests", [(120, 480), (126, 474), (12, 48), (1, 4)])
def test_split_as_weighted_is_no_mismatch(requests: tuple[int, int]) -> None:
    """Nor is what rounding makes of it, after a thousand looks."""
    assert not is_mismatch(looks(1000, *requests), LEVEL)


def test_no_request_at_all_for_the_canary_is_a_mismatch() -> None:
    """By three looks at the least, as every alarm."""
    assert [is_mismatch(looks(number, 0, 300), LEVEL) for number in (2, 4)] == [False, True]


def test_what_was_counted_is_counted_once() -> None:
    """A look that overlaps, or that has no answer, changes nothing; what is not possible is nothing."""
    once = looks(2, 120, 480)
    again = Requests(START + timedelta(minutes=1), START + timedelta(minutes=3), 9, 9)
    unknown = Requests(START + timedelta(minutes=2), START + timedelta(minutes=2), 9, 9)
    assert counted(once, again, 20, LEVEL) == once
    assert counted(once, unknown, 20, LEVEL) == once
    assert looks(1, -3, 480).canary == 0


def test_it_is_small_and_reads_back_the_same() -> None:
    """The status is the only memory."""
    found = looks(200, 120, 480)
    wire = to_wire(found)
    assert SplitStatus.model_validate(wire) == found
    assert len(str(wire)) < 700


# Played offline.


def answer(canary: float, stable: float, value: float = 1.0) -> Reading:
    return Reading(values=(value,), samples=canary, stable=Reading(values=(value,), samples=stable))


def played(*answers: Reading, steps: Sequence[Any] | None = None, **more: Any) -> Replay:
    """Return what a release judged by a plain bound does with a look every 5 s, of which the last is repeated."""
    metric = {"name": "rate", "builtin": "success-rate", "thresholdRange": {"min": 0.99}, **more}
    spec = release(metric, steps=steps or [{"setWeight": 20}, {"analyze": {"duration": "20s"}}])
    told = [*answers, *[answers[-1]] * (60 - len(answers))]
    return play("price", spec, [Tick(5.0 * n, {"rate": one}) for n, one in enumerate(told, 1)])


@pytest.mark.parametrize("more", [{}, {"compareTo": {"stable": {"maxRelativeIncrease": 0.1}}}], ids=["bound", "stable"])
def test_split_is_checked_whatever_the_test_of_the_metric(more: dict[str, Any]) -> None:
    """Half of the requests at weight 20: all of them are answered, and nobody is promoted."""
    found = played(answer(300, 300), **more)
    assert found.outcome == "Paused"
    assert found.reason.startswith("SampleRatioMismatch: 50.0% of the requests came to the canary (300 of 600)")


def test_weight_is_believed_once_the_counts_show_it() -> None:
    """A gateway that sends nothing to the canary for two looks: the step lasts from the second one on."""
    right = answer(120, 480)
    assert played(right).at == 20
    late = played(answer(0, 600), answer(0, 600), right)
    assert (late.outcome, late.at) == ("Promoted", 30)


def test_next_weight_waits_for_the_split_at_this_one() -> None:
    """A pause asks for nothing but time, and that begins when the requests come."""
    steps = [{"setWeight": 20}, {"pause": {"duration": "10s"}}, {"setWeight": 50}, {"pause": {"duration": "10s"}}]
    found = played(answer(300, 300), answer(300, 300), *[answer(120, 480)] * 2, answer(300, 300), steps=steps)
    assert [tick.weight for tick in found.ticks[:5]] == [20, 20, 20, 50, 50]
    assert found.outcome == "Promoted"


def test_little_traffic_is_no_mismatch() -> None:
    """Nobody can tell by two requests a look: the rule for too few samples decides, and then it goes on."""
    found = played(answer(0, 2), minSamples=0)
    assert (found.outcome, found.at) == ("Promoted", 20)


def test_header_routes_and_all_of_the_traffic_have_no_split() -> None:
    """As many requests as the customers of a route are say nothing of a weight."""
    route = {"name": "insiders", "match": [{"header": "X-A", "exact": "a"}]}
    steps = [{"setWeight": 20}, {"setHeaderRoute": route}, {"analyze": {"duration": "40s"}}]
    assert played(answer(300, 300), steps=steps).outcome == "Promoted"


# Reconciled, with what is asked of Prometheus.


class Gateway(FakeMetrics):
    """A gateway's counts in Prometheus: so many requests at each look for either revision."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: dict[str, float | Transient] = {}
        """By revision."""
        self.asked = 0

    def query(self, promql: str, at: datetime) -> Sequence[Series]:
        if "upstream_rq_completed" in promql and "envoy_response_code_class" not in promql:
            self.asked += 1
            found = next((count for one, count in self.requests.items() if f"-{one}" in promql), None)
            if isinstance(found, Transient):
                raise found
            return [] if found is None else [Series({}, found)]
        return super().query(promql, at)


def releasing(metric: dict[str, Any], **more: Any) -> tuple[World, Gateway, str, str]:
    """Return a release with a canary at weight 20, its gateway, stable's revision and the canary's."""
    gateway = Gateway()
    world = World(metrics=gateway)
    steps = [{"setWeight": 20}, {"analyze": {"duration": "30s"}}, {"setWeight": 50}, {"analyze": {"duration": "30s"}}]
    analysis = {"interval": "10s", "warmUp": "5s", "metrics": [metric]}
    world.release(strategy={"canary": {"steps": steps}}, analysis=analysis, **more)
    stable = world.first()
    world.train("2")
    world.settle()
    gateway.answers = {"share": 1.0, "upstream_rq_xx": 1.0}
    return world, gateway, stable, world.status["canary"]["revision"]


@pytest.mark.parametrize("metric", [SUCCESS, OWN], ids=["of the gateway", "a query of its own"])
def test_canary_that_gets_no_request_holds_and_says_both_counts(metric: dict[str, Any]) -> None:
    """By whatever it is judged; and it goes on by itself when the requests come."""
    world, gateway, stable, canary = releasing(metric)
    gateway.requests = {stable: 600, canary: 0}
    world.settle(seconds=16)
    words = "requests as weighted: 0 of 600 came to the canary, where weight 20 asks for 120"
    assert world.status["waitingFor"] == words
    assert world.reason("Progressing").startswith("SampleRatioMismatch: version 2, step 1/4, weight 20, ")
    assert world.reason("Progressing").endswith(f"waiting for {words}")
    assert [one.reason for one in world.cluster.events].count("SampleRatioMismatch") == 1
    begun = world.status["stepStartedAt"]
    gateway.requests = {stable: 480, canary: 120}
    world.settle(seconds=16)
    assert world.status["stepStartedAt"] == begun
    assert world.reason("Progressing").startswith("Analyzing: ")
    assert world.route()[canary] == 20
    gateway.requests = {stable: 300, canary: 300}
    world.settle(seconds=300)
    assert world.status["stable"]["version"] == "2"


def test_lasting_mismatch_asks_a_human_and_is_watched_anew_after_the_word() -> None:
    """No waiting mends a gateway."""
    world, gateway, stable, canary = releasing(OWN)
    gateway.requests = {stable: 300, canary: 300}
    world.settle(seconds=120)
    assert world.reason("Paused").startswith("SampleRatioMismatch: SampleRatioMismatch: 50.0% of the requests came")
    assert world.route()[canary] == 20
    world.command("promote", step=world.status["step"])
    world.pass_()
    assert "split" not in world.status
    world.settle(seconds=20)
    assert world.status["heldBy"] == "SampleRatioMismatch"


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param({}, id="nobody counts"),
        pytest.param({"canary": 100}, id="of stable nothing is known"),
        pytest.param({"canary": Transient("Away", "503"), "stable": 100}, id="Prometheus does not answer"),
        pytest.param({"canary": float("nan"), "stable": 100}, id="no number"),
    ],
)
def test_what_is_not_counted_holds_nobody(counts: dict[str, Any]) -> None:
    """The metrics decide; those of the gateway have no data then."""
    world, gateway, stable, canary = releasing(OWN)
    gateway.requests = {{"canary": canary, "stable": stable}[side]: count for side, count in counts.items()}
    world.settle(seconds=300)
    assert world.status["stable"]["version"] == "2"


def test_too_few_requests_are_said_and_hold_nobody() -> None:
    """Behind the weight, as long as it lasts."""
    world, gateway, stable, canary = releasing(OWN)
    gateway.requests = {stable: 3, canary: 0}
    world.settle(seconds=16)
    assert "weight 20, which 3 requests are too few to show, " in world.reason("Progressing")
    world.settle(seconds=100)
    assert world.status["stable"]["version"] == "2"


def test_it_is_asked_once_a_tick_and_only_while_requests_are_split() -> None:
    """Two queries at each interval; none by servers, at weight 0 and 100, or where nothing is asked of Prometheus."""
    world, gateway, stable, canary = releasing(OWN)
    gateway.requests = {stable: 480, canary: 120}
    world.settle(seconds=36)
    assert gateway.asked == 2 * 3
    gateway.requests = {stable: 300, canary: 300}
    world.settle(seconds=300)
    assert world.status["stable"]["version"] == "2"
    before = gateway.asked
    world.settle(seconds=300)
    assert gateway.asked == before
    world, gateway, _, _ = releasing(OWN, traffic={"mode": "replicas"}, serving={"runtime": "modelops", "replicas": 5})
    world.settle(seconds=30)
    assert (world.status["weight"], gateway.asked) == (20, 0)
    world, gateway, _, _ = releasing(OWN)
    world.release(analysis={"interval": "10s", "warmUp": "5s", "metrics": []})
    world.settle(seconds=60)
    assert gateway.asked == 0


def test_clock_that_was_set_back_counts_anew() -> None:
    """Nobody waits until the clock is where it was."""
    world, gateway, stable, canary = releasing(OWN)
    gateway.requests = {stable: 480, canary: 120}
    world.settle(seconds=26)
    assert world.status["split"]["canary"] == 240
    world.clock.advance(seconds=-3600)
    world.settle(seconds=16)
    assert world.status["split"]["canary"] == 120
    assert datetime.fromisoformat(world.status["split"]["countedUntil"]) <= world.clock.now()


def test_fail_rolls_back_whatever_the_split() -> None:
    """And a human's word for all of it is not asked twice."""
    world, gateway, stable, canary = releasing(OWN)
    gateway.requests = {stable: 600, canary: 0}
    world.settle(seconds=16)
    gateway.answers["share"] = 0.1
    world.settle(seconds=20)
    assert world.status["history"][-1]["outcome"] == "RolledBack"
    assert "split" not in world.status
    world, gateway, stable, canary = releasing(OWN)
    gateway.requests = {stable: 600, canary: 0}
    world.settle(seconds=16)
    world.command("promote", full=True)
    world.settle(seconds=5)
    assert world.status["stable"]["version"] == "2"

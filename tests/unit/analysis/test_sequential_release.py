"""Releases judged by `test: sequential`, whole: played offline, and reconciled with what is asked of Prometheus."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelops.cli.main import cli
from modelops.domain.analysis.queries import EnvoyFigures, Subject
from modelops.domain.analysis.verdicts import Reading
from modelops.domain.release.replay import Replay, Tick, play
from modelops.errors import Transient
from modelops.ports import Series
from tests.support.fakes import FakeMetrics
from tests.unit.analysis.playing import release
from tests.unit.release.world import NAME, NAMESPACE, World

ERRORS = {
    "name": "errors",
    "builtin": "success-rate",
    "compareTo": {"stable": {"maxRelativeIncrease": 0.1, "test": "sequential"}},
}
STEPS = [{"setWeight": 20}, {"analyze": {"duration": "50s"}}]


def look(failed: int, requests: int, stable_failed: int, stable_requests: int) -> Reading:
    """Return an answer as a replay file has it: success rates and requests."""
    return Reading(
        values=(1 - failed / requests,) if requests else (),
        samples=requests,
        stable=Reading(values=(1 - stable_failed / stable_requests,), samples=stable_requests),
    )


def played(*looks: Reading, steps: Sequence[Any] = STEPS, metric: dict[str, Any] = ERRORS, **analysis: Any) -> Replay:
    """Return what a release does with a look every 5 seconds, of which the last is repeated up to 100."""
    spec = release(metric, steps=steps, **analysis)
    answers = [*looks, *[looks[-1]] * (100 - len(looks))]
    ticks = [Tick(5.0 * number, {"errors": one}) for number, one in enumerate(answers, 1)]
    return play("price", spec, ticks)


def test_canary_like_stable_is_promoted() -> None:
    """As soon as the step has lasted: single looks at which it has more failures do not matter."""
    found = played(look(3, 120, 4, 480), look(0, 120, 4, 480), look(1, 120, 4, 480))
    assert (found.outcome, found.at) == ("Promoted", 50)
    assert "success-rate" not in found.reason
    assert "evidence" in found.reason


def test_worse_canary_is_rolled_back_by_the_evidence_of_all_looks() -> None:
    """No single look is conclusive; together they are."""
    found = played(look(5, 120, 5, 480), steps=[{"setWeight": 20}, {"analyze": {"duration": "1h"}}])
    assert found.outcome == "RolledBack"
    assert 30 <= found.at <= 120
    assert found.reason.startswith("errors is share of failures ")
    assert {tick.metrics["errors"].verdict for tick in found.ticks[:-1]} <= {"Pass", "NoData"}


def test_suspicion_holds_the_weight() -> None:
    """When the step is over, but the evidence is half way, nobody goes on."""
    suspect, good = look(5, 120, 8, 480), look(0, 120, 8, 480)
    steps = [{"setWeight": 20}, {"analyze": {"duration": "35s"}}]
    held = played(*[suspect] * 7, *[good] * 30, steps=steps)
    assert held.ticks[6].metrics["errors"].reason.startswith("undecided")
    assert held.ticks[6].weight == 20
    assert held.outcome == "Promoted"
    assert held.at > 35


def test_evidence_goes_on_over_weights() -> None:
    """What speaks against it at 5 and 20 % counts at 50 %; the samples do not."""
    steps = [step for weight in (5, 20, 50) for step in ({"setWeight": weight}, {"analyze": {"duration": "20s"}})]
    by_weight = [look(1, 30, 6, 570)] * 4 + [look(3, 120, 5, 480)] * 4 + [look(12, 300, 3, 300)] * 4
    found = played(*by_weight, steps=steps)
    assert (found.outcome, found.ticks[-2].weight) == ("RolledBack", 50)
    assert found.reason.startswith("errors is share of failures 36 of 900 (stable 9 of 900), evidence ")
    anew = played(look(12, 300, 3, 300), steps=[{"setWeight": 50}, {"analyze": {"duration": "1h"}}])
    assert anew.at > found.at - 40


def test_traffic_split_otherwise_than_weighted_pauses() -> None:
    """A reason of its own; promoted it is not, rolled back neither."""
    found = played(look(1, 300, 1, 300))
    assert found.outcome == "Paused"
    seen = "50.0% of the requests came to the canary (300 of 600)"
    assert found.reason == f"SampleRatioMismatch: {seen}, which is not as weighted"


def test_low_traffic_extends_the_step() -> None:
    """4, flagger#1035: two requests a look are enough in the end; `minSamples` decides."""
    found = played(look(0, 2, 0, 8))
    assert (found.outcome, found.at) == ("Promoted", 50)
    longer = played(look(0, 2, 0, 8), metric={**ERRORS, "minSamples": 50})
    assert (longer.outcome, longer.at) == ("Promoted", 125)


def test_traffic_that_stops_is_no_pass_at_the_next_weight() -> None:
    """5, flagger#1011: samples are wanted at every weight."""
    steps = [step for weight in (20, 50) for step in ({"setWeight": weight}, {"analyze": {"duration": "20s"}})]
    found = played(*[look(0, 120, 1, 480)] * 4, Reading(), steps=steps)
    assert found.outcome == "Holding"
    assert found.ticks[-1].weight == 50


def test_bad_stable_does_not_stop_a_better_canary() -> None:
    """10, argo-rollouts#1774: compared with a stable version of which half fails, a fix goes forward."""
    found = played(look(6, 120, 240, 480))
    assert (found.outcome, found.at) == ("Promoted", 50)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Reading(values=(0.5,), samples=100), id="stable is not told"),
        pytest.param(Reading(values=(0.5,), stable=Reading(values=(0.9,))), id="samples are not told"),
        pytest.param(Reading(values=(1.5,), samples=9, stable=Reading(values=(1,), samples=36)), id="no share"),
        pytest.param(Reading(values=(0.5, 0.4), samples=9, stable=Reading(values=(1,), samples=36)), id="two series"),
    ],
)
def test_replay_without_counts_holds(answer: Reading) -> None:
    """Whatever is not a share of so many is no evidence of anything."""
    found = played(answer)
    assert found.outcome == "Holding"
    assert found.ticks[0].metrics["errors"].reason == "nothing was counted of canary and stable"


def test_replay_file_tells_it_tick_by_tick(tmp_path: Path) -> None:
    """`modelops analyze` with value, samples, stable and stableSamples: the verdict's reason shows the evidence."""
    spec = {
        "model": {"name": "price", "version": "2"},
        "strategy": {"canary": {"steps": [{"setWeight": 20}, {"analyze": {"duration": "1h"}}]}},
        "analysis": {"interval": "60s", "warmUp": "0s", "metrics": [ERRORS]},
    }
    meta = {"apiVersion": "modelops.dev/v1alpha1", "kind": "ModelRelease", "metadata": {"name": "price"}}
    answer = {"value": 0.95, "samples": 120, "stable": 0.99, "stableSamples": 480}
    ticks = [{"t": 60 * minute, "metrics": {"errors": answer}} for minute in range(1, 31)]
    (tmp_path / "release.yaml").write_text(json.dumps({**meta, "spec": spec}))
    (tmp_path / "answers.json").write_text(json.dumps({"ticks": ticks}))
    files = ["-f", str(tmp_path / "release.yaml"), "--replay", str(tmp_path / "answers.json")]
    found = CliRunner().invoke(cli, ["analyze", *files, "-o", "json"])
    assert found.exit_code == 3, found.output
    told = json.loads(found.output)
    assert told["outcome"] == "RolledBack"
    first, last = (tick["metrics"]["errors"] for tick in (told["ticks"][0], told["ticks"][-1]))
    assert first["verdict"] == "Pass"
    assert first["reason"].startswith("share of failures 6 of 120 (stable 5 of 480), evidence ")
    assert last["verdict"] == "Fail"
    assert told["reason"].startswith("errors is share of failures ")


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 200), st.integers(0, 40), st.integers(1, 800)),
        min_size=1,
        max_size=40,
    ),
    st.sampled_from([0, 20, 200]),
)
def test_no_counts_promote_without_a_pass(counted: list[tuple[int, int, int, int]], needed: int) -> None:
    """Whatever was counted: a weight rises only in a look that passes, and no Pass is of fewer samples than needed."""
    steps = [step for weight in (20, 50) for step in ({"setWeight": weight}, {"analyze": {"duration": "10s"}})]
    looks = [
        look(min(failed, requests), requests, min(bad, others), others) for failed, requests, bad, others in counted
    ]
    spec = release({**ERRORS, "minSamples": needed}, steps=steps)
    found = play("price", spec, [Tick(5.0 * n, {"errors": one}) for n, one in enumerate(looks, 1)])
    before, samples = 20, 0
    for tick, (_, requests, _, _) in zip(found.ticks, counted, strict=False):
        samples += requests
        seen = tick.metrics["errors"]
        if seen.verdict == "Pass":
            assert samples >= max(1, needed)
        if tick.weight != before:
            assert seen.verdict == "Pass" if tick.weight > before else tick.weight == 0
            samples = 0
        before = tick.weight


class Counting(FakeMetrics):
    """A gateway that counts: failures and requests a second for either revision; counters are never lost."""

    def __init__(self, canary: tuple[float, float], stable: tuple[float, float]) -> None:
        super().__init__()
        self.rates = {"canary": canary, "stable": stable}
        self.revisions: dict[str, str] = {}
        self.asked: list[tuple[str, float]] = []
        self.away = False

    def query(self, promql: str, at: datetime) -> Sequence[Series]:
        """Answer the operator's own queries, by the window that they name."""
        if self.away:
            raise Transient("MetricsUnavailable", "503")
        for revision, side in self.revisions.items():
            figures = EnvoyFigures(Subject(NAMESPACE, NAME, revision))
            for milliseconds in range(1000, 200_000, 500):
                window = timedelta(milliseconds=milliseconds)
                for rate, question in zip(self.rates[side], (figures.failures, figures.samples), strict=True):
                    if promql == question(window):
                        self.asked.append((side, milliseconds / 1000))
                        return [Series({}, rate * milliseconds / 1000)]
        return []


def releasing(canary: tuple[float, float], stable: tuple[float, float]) -> tuple[World, Counting]:
    """Return a release whose canary is at weight 20 and counted."""
    counting = Counting(canary, stable)
    world = World(metrics=counting)
    world.release(
        strategy={"canary": {"steps": [{"setWeight": 20}, {"analyze": {"duration": "60s"}}]}},
        analysis={"interval": "10s", "warmUp": "5s", "metrics": [ERRORS]},
    )
    counting.revisions[world.first()] = "stable"
    world.train("2")
    world.settle()
    counting.revisions[world.status["canary"]["revision"]] = "canary"
    return world, counting


def test_every_request_is_asked_for_once() -> None:
    """Windows join: from warmUp after the confirmation to the first look, from each look to the next."""
    world, counting = releasing((0.1, 12), (0.4, 48))
    world.settle(seconds=46)
    windows = [window for side, window in counting.asked if side == "canary"]
    # The events and samples of the metric, and once more the requests, for the split.
    assert windows == [10] * 4 * 3
    assert world.status["split"]["canary"] == 12 * 40
    assert world.status["analysis"][0]["comparison"]["samples"] == 12 * 40
    assert world.status["analysis"][0]["comparison"]["stableEvents"] == pytest.approx(0.4 * 40)


def test_what_happened_while_prometheus_was_away_is_counted_afterwards() -> None:
    """Errors lose nothing: the next window begins where the last one that counted ended."""
    world, counting = releasing((0.1, 12), (0.4, 48))
    world.settle(seconds=16)
    counting.away = True
    world.settle(seconds=15)
    assert world.status["analysis"][0]["measurements"][-1]["verdict"] == "Error"
    counting.away = False
    world.settle(seconds=30)
    comparison = world.status["analysis"][0]["comparison"]
    since = (world.clock.now() - timedelta(seconds=comparison["samples"] / 12)).timestamp()
    verified = datetime.fromisoformat(world.status["weightVerifiedAt"]).timestamp()
    until = datetime.fromisoformat(comparison["countedUntil"])
    assert since - (world.clock.now() - until).total_seconds() == pytest.approx(verified + 5, abs=1.5)


def test_crash_between_look_and_status_counts_nothing_twice() -> None:
    """The status is the only memory: what could not be written is asked for again, whole."""
    world, _ = releasing((0.1, 12), (0.4, 48))
    world.settle(seconds=16)
    before = world.status["analysis"][0]["comparison"]["samples"]
    world.cluster.failures[f"status modelreleases/{NAME}"] = Transient("ApiAway", "no answer")
    for _ in range(3):
        world.clock.advance(seconds=10)
        world.loop.reconcile((NAMESPACE, NAME))
    world.cluster.failures.clear()
    world.settle(seconds=10)
    comparison = world.status["analysis"][0]["comparison"]
    verified = datetime.fromisoformat(world.status["weightVerifiedAt"])
    until = datetime.fromisoformat(comparison["countedUntil"])
    assert comparison["samples"] > before
    assert comparison["samples"] == pytest.approx(12 * ((until - verified).total_seconds() - 5), abs=12)


def test_bad_canary_is_rolled_back_and_good_one_promoted() -> None:
    """The whole loop, with nothing but counters."""
    world, _ = releasing((1.0, 12), (0.4, 48))
    world.settle(seconds=200)
    assert world.status["history"][-1]["outcome"] == "RolledBack"
    world, _ = releasing((0.1, 12), (0.4, 48))
    world.settle(seconds=200)
    assert world.status["history"][-1]["outcome"] == "Promoted"


def test_mismatch_is_a_condition_and_an_event_and_ends_with_a_humans_word() -> None:
    """Half of the requests at weight 20: paused, with the reason where people look; then watched anew."""
    world, counting = releasing((0.0, 30), (0.0, 30))
    world.settle(seconds=120)
    assert world.reason("Paused").startswith("SampleRatioMismatch: SampleRatioMismatch: 50.0% of the requests")
    assert "SampleRatioMismatch" in {event.reason for event in world.cluster.events}
    assert world.status["stable"]["version"] == "1"
    counting.rates["canary"], counting.rates["stable"] = (0.0, 12), (0.0, 48)
    world.command("promote", step=world.status["step"])
    world.settle(seconds=120)
    assert world.status["stable"]["version"] == "2"


def test_two_series_of_a_count_are_an_error_and_not_zero() -> None:
    """A count of failures that cannot be read must never look like none."""
    own = {
        "name": "errors",
        "prometheus": {"eventsQuery": "wrong{{ .revision }}", "samplesQuery": "all"},
        "compareTo": {"stable": {"maxRelativeIncrease": 0.1, "test": "sequential"}},
    }
    world = World()
    world.release(analysis={"interval": "10s", "warmUp": "5s", "metrics": [own]})
    world.first()
    world.canary()
    world.metrics.answers = {"wrong": [Series({"pod": "a"}, 1), Series({"pod": "b"}, 2)], "all": 100}
    world.settle(seconds=16)
    [last] = world.status["analysis"][0]["measurements"]
    assert (last["verdict"], last["message"]) == ("Error", "2 series of a count; add them up in the query")

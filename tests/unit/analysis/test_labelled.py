"""`labelled-error`: which labels are compared, what is asked and said; the books, not the sums."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from modelops.api.v1alpha1.analysis import Metric
from modelops.api.v1alpha1.analysis_status import ComparisonStatus
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.cli.main import cli
from modelops.domain.analysis.labelled import LabelledErrors, of_equal_age
from modelops.domain.analysis.means import Moments, Pair
from modelops.domain.analysis.queries import Subject
from modelops.domain.analysis.sequential import compared, counted
from modelops.domain.analysis.verdicts import Counts, Reading, bound
from modelops.domain.release.measure import tally
from modelops.domain.release.replay import Replay, Tick, play
from modelops.domain.status import to_wire
from modelops.ports import Series
from modelops.reconcile.readings import read_metric
from tests.support.fakes import FakeMetrics
from tests.unit.analysis.playing import release
from tests.unit.release.world import NAME, NAMESPACE, World

START = datetime(2026, 1, 1, tzinfo=UTC)
ERROR = {
    "name": "error",
    "builtin": "labelled-error",
    "compareTo": {"stable": {"maxRelativeIncrease": 0.05, "test": "sequential"}},
}
OWN = {
    **{key: value for key, value in ERROR.items() if key != "builtin"},
    "prometheus": {
        "sumQuery": 'loss_sum{v="{{ .version }}"}[{{ .window }}]',
        "squaresQuery": 'loss_squares{v="{{ .version }}"}[{{ .window }}]',
        "samplesQuery": 'loss_count{v="{{ .version }}"}[{{ .window }}]',
    },
}
STEPS = [{"setWeight": 20}, {"bake": {"duration": "100s"}}]


def metric(**more: Any) -> Metric:
    return Metric.model_validate({**ERROR, **more})


def of(count: float, mean: float) -> Moments:
    """Return so many errors of a mean, that vary by a third of it."""
    return Moments(count, count * mean, count * mean * mean * 10 / 9)


def after(looks: int, mine: Moments, other: Moments, found: ComparisonStatus | None = None) -> ComparisonStatus:
    """Return the comparison after so many minutes alike."""
    begun = START if found is None or found.counted_until is None else found.counted_until
    for minute in range(1, looks + 1):
        until = begun + timedelta(minutes=minute)
        found = counted(found, metric(), Counts.of(until - timedelta(minutes=1), until, (Pair(mine, other),)))
    assert found is not None
    return found


def test_equal_error_passes_and_a_larger_one_fails() -> None:
    """The words say both means, how many labels they are of, and the evidence."""
    good = compared(metric(), after(20, of(120, 0.8), of(480, 0.8)), 0.01)
    bad = compared(metric(), after(20, of(120, 0.92), of(480, 0.8)), 0.01)
    assert (good.verdict, good.value, good.stable, good.samples) == (
        "Pass",
        pytest.approx(0.8),
        pytest.approx(0.8),
        2400,
    )
    assert bad.verdict == "Fail"
    assert bad.message.startswith("mean 0.92 of 2400 (stable 0.8 of 9600), evidence ")
    assert bad.message.endswith("of an increase, alarm at 100")
    assert bound(metric()) == "≤ 1.05 × stable's, by all looks together"


def test_labels_are_counted_once() -> None:
    """A reading that overlaps with what was counted changes nothing."""
    once = after(3, of(300, 0.8), of(300, 0.8))
    again = Counts.of(START + timedelta(minutes=2), START + timedelta(minutes=3), (Pair(of(9, 1), of(9, 1)),))
    assert counted(once, metric(), again) == once


def test_restart_of_the_operator_changes_nothing() -> None:
    """All memory is in the status, and small: written to JSON and read back after every look."""
    kept = through = None
    dice = np.random.default_rng(4)
    for minute in range(1, 40):
        until = START + timedelta(minutes=minute)
        pair = Pair(of(120, dice.uniform(0.7, 0.9)), of(480, dice.uniform(0.7, 0.9)))
        counts = Counts.of(until - timedelta(minutes=1), until, (pair,))
        kept, through = counted(kept, metric(), counts), counted(through, metric(), counts)
        assert through is not None
        written = json.dumps(to_wire(through))
        through = ComparisonStatus.model_validate_json(written)
    assert kept == through
    assert len(written) < 1000


def test_status_stays_small_with_as_many_as_there_may_be() -> None:
    """32 means with two limits, 300 looks, under 64 KiB."""
    both = {"maxRelativeIncrease": 0.1, "maxAbsoluteIncrease": 0.01, "test": "sequential"}
    analysis = release(*[{"builtin": "labelled-error", "compareTo": {"stable": both}}] * 32).analysis
    status, dice = ModelReleaseStatus(weight=20), np.random.default_rng(2)
    for minute in range(1, 301):
        until = START + timedelta(minutes=minute)
        readings = {
            one.name: Reading(
                "q" * 500,
                counts=Counts.of(
                    until - timedelta(minutes=1), until, (Pair(of(120, dice.random()), of(480, dice.random())),)
                ),
            )
            for one in analysis.metrics
        }
        status = status.model_copy(update={"analysis": tally(status, analysis, readings, until)})
    assert len(json.dumps(to_wire(status), ensure_ascii=False).encode()) <= 64 * 1024
    assert {one.comparison.evidence.ticks for one in status.analysis if one.comparison} == {300}


@pytest.mark.parametrize(
    ("began", "ages"),
    [
        pytest.param(0, [], id="as long as it takes for the youngest ones, nothing"),
        pytest.param(59, [], id="labels of predictions from before the canary would be among them"),
        pytest.param(60, ["60"], id="the youngest"),
        pytest.param(3600, ["60", "3600"], id="an hour later"),
        pytest.param(10**9, ["60", "3600"], id="older than any bound: never"),
        pytest.param(None, ["60", "3600", "+Inf"], id="since ever"),
    ],
)
def test_labels_are_compared_at_equal_age(began: int | None, ages: list[str]) -> None:
    """Only ages that the canary's labels may have by now, and only where both sides have some."""
    mine = {age: of(number, 1) for number, age in enumerate(("60", "3600", "+Inf", "7200"), 1)}
    other = {age: of(number, 2) for number, age in enumerate(("86400", "3600", "60", "+Inf"), 5)}
    begun = None if began is None else START - timedelta(seconds=began)
    found = of_equal_age(mine, other, began=begun, since=START)
    assert list(found) == [Pair(mine[age], other[age]) for age in ages]


def test_labels_that_do_not_tell_their_age_are_all_compared() -> None:
    """Whoever counts them has seen to it."""
    assert of_equal_age({"": of(1, 1)}, {"": of(2, 2)}, began=START, since=START) == [Pair(of(1, 1), of(2, 2))]


@pytest.mark.parametrize("age", ["1h", "-1", "nan"])
def test_age_that_is_no_number_of_seconds_is_an_error(age: str) -> None:
    """Said with what it must be."""
    with pytest.raises(ValueError, match="it must be the greatest age in seconds, such as 3600"):
        of_equal_age({age: of(1, 1)}, {age: of(1, 1)}, began=START, since=START)


class Joining(FakeMetrics):
    """A team's pipeline: labels of each version come with a mean error, and of one age if that is told."""

    def __init__(self, means: Mapping[str, float], number: float = 200, age: str = "") -> None:
        super().__init__()
        self.means, self.number, self.age = means, number, age
        self.without = ""
        """What is not counted."""

    def query(self, promql: str, at: datetime) -> Sequence[Series]:
        """Answer the operator's questions about labels; versions that nobody joins have no series."""
        version = next((one for one in self.means if f'version="{one}"' in promql or f'v="{one}"' in promql), None)
        names = {"_count": 0, "_sum": 1, "_squares": 2}
        asked = next((name for name in names if f"error{name}" in promql or f"loss{name}" in promql), None)
        if version is None or asked is None or asked == self.without:
            return []
        side = of(self.number, self.means[version])
        if promql.startswith("sum((") and "/" in promql:
            return [Series({}, side.mean)]
        labels = {"age": self.age} if self.age and "by (age)" in promql else {}
        return [Series(labels, (side.count, side.total, side.squares)[names[asked]])]


def ports_of(joining: Joining) -> Any:
    return World(metrics=joining).ports


def read(joining: Joining, of: dict[str, Any] | None = None, *, began: datetime | None = None) -> Reading:
    canary, stable = (Subject(NAMESPACE, NAME, f"r{version}", version=version) for version in ("2", "1"))
    minute = timedelta(minutes=1)
    return read_metric(
        Metric.model_validate(of or ERROR),
        canary,
        ports_of(joining),
        stable=stable,
        interval=minute,
        step=minute,
        now=START + minute,
        since=START,
        began=began,
    )


@pytest.mark.parametrize("of_", [pytest.param(ERROR, id="labelled-error"), pytest.param(OWN, id="own queries")])
def test_three_sums_of_either_side_are_asked_for(of_: dict[str, Any]) -> None:
    """By the model version, which is what an answer tells."""
    reading = read(Joining({"1": 0.8, "2": 0.9}), of_)
    assert reading.error is None
    assert reading.counts == Counts.of(START, START + timedelta(minutes=1), (Pair(of(200, 0.9), of(200, 0.8)),))


def test_labels_of_predictions_from_before_the_canary_are_not_compared() -> None:
    """They are of stable alone: a minute later those of a minute's age are compared."""
    joining = Joining({"1": 0.8, "2": 0.9}, age="60")
    early, late = read(joining, began=START), read(joining, began=START - timedelta(seconds=60))
    assert (early.counts and early.counts.samples, late.counts and late.counts.samples) == (0, 200)


@pytest.mark.parametrize("of_", [pytest.param(ERROR, id="labelled-error"), pytest.param(OWN, id="own queries")])
def test_squares_that_nobody_counts_are_an_error(of_: dict[str, Any]) -> None:
    """No certainty comes from a counter that is missing."""
    joining = Joining({"1": 0.8, "2": 0.9})
    joining.without = "_squares"
    error = read(joining, of_).error
    assert error == "200 errors with the sum 180 cannot have squares that add up to 0"


def test_no_labels_yet_is_no_data() -> None:
    """Neither side, or one of them: nothing is counted, and the next look asks anew from there."""
    for means in ({}, {"1": 0.8}, {"2": 0.8}):
        reading = read(Joining(means))
        found = counted(None, metric(), reading.counts)
        assert found is not None
        assert found.samples == found.stable_samples == 0
        judged = compared(metric(), found, 0.01)
        assert (judged.verdict, judged.message) == ("NoData", "0 of 20 samples")


def test_bounds_hold_for_the_mean_of_the_canary() -> None:
    """`minSamples` is of labels."""
    bounded = {"name": "error", "builtin": "labelled-error", "thresholdRange": {"max": 0.85}}
    assert read(Joining({"2": 0.9}), bounded) == Reading(
        f"{LabelledErrors(Subject(NAMESPACE, NAME, 'r2', version='2')).value(timedelta(minutes=1))}", (0.9,), 200
    )


def releasing(joining: Joining) -> World:
    """Return a release of version 2 beside version 1, labels of which come in."""
    world = World(metrics=joining)
    world.release(
        strategy={"canary": {"steps": STEPS}}, analysis={"interval": "5s", "warmUp": "1s", "metrics": [ERROR]}
    )
    world.first()
    world.train("2")
    world.settle()
    return world


def test_first_release_has_nothing_to_compare_with() -> None:
    """It is promoted, and the comparison is Skipped."""
    world = World(metrics=Joining({}))
    world.release(
        strategy={"canary": {"steps": STEPS}}, analysis={"interval": "5s", "warmUp": "1s", "metrics": [ERROR]}
    )
    world.first()
    assert world.status["history"][-1]["outcome"] == "Promoted"
    assert [one["outcome"] for one in world.status["analysis"]] == ["Skipped"]


def test_larger_error_is_rolled_back_during_the_bake() -> None:
    """15 % larger, 5 % allowed."""
    world = releasing(Joining({"1": 0.8, "2": 0.92}))
    world.settle(seconds=90)
    last = world.status["history"][-1]
    assert (last["version"], last["outcome"]) == ("2", "RolledBack")
    assert last["message"].startswith("error is mean 0.92 of ")


def test_equal_error_is_promoted_and_labels_that_do_not_come_hold() -> None:
    """The bake ends with a Pass of it; without labels it goes on."""
    world = releasing(Joining({"1": 0.8, "2": 0.8}))
    world.settle(seconds=110)
    assert world.status["history"][-1]["outcome"] == "Promoted"
    waiting = releasing(Joining({"1": 0.8}))
    waiting.settle(seconds=300)
    assert waiting.status["canary"]["version"] == "2"
    assert waiting.status["analysis"][0]["measurements"][-1]["verdict"] == "NoData"


def played(answer: Reading, **more: Any) -> Replay:
    """Return what a release does with the same answer every 5 seconds."""
    spec = release({**ERROR, **more}, steps=[{"setWeight": 20}, {"analyze": {"duration": "50s"}}])
    return play("price", spec, [Tick(5.0 * number, {"error": answer}) for number in range(1, 41)])


def test_replay_judges_means_with_their_squares() -> None:
    """As the operator would."""

    def told(mean: float) -> Reading:
        mine, stable = of(120, mean), of(480, 0.8)
        other = Reading(values=(stable.mean,), samples=stable.count, squares=stable.squares)
        return Reading(values=(mine.mean,), samples=mine.count, squares=mine.squares, stable=other)

    assert [played(told(mean)).outcome for mean in (0.8, 0.92)] == ["Promoted", "RolledBack"]


def test_replay_without_squares_judges_by_bounds_alone() -> None:
    """What the mean varies by is not known, so nothing is compared."""
    answer = Reading(values=(0.9,), samples=120, stable=Reading(values=(0.8,), samples=480))
    held = played(answer)
    assert held.outcome == "Holding"
    assert held.ticks[0].metrics["error"].reason == "nothing was counted of canary and stable"
    assert played(answer, thresholdRange={"max": 0.85}).outcome == "RolledBack"


def test_replay_file_tells_squares(tmp_path: Path) -> None:
    """`modelops analyze`: squares and stableSquares beside the four of a share."""
    spec = {
        "model": {"name": "price", "version": "2"},
        "strategy": {"canary": {"steps": [{"setWeight": 20}, {"analyze": {"duration": "1h"}}]}},
        "analysis": {"interval": "60s", "warmUp": "0s", "metrics": [ERROR]},
    }
    meta = {"apiVersion": "modelops.dev/v1alpha1", "kind": "ModelRelease", "metadata": {"name": "price"}}
    answer = {"value": 1, "samples": 120, "squares": 130, "stable": 0.8, "stableSamples": 480, "stableSquares": 340}
    ticks = [{"t": 60 * minute, "metrics": {"error": answer}} for minute in range(1, 31)]
    (tmp_path / "release.yaml").write_text(json.dumps({**meta, "spec": spec}))
    (tmp_path / "answers.json").write_text(json.dumps({"ticks": ticks}))
    files = ["-f", str(tmp_path / "release.yaml"), "--replay", str(tmp_path / "answers.json")]
    found = CliRunner().invoke(cli, ["analyze", *files, "-o", "json"])
    assert found.exit_code == 3, found.output
    assert json.loads(found.output)["reason"].startswith("error is mean 1 of ")

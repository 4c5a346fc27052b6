"""`test: sequential`: what counts and how often, what makes a Pass, what is said; the books, not the sums."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from bench.alarms import Traffic, play

from modelops.api.v1alpha1.analysis import Analysis, Metric
from modelops.api.v1alpha1.analysis_status import ComparisonStatus
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.domain.analysis.sequential import alarm_level, compared, counted
from modelops.domain.analysis.verdicts import Counts, Judgement, Reading, bound, judge_of
from modelops.domain.release.measure import fresh_step, tally, weigh
from modelops.domain.status import to_wire
from tests.unit.analysis.playing import release

START = datetime(2026, 1, 1, tzinfo=UTC)
ERRORS = {
    "name": "errors",
    "builtin": "success-rate",
    "compareTo": {"stable": {"maxRelativeIncrease": 0.1, "test": "sequential"}},
}
LEVEL = 0.005


def metric(**more: Any) -> Metric:
    return Metric.model_validate({**ERRORS, **more})


def limited(**limits: float) -> Metric:
    return metric(compareTo={"stable": {**limits, "test": "sequential"}})


def counts(minute: int, canary: tuple[float, float], stable: tuple[float, float], minutes: int = 1) -> Counts:
    """Return what was counted in so many minutes up to one: failures and requests of both."""
    until = START + timedelta(minutes=minute)
    return Counts(until - timedelta(minutes=minutes), until, *canary, *stable)


def after(
    ticks: int, canary: tuple[float, float], stable: tuple[float, float], *, of: Metric | None = None
) -> ComparisonStatus:
    """Return the comparison after so many minutes alike."""
    found: ComparisonStatus | None = None
    for minute in range(1, ticks + 1):
        found = counted(found, of or metric(), counts(minute, canary, stable))
    assert found is not None
    return found


def judged(found: ComparisonStatus, of: Metric | None = None) -> Judgement:
    return compared(of or metric(), found, LEVEL)


def test_same_share_passes_and_three_times_as_many_fail() -> None:
    """At every weight alike; the words say both sides and the evidence."""
    good, bad = judged(after(20, (1, 120), (4, 480))), judged(after(20, (6, 120), (8, 480)))
    assert (good.verdict, good.value, good.stable, good.samples) == (
        "Pass",
        pytest.approx(1 - 1 / 120),
        pytest.approx(1 - 4 / 480),
        2400,
    )
    assert bad.verdict == "Fail"
    assert bad.message.startswith("share of failures 120 of 2400 (stable 160 of 9600), evidence ")
    assert bad.message.endswith("of an increase, alarm at 200")
    assert bound(metric()) == "share of failures ≤ 1.1 × stable's, by all looks together"


@pytest.mark.parametrize(
    ("limits", "canary", "stable", "verdict"),
    [
        pytest.param({"maxRelativeIncrease": 0.5}, 14, 40, "Pass", id="within the share"),
        pytest.param({"maxRelativeIncrease": 0.5}, 30, 40, "Fail", id="beyond the share"),
        pytest.param({"maxRelativeIncrease": 0.0}, 10, 0, "Fail", id="stable never fails, which is no lack of data"),
        pytest.param({"maxAbsoluteIncrease": 0.01}, 20, 40, "Pass", id="within the difference"),
        pytest.param({"maxAbsoluteIncrease": 0.01}, 50, 40, "Fail", id="beyond the difference"),
        pytest.param({"maxAbsoluteIncrease": 0.01}, 0, 0, "Pass", id="nothing ever fails"),
        pytest.param({"maxRelativeIncrease": 0.5, "maxAbsoluteIncrease": 0.01}, 40, 40, "Fail", id="both: the share"),
        pytest.param({"maxRelativeIncrease": 9, "maxAbsoluteIncrease": 0.01}, 50, 40, "Fail", id="both: difference"),
    ],
)
def test_limits(limits: dict[str, float], canary: float, stable: float, verdict: str) -> None:
    """Of 1000 and 4000 requests a look: one limit, or both of which each must hold."""
    of = limited(**limits)
    assert judged(after(15, (canary, 1000), (stable, 4000), of=of), of).verdict == verdict


@pytest.mark.parametrize(
    ("limits", "canary", "stable", "verdict"),
    [
        pytest.param({"maxAbsoluteDecrease": 0.05}, 270, 1200, "Pass", id="within the difference"),
        pytest.param({"maxAbsoluteDecrease": 0.05}, 150, 1200, "Fail", id="half of it"),
        pytest.param({"maxAbsoluteDecrease": 0.05}, 900, 1200, "Pass", id="more is no less"),
        pytest.param({"maxAbsoluteDecrease": 0.05, "maxAbsoluteIncrease": 0.05}, 600, 1200, "Fail", id="both: more"),
        pytest.param({"maxAbsoluteDecrease": 0.05, "maxAbsoluteIncrease": 0.05}, 150, 1200, "Fail", id="both: less"),
        pytest.param({"maxAbsoluteDecrease": 0.05, "maxAbsoluteIncrease": 0.05}, 300, 1200, "Pass", id="both: as much"),
    ],
)
def test_share_that_must_not_become_less(limits: dict[str, float], canary: float, stable: float, verdict: str) -> None:
    """Of 1000 and 4000 answers a look, of which stable has 30 % of the class."""
    compare = {"stable": {**limits, "test": "sequential"}}
    of = Metric.model_validate({"name": "cats", "builtin": "class-share", "class": "cat", "compareTo": compare})
    found = judged(after(15, (canary, 1000), (stable, 4000), of=of), of)
    assert found.verdict == verdict
    assert found.message.endswith("of a change, alarm at 200")
    assert "≥ stable's - 0.05" in bound(of)


def test_share_that_does_not_become_less_is_no_alarm() -> None:
    """100 releases of 60 looks at 30 % of the class on either side, between two limits: none is stopped."""
    limits = {"maxAbsoluteDecrease": 0.02, "maxAbsoluteIncrease": 0.02, "test": "sequential"}
    of = Metric.model_validate(
        {"name": "cats", "builtin": "class-share", "class": "cat", "compareTo": {"stable": limits}}
    )
    for number in range(100):
        dice, found = np.random.default_rng((9, number)), None
        for minute in range(1, 61):
            sides = (dice.binomial(120, 0.3), 120), (dice.binomial(480, 0.3), 480)
            found = counted(found, of, counts(minute, *sides))
        assert found is not None
        assert judged(found, of).verdict != "Fail"


def test_what_was_counted_is_not_counted_again() -> None:
    """A look that is repeated after a crash, or one that overlaps, changes nothing; a gap is no matter."""
    once = after(3, (6, 120), (8, 480))
    assert counted(once, metric(), counts(3, (6, 120), (8, 480))) == once
    assert counted(once, metric(), counts(4, (6, 120), (8, 480), minutes=2)) == once
    assert counted(once, metric(), None) == once
    late = counted(once, metric(), counts(9, (6, 120), (8, 480)))
    assert late is not None
    assert late.samples == 480


def test_restart_of_the_operator_changes_nothing() -> None:
    """All memory is in the status: written to JSON and read back after every look, it comes to the same."""
    kept: ComparisonStatus | None = None
    through: ComparisonStatus | None = None
    for minute in range(1, 30):
        seen = counts(minute, (minute % 5, 120), (4, 480))
        kept = counted(kept, metric(), seen)
        through = counted(through, metric(), seen)
        assert through is not None
        through = ComparisonStatus.model_validate_json(json.dumps(to_wire(through)))
    assert kept == through


def test_samples_begin_anew_with_a_weight_and_evidence_does_not() -> None:
    """A Pass has to be earned at every weight; what speaks against the revision stays."""
    spec = release(ERRORS, steps=[{"setWeight": 20}, {"analyze": {"duration": "5s"}}])
    status = ModelReleaseStatus(weight=20)
    for minute in range(1, 4):
        reading = Reading(counts=counts(minute, (3, 120), (4, 480)))
        figures = tally(status, spec.analysis, {"errors": reading}, START + timedelta(minutes=minute))
        status = status.model_copy(update={"analysis": figures})
    before, anew = status.analysis[0].comparison, fresh_step(status.analysis)[0].comparison
    assert before is not None
    assert anew is not None
    assert (before.samples, anew.samples, anew.counted_until) == (360, 0, None)
    assert anew.evidence == before.evidence
    assert before.evidence.ticks == 3


@pytest.mark.parametrize(
    ("canary", "stable", "said"),
    [
        pytest.param((0, 10), (0, 480), "10 of 20 samples", id="canary"),
        pytest.param((0, 120), (0, 10), "stable: 10 of 20 samples", id="stable"),
        pytest.param((0, 0), (0, 0), "0 of 20 samples", id="no traffic"),
    ],
)
def test_few_samples_are_no_pass(canary: tuple[int, int], stable: tuple[int, int], said: str) -> None:
    """Both sides need them; they add up from look to look, so low traffic only takes longer."""
    found = judged(after(1, canary, stable))
    assert (found.verdict, found.message) == ("NoData", said)


def test_low_traffic_adds_up() -> None:
    """Seven requests a look: the third look has enough."""
    assert [judged(after(n, (0, 7), (0, 28))).verdict for n in (1, 2, 3)] == ["NoData", "NoData", "Pass"]


def test_without_samples_needed_there_must_be_some() -> None:
    """minSamples 0 does not make a Pass of nothing."""
    found = judged(after(2, (0, 0), (0, 50)), metric(minSamples=0))
    assert (found.verdict, found.message) == ("NoData", "0 of 1 samples")
    assert compared(metric(minSamples=0), None, LEVEL).verdict == "NoData"


def test_alarm_needs_no_samples_but_ticks() -> None:
    """minSamples is for a Pass: everything failing is found with 40 of 5000 requests."""
    found = judged(after(5, (8, 8), (0, 32)), metric(minSamples=5000))
    assert found.verdict == "Fail"


def test_half_way_to_an_alarm_is_no_pass() -> None:
    """A suspicion holds the release until it is confirmed, or gone."""
    suspect = after(7, (5, 120), (8, 480))
    assert judged(suspect).verdict == "NoData"
    assert judged(suspect).message.startswith("undecided: share of failures 35 of 840 (stable 56 of 3360), evidence ")
    found: ComparisonStatus | None = suspect
    for minute in range(8, 30):
        found = counted(found, metric(), counts(minute, (1, 120), (8, 480)))
    assert found is not None
    assert judged(found).verdict == "Pass"


@pytest.mark.parametrize("policy", ["Pause", "Fail"])
def test_suspicion_is_no_want_of_data(policy: str) -> None:
    """Half way to an alarm would be 7 in 100 good releases: policies for missing data do not act, the deadline does."""
    spec = release({**ERRORS, "noDataPolicy": policy, "noDataDeadline": "30m"}, interval="60s")
    status = ModelReleaseStatus(weight=20)
    for minute in range(1, 8):
        now = START + timedelta(minutes=minute)
        reading = Reading(counts=counts(minute, (5, 120), (8, 480)))
        status = status.model_copy(update={"analysis": tally(status, spec.analysis, {"errors": reading}, now)})
    found = weigh(status, spec.analysis, now)
    assert (found.failed, found.hold) == ("", "")
    assert "undecided" in found.waiting
    assert weigh(status, spec.analysis, now + timedelta(minutes=31)).hold.startswith("NoData: errors: undecided")
    few = {"errors": Reading(counts=counts(1, (0, 1), (0, 4)))}
    status = ModelReleaseStatus(weight=20)
    status = status.model_copy(update={"analysis": tally(status, spec.analysis, few, now)})
    nothing = weigh(status, spec.analysis, now)
    assert "1 of 20 samples" in (nothing.hold if policy == "Pause" else nothing.failed)


def test_evidence_that_it_is_no_worse_ends_a_suspicion() -> None:
    """A relative increase over next to nothing, held against a difference that it keeps for certain."""
    of = limited(maxAbsoluteIncrease=0.05)
    found = after(12, (5, 1000), (4, 4000), of=of)
    assert found.evidence.better
    doubtful = found.evidence.model_copy(update={"worse": (20.0,) * 5})
    assert judged(found.model_copy(update={"evidence": doubtful}), of).verdict == "Pass"
    unsure = doubtful.model_copy(update={"better": (1.0, 1.0)})
    assert judged(found.model_copy(update={"evidence": unsure}), of).verdict == "NoData"


def test_impossible_counts_are_cut_to_what_is_possible() -> None:
    """A histogram that lags behind may say more failures than requests, or less than none."""
    assert after(1, (130, 120), (-3, 480)) == after(1, (120, 120), (0, 480))
    assert after(1, (3, -5), (4, 480)) == after(1, (0, 0), (4, 480))


def test_another_number_of_limits_is_another_test() -> None:
    """Evidence against one limit says nothing of two."""
    found = counted(after(9, (9, 120), (4, 480)), limited(maxRelativeIncrease=1, maxAbsoluteIncrease=0.1), None)
    assert found is not None
    of = limited(maxRelativeIncrease=1, maxAbsoluteIncrease=0.1)
    found = counted(found, of, counts(10, (1, 120), (4, 480)))
    assert found is not None
    assert len(found.evidence.worse) == 10
    assert judged(found, of).verdict == "Pass"


def test_more_failures_are_an_alarm_whatever_the_split() -> None:
    """A roll-back is safe; a mismatch only keeps from rising."""
    assert judged(after(9, (60, 240), (3, 360))).verdict == "Fail"


def test_budget_is_divided_over_what_decides() -> None:
    """Sequential metrics that are no dry run, and the split; where there are none, all of it is the split's."""

    def analysis(*metrics: dict[str, Any], **more: Any) -> Analysis:
        named = [{**one, "name": f"m{n}"} for n, one in enumerate(metrics)]
        return Analysis.model_validate({"metrics": named, **more})

    own = {**ERRORS, "builtin": None, "prometheus": {"eventsQuery": "e", "samplesQuery": "s"}}
    own.pop("builtin")
    plain = {"builtin": "success-rate", "thresholdRange": {"min": 0.9}}
    dry = {**ERRORS, "dryRun": True}
    assert alarm_level(analysis(ERRORS)) == pytest.approx(0.005)
    assert alarm_level(analysis(ERRORS, plain, dry, falseAlarmBudget=0.1)) == pytest.approx(0.05)
    assert alarm_level(analysis(own, ERRORS, ERRORS)) == pytest.approx(0.0025)
    assert alarm_level(analysis(own)) == pytest.approx(0.005)
    assert alarm_level(analysis(plain, dry)) == pytest.approx(0.01)


def test_fixed_bounds_beside_it_act_on_one_look() -> None:
    """The worse of both counts: a disaster does not wait for evidence, nor does little data hide it."""
    of = metric(thresholdRange={"min": 0.9})
    good, bad = judged(after(20, (1, 120), (4, 480))), judged(after(20, (6, 120), (8, 480)))
    look = Reading(values=(0.5,), samples=120)
    assert judge_of(of).judge(look, good).verdict == "Fail"
    assert judge_of(of).judge(Reading(values=(0.99,), samples=120), bad).verdict == "Fail"
    assert judge_of(of).judge(Reading(values=(0.99,), samples=3), bad).verdict == "Fail"
    assert judge_of(of).judge(Reading(values=(0.99,), samples=120), good).verdict == "Pass"
    assert judge_of(of).judge(Reading(error="503"), bad).verdict == "Error"


def test_looking_often_makes_no_false_alarms() -> None:
    """100 releases of 60 looks at a canary like stable: by a bound at every look nearly all are rolled back."""
    runs = [play(Traffic(), np.random.default_rng((7, n)), budget=0.1) for n in range(100)]
    assert sum(run.each is not None for run in runs) >= 90
    assert sum(run.sequential is not None for run in runs) <= 5
    assert sum(run.split is not None for run in runs) <= 5


def test_weights_and_shares_that_change_together_mislead_nobody() -> None:
    """Simpson: more traffic while more fails makes a good canary look bad in sum, and less of it a bad one good."""
    good: ComparisonStatus | None = None
    bad: ComparisonStatus | None = None
    of, dice = limited(maxRelativeIncrease=0.2), np.random.default_rng(3)
    sums = np.zeros((2, 4))
    for minute in range(1, 101):
        early = minute <= 50
        for index, (times, weight) in enumerate(((1.0, 10 if early else 80), (2.0, 10 if early else 80))):
            share = (0.005 if early else 0.05) if index == 0 else (0.05 if early else 0.005)
            canary, stable = weight * 10, 1000 - weight * 10
            tick = (dice.binomial(canary, share * times), canary, dice.binomial(stable, share), stable)
            sums[index] += tick
            seen = counts(minute, (tick[0], tick[1]), (tick[2], tick[3]))
            if index == 0:
                good = counted(good, of, seen)
            else:
                bad = counted(bad, of, seen)
    ratios = (sums[:, 0] / sums[:, 1]) / (sums[:, 2] / sums[:, 3])
    assert ratios[0] > 2
    assert ratios[1] < 1
    assert good is not None
    assert bad is not None
    assert (judged(good, of).verdict, judged(bad, of).verdict) == ("Pass", "Fail")


@pytest.mark.parametrize(("clusters", "dispersion"), [((1.0, 20), 1.0), ((0.2, 80), 1.0), ((0.0, 1), 5.0)])
def test_bursts_make_no_false_alarms(clusters: tuple[float, int], dispersion: float) -> None:
    """Failures that come together on one side: 100 releases, an allowance of 5 in 100."""
    traffic = Traffic(clusters=clusters, dispersion=dispersion)
    runs = [play(traffic, np.random.default_rng((11, n)), budget=0.1) for n in range(100)]
    assert sum(run.sequential is not None for run in runs) <= 5


def test_what_is_worse_is_found() -> None:
    """Three times the failures, and all requests failing: every release of 20."""
    for traffic, within in ((Traffic(worse=lambda _: 3), 45), (Traffic(worse=lambda _: 100), 5)):
        runs = [play(traffic, np.random.default_rng((5, n))) for n in range(20)]
        assert all(run.sequential is not None and run.sequential <= within for run in runs)


def test_status_stays_small_with_as_many_as_there_may_be() -> None:
    """32 sequential metrics with three limits, 500 looks: their state and one measurement each at least are kept."""
    limits = {"maxRelativeIncrease": 0.1, "maxAbsoluteIncrease": 0.01, "maxAbsoluteDecrease": 0.01}
    compare = {"stable": {**limits, "test": "sequential"}}
    analysis = release(*[{"builtin": "client-error-share", "compareTo": compare}] * 32).analysis
    status = ModelReleaseStatus(weight=20)
    dice = np.random.default_rng(2)
    for minute in range(1, 501):
        readings = {
            one.name: Reading("q" * 500, counts=counts(minute, (dice.poisson(2), 120), (dice.poisson(8), 480)))
            for one in analysis.metrics
        }
        figures = tally(status, analysis, readings, START + timedelta(minutes=minute))
        status = status.model_copy(update={"analysis": figures})
    assert len(json.dumps(to_wire(status), ensure_ascii=False).encode()) <= 64 * 1024
    assert all(one.measurements for one in status.analysis)
    assert {one.comparison.evidence.ticks for one in status.analysis if one.comparison} == {500}


def test_a_look_is_cheap() -> None:
    """About 60 µs on a quiet core (bench.alarms prints it); ten times as much would be seen here."""
    of = limited(maxRelativeIncrease=0.1, maxAbsoluteIncrease=0.01)
    fastest = 1.0
    for _ in range(20):
        begun = time.perf_counter()
        judged(after(50, (3, 120), (9, 480), of=of), of)
        fastest = min(fastest, (time.perf_counter() - begun) / 50)
    assert fastest < 600e-6

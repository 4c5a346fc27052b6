"""What users of Argo Rollouts and Flagger complain about, one test each: ours does not have it.

Each docstring begins with the complaint's number in our list and the thread it comes from.
"""

import pytest

from modelops.domain.analysis.verdicts import Reading
from modelops.errors import Transient
from tests.support.fakes import FakeMetrics
from tests.unit.analysis.playing import AWAY, FAILURE, NAN, RANGE, SUCCESS, outcome, release
from tests.unit.release.world import NAME, NAMESPACE, World
from tests.unit.release.world import SUCCESS as BUILTIN


def test_empty_answer_is_no_exception_and_no_abort() -> None:
    """1, argo-rollouts#1466, #2101: an empty vector is NoData; once there is data the release goes on."""
    found = outcome(release(SUCCESS), None, None, None, 0.99)
    assert found.ticks[0].metrics["m"].verdict == "NoData"
    assert found.outcome == "Promoted"


def test_missing_value_can_pause_instead_of_fail() -> None:
    """2, argo-rollouts#1905: noDataPolicy Pause, on the analysis or on one metric."""
    assert outcome(release(SUCCESS, noDataPolicy="Pause"), None).outcome == "Paused"
    found = outcome(release(RANGE, {**SUCCESS, "noDataPolicy": "Pause"}), 0.99, m2=[NAN])
    assert (found.outcome, found.reason) == ("Paused", "NoData: m2: NaN")


def test_unmeasured_metric_is_skipped_and_never_successful() -> None:
    """3, argo-rollouts#1329: promoted by hand unmeasured is Skipped; by itself nothing promotes."""
    world = World()
    world.first()
    world.canary()
    world.command("promote", full=True)
    world.settle(seconds=20)
    assert world.status["stable"]["version"] == "2"
    assert [metric["outcome"] for metric in world.status["analysis"]] == ["Skipped"]
    assert outcome(release({**RANGE, "initialDelay": "2h"}), 0.99).outcome == "Holding"


def test_metric_that_a_rollback_ends_is_skipped() -> None:
    """3, argo-rollouts#1329: what another metric's failure ended early is not marked Successful."""
    world = World()
    late = {**BUILTIN, "name": "late", "initialDelay": "1h"}
    world.release(analysis={"interval": "10s", "warmUp": "5s", "metrics": [BUILTIN, late]})
    world.first()
    world.canary()
    world.answer(value=0.5)
    world.settle(seconds=20)
    assert {m["name"]: m["outcome"] for m in world.status["analysis"]} == {"success-rate": "Failed", "late": "Skipped"}


def test_low_traffic_holds_and_does_not_roll_back() -> None:
    """4, flagger#1035, #1689, #883: no values found is no failed check."""
    counted = {**RANGE, "prometheus": {"query": "q", "samplesQuery": "n"}, "minSamples": 50}
    few = Reading(values=(0.2,), samples=3)
    found = outcome(release(counted), few)
    assert found.outcome == "Holding"
    assert "3 of 50 samples" in found.reason


def test_traffic_that_stops_halfway_stops_the_release() -> None:
    """5, flagger#1011: samples are wanted at every weight, not only at the first."""
    steps = [{"setWeight": 10}, {"analyze": {"duration": "10s"}}, {"setWeight": 50}, {"analyze": {"duration": "10s"}}]
    counted = {**RANGE, "prometheus": {"query": "q", "samplesQuery": "n"}, "minSamples": 50}
    enough, none = Reading(values=(0.99,), samples=500), Reading(values=(0.99,), samples=0)
    found = outcome(release(counted, steps=steps), enough, enough, none)
    assert found.outcome == "Holding"
    assert {tick.weight for tick in found.ticks} == {10, 50}


def test_misspelt_field_of_a_query_is_an_invalid_spec() -> None:
    """6, flagger#1581: what does not exist is named, with its field; it never passes silently."""
    world = World()
    world.release(analysis={"metrics": [{**RANGE, "name": "m", "prometheus": {"query": "x{r='{{ .revison }}'}"}}]})
    world.train("1")
    world.settle()
    assert world.reason("Stalled").startswith("InvalidSpec: spec.analysis.metrics[0].prometheus.query: the query has")


@pytest.mark.parametrize("step", [{"pause": {}}, {"pause": {"duration": "1h"}}])
def test_breach_while_waiting_at_a_gate_rolls_back(step: dict[str, object]) -> None:
    """7, flagger#1801: looks go on in pauses, with and without an end."""
    found = outcome(release(RANGE, steps=[{"setWeight": 50}, step]), 0.99, 0.99, 0.5)
    assert (found.outcome, found.at) == ("RolledBack", 15)


def test_breach_while_paused_for_want_of_data_rolls_back() -> None:
    """7, flagger#1801: a release that a policy paused is still watched."""
    found = outcome(release(RANGE, noDataPolicy="Pause"), None, None, 0.5)
    assert (found.outcome, found.at) == ("RolledBack", 15)


def test_failed_analysis_always_stops_the_release() -> None:
    """8, argo-rollouts#1411, #1107: the verdict stands in the status first, so no crash loses it."""
    world = World()
    old = world.first()
    world.canary()
    world.answer(value=0.5)
    world.cluster.failures[f"apply httproutes/{NAME}"] = Transient("ApiAway", "no answer")
    while world.status["history"][-1]["outcome"] == "Promoted":
        world.clock.advance(seconds=1)
        world.loop.reconcile((NAMESPACE, NAME))
    assert world.route() != {old: 100}
    world.answer(value=1.0)
    world.settle(seconds=30)
    assert world.route() == {old: 100}
    assert [record["outcome"] for record in world.status["history"]] == ["Promoted", "RolledBack"]


def test_resolved_query_value_bound_and_time_are_in_the_status() -> None:
    """9, argo-rollouts#1591, #2276, flagger#1810, #1815: what was asked, answered and held against can be read."""
    world = World()
    world.first()
    revision = world.canary()
    world.settle(seconds=16)
    [metric] = world.status["analysis"]
    assert revision in metric["query"]
    assert "{{" not in metric["query"]
    assert metric["bound"] == "≥ 0.99"
    assert metric["outcome"] == "Running"
    assert metric["measurements"][-1].items() >= {"verdict": "Pass", "value": 1.0, "samples": 100.0}.items()


def test_deadline_for_missing_data_is_kept() -> None:
    """11, argo-rollouts#4128, flagger#1247: held so long and no longer; errors in between do not extend it."""
    metric = {**RANGE, "noDataDeadline": "30s"}
    found = outcome(release(metric), None, None, AWAY, None, None, None, None, None)
    assert found.outcome == "Paused"
    assert found.at == 35


def test_reason_for_waiting_is_published() -> None:
    """14, argo-rollouts#3569: whoever waits reads for what."""
    found = outcome(release({**FAILURE, "consecutiveSuccessLimit": 3}), 0.99, 0.99, None)
    assert found.reason == "m: 0 of 3 passes in a row; NoData (no series)"


def test_first_version_without_a_stable_one_needs_no_comparison() -> None:
    """15, flagger#676: the first release has nothing to be compared with, which is Skipped and not Successful."""
    world = World()
    compared = {**BUILTIN, "compareTo": {"stable": {"maxAbsoluteIncrease": 0.01}}}
    world.release(analysis={"interval": "10s", "metrics": [compared]})
    world.first()
    assert [metric["outcome"] for metric in world.status["analysis"]] == ["Skipped"]
    assert isinstance(world.metrics, FakeMetrics)
    assert world.metrics.queries == []

"""Conditions: when they are present, when their time changes, and that every status keeps the invariants."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.api.v1alpha1.common import Condition, Status
from modelops.domain import status as statuses
from modelops.domain.plan import ConditionSpec
from tests.support.invariants import broken_invariants

NOW = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)


def test_ready_stands_first() -> None:
    """People read the first line."""
    wanted = [ConditionSpec("Analyzing", "True", "Started", ""), statuses.ready("Promoted", "version 3")]

    built = statuses.build_conditions(wanted, (), generation=2, now=NOW)

    assert [condition.type for condition in built] == ["Ready", "Analyzing"]


@pytest.mark.parametrize("name", ["Reconciling", "Stalled"])
@pytest.mark.parametrize("value", ["False", "Unknown"])
def test_abnormal_conditions_are_present_only_while_true(name: str, value: Any) -> None:
    """kstatus reads their absence as False."""
    built = statuses.build_conditions([ConditionSpec(name, value, "Done", "")], (), generation=1, now=NOW)

    assert built == ()


def test_times_have_whole_seconds() -> None:
    """The API keeps no fractions; a fraction would make every comparison differ."""
    (built,) = statuses.build_conditions([statuses.ready("Done", "")], (), generation=1, now=NOW)

    assert built.last_transition_time.microsecond == 0


def test_a_long_message_is_cut() -> None:
    """The schema refuses more, and one refused message would block the whole status."""
    (built,) = statuses.build_conditions([statuses.ready("Done", "x" * 9000)], (), generation=1, now=NOW)

    assert len(built.message) <= 4096


def test_a_handled_request_is_kept_when_the_annotation_is_gone() -> None:
    """Removing the annotation is no news."""
    before = Status(last_handled_reconcile_at="t1")

    after = statuses.finish(before, [statuses.ready("Done", "")], (), generation=1, requested_at=None, now=NOW)

    assert after.last_handled_reconcile_at == "t1"


_SPECS = st.builds(
    ConditionSpec,
    st.sampled_from(["Reconciling", "Analyzing", "Promoted"]),
    st.sampled_from(["True", "False", "Unknown"]),
    st.sampled_from(["Done", "NoData", "Away"]),
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=20),
)


@given(passes=st.lists(st.lists(_SPECS, max_size=3, unique_by=lambda spec: spec.type), min_size=1, max_size=6))
def test_any_sequence_of_conditions_keeps_the_invariants(passes: list[list[ConditionSpec]]) -> None:
    """Whatever a decision wants, one after the other, readers can rely on the result."""
    previous: dict[str, Any] | None = None
    conditions: tuple[Condition, ...] = ()
    for number, wanted in enumerate(passes):
        now = NOW + timedelta(minutes=number)
        specs = [statuses.ready("Serving", "version 1"), *wanted]
        finished = statuses.finish(Status(), specs, conditions, generation=number + 1, requested_at=None, now=now)
        obj = {"metadata": {"name": "x", "generation": number + 1}, "status": statuses.to_wire(finished)}
        assert broken_invariants(obj, previous) == []
        previous, conditions = obj, finished.conditions


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        pytest.param([], "Ready is missing", id="no Ready"),
        pytest.param([("Ready", "True"), ("Stalled", "True")], "both True", id="ready and stuck at once"),
        pytest.param([("Ready", "True"), ("Stalled", "False")], "present while", id="a Stalled that is not true"),
        pytest.param([("Ready", "True"), ("Ready", "True")], "twice", id="a type that stands twice"),
    ],
)
def test_the_invariants_find_what_breaks_them(conditions: list[tuple[str, str]], said: str) -> None:
    """The check itself can fail."""
    built = [
        {"type": name, "status": value, "reason": "Why", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        for name, value in conditions
    ]

    broken = broken_invariants({"metadata": {"name": "x", "generation": 1}, "status": {"conditions": built}})

    assert any(said in line for line in broken)

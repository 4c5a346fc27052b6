"""`modelops describe`: one verdict line, and everything behind it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from modelops.api.kinds import MODELRELEASE
from modelops.cli.describe import describe_lines, verdict

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def a_release(*conditions: tuple[str, str, str, str], generation: int = 1, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "price",
            "namespace": "team",
            "generation": generation,
            "creationTimestamp": "2026-01-01T11:00:00Z",
        },
        "spec": {"model": {"name": "price"}},
        "status": {
            "observedGeneration": 1,
            "conditions": [
                {"type": t, "status": s, "reason": r, "message": m, "lastTransitionTime": "2026-01-01T11:59:00Z"}
                for t, s, r, m in conditions
            ],
            **status,
        },
    }


@pytest.mark.parametrize(
    ("obj", "said"),
    [
        pytest.param(a_release(), "not looked at it yet", id="no status yet"),
        pytest.param(a_release(("Ready", "True", "Promoted", "version 3")), "ready: Promoted", id="ready"),
        pytest.param(
            a_release(("Ready", "False", "InvalidSpec", "spec.x"), ("Stalled", "True", "InvalidSpec", "spec.x")),
            "stuck until something is changed: InvalidSpec: spec.x",
            id="stalled",
        ),
        pytest.param(
            a_release(("Ready", "True", "Promoted", "v3"), ("Reconciling", "True", "MetricsUnavailable", "refused")),
            "under way: MetricsUnavailable: refused",
            id="ready while something is tried",
        ),
        pytest.param(a_release(("Ready", "True", "Promoted", "v3"), generation=2), "older spec", id="not seen yet"),
    ],
)
def test_the_verdict_says_how_it_stands_and_why(obj: dict[str, Any], said: str) -> None:
    """One line, before any table."""
    assert said in verdict(obj)


def test_a_deletion_names_who_holds_it() -> None:
    """Nobody should have to search for a finalizer."""
    obj = a_release(("Ready", "True", "Promoted", "v3"))
    obj["metadata"] |= {"deletionTimestamp": "2026-01-01T12:00:00Z", "finalizers": ["example.com/hold"]}

    assert "example.com/hold" in verdict(obj)


def test_split_is_told_by_both_counts() -> None:
    """Not by the books of its evidence."""
    split = {"measuredAt": "2026-01-01T11:59:00Z", "canary": 118.0, "stable": 494.0, "evidence": {"ticks": 3}}
    obj = a_release(("Ready", "True", "Serving", "v3"), weight=20, split=split)
    lines = list(describe_lines(MODELRELEASE, obj, [], NOW))
    assert "  118 of 612 requests came to the canary, at weight 20" in lines
    assert not any("ticks" in line for line in lines)


def test_analysis_shows_value_bound_samples_and_verdict() -> None:
    """Why a release was rolled back can be read without Prometheus."""
    look = {"time": "2026-01-01T11:58:00Z", "verdict": "Fail", "value": 0.913, "samples": 812, "message": "too low"}
    metrics = [{"name": "success-rate", "bound": "≥ 0.99", "measurements": [look]}]
    obj = a_release(("Ready", "True", "Promoted", "v3"), analysis=metrics, waitingFor="more samples")

    lines = list(describe_lines(MODELRELEASE, obj, [], NOW))

    (row,) = [line for line in lines if "success-rate" in line]
    assert row.split() == ["success-rate", "Fail", "0.913", "≥", "0.99", "812", "2m", "too", "low"]
    assert "Waits for:  more samples" in lines


def test_smoke_test_shows_each_request_and_what_was_wrong() -> None:
    """What a model answered before anybody was sent to it."""
    requests = [
        {"name": "flat", "ok": True, "latency": 0.0123},
        {"name": "house", "ok": False, "latency": None, "message": "no answer within 10 s"},
    ]
    test = {"outcome": "Running", "testedAt": "2026-01-01T11:59:50Z", "memory": 104857600, "requests": requests}
    obj = a_release(("Ready", "True", "Promoted", "v3"), smokeTest=test | {"message": "house: no answer within 10 s"})

    lines = list(describe_lines(MODELRELEASE, obj, [], NOW))

    at = lines.index("Smoke test:")
    assert lines[at + 1] == "  Running, 10s ago, 100 MiB of memory: house: no answer within 10 s"
    assert [line.split() for line in lines[at + 2 : at + 5]] == [
        ["REQUEST", "OK", "SLOWEST", "MESSAGE"],
        ["flat", "yes", "12", "ms"],
        ["house", "no", "no", "answer", "within", "10", "s"],
    ]


def test_events_come_last_and_oldest_first() -> None:
    """The newest stands where the eye is after a long answer."""
    events = [
        {"type": "Normal", "reason": "First", "message": "a", "lastTimestamp": "2026-01-01T11:58:00Z", "metadata": {}},
        {
            "type": "Warning",
            "reason": "Second",
            "message": "b",
            "lastTimestamp": "2026-01-01T11:59:30Z",
            "metadata": {},
        },
    ]

    lines = list(describe_lines(MODELRELEASE, a_release(("Ready", "True", "Promoted", "v3")), events, NOW))

    assert lines[-2].split() == ["2m", "Normal", "First", "a"]
    assert lines[-1].split() == ["30s", "Warning", "Second", "b"]

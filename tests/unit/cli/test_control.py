"""Windows, freezes and rollback windows in plain words."""

from typing import Any

import pytest

from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.cli.control import control_lines, standing

PREVIOUS = {"previous": {"version": "1"}, "until": "2026-01-02T00:00:00Z"}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        pytest.param({}, "", id="nothing to say"),
        pytest.param(
            {
                "canary": {"version": "2"},
                "eta": "2026-01-01T09:00:00Z",
                "queuedVersion": "3",
                "waitingFor": "the pause to end",
            },
            "; at the earliest done, or with a human, at 2026-01-01T09:00:00Z; version 3 is queued",
            id="one on its way and one queued",
        ),
        pytest.param(
            {"queuedVersion": "3", "waitingFor": "version 3 waits for the window", "rollbackWindow": PREVIOUS},
            "; version 3 is queued: version 3 waits for the window; "
            "a Fail until 2026-01-02T00:00:00Z gives the traffic back to version 1",
            id="one that waits while the one before is watched",
        ),
    ],
)
def test_status_tells_what_is_queued_and_watched(status: dict[str, Any], words: str) -> None:
    """After the line of the release itself."""
    assert standing(status) == words


@pytest.mark.parametrize(
    ("control", "lines"),
    [
        ({}, []),
        (
            {"windows": [{"from": "09:00", "to": "16:00"}, {"days": ["Sat"], "from": "22:00", "to": "02:00"}]},
            ["rollouts begin and weights rise only in: Mon-Sun 09:00-16:00 UTC, Sat 22:00-02:00 UTC"],
        ),
        (
            {"freeze": {"reason": "holidays"}},
            ["frozen, until the freeze is taken out (holidays): no rollout begins, no weight rises, promote --full is refused"],  # noqa: E501
        ),
        (
            {"freeze": {"until": "2027-01-04T06:00:00Z"}, "onNewVersion": "Queue"},
            ["frozen until 2027-01-04T06:00:00Z: no rollout begins, no weight rises, promote --full is refused",
             "a newer version waits for the end of the one on its way"],
        ),
        (
            {"onNewVersion": "Ignore", "rollbackWindow": {"duration": "24h"}},
            ["a version that comes while another is on its way is left out, until modelops release retry",
             "for 24h after a promotion a Fail gives the traffic back to the version before"],
        ),
    ],
    ids=str,
)  # fmt: skip
def test_plan_tells_what_a_spec_says_of_moving(control: dict[str, Any], lines: list[str]) -> None:
    """One line each."""
    spec = {"model": {"name": "price", "version": "1"}, "strategy": {"canary": {"steps": [{"setWeight": 5}]}}}
    assert list(control_lines(ModelReleaseSpec.model_validate({**spec, **control}))) == lines

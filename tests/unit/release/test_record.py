"""What stays of a revision whose fate is settled: why, by which commits, and how each metric stood in the end."""

from typing import Any

import pytest

from modelops.api.kinds import MODELRELEASE
from modelops.api.labels import APPLIED_COMMIT
from modelops.api.v1alpha1.analysis_status import Measurement, MetricStatus
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus, RevisionStatus
from modelops.domain.release import settle
from tests.support.fakes import FakeClock
from tests.unit.release.world import NAME, NAMESPACE, World

NOW = FakeClock().now()


def applied(world: World, commit: str) -> None:
    """Let git have changed the release at a commit."""
    world.cluster.annotate(MODELRELEASE.resource, NAMESPACE, NAME, **{APPLIED_COMMIT: commit})


def ends(world: World) -> list[tuple[Any, ...]]:
    """Return of each end the version, the outcome and the commits that asked for it."""
    return [
        (one["version"], one["outcome"], one["releaseCommit"][:1], one["commit"][:1]) for one in world.status["history"]
    ]


def test_record_has_the_last_looks_and_the_commits_that_asked() -> None:
    """Of the model's training and of the release, as it was when the revision came."""
    world = World()
    applied(world, "a" * 40)
    world.first()
    applied(world, "b" * 40)
    world.canary()
    applied(world, "d" * 40)
    world.answer(value=0.9)
    world.settle(seconds=40)

    assert ends(world) == [("1", "Promoted", "a", "c"), ("2", "RolledBack", "b", "c")]
    looks = [one["metrics"] for one in world.status["history"]]
    assert looks == [[], [{"name": "success-rate", "verdict": "Fail", "value": 0.9, "bound": "≥ 0.99"}]]


def test_another_template_of_the_same_version_was_asked_for_by_its_own_commit() -> None:
    """It is another revision; going back to the first one is that one's commit again."""
    world = World()
    applied(world, "a" * 40)
    old = world.first()
    world.release(serving={"runtime": "modelops", "replicas": 1, "image": "another"})
    applied(world, "b" * 40)
    world.settle(seconds=5)
    world.answer()
    world.settle(seconds=120)
    world.command("undo", revision=old)
    world.settle(seconds=20)

    assert ends(world) == [
        ("1", "Promoted", "a", "c"),
        ("1", "Promoted", "b", "c"),
        ("1", "Aborted", "b", "c"),
        ("1", "Promoted", "a", "c"),
    ]
    # What is undone was not measured anew, and what comes back was proven before.
    assert [len(one["metrics"]) for one in world.status["history"][1:]] == [1, 0, 0]


@pytest.mark.parametrize("commit", ["", "main", "A" * 40, "a" * 41, "a" * 5000])
def test_annotation_that_is_no_commit_is_left_out(commit: str) -> None:
    """Anybody may write it, and a status has room for a commit only."""
    world = World()
    applied(world, commit)
    world.first()
    assert ends(world) == [("1", "Promoted", "", "c")]


def test_only_the_newest_records_keep_looks_and_what_failed_comes_first() -> None:
    """A status has 64 KiB, and 32 metrics may be there."""

    def look(number: int) -> MetricStatus:
        verdict = "Fail" if number in (20, 30) else "Pass"
        last = Measurement(time=NOW, verdict=verdict, value=float(number))
        return MetricStatus(name=f"m{number}", bound="≥" * 2000, measurements=(last,))

    status = ModelReleaseStatus()
    for number in range(12):
        canary = RevisionStatus(version=str(number), revision=f"{number:010x}", digest="sha256:1")
        status = settle.begin(status, canary, NOW)
        figures = tuple(look(one) for one in range(32))
        status = settle.ended(status.model_copy(update={"analysis": figures}), "RolledBack", NOW, "bad")

    assert [len(one.metrics) for one in status.history] == [0] * 7 + [8] * 3
    assert [one.name for one in status.history[-1].metrics] == ["m20", "m30", *(f"m{one}" for one in range(6))]
    assert max(len(one.bound) for one in status.history[-1].metrics) == 128

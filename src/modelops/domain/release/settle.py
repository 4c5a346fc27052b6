"""How a canary ends: promoted, rolled back, aborted, superseded. Pure; each returns the status it leaves behind."""

from datetime import datetime
from typing import Any, Final, Literal

from modelops.api.v1alpha1.analysis_status import MetricStatus
from modelops.api.v1alpha1.modelrelease_status import MetricRecord, ModelReleaseStatus, ReleaseRecord, RevisionStatus
from modelops.domain.release.measure import closed

_HISTORY: Final = 10
_ABORTED: Final = 10
_WITH_METRICS: Final = 3
_METRICS: Final = 8
_BOUND: Final = 128
RETIRING: Final = 10
"""How many revisions that drain a status remembers."""
Outcome = Literal["Promoted", "RolledBack", "Aborted", "Superseded"]


def begin(status: ModelReleaseStatus, target: RevisionStatus, now: datetime) -> ModelReleaseStatus:
    """Return the status with a new canary at the first step, without traffic; a rollback window ends with it."""
    status = window_over(status)
    return status.model_copy(
        update=_CLEAN
        | {
            "canary": target.model_copy(update={"since": now}),
            "step_started_at": now,
            "retiring": tuple(revision for revision in status.retiring if revision != target.revision),
        }
    )


def window_over(status: ModelReleaseStatus) -> ModelReleaseStatus:
    """Return the status without a rollback window; the servers that were kept for it retire."""
    window = status.rollback_window
    if window is None:
        return status
    retiring = _retire(status, (window.previous.revision,))
    return status.model_copy(update={"rollback_window": None, "retiring": retiring, "retiring_since": None})


def taken_back(status: ModelReleaseStatus, now: datetime, message: str) -> ModelReleaseStatus:
    """Return the status after a Fail in the rollback window: what served before serves again, what failed is held back.

    Args:
        status: with a rollback window, without a canary.
        now: the time.
        message: why.
    """
    window, bad = status.rollback_window, status.stable
    assert window is not None
    assert bad is not None
    return status.model_copy(
        update=_CLEAN
        | {
            "stable": window.previous.model_copy(update={"since": now}),
            "lineage": window.previous.lineage,
            "rollback_window": None,
            "alias_in_doubt": True,
            "retiring": _retire(status, (bad.revision,)),
            "retiring_since": None,
            "aborted": _held_back(status, bad),
            "history": _recorded(status, bad, "RolledBack", message, now, _looks(status.analysis)),
            "analysis": closed(status.analysis, promoted=False),
        }
    )


def promoted(status: ModelReleaseStatus, now: datetime, message: str) -> ModelReleaseStatus:
    """Return the status with the canary as the stable revision; the one before it retires."""
    canary = status.canary
    assert canary is not None
    gone = () if status.stable is None else (status.stable.revision,)
    return status.model_copy(
        update=_CLEAN
        | {
            "stable": canary.model_copy(update={"since": now}),
            "lineage": canary.lineage,
            "alias_in_doubt": None,
            "retiring": _retire(status, gone),
            "retiring_since": None,
            "history": _recorded(status, canary, "Promoted", message, now, _looks(status.analysis)),
            # Measurements of the promoted one stay to be read until the next canary comes.
            "analysis": closed(status.analysis, promoted=True),
            "approvals": status.approvals,
            "smoke_test": status.smoke_test,
        }
    )


def ended(status: ModelReleaseStatus, outcome: Outcome, now: datetime, message: str) -> ModelReleaseStatus:
    """Return the status without the canary: all traffic on stable, its servers to be retired."""
    canary = status.canary
    assert canary is not None
    update: dict[str, Any] = _CLEAN | {
        "retiring": _retire(status, (canary.revision,)),
        "retiring_since": None,
        "history": _recorded(status, canary, outcome, message, now, _looks(status.analysis)),
        "analysis": closed(status.analysis, promoted=False),
        "approvals": status.approvals,
        "smoke_test": status.smoke_test,
    }
    if outcome in ("RolledBack", "Aborted"):
        update["aborted"] = _held_back(status, canary)
    return status.model_copy(update=update)


def undone(status: ModelReleaseStatus, back: RevisionStatus, steps: int, now: datetime, by: str) -> ModelReleaseStatus:
    """Return the status on the way back to a revision that was promoted before; the one that serves is held back.

    Args:
        status: without a canary.
        back: the revision to serve again.
        steps: how many steps the spec has; none of them is taken.
        now: the time.
        by: whose word it was.
    """
    stable = status.stable
    assert stable is not None
    message = f"undone {by}: back to version {back.version}"
    held = tuple(revision for revision in status.aborted if revision not in (stable.revision, back.revision))
    held_back = status.model_copy(
        update={
            "aborted": (*held, stable.revision)[-_ABORTED:],
            "history": _recorded(status, stable, "Aborted", message, now),
        }
    )
    return begin(held_back, back, now).model_copy(update={"undo_to": back.revision, "step": steps})


_CLEAN: Final[dict[str, Any]] = {
    "canary": None,
    "step": 0,
    "step_started_at": None,
    "step_total": "",
    "weight": 0,
    "desired_weight": 0,
    "weight_verified_at": None,
    "unconfirmed_since": None,
    "routing": None,
    "last_measured_at": None,
    "analysis_started_at": None,
    "analysis": (),
    "split": None,
    "paused_reason": None,
    "capacity_missing_since": None,
    "starting_since": None,
    "ready_since": None,
    "smoke_test": None,
    "by_hand": False,
    "approvals": (),
    "undo_to": None,
    "waiting_for": None,
    "held_by": None,
    "eta": None,
}


def _held_back(status: ModelReleaseStatus, bad: RevisionStatus) -> tuple[str, ...]:
    others = tuple(revision for revision in status.aborted if revision != bad.revision)
    return (*others, bad.revision)[-_ABORTED:]


def _retire(status: ModelReleaseStatus, revisions: tuple[str, ...]) -> tuple[str, ...]:
    kept = tuple(revision for revision in status.retiring if revision not in revisions)
    return (*kept, *revisions)[-RETIRING:]


def _recorded(
    status: ModelReleaseStatus,
    canary: RevisionStatus,
    outcome: Outcome,
    message: str,
    now: datetime,
    metrics: tuple[MetricRecord, ...] = (),
) -> tuple[ReleaseRecord, ...]:
    record = ReleaseRecord(
        version=canary.version,
        revision=canary.revision,
        outcome=outcome,
        message=message[:1000],
        started_at=canary.since or now,
        finished_at=now,
        release_commit=canary.lineage.release_commit,
        commit=canary.lineage.commit,
        dataset_commit=canary.lineage.dataset_commit,
        metrics=metrics,
    )
    older, newer = status.history[: 1 - _WITH_METRICS], status.history[1 - _WITH_METRICS :]
    bare = tuple(one.model_copy(update={"metrics": ()}) for one in older)
    return (*bare, *newer, record)[-_HISTORY:]


def _looks(metrics: tuple[MetricStatus, ...]) -> tuple[MetricRecord, ...]:
    """Return the last look at each metric, those that did not pass first."""
    looks = [
        MetricRecord(name=one.name, verdict=last.verdict, value=last.value, bound=one.bound[:_BOUND])
        for one in metrics
        for last in one.measurements[-1:]
    ]
    return tuple(sorted(looks, key=lambda one: one.verdict == "Pass")[:_METRICS])

"""A canary whose servers are not ready yet: what it waits for, and when it is given up. Pure.

Time without room (nodes, GPUs, quota) counts against capacityDeadline, all other time against progressDeadline.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from modelops.api.v1alpha1.common import format_duration
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus, RevisionStatus
from modelops.domain.plan import EventSpec
from modelops.domain.release import objects
from modelops.domain.release.observed import Observed
from modelops.domain.status import CAPACITY


@dataclass(frozen=True, slots=True)
class Start:
    """How far a canary's servers are."""

    status: ModelReleaseStatus
    failed: str = ""
    """Why the canary is given up; empty while it is not."""
    events: tuple[EventSpec, ...] = ()


def starting(seen: Observed, status: ModelReleaseStatus, canary: RevisionStatus) -> Start:
    """Return what becomes of a canary whose servers are not ready."""
    found = seen.obstacle(canary)
    missing = status.capacity_missing_since
    events: tuple[EventSpec, ...] = ()
    if found is not None and found.capacity:
        if missing is None:
            events = (EventSpec(CAPACITY, f"version {canary.version}: {found.message}", "Warning"),)
        status = status.model_copy(
            update={"capacity_missing_since": missing or seen.now, "waiting_for": f"room: {found.message}"}
        )
        return _unless_late(seen, Start(status, events=events), canary, f"no room: {found.message}")
    if missing is not None:
        status = status.model_copy(update={"capacity_missing_since": None, "starting_since": seen.now})
        events = (EventSpec("CapacityFound", f"version {canary.version}: its servers start now"),)
    why = (found and found.message) or objects.trouble(seen.deployment(canary))
    status = status.model_copy(update={"waiting_for": why or f"servers of version {canary.version}"})
    return _unless_late(seen, Start(status, events=events), canary, why or "its servers did not become ready")


def given_up_at(seen: Observed, status: ModelReleaseStatus, canary: RevisionStatus) -> datetime:
    """Return when a canary whose servers are not ready is given up."""
    since, limit = _patience(seen, status, canary)
    return since + limit


def _patience(seen: Observed, status: ModelReleaseStatus, canary: RevisionStatus) -> tuple[datetime, timedelta]:
    """Return since when, and for how long, what is missing is waited for."""
    if status.capacity_missing_since is not None:
        return status.capacity_missing_since, seen.spec.capacity_deadline
    return status.starting_since or canary.since or seen.now, seen.spec.progress_deadline


def _unless_late(seen: Observed, start: Start, canary: RevisionStatus, why: str) -> Start:
    since, limit = _patience(seen, start.status, canary)
    if seen.now < since + limit:
        return start
    return Start(start.status, f"DeadlineExceeded: not ready within {format_duration(limit)}: {why}", start.events)

"""Whose servers stay, and when those of a revision without traffic go. Pure."""

from datetime import datetime, timedelta
from typing import Final

from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus, RevisionStatus
from modelops.domain.release.observed import Observed

_LONGEST_DRAIN: Final = timedelta(seconds=30)


def staying(status: ModelReleaseStatus) -> tuple[RevisionStatus, ...]:
    """Return the revisions whose servers stay: stable, canary, and what a rollback window goes back to."""
    window = status.rollback_window
    kept = (status.stable, status.canary, None if window is None else window.previous)
    return tuple(one for one in kept if one is not None)


def leaves_at(seen: Observed, status: ModelReleaseStatus, revision: str, since: datetime) -> datetime:
    """Return when a revision's servers go: what was in flight has ended, and scaleDownDelay is over.

    Args:
        seen: the release.
        status: as it is now.
        revision: one that retires; only what served before is kept for scaleDownDelay, not what was given up.
        since: when the gateway had confirmed that it has no traffic.
    """
    # As long as a request may take, and a second.
    drained = since + min(seen.spec.traffic.timeout, _LONGEST_DRAIN) + timedelta(seconds=1)
    blue_green = seen.spec.strategy.blue_green
    served = any(one.revision == revision and one.outcome == "Promoted" for one in status.history)
    if blue_green is None or not served or revision in status.aborted:
        return drained
    return max(drained, since + blue_green.scale_down_delay)

"""A clock that was set back: times in the status that have not come yet are no times to wait for. Pure.

A release would otherwise stand still until the clock is where it was. What was measured under the wrong clock does
not count at this weight: the step begins anew.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.domain.analysis.split import at_new_weight
from modelops.domain.release.measure import fresh_step

_SLACK: Final = timedelta(seconds=2)
"""Two replicas' clocks may differ by this much without a word."""
_TIMES: Final = (
    "step_started_at",
    "weight_verified_at",
    "unconfirmed_since",
    "last_measured_at",
    "analysis_started_at",
    "retiring_since",
    "capacity_missing_since",
    "starting_since",
    "ready_since",
)


def set_right(status: ModelReleaseStatus, now: datetime) -> tuple[ModelReleaseStatus, timedelta]:
    """Return the status without times that lie ahead, and by how much the clock was set back (zero if it was not)."""
    ahead: dict[str, Any] = {}
    back = timedelta(0)
    for name in _TIMES:
        found = getattr(status, name)
        if found is not None and found - now > _SLACK:
            ahead[name] = now
            back = max(back, found - now)
    canary = status.canary
    if canary is not None and canary.since is not None and canary.since - now > _SLACK:
        back = max(back, canary.since - now)
        ahead["canary"] = canary.model_copy(update={"since": now})
    test = status.smoke_test
    if test is not None and test.tested_at is not None and test.tested_at - now > _SLACK:
        back = max(back, test.tested_at - now)
        ahead["smoke_test"] = test.model_copy(update={"tested_at": now})
    window = status.rollback_window
    if window is not None and window.since - now > _SLACK:
        back = max(back, window.since - now)
        ahead["rollback_window"] = window.model_copy(update={"since": now})
    if not back:
        return status, back
    if "last_measured_at" in ahead:
        ahead["last_measured_at"] = None
    if status.weight_verified_at is not None:
        ahead["weight_verified_at"] = now
    if status.step_started_at is not None:
        ahead["step_started_at"] = now
    ahead["analysis"] = fresh_step(status.analysis)
    ahead["split"] = at_new_weight(status.split)
    return status.model_copy(update=ahead), back

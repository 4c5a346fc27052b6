"""Whether a rollout may begin, or its weight rise, now: windows and freezes. Pure.

Nothing here is asked by what takes traffic away: an abort, a rollback, an undo. Nor by a first version: nobody has
anything to lose by it, and a cluster that was rebuilt must serve at any hour.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from modelops.api.v1alpha1.control import Freeze
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.domain.release.observed import Observed
from modelops.domain.release.turn import Turn
from modelops.domain.release.windows import opening, window_words


@dataclass(frozen=True, slots=True)
class Closed:
    """Why nothing may rise now."""

    reason: Literal["OutsideWindow", "Frozen"]
    words: str
    """What is waited for."""
    until: datetime | None
    """When it may at the earliest; None if nobody has said."""


def closed(seen: Observed, at: datetime | None = None) -> Closed | None:
    """Return what keeps weights from rising at a time (by default now), or None."""
    at = at or seen.now
    freezes = [one for one in (seen.spec.freeze, seen.freeze) if one is not None and _holds(one, at)]
    if freezes:
        ends = [one.until for one in freezes]
        until = None if None in ends else _opens(seen, max(one for one in ends if one is not None))
        reasons = "; ".join(one.reason for one in freezes if one.reason)
        when = f" until {moment(until)}" if until is not None else ""
        return Closed("Frozen", f"the end of the freeze{when}{f' ({reasons})' if reasons else ''}", until)
    found = opening(seen.spec.windows, at)
    if found is None:
        return None
    until, window = found
    return Closed("OutsideWindow", f"the window {window_words(window)}, which opens at {moment(until)}", until)


def frozen(seen: Observed) -> str:
    """Return what is waited for under a freeze, or nothing."""
    found = closed(seen)
    return found.words if found is not None and found.reason == "Frozen" else ""


def shut_for(seen: Observed, status: ModelReleaseStatus) -> Closed | None:
    """Return what keeps this canary's weight from rising now, or None.

    `promote --full` goes through outside of the windows, and undo at any time.
    """
    found = None if status.undo_to is not None else closed(seen)
    return None if status.by_hand and found is not None and found.reason == "OutsideWindow" else found


def held(seen: Observed, turn: Turn, shut: Closed, what: str = "") -> Turn:
    """Return the turn waiting until it may go on, saying so once.

    Args:
        seen: the release.
        turn: as it is.
        shut: why not now.
        what: whose waiting it is, for words before the window's.
    """
    words = f"{what}{shut.words}"
    told = turn.with_status(waiting_for=words, held_by=shut.reason, eta=shut.until)
    return told if seen.status.held_by == shut.reason else told.saying(shut.reason, words)


def moment(at: datetime) -> str:
    """Return a time as status and Events tell it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _holds(freeze: Freeze, at: datetime) -> bool:
    return freeze.until is None or at < freeze.until


def _opens(seen: Observed, at: datetime) -> datetime:
    found = opening(seen.spec.windows, at)
    return at if found is None else found[0]

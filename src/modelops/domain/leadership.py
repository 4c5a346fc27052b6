"""Who leads: what to do about one Lease, from what was read of it and this process' own clock. Pure and total.

    nobody's, or unchanged for its whole duration ──► Acquire ──► Renew, Renew, … ──► (stop) released
    somebody else's ──► Wait                                        └─ not renewed in time, or another's ──► Lost

No two machines' clocks are ever compared. What a Lease says of the time is looked at for one thing only: whether it
says the same as before. How long it has said so is measured here, by a clock that no one can set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

_MICRO: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
_TICK: Final = timedelta(microseconds=1)
_RELEASED_SECONDS: Final = 1


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a Lease holds, in seconds. `renew < lease`: a holder gives up before another may take over."""

    lease: int = 15
    """Nobody else takes over before this much time without a renewal."""
    renew: float = 10.0
    """A holder that could not renew for this long has lost."""
    retry: float = 2.0
    """Between two renewals, and between two looks of one who waits."""


@dataclass(frozen=True, slots=True)
class Record:
    """A Lease as it was read."""

    holder: str
    """Empty: nobody."""
    seconds: float
    """How long the holder asked to be left alone; 0 if it did not say."""
    acquired: str = ""
    renewed: str = ""
    """As it is written; only ever compared with itself."""
    transitions: int = 0
    version: str = ""
    """resourceVersion; empty when there is no Lease."""

    def says(self, other: "Record") -> bool:
        """Return whether the holder has written nothing between the two."""
        return (self.holder, self.acquired, self.renewed) == (other.holder, other.acquired, other.renewed)


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known of the Lease, and since when."""

    record: Record
    since: float
    """When this process first saw the record say this, by its own clock."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a holder knows of its own hold, by its own clock."""

    sent: float
    """When the last renewal that was answered was sent; everyone else counts from later."""
    tried: float
    """When a renewal was last tried."""


@dataclass(frozen=True, slots=True)
class Acquire:
    """Write yourself into the Lease, over exactly the version that was read."""


@dataclass(frozen=True, slots=True)
class Renew:
    """Write the Lease again."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again after so many seconds, or when something happens."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Lost:
    """The hold is over, or can no longer be relied on: end at once."""

    why: str


Move = Acquire | Renew | Wait | Lost


def look(before: Sight | None, record: Record | None, now: float) -> Sight | None:
    """Return what is known after a read; None of the record means that there is no Lease.

    A Lease that vanished proves nothing about its holder, which may be writing still: it counts as unchanged.
    """
    if record is None:
        if before is None or not before.record.holder:
            return None
        gone = before.record
        return Sight(Record(gone.holder, gone.seconds, gone.acquired, gone.renewed, gone.transitions), before.since)
    if before is not None and record.says(before.record):
        return Sight(record, before.since)
    return Sight(record, now)


def decide(sight: Sight | None, me: str, held: Held | None, now: float, timing: Timing) -> Move:
    """Return what to do now.

    Args:
        sight: the Lease as this process knows it; None while there never was one.
        me: own identity, of this process and no other, ever.
        held: None while not leading.
        now: by the same clock as everything in `sight` and `held`.
        timing: own.
    """
    if held is not None:
        return _hold(sight, me, held, now, timing)
    if sight is None or not sight.record.holder or sight.record.holder == me:
        # One's own name without a hold: an answer was lost on its way, the write was not.
        return Acquire()
    left = sight.since + (sight.record.seconds or timing.lease) - now
    return Acquire() if left <= 0 else Wait(min(left, timing.retry))


def _hold(sight: Sight | None, me: str, held: Held, now: float, timing: Timing) -> Move:
    if sight is not None and sight.record.holder != me:
        return Lost(f"{sight.record.holder or 'nobody'} holds the Lease")
    if now - held.sent >= timing.renew:
        return Lost(f"the Lease could not be renewed for {timing.renew:g} s")
    due = held.tried + timing.retry - now
    return Renew() if due <= 0 else Wait(min(due, held.sent + timing.renew - now))


def read(lease: Mapping[str, Any]) -> Record:
    """Return what a Lease object says."""
    spec = lease.get("spec") or {}
    return Record(
        holder=spec.get("holderIdentity") or "",
        seconds=float(spec.get("leaseDurationSeconds") or 0),
        acquired=spec.get("acquireTime") or "",
        renewed=spec.get("renewTime") or "",
        transitions=int(spec.get("leaseTransitions") or 0),
        version=str(lease["metadata"].get("resourceVersion", "")),
    )


def taken(sight: Sight | None, me: str, timing: Timing, wall: datetime) -> dict[str, Any]:
    """Return the spec that an acquisition or a renewal writes.

    Args:
        sight: what is there now.
        me: own identity.
        timing: own.
        wall: the time of day, for people. A renewal always differs from the one before, whatever that clock does:
            others take a Lease that says the same for long enough for abandoned.
    """
    before = sight.record if sight is not None else Record("", 0)
    stamp = _after(before.renewed, wall)
    mine = before.holder == me
    return {
        "holderIdentity": me,
        "leaseDurationSeconds": timing.lease,
        "acquireTime": before.acquired if mine else stamp,
        "renewTime": stamp,
        "leaseTransitions": before.transitions + (not mine and bool(before.version)),
    }


def released(sight: Sight, wall: datetime) -> dict[str, Any]:
    """Return the spec of a Lease that its holder gives up: nobody's, for the shortest time that can be written."""
    stamp = _after(sight.record.renewed, wall)
    return {
        "holderIdentity": None,
        "leaseDurationSeconds": _RELEASED_SECONDS,
        "acquireTime": stamp,
        "renewTime": stamp,
        "leaseTransitions": sight.record.transitions,
    }


def _after(before: str, wall: datetime) -> str:
    try:
        last = datetime.strptime(before, _MICRO).replace(tzinfo=UTC)
    except ValueError:
        return wall.strftime(_MICRO)
    return max(wall, last + _TICK).strftime(_MICRO)

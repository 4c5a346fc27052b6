"""Who leads, as a table: every state of the Lease, every state of oneself, and clocks that jump."""

from datetime import UTC, datetime, timedelta

import pytest

from modelops.domain.leadership import (
    Acquire,
    Held,
    Lost,
    Move,
    Record,
    Renew,
    Sight,
    Timing,
    Wait,
    decide,
    look,
    read,
    released,
    taken,
)

TIMING = Timing(15, 10, 2)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ME, OTHER = "me", "other"


def record(holder: str = OTHER, renewed: str = "2026-01-01T12:00:00.000000Z", version: str = "7") -> Record:
    return Record(holder, 15, renewed, renewed, 3, version)


@pytest.mark.parametrize(
    ("sight", "held", "now", "wanted"),
    [
        pytest.param(None, None, 100, Acquire(), id="no Lease was ever seen: it is made"),
        pytest.param(Sight(record(""), 100), None, 100, Acquire(), id="nobody's: taken at once"),
        pytest.param(Sight(record(), 100), None, 100, Wait(2), id="another's and fresh: looked at again after a retry"),
        pytest.param(Sight(record(), 100), None, 114, Wait(1), id="another's, soon over: looked at exactly then"),
        pytest.param(Sight(record(), 100), None, 115, Acquire(), id="another's, unchanged for its duration: taken"),
        pytest.param(
            Sight(Record(OTHER, 0, "a", "b", 0, "7"), 100),
            None,
            114,
            Wait(1),
            id="none written: one's own duration",
        ),
        pytest.param(
            Sight(Record(OTHER, 60, "a", "b", 0, "7"), 100), None, 115, Wait(2), id="the holder's own duration counts"
        ),
        pytest.param(Sight(record(ME), 100), None, 101, Acquire(), id="one's own name: an answer was lost"),
        pytest.param(Sight(record(ME), 100), Held(100, 100), 101, Wait(1), id="held: renewed when a retry is over"),
        pytest.param(Sight(record(ME), 100), Held(100, 100), 102, Renew(), id="held: due"),
        pytest.param(Sight(record(ME), 100), Held(100, 108.5), 109, Wait(1), id="a failed try is not repeated at once"),
        pytest.param(
            Sight(record(ME), 100),
            Held(100, 109),
            110,
            Lost("the Lease could not be renewed for 10 s"),
            id="held, not renewed in time: lost, 5 s before another may take it",
        ),
        pytest.param(Sight(record(), 105), Held(104, 104), 105, Lost("other holds the Lease"), id="taken: lost"),
        pytest.param(Sight(record(""), 105), Held(104, 104), 105, Lost("nobody holds the Lease"), id="given up: lost"),
    ],
)
def test_what_is_done(sight: Sight | None, held: Held | None, now: float, wanted: Move) -> None:
    """One row, one move."""
    assert decide(sight, ME, held, now, TIMING) == wanted


@pytest.mark.parametrize("jump", [-300, -0.001, 0, 300], ids=lambda s: f"clock of the holder {s:+} s")
def test_the_holders_clock_does_not_matter(jump: float) -> None:
    """Whatever time of day a holder writes, a renewal is one: it is left alone for 15 s of the follower's own clock."""
    first = read({"metadata": {"resourceVersion": "1"}, "spec": taken(None, OTHER, TIMING, NOON)})
    sight = look(None, first, 100)
    renewal = taken(sight, OTHER, TIMING, NOON + timedelta(seconds=jump))
    sight = look(sight, read({"metadata": {"resourceVersion": "2"}, "spec": renewal}), 109)

    assert sight is not None
    assert isinstance(decide(sight, ME, None, 123.9, TIMING), Wait)
    assert decide(sight, ME, None, 124, TIMING) == Acquire()


@pytest.mark.parametrize("jump", [-300, 0, 300], ids=lambda s: f"own clock {s:+} s")
def test_ones_own_time_of_day_does_not_matter(jump: float) -> None:
    """A follower whose time of day is wrong writes a later renewTime than the one before, and acquires no earlier."""
    sight = Sight(record(), 100)

    spec = taken(sight, ME, TIMING, NOON + timedelta(seconds=jump))

    assert spec["renewTime"] > sight.record.renewed
    assert isinstance(decide(sight, ME, None, 114.9, TIMING), Wait)


def test_a_lease_that_says_the_same_grows_old_whatever_else_is_written_to_it() -> None:
    """Somebody who annotates the Lease, or a read that fails, does not keep a dead holder in office."""
    sight = look(Sight(record(version="7"), 100), record(version="8"), 110)

    assert sight == Sight(record(version="8"), 100)
    assert decide(sight, ME, None, 115, TIMING) == Acquire()


def test_a_lease_that_was_deleted_is_no_invitation() -> None:
    """Its holder may be writing still: who saw it held waits its duration out, then makes a new one."""
    sight = look(Sight(record(), 100), None, 105)

    assert sight is not None
    assert sight.record.version == ""
    assert isinstance(decide(sight, ME, None, 114.9, TIMING), Wait)
    assert decide(sight, ME, None, 115, TIMING) == Acquire()


def test_a_deleted_lease_that_nobody_held_is_made_anew_at_once() -> None:
    """There is nobody to wait for."""
    assert look(Sight(record(""), 100), None, 105) is None


def test_an_acquisition_counts_a_transition_and_a_renewal_does_not() -> None:
    """`acquireTime` is that of the acquisition throughout."""
    acquired = taken(Sight(record(), 100), ME, TIMING, NOON + timedelta(minutes=1))
    mine = read({"metadata": {"resourceVersion": "8"}, "spec": acquired})
    renewed = taken(Sight(mine, 100), ME, TIMING, NOON + timedelta(minutes=2))

    assert acquired["leaseTransitions"] == renewed["leaseTransitions"] == 4
    assert renewed["acquireTime"] == acquired["acquireTime"] == "2026-01-01T12:01:00.000000Z"
    assert renewed["renewTime"] == "2026-01-01T12:02:00.000000Z"
    assert taken(None, ME, TIMING, NOON)["leaseTransitions"] == 0


def test_a_released_lease_can_be_taken_at_once() -> None:
    """Nobody holds it, and it keeps its count."""
    spec = released(Sight(record(ME), 100), NOON)
    sight = look(None, read({"metadata": {"resourceVersion": "9"}, "spec": spec}), 100)

    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == (None, 1, 3)
    assert decide(sight, OTHER, None, 100, TIMING) == Acquire()

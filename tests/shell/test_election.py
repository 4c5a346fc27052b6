"""Elections among threads over a Lease in memory, and the fence between two of their instructions."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from modelops.adapters.fence import Fence
from modelops.domain.leadership import Record, Sight, Timing
from modelops.errors import Transient
from modelops.shell.election import Election
from tests.shell.conftest import wait_for

QUICK = Timing(1, 0.6, 0.1)


@dataclass
class MemoryLease:
    """A Lease that can be away, hang, and lose its answers."""

    record: Record | None = None
    away: bool = False
    loses_answer: bool = False
    hangs: threading.Event | None = None
    reads: int = 0
    _count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _changed: threading.Event = field(default_factory=threading.Event)

    def read(self) -> Record | None:
        self._meet()
        self.reads += 1
        return self.record

    def take(self, sight: Sight | None, me: str, timing: Timing) -> Record | None:
        self._meet()
        with self._lock:
            if (self.record.version if self.record else "") != (sight.record.version if sight else ""):
                return None
            self._count += 1
            self.record = Record(me, timing.lease, "", f"{self._count}", 0, f"v{self._count}")
            self._changed.set()
        if self.loses_answer:
            self.loses_answer = False
            raise Transient("ApiUnreachable", "the answer was lost")
        return self.record

    def release(self, sight: Sight) -> None:
        self._meet()
        with self._lock:
            if self.record is not None and self.record.version == sight.record.version:
                self.record = replace(self.record, holder="", version="released")
                self._changed.set()

    def changes(self) -> Iterator[None]:
        while self._changed.wait(0.5):
            self._changed.clear()
            yield

    def _meet(self) -> None:
        if self.hangs is not None:
            self.hangs.wait(20)
        if self.away:
            raise Transient("ApiUnreachable", "away")


class Candidate:
    """An election, its fence, and what it was told."""

    def __init__(self, lease: MemoryLease, name: str, timing: Timing = QUICK) -> None:
        self.elected = threading.Event()
        self.lost: list[str] = []
        self.fence = Fence(lambda: self.lost.append("late"))
        self.election = Election(lease, name, timing, self.fence, on_elected=self.elected.set, on_lost=self.lost.append)
        self.election.start()

    def writes(self) -> bool:
        try:
            with self.fence.passing():
                return True
        except Transient:
            return False


def test_one_of_two_leads_and_only_it_writes() -> None:
    """The other stands by with its fence closed."""
    lease = MemoryLease()
    first = Candidate(lease, "first")
    assert first.elected.wait(5)
    second = Candidate(lease, "second")
    wait_for(lambda: lease.reads > 4)

    assert not second.elected.is_set()
    assert (first.writes(), second.writes()) == (True, False)
    assert second.lost == []
    second.election.resign()
    first.election.resign()


def test_who_resigns_hands_over_at_once() -> None:
    """The Lease is nobody's before its time is over; the one that stood by leads, the one that went writes no more."""
    lease = MemoryLease()
    slow = Timing(60, 40, 20)
    first = Candidate(lease, "first", slow)
    assert first.elected.wait(5)
    second = Candidate(lease, "second", slow)
    wait_for(lambda: lease.reads >= 2)

    first.election.resign()

    assert second.elected.wait(5)
    assert (first.writes(), second.writes()) == (False, True)
    assert first.lost == []
    second.election.resign()


def test_a_write_that_is_not_answered_keeps_the_lease_from_being_given_up() -> None:
    """Nobody may take over while a write may still land; the Lease runs out by itself."""
    lease = MemoryLease()
    first = Candidate(lease, "first")
    assert first.elected.wait(5)
    with first.fence.passing():
        first.election.resign(0.05)
        assert lease.record is not None
        assert lease.record.holder == "first"


def test_a_lease_that_cannot_be_renewed_is_lost_in_time() -> None:
    """One line is told, and no write passes from then on."""
    lease = MemoryLease()
    first = Candidate(lease, "first")
    assert first.elected.wait(5)

    lease.away = True

    wait_for(lambda: first.lost)
    assert first.lost == ["the Lease could not be renewed for 0.6 s"]
    assert not first.writes()


def test_a_renewal_that_hangs_does_not_hide_the_loss() -> None:
    """The fence is watched by a thread of its own."""
    lease = MemoryLease(hangs=None)
    first = Candidate(lease, "first")
    assert first.elected.wait(5)

    lease.hangs = threading.Event()

    wait_for(lambda: first.lost, 3)
    lease.hangs.set()


def test_a_lease_that_another_wrote_is_lost() -> None:
    """Whoever forces a Lease by hand ends its holder."""
    lease = MemoryLease()
    first = Candidate(lease, "first")
    assert first.elected.wait(5)

    lease.record = Record("by hand", 60, "", "x", 0, "forced")

    wait_for(lambda: first.lost)
    assert first.lost == ["by hand holds the Lease"]


def test_an_answer_that_was_lost_costs_nothing() -> None:
    """The next try meets a Conflict, sees its own name, and goes on."""
    lease = MemoryLease()
    first = Candidate(lease, "first")
    assert first.elected.wait(5)
    lease.loses_answer = True
    wait_for(lambda: not lease.loses_answer)
    after = lease.record

    wait_for(lambda: lease.record is not after)

    assert first.lost == []
    first.election.resign()


def test_a_deleted_lease_is_made_anew_by_its_holder() -> None:
    """Not by the one that stands by, and nobody is lost."""
    lease = MemoryLease()
    first = Candidate(lease, "first")
    assert first.elected.wait(5)
    second = Candidate(lease, "second")
    wait_for(lambda: lease.reads > 2)

    lease.record = None

    wait_for(lambda: lease.record is not None)
    assert lease.record is not None
    assert lease.record.holder == "first"
    assert (first.lost, second.elected.is_set()) == ([], False)
    second.election.resign()
    first.election.resign()


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_process_stopped_in_the_middle_of_a_write_does_not_finish_it() -> None:
    """It had passed the fence, was stopped, and goes on an hour later: the body is not handed over."""
    clock, late = Clock(), []
    fence = Fence(lambda: late.append(1), clock)
    fence.hold(10)

    with fence.passing():
        body = fence.guarded(b"body")
        clock.now = 3600
        with pytest.raises(Transient, match="nothing is written"):
            next(body)

    assert late == [1]


def test_a_write_that_had_begun_is_finished_after_the_fence_was_shut() -> None:
    """A clean stop waits for it, and lets no other begin."""
    clock = Clock()
    fence = Fence(now=clock)
    fence.hold(10)

    with fence.passing():
        assert not fence.shut(0.01)
        assert list(fence.guarded(b"body")) == [b"body"]
        with pytest.raises(Transient), fence.passing():
            pass

    assert fence.shut(0.01)


def test_nobody_writes_before_the_election() -> None:
    """A fence that was never held is closed, and that is no reason to end."""
    late: list[int] = []
    fence = Fence(lambda: late.append(1))

    with pytest.raises(Transient), fence.passing():
        pass

    assert late == []

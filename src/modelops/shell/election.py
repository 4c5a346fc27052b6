"""Runs for the Lease on threads of its own, keeps the fence open while it is held, and says when it is won or lost.

    follow ──► take ──► elected: renew, renew, …  ──► resigned: writes end, then the Lease is given up
                                         └─ lost ──► on_lost ends the process; nothing is written after

What to do is decided by `domain.leadership`. A second thread watches the fence alone, so that a renewal that hangs ends
the process in time; a third, while following, watches the Lease, so that one that is given up is taken at once.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Final, Protocol, assert_never

from modelops.adapters.clock import steady
from modelops.adapters.fence import Fence
from modelops.domain.leadership import Acquire, Held, Lost, Record, Renew, Sight, Timing, Wait, decide, look
from modelops.errors import ModelopsError

_log: Final = logging.getLogger(__name__)
_GRACE: Final = 2.0


class Lease(Protocol):
    """What an election needs of `adapters.lease.LeaseClient`; every call may raise ModelopsError."""

    def read(self) -> Record | None:
        """Return the Lease, or None."""
        ...

    def take(self, sight: Sight | None, me: str, timing: Timing) -> Record | None:
        """Write oneself into it over what was seen; None: it is not as it was seen any more."""
        ...

    def release(self, sight: Sight) -> None:
        """Write that nobody holds it."""
        ...

    def changes(self) -> Iterator[None]:
        """Yield whenever it may have changed, for a while."""
        ...


class Election:
    """One candidate.

    Args:
        lease: what it runs for.
        me: own identity.
        timing: own.
        fence: kept open while the Lease is held.
        on_elected: told once, on a thread of the election.
        on_lost: told why, once the Lease is lost or an election thread failed. It has to end the process.
        now: the clock of the fence.
    """

    def __init__(
        self,
        lease: Lease,
        me: str,
        timing: Timing,
        fence: Fence,
        *,
        on_elected: Callable[[], object],
        on_lost: Callable[[str], None],
        now: Callable[[], float] = steady,
    ) -> None:
        self._lease = lease
        self._me = me
        self._timing = timing
        self._fence = fence
        self._on_elected = on_elected
        self._on_lost = on_lost
        self._now = now
        self._sight: Sight | None = None
        self._held: Held | None = None
        self._complaint = ""
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._give_up = False
        self._once = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="election", daemon=True)

    def start(self) -> None:
        """Begin to run for the Lease."""
        _log.info("standing by as %s", self._me)
        self._thread.start()
        threading.Thread(target=self._listen, name="election-watch", daemon=True).start()

    def resign(self, seconds: float = _GRACE) -> None:
        """End the writes, give the Lease up if it is held, and stop.

        Args:
            seconds: how long writes that had begun may take to be answered. If one takes longer, the Lease is kept
                until it runs out: nobody may take over while a write may still land.
        """
        self._give_up = self._fence.shut(seconds)
        self._stopping.set()
        self._news.set()
        self._thread.join(self._timing.renew)

    def _run(self) -> None:
        try:
            self._refresh()
            while not self._stopping.is_set() and self._move():
                pass
            if self._held is not None and self._sight is not None and self._give_up:
                self._release(self._sight)
        finally:
            if not self._stopping.is_set():
                self._lose("the election ended by itself")

    def _move(self) -> bool:
        """Do what is to be done now; return whether to go on."""
        move = decide(self._sight, self._me, self._held, self._now(), self._timing)
        match move:
            case Lost(why=why):
                self._lose(why)
                return False
            case Wait(seconds=seconds):
                self._news.wait(seconds)
                self._news.clear()
                if self._held is None:
                    self._refresh()
            case Acquire() | Renew():
                self._take()
            case _:
                assert_never(move)
        return True

    def _refresh(self) -> bool:
        """Look at the Lease; return whether it could be read."""
        try:
            record = self._lease.read()
        except ModelopsError as error:
            self._complain(error)
            return False
        self._sight = look(self._sight, record, self._now())
        self._complaint = ""
        return True

    def _take(self) -> None:
        sent = self._now()
        try:
            record = self._lease.take(self._sight, self._me, self._timing)
        except ModelopsError as error:
            # Whether it was written is not known; the next try will find out.
            self._complain(error)
            if self._held is not None:
                self._held = Held(self._held.sent, tried=sent)
            else:
                self._stopping.wait(self._timing.retry)
                self._refresh()
            return
        if record is None:
            if not self._refresh():
                self._stopping.wait(self._timing.retry / 2)
            return
        elected = self._held is None
        self._sight = Sight(record, self._now())
        self._held = Held(sent, sent)
        self._fence.hold(sent + self._timing.renew)
        self._complaint = ""
        if elected and not self._stopping.is_set():
            _log.info("elected: %s leads", self._me)
            threading.Thread(target=self._guard, name="election-guard", daemon=True).start()
            self._on_elected()

    def _release(self, sight: Sight) -> None:
        try:
            self._lease.release(sight)
        except ModelopsError as error:
            _log.warning("the Lease was not given up, it will run out: %s", error)
        else:
            _log.info("the Lease is given up")

    def _guard(self) -> None:
        """Say that the Lease is lost as soon as the fence runs out, even while a renewal hangs."""
        while not self._stopping.is_set():
            left = self._fence.left()
            if left <= 0:
                self._lose(f"the Lease could not be renewed for {self._timing.renew:g} s")
                return
            self._stopping.wait(min(left, self._timing.retry))

    def _listen(self) -> None:
        """Wake the election when the Lease changes, as long as it is somebody else's."""
        while not self._stopping.is_set() and self._held is None:
            try:
                for _ in self._lease.changes():
                    if self._held is not None:
                        return
                    self._news.set()
            except ModelopsError:
                self._stopping.wait(self._timing.retry)

    def _lose(self, why: str) -> None:
        if self._once.acquire(blocking=False):
            self._on_lost(why)

    def _complain(self, error: ModelopsError) -> None:
        """Say what is wrong once, not at every try."""
        if error.message != self._complaint:
            _log.warning("Lease: %s", error)
        self._complaint = error.message

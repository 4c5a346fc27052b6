"""The fence that every write passes: open while the Lease is held, by this process' own clock.

Held by the election (`shell.election`), asked by every adapter that writes (the API server, MLflow). It is asked twice:
when a write begins, and again when its last bytes are handed to the socket, because a process may be stopped for an
hour between any two of its instructions. What it cannot stop is what left already; that is what resourceVersion is for.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf

from modelops.adapters.clock import steady
from modelops.errors import Transient


class Fence:
    """Thread-safe; closed until it is held.

    Args:
        on_late: told when a write meets a fence that was open and ran out: the process has to end. Need not return.
        now: the clock by which it is held.
    """

    def __init__(self, on_late: Callable[[], None] = lambda: None, now: Callable[[], float] = steady) -> None:
        self._on_late = on_late
        self._now = now
        self._until = -inf
        self._shut = False
        self._passing = 0
        self._changed = threading.Condition()

    def hold(self, until: float) -> None:
        """Keep it open until then, by its clock."""
        with self._changed:
            self._until = until

    def left(self) -> float:
        """Return for how many seconds writes may still pass; not positive when none may."""
        with self._changed:
            return self._until - self._now()

    def shut(self, seconds: float) -> bool:
        """Let no write begin any more; return whether those that had begun ended within so many seconds."""
        with self._changed:
            self._shut = True
            return self._changed.wait_for(lambda: self._passing == 0, seconds)

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Surround one write, from before it is sent until it was answered.

        Raises:
            Transient: no write may pass (NotLeader).
        """
        with self._changed:
            self._passing += 1
            shut = self._shut
        try:
            if shut:
                raise _refused()
            self.check()
            yield
        finally:
            with self._changed:
                self._passing -= 1
                self._changed.notify_all()

    def check(self) -> None:
        """Refuse unless held.

        Raises:
            Transient: no write may pass (NotLeader).
        """
        with self._changed:
            left, shut, ever = self._until - self._now(), self._shut, self._until > -inf
        if left > 0:
            return
        if ever and not shut:
            self._on_late()
        raise _refused()

    def guarded(self, data: bytes) -> Iterator[bytes]:
        """Yield a request's body; the fence is asked when it is due to be sent.

        Raises:
            Transient: no write may pass (NotLeader). The request stays incomplete, so its server does nothing.
        """
        self.check()
        yield data


def _refused() -> Transient:
    return Transient("NotLeader", "another operator leads, or is about to; nothing is written")

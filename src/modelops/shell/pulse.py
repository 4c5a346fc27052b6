"""When each watch last gave a sign of life, and which are dead.

A sign of life is an answer's head, or any byte of a watch: an event, a bookmark. A quiet watch gives one whenever it is
made anew (`session` does so after a while of silence); a dead one gives none, however often. `judge` decides which of
the silent are dead, and asks the API server by another way first: if that does not answer either, no watch is to blame.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from modelops.api.kinds import Resource


class Answer(Enum):
    """What the API server says of a resource when it is asked by another way than the watch."""

    SERVED = "served"
    UNKNOWN = "unknown"
    """It does not have the resource: its definition is not installed."""
    REFUSED = "refused"
    """It does not let us see the resource."""
    AWAY = "away"
    """No answer at all, or too busy."""


@dataclass(slots=True)
class _Watch:
    sign: float
    excused: float
    """Until then its silence was not its own fault."""
    wall: float = 0.0
    """time.time() of the sign; 0 while there was none."""
    answer: Answer = Answer.SERVED


class Pulse:
    """Thread-safe.

    Args:
        resources: that are watched.
        limit: a watch without a sign for longer is dead, unless it is excused. Seconds.
        now: a clock.
    """

    def __init__(self, resources: Iterable[Resource], limit: float, now: Callable[[], float] = time.monotonic) -> None:
        self.limit: Final = limit
        self._now = now
        begun = now()
        self._watches = {resource: _Watch(begun, begun) for resource in resources}
        self._lock = threading.Lock()

    def sign(self, resource: Resource) -> None:
        """Note a sign of life."""
        with self._lock:
            watch = self._watches[resource]
            watch.sign = watch.excused = self._now()
            watch.wall = time.time()
            watch.answer = Answer.SERVED

    def last(self, resource: Resource) -> float:
        """Return the time of the last sign, seconds since 1970; 0 if there was none."""
        return self._watches[resource].wall

    def ages(self) -> dict[Resource, float]:
        """Return the seconds since the last sign, of every watch that there should be."""
        with self._lock:
            now = self._now()
            return {
                resource: now - watch.sign
                for resource, watch in self._watches.items()
                if watch.answer is not Answer.UNKNOWN
            }

    def stale(self) -> dict[Resource, float]:
        """Return those without a sign for longer than the limit, whoever is to blame, with their ages."""
        return {resource: age for resource, age in self.ages().items() if age > self.limit}

    def dead(self) -> dict[Resource, float]:
        """Return those that are to blame themselves: the API server has answered for longer than the limit."""
        with self._lock:
            now = self._now()
            return {
                resource: now - watch.sign
                for resource, watch in self._watches.items()
                if now - watch.excused > self.limit and watch.answer is Answer.SERVED
            }

    def judge(self, ask: Callable[[Resource], Answer]) -> list[Resource]:
        """Ask about every watch that has been silent for half the limit; return those that are served but never began.

        Args:
            ask: asks the API server about a resource by another way than the watch; has a deadline.
        """
        unbegun = []
        for resource in self._silent():
            answer = ask(resource)
            with self._lock:
                watch = self._watches[resource]
                if answer is Answer.SERVED and watch.answer is Answer.UNKNOWN:
                    unbegun.append(resource)
                if answer is not Answer.SERVED or watch.answer is Answer.UNKNOWN:
                    watch.excused = self._now()
                if answer is not Answer.AWAY:
                    watch.answer = answer
                    continue
                # Nobody is to blame, and nobody need be asked about.
                for other in self._watches.values():
                    other.excused = max(other.excused, watch.excused)
            break
        return unbegun

    def _silent(self) -> list[Resource]:
        with self._lock:
            now = self._now()
            return [resource for resource, watch in self._watches.items() if now - watch.sign > self.limit / 2]

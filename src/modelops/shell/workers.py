"""A queue per kind, emptied by a few threads: single flight by construction, woken by events, asleep otherwise.

A wake-up that arrives while a reconcile runs is not lost: the object is queued again after it. Reconciles are
synchronous; each kind has threads of its own, so that hung fetches of git never hold up a rollback. Whoever hears of a
change puts its object into the queue itself: no event loop stands between a watch and a reconcile.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final, Protocol

from modelops.api.kinds import Kind
from modelops.reconcile.loop import Key, Outcome

_MIN_DELAY: Final = 0.05
_THREADS: Final = {"GitSource": 4, "ModelRelease": 8}
_Slot = tuple[str, Key]


class Reconciles(Protocol):
    """What a worker needs of a loop."""

    @property
    def kind(self) -> Kind:
        """The kind."""
        ...

    def reconcile(self, key: Key) -> Outcome:
        """Reconcile one object; never raises."""
        ...


@dataclass(slots=True, eq=False)
class _Object:
    """One object that was ever woken and still exists."""

    key: Key
    busy: bool = False
    """Queued, or being reconciled."""
    woken: bool = False
    """Woken since it was last taken from the queue."""
    due: float = 0.0
    """When to look at it again; 0 waits for an event."""


@dataclass(slots=True)
class _Queue:
    """What one kind has to do."""

    loop: Reconciles
    threads: int
    waiting: deque[_Object] = field(default_factory=deque)
    running: int = 0
    """Threads that there are."""
    idle: int = 0
    """Those of them that wait for work."""


class Workers:
    """Runs reconciles for every object that was ever woken and still exists. Thread-safe.

    Args:
        loops: by kind name.
        on_outcome: told kind, key, outcome and seconds after every reconcile, on its thread.
        on_gone: told kind and key when an object does not exist any more.
        paused: whether nothing runs before `start`: a replica that was not elected watches, but acts on nothing.
    """

    def __init__(
        self,
        loops: Mapping[str, Reconciles],
        *,
        on_outcome: Callable[[Kind, Key, Outcome, float], None] = lambda *_: None,
        on_gone: Callable[[Kind, Key], None] = lambda *_: None,
        paused: bool = False,
    ) -> None:
        self._queues = {kind: _Queue(loop, _THREADS.get(kind, 4)) for kind, loop in loops.items()}
        self._on_outcome = on_outcome
        self._on_gone = on_gone
        self._objects: dict[_Slot, _Object] = {}
        self._paused: dict[_Slot, Kind] | None = {} if paused else None
        self._later: list[tuple[float, int, _Slot]] = []
        self._pushed = 0
        self._stopped = False
        self._lock = threading.Lock()
        self._news = {kind: threading.Condition(self._lock) for kind in loops}
        self._sooner = threading.Condition(self._lock)
        self._timekeeper: threading.Thread | None = None

    def start(self) -> None:
        """Release workers that were made paused; every object woken meanwhile is looked at."""
        with self._lock:
            waiting, self._paused = self._paused or {}, None
        for (_, key), kind in waiting.items():
            self.wake(kind, key)

    def wake(self, kind: Kind, key: Key) -> None:
        """Have an object looked at soon; while paused, remember it."""
        slot = (kind.resource.kind, key)
        with self._lock:
            if self._paused is not None:
                self._paused[slot] = kind
            elif not self._stopped:
                self._wake(slot)

    def __len__(self) -> int:
        return len(self._objects)

    def stop(self) -> None:
        """Begin no reconcile any more. Those that run are not waited for: they may hang."""
        with self._lock:
            self._stopped = True
            for queue in self._queues.values():
                queue.waiting.clear()
            for news in (*self._news.values(), self._sooner):
                news.notify_all()

    def _wake(self, slot: _Slot) -> None:
        one = self._objects.get(slot)
        if one is None:
            one = self._objects[slot] = _Object(slot[1])
        one.woken, one.due = True, 0.0
        if not one.busy:
            one.busy = True
            self._enqueue(slot[0], one)

    def _enqueue(self, kind: str, one: _Object) -> None:
        queue = self._queues[kind]
        queue.waiting.append(one)
        if queue.idle:
            # Counted here and not when it wakes up, or the next object would count on it, too.
            queue.idle -= 1
            self._news[kind].notify()
        elif queue.running < queue.threads:
            queue.running += 1
            name = f"reconcile-{kind.lower()}-{queue.running}"
            threading.Thread(target=self._work, args=(kind, queue), name=name, daemon=True).start()

    def _work(self, kind: str, queue: _Queue) -> None:
        try:
            while (one := self._next(kind, queue)) is not None:
                begun = time.monotonic()
                outcome = queue.loop.reconcile(one.key)
                self._on_outcome(queue.loop.kind, one.key, outcome, time.monotonic() - begun)
                if self._forgotten(kind, one, outcome):
                    self._on_gone(queue.loop.kind, one.key)
        finally:
            with self._lock:
                queue.running -= 1

    def _next(self, kind: str, queue: _Queue) -> _Object | None:
        """Return what is to be reconciled now, once there is something; None: nothing any more."""
        with self._lock:
            while not queue.waiting and not self._stopped:
                queue.idle += 1
                self._news[kind].wait()
            if self._stopped:
                return None
            one = queue.waiting.popleft()
            # Before it is observed, or a change in between would be lost.
            one.woken = False
            return one

    def _forgotten(self, kind: str, one: _Object, outcome: Outcome) -> bool:
        """Say when an object is looked at again; return whether it is gone instead."""
        slot = (kind, one.key)
        with self._lock:
            if one.woken or outcome.again:
                # At the end of the queue: nobody who waits has to wait for it. This thread goes on with the queue.
                self._queues[kind].waiting.append(one)
                return False
            one.busy = False
            if outcome.gone:
                del self._objects[slot]
            elif outcome.requeue_after is not None:
                self._put_off(slot, one, max(_MIN_DELAY, outcome.requeue_after.total_seconds()))
            return outcome.gone

    def _put_off(self, slot: _Slot, one: _Object, seconds: float) -> None:
        one.due = time.monotonic() + seconds
        self._pushed += 1
        heappush(self._later, (one.due, self._pushed, slot))
        if self._timekeeper is None:
            self._timekeeper = threading.Thread(target=self._keep_time, name="reconcile-later", daemon=True)
            self._timekeeper.start()
        elif self._later[0][2] == slot:
            self._sooner.notify()

    def _keep_time(self) -> None:
        """Wake what is due."""
        with self._lock:
            while not self._stopped:
                left = self._later[0][0] - time.monotonic() if self._later else None
                if left is None or left > 0:
                    self._sooner.wait(left)
                    continue
                due, _, slot = heappop(self._later)
                one = self._objects.get(slot)
                # Whoever was woken meanwhile has another time, or none.
                if one is not None and one.due == due:
                    self._wake(slot)

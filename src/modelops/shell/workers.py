"""One task per object: single flight by construction, woken by events, asleep otherwise.

A wake-up that arrives while a reconcile runs is not lost: the flag is cleared before the object is observed.
Reconciles are synchronous and run in bounded thread pools, one per kind, so that hung fetches of git never hold up
a rollback.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

from modelops.api.kinds import Kind
from modelops.reconcile.loop import Key, Outcome

_MIN_DELAY: Final = 0.05
_THREADS: Final = {"GitSource": 4, "ModelRelease": 8}


class Reconciles(Protocol):
    """What a worker needs of a loop."""

    @property
    def kind(self) -> Kind:
        """The kind."""
        ...

    def reconcile(self, key: Key) -> Outcome:
        """Reconcile one object; never raises."""
        ...


class Workers:
    """Runs reconciles for every object that was ever woken and still exists.

    Args:
        loops: by kind name.
        on_outcome: told kind, key, outcome and seconds after every reconcile.
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
        self._loops = loops
        self._on_outcome = on_outcome
        self._on_gone = on_gone
        self._flags: dict[tuple[str, Key], asyncio.Event] = {}
        self._tasks: dict[tuple[str, Key], asyncio.Task[None]] = {}
        self._pools = {
            kind: ThreadPoolExecutor(_THREADS.get(kind, 4), thread_name_prefix=f"reconcile-{kind.lower()}")
            for kind in loops
        }
        self._waiting: dict[tuple[str, Key], Kind] | None = {} if paused else None

    def start(self) -> None:
        """Release workers that were made paused; every object woken meanwhile is looked at. On the event loop."""
        waiting, self._waiting = self._waiting or {}, None
        for (_, key), kind in waiting.items():
            self.wake(kind, key)

    def wake(self, kind: Kind, key: Key) -> None:
        """Have an object looked at soon; while paused, remember it. Called on the event loop."""
        slot = (kind.resource.kind, key)
        if self._waiting is not None:
            self._waiting[slot] = kind
            return
        flag = self._flags.get(slot)
        if flag is None:
            flag = self._flags[slot] = asyncio.Event()
            self._tasks[slot] = asyncio.get_running_loop().create_task(self._live(kind, key, flag))
        flag.set()

    def __len__(self) -> int:
        return len(self._tasks)

    async def stop(self) -> None:
        """End every task; a reconcile that runs is finished first, and nothing that is woken later runs."""
        self._waiting = {}
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)

    async def _live(self, kind: Kind, key: Key, flag: asyncio.Event) -> None:
        slot = (kind.resource.kind, key)
        loop: Any = self._loops[kind.resource.kind]
        pool = self._pools[kind.resource.kind]
        while True:
            flag.clear()
            begun = time.monotonic()
            outcome: Outcome = await asyncio.get_running_loop().run_in_executor(pool, loop.reconcile, key)
            self._on_outcome(kind, key, outcome, time.monotonic() - begun)
            if outcome.gone and not flag.is_set():
                self._flags.pop(slot, None)
                self._tasks.pop(slot, None)
                self._on_gone(kind, key)
                return
            if outcome.requeue_after is None:
                await flag.wait()
            else:
                delay = max(_MIN_DELAY, outcome.requeue_after.total_seconds())
                # Not asyncio.wait_for, which swallows a cancellation that comes together with a wake.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await flag.wait()

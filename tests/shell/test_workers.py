"""The workers by themselves: what runs when, without kopf and without an API server."""

import asyncio
from datetime import timedelta

from modelops.api.kinds import COMPUTEPOOL, Kind
from modelops.reconcile.loop import Key, Outcome
from modelops.shell.workers import Workers


class Passes:
    """Counts passes; every object waits for an event afterwards."""

    def __init__(self) -> None:
        self.seen: list[Key] = []

    @property
    def kind(self) -> Kind:
        return COMPUTEPOOL

    def reconcile(self, key: Key) -> Outcome:
        self.seen.append(key)
        return Outcome(timedelta(hours=1))


async def until(condition: object) -> None:
    """Return once the condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # type: ignore[operator] # noqa: ASYNC110 - what is waited for happens in a thread
            await asyncio.sleep(0.005)


def test_paused_workers_remember_who_was_woken() -> None:
    """Nothing runs before the start; then each object woken meanwhile runs once, however often it was woken."""

    async def go() -> list[Key]:
        passes = Passes()
        workers = Workers({"ComputePool": passes}, paused=True)
        for name in ("a", "b", "a"):
            workers.wake(COMPUTEPOOL, (None, name))
        await asyncio.sleep(0.05)
        assert passes.seen == []

        workers.start()
        await until(lambda: len(passes.seen) == 2)
        await workers.stop()
        return passes.seen

    assert sorted(asyncio.run(go())) == [(None, "a"), (None, "b")]


def test_started_workers_act_on_a_wake_at_once() -> None:
    """After the start a wake is no longer only remembered."""

    async def go() -> list[Key]:
        passes = Passes()
        workers = Workers({"ComputePool": passes}, paused=True)
        workers.start()
        workers.wake(COMPUTEPOOL, (None, "later"))
        await until(lambda: passes.seen)
        await workers.stop()
        return passes.seen

    assert asyncio.run(go()) == [(None, "later")]


def test_a_wake_at_the_moment_of_the_stop_does_not_outlive_it() -> None:
    """asyncio.wait_for would swallow the cancellation, and the stop would wait for ever, and a successor with it."""

    async def go() -> None:
        passes = Passes()
        workers = Workers({"ComputePool": passes})
        workers.wake(COMPUTEPOOL, (None, "busy"))
        await until(lambda: passes.seen)
        await asyncio.sleep(0.05)
        workers.wake(COMPUTEPOOL, (None, "busy"))
        async with asyncio.timeout(5):
            await workers.stop()
        assert len(passes.seen) == 1

    asyncio.run(go())

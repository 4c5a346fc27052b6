"""The workers by themselves: what runs when, without kopf and without an API server."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from modelops.api.kinds import COMPUTEPOOL, GITSOURCE, Kind
from modelops.reconcile.loop import Key, Outcome
from modelops.shell.workers import Workers
from tests.shell.conftest import wait_for

_HOUR = timedelta(hours=1)


class Passes:
    """Counts passes, and says of each what a test says; every object waits for an event by default."""

    def __init__(self, kind: Kind = COMPUTEPOOL, *outcomes: Outcome) -> None:
        self.kind = kind
        self.seen: list[Key] = []
        self.during: Callable[[Key], object] = lambda _: None
        self._outcomes = list(outcomes)

    def reconcile(self, key: Key) -> Outcome:
        self.seen.append(key)
        self.during(key)
        return self._outcomes.pop(0) if self._outcomes else Outcome(_HOUR)


@pytest.fixture
def made() -> Iterator[list[Workers]]:
    """Workers that are stopped afterwards."""
    workers: list[Workers] = []
    yield workers
    for one in workers:
        one.stop()


def test_paused_workers_remember_who_was_woken(made: list[Workers]) -> None:
    """Nothing runs before the start; then each object woken meanwhile runs once, however often it was woken."""
    passes = Passes()
    made.append(workers := Workers({"ComputePool": passes}, paused=True))
    for name in ("a", "b", "a"):
        workers.wake(COMPUTEPOOL, (None, name))
    time.sleep(0.05)
    assert passes.seen == []

    workers.start()

    wait_for(lambda: len(passes.seen) == 2)
    time.sleep(0.05)
    assert sorted(passes.seen) == [(None, "a"), (None, "b")]


def test_started_workers_act_on_a_wake_at_once(made: list[Workers]) -> None:
    """After the start a wake is no longer only remembered."""
    passes = Passes()
    made.append(workers := Workers({"ComputePool": passes}, paused=True))
    workers.start()

    workers.wake(COMPUTEPOOL, (None, "later"))

    wait_for(lambda: passes.seen == [(None, "later")])


def test_a_wake_during_a_pass_leads_to_one_more(made: list[Workers]) -> None:
    """What changed after it was observed is looked at again, once, however often it changed."""
    passes, entered, go_on = Passes(), threading.Event(), threading.Event()
    passes.during = lambda _: (entered.set(), go_on.wait(10))
    made.append(workers := Workers({"ComputePool": passes}))
    workers.wake(COMPUTEPOOL, (None, "busy"))
    assert entered.wait(10)

    for _ in range(3):
        workers.wake(COMPUTEPOOL, (None, "busy"))
    go_on.set()

    wait_for(lambda: len(passes.seen) == 2)
    time.sleep(0.05)
    assert len(passes.seen) == 2


def test_an_object_with_a_new_status_is_looked_at_once_more(made: list[Workers]) -> None:
    """A decision may depend on what was written, and nobody tells of that."""
    passes = Passes(COMPUTEPOOL, Outcome(None, again=True), Outcome(None))
    made.append(workers := Workers({"ComputePool": passes}))

    workers.wake(COMPUTEPOOL, (None, "written"))

    wait_for(lambda: len(passes.seen) == 2)
    time.sleep(0.05)
    assert len(passes.seen) == 2


def test_an_object_is_looked_at_when_it_is_due(made: list[Workers]) -> None:
    """Without any event; sooner than one that was put off before it."""
    passes = Passes(COMPUTEPOOL, Outcome(_HOUR), Outcome(timedelta(seconds=0.1)))
    made.append(workers := Workers({"ComputePool": passes}))
    workers.wake(COMPUTEPOOL, (None, "in an hour"))
    wait_for(lambda: len(passes.seen) == 1)

    workers.wake(COMPUTEPOOL, (None, "soon"))

    wait_for(lambda: passes.seen == [(None, "in an hour"), (None, "soon"), (None, "soon")])


def test_a_wake_overrides_the_time_that_was_set(made: list[Workers]) -> None:
    """The pass that it leads to sets the next one; the old time passes unused."""
    passes = Passes(COMPUTEPOOL, Outcome(timedelta(seconds=0.3)), Outcome(None))
    made.append(workers := Workers({"ComputePool": passes}))
    workers.wake(COMPUTEPOOL, (None, "woken"))
    wait_for(lambda: len(passes.seen) == 1)

    workers.wake(COMPUTEPOOL, (None, "woken"))
    time.sleep(0.5)

    assert len(passes.seen) == 2


def test_an_object_that_is_gone_is_forgotten_and_told(made: list[Workers]) -> None:
    """Unless it was woken meanwhile: another one may have its name."""
    gone: list[Key] = []
    passes = Passes(COMPUTEPOOL, Outcome(None, gone=True))
    made.append(workers := Workers({"ComputePool": passes}, on_gone=lambda _, key: gone.append(key)))

    workers.wake(COMPUTEPOOL, (None, "left"))

    wait_for(lambda: gone == [(None, "left")])
    assert len(workers) == 0


def test_hung_passes_of_one_kind_hold_up_no_other_kind(made: list[Workers]) -> None:
    """However many of them hang: each kind has threads of its own."""
    hung, brisk, go_on = Passes(GITSOURCE), Passes(), threading.Event()
    hung.during = lambda _: go_on.wait(20)
    made.append(workers := Workers({"GitSource": hung, "ComputePool": brisk}))
    for number in range(20):
        workers.wake(GITSOURCE, ("team", str(number)))

    workers.wake(COMPUTEPOOL, (None, "pool"))

    wait_for(lambda: brisk.seen)
    assert len(hung.seen) == 4
    go_on.set()
    wait_for(lambda: len(hung.seen) == 20)


def test_an_idle_thread_is_counted_on_once(made: list[Workers]) -> None:
    """Two objects woken together, one idle thread: the one that it takes hangs, and the other runs all the same."""
    passes, go_on = Passes(), threading.Event()
    made.append(workers := Workers({"ComputePool": passes}))
    workers.wake(COMPUTEPOOL, (None, "first"))
    wait_for(lambda: passes.seen)
    time.sleep(0.05)
    passes.during = lambda _: go_on.wait(10)

    workers.wake(COMPUTEPOOL, (None, "one"))
    workers.wake(COMPUTEPOOL, (None, "two"))

    wait_for(lambda: len(passes.seen) == 3)
    go_on.set()


def test_nothing_begins_after_the_stop(made: list[Workers]) -> None:
    """Neither what is woken then, nor what was queued; and the stop waits for nobody who hangs."""
    passes, entered, go_on = Passes(), threading.Event(), threading.Event()
    passes.during = lambda _: (entered.set(), go_on.wait(10))
    made.append(workers := Workers({"ComputePool": passes}))
    workers.wake(COMPUTEPOOL, (None, "busy"))
    assert entered.wait(10)
    workers.wake(COMPUTEPOOL, (None, "busy"))
    begun = time.monotonic()

    workers.stop()

    assert time.monotonic() - begun < 1
    workers.wake(COMPUTEPOOL, (None, "late"))
    go_on.set()
    time.sleep(0.1)
    assert passes.seen == [(None, "busy")]

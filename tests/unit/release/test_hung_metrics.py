"""A Prometheus that never answers: a look ends all the same, as an Error, and holds nobody up."""

import threading
import time
from collections.abc import Sequence
from datetime import datetime

from modelops.reconcile.loop import Loop
from modelops.reconcile.modelrelease import ModelReleaseReconciler
from tests.support.fakes import FakeMetrics
from tests.unit.release.world import World


class Hung(FakeMetrics):
    """Answers nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.asked = threading.Event()

    def query(self, promql: str, at: datetime) -> Sequence[object]:  # type: ignore[override]
        self.asked.set()
        self.go.wait(60)
        return []


def test_a_look_at_a_prometheus_that_hangs_ends_with_its_deadline() -> None:
    """The reading is an Error that says so; the pass goes on, and threads are not made anew for each."""
    metrics = Hung()
    world = World(metrics=metrics)
    reconciler = ModelReleaseReconciler(deadline=0.2)
    world.loop = Loop(reconciler, world.loop._ports, jitter=lambda: 1.0)
    try:
        world.first()
        world.train("2")
        begun, others = time.monotonic(), set(threading.enumerate())
        world.settle(40)

        assert metrics.asked.is_set()
        assert time.monotonic() - begun < 20
        looks = [look for metric in world.status["analysis"] for look in metric["measurements"]]
        assert looks
        assert [look["verdict"] for look in looks] == ["Error"] * len(looks)
        assert len(set(threading.enumerate()) - others) <= 16
    finally:
        metrics.go.set()

"""The operator's loops against a real API server, in a thread of the test: for verbs that wait for an answer."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from modelops.adapters.cluster import KubeClient
from modelops.reconcile.bundle import Ports, Settings
from modelops.reconcile.dataset import DatasetReconciler
from modelops.reconcile.loop import Loop
from modelops.reconcile.modelrelease import ModelReleaseReconciler
from modelops.reconcile.trainingrun import TrainingRunReconciler
from tests.support.fakes import FakeClock, FakeMetrics, FakeRegistry, FakeServers
from tests.unit.release.world import NoGit

_EVERY = 0.03


@contextmanager
def reconciling(
    client: KubeClient, namespace: str, registry: FakeRegistry | None = None, *, only: str | None = None
) -> Iterator[None]:
    """Reconcile every object of a namespace, or those of one kind, again and again, until the block ends."""
    outside = (registry or FakeRegistry(), FakeMetrics(), FakeClock(), FakeServers())
    ports = Ports(client, NoGit(), *outside, Settings())  # type: ignore[arg-type]
    loops = [Loop(one, ports) for one in (DatasetReconciler(), TrainingRunReconciler(), ModelReleaseReconciler())]
    stopped = threading.Event()

    def run() -> None:
        while not stopped.wait(_EVERY):
            for loop in [one for one in loops if only in (None, one.kind.resource.kind)]:
                for obj in client.list(loop.kind.resource, namespace):
                    loop.reconcile((namespace, obj["metadata"]["name"]))

    thread = threading.Thread(target=run, name="reconciling")
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(30)

"""The shell as it runs in production, over a real API server, with reconcilers that tests script."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from modelops.adapters.cached_cluster import CachedCluster
from modelops.adapters.clock import SystemClock
from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import COMPUTEPOOL, KINDS, Kind
from modelops.api.v1alpha1.common import Status
from modelops.domain.plan import ConditionSpec, Plan
from modelops.reconcile.bundle import Ports
from modelops.reconcile.loop import Loop
from modelops.shell.pulse import Pulse
from modelops.shell.registry import News, build_registry, watched
from modelops.shell.watching import Watching
from modelops.shell.workers import Workers
from tests.support.fakes import FakeMetrics, FakeRegistry, FakeServers
from tests.support.local_apiserver import LocalApiServer

CRDS = Path(__file__).parents[2] / "crds"


@dataclass
class Recorder:
    """Says Ready with what the spec holds; counts who runs at the same time."""

    kind: Kind
    before: Callable[[dict[str, Any]], None] = lambda _: None
    runs: list[str] = field(default_factory=list)
    running: dict[str, int] = field(default_factory=dict)
    peak: int = 0
    """How many passes over one object ran at once, at most."""
    _lock: Any = field(default_factory=threading.Lock)

    def observe(self, obj: dict[str, Any], ports: Ports) -> dict[str, Any]:
        name = obj["metadata"]["name"]
        with self._lock:
            self.runs.append(name)
            self.running[name] = self.running.get(name, 0) + 1
            self.peak = max(self.peak, self.running[name])
        try:
            self.before(obj)
        finally:
            with self._lock:
                self.running[name] -= 1
        return obj

    def decide(self, obj: dict[str, Any]) -> Plan:
        said = str(obj["spec"].get("resourceName", obj["metadata"]["generation"]))
        return Plan(Status(), (ConditionSpec("Ready", "True", "Seen", said),))


class Shell:
    """kopf, cache and workers as the app puts them together."""

    def __init__(self, client: KubeClient, through: KubeClient | None = None, *, silence: float = 70) -> None:
        self.client = client
        self.cluster = CachedCluster(client, watched())
        self.recorders = {kind.resource.kind: Recorder(kind) for kind in KINDS}
        ports = Ports(self.cluster, None, FakeRegistry(), FakeMetrics(), SystemClock(), FakeServers())  # type: ignore[arg-type]
        loops = {name: Loop(recorder, ports) for name, recorder in self.recorders.items()}
        self.gone: list[str] = []
        self.lists: list[str] = []
        self.workers = Workers(loops, on_gone=lambda _, key: self.gone.append(key[1]))
        self.pulse = Pulse(watched(), 2 * silence)
        news = News(self.cluster, self.workers.wake, lambda resource: self.lists.append(resource.plural))
        connection = (through or client).connection
        self.watching = Watching(lambda: build_registry(news, connection, self.pulse, silence=silence))

    @property
    def pools(self) -> Recorder:
        return self.recorders["ComputePool"]

    def start(self) -> "Shell":
        self.watching.start()
        assert self.watching.ready.wait(20), "kopf did not become ready"
        return self

    def stop(self) -> None:
        assert self.watching.stop(20)
        self.workers.stop()


def wait_for(condition: Callable[[], Any], seconds: float = 15) -> Any:
    """Return what the condition returns once that is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.005)
    raise AssertionError("it did not happen in time")


def a_pool(name: str, resource: str = "example.com/gpu") -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"resourceName": resource}}


def said(client: KubeClient, name: str) -> str | None:
    """Return the message of a ComputePool's Ready condition."""
    obj = client.get(COMPUTEPOOL.resource, None, name) or {}
    conditions = (obj.get("status") or {}).get("conditions") or [{}]
    message: str | None = conditions[0].get("message")
    return message


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApiServer]:
    """One API server for all tests of the shell."""
    server = LocalApiServer(tmp_path_factory.mktemp("api"), CRDS).start()
    yield server
    server.stop()


@pytest.fixture
def client(api_server: LocalApiServer) -> Iterator[KubeClient]:
    """A client; what a test leaves is deleted after it, or it would be there when the test runs again."""
    client = KubeClient.from_kubeconfig(str(api_server.kubeconfig))
    yield client
    for resource in watched():
        for obj in client.list(resource, None):
            client.delete(resource, obj["metadata"].get("namespace"), obj["metadata"]["name"])


@pytest.fixture
def shell(client: KubeClient) -> Iterator[Shell]:
    """A running shell; it ends before what the test left is deleted."""
    running = Shell(client).start()
    yield running
    running.stop()

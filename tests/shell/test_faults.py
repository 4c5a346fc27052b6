"""What an API server and a network may do to watches, over a real API server, with whole operators as processes."""

import json
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import COMPUTEPOOL
from tests.support import kube_apiserver
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Delay, Drop, Fault, HalfClose, InStream, Reset, Rule
from tests.support.operators import Replica, Replicas, a_cluster, until

pytestmark = pytest.mark.real_apiserver
POOL = COMPUTEPOOL.resource
SILENCE = 4
SETTINGS = {"MODELOPS_WATCH_SILENCE_SECONDS": str(SILENCE), "MODELOPS_LEADER_ELECTION": "false"}


@dataclass
class Arena:
    """An operator whose every request passes the proxy, and a client that goes around it."""

    server: kube_apiserver.KubeApiServer
    client: KubeClient
    proxy: FaultProxy
    operator: Replica

    def change(self, name: str, said: str) -> None:
        self.client.apply(POOL, {"metadata": {"name": name}, "spec": {"resourceName": f"example.com/{said}"}})

    def observed(self, name: str) -> bool:
        obj = self.client.get(POOL, None, name) or {"metadata": {"generation": -1}}
        return (obj.get("status") or {}).get("observedGeneration") == obj["metadata"]["generation"]

    def probe(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.operator.health}{path}", timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def compact(self) -> None:
        """Make etcd forget every older version, by its HTTP gateway."""

        def ask(path: str, body: dict[str, object]) -> dict[str, dict[str, str]]:
            request = urllib.request.Request(f"{self.server.etcd}{path}", json.dumps(body).encode(), method="POST")
            with urllib.request.urlopen(request, timeout=5) as answer:
                found: dict[str, dict[str, str]] = json.load(answer)
            return found

        newest = ask("/v3/kv/range", {"key": b64encode(b"/").decode()})["header"]["revision"]
        ask("/v3/kv/compaction", {"revision": newest, "physical": True})


@pytest.fixture(scope="module")
def arena_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    lacking = kube_apiserver.missing()
    if lacking:
        pytest.skip(lacking)
    directory: Path = tmp_path_factory.mktemp("faults")
    server, config = a_cluster(directory)
    proxy = FaultProxy(server.url).start()
    through = directory / "through-the-proxy"
    through.write_text(kube_apiserver.kubeconfig(proxy.url, server.token))
    replicas = Replicas(directory, through, SETTINGS)
    try:
        operator = replicas.start()
        until(lambda: len(proxy.watches()) >= 7, 30, "the watches run")
        yield Arena(server, KubeClient.from_kubeconfig(str(config), agent="test"), proxy, operator)
    finally:
        replicas.stop()
        proxy.stop()
        server.stop()


@pytest.fixture
def arena(arena_of_module: Arena) -> Iterator[Arena]:
    """Return the arena; a fault that a test left is taken away, and the same process runs on, well."""
    yield arena_of_module
    arena_of_module.proxy.clear()
    until(lambda: arena_of_module.probe("/readyz")[0] == 200, 30, "all watches live again", 0.1)
    assert arena_of_module.operator.process.poll() is None, arena_of_module.operator.log
    assert arena_of_module.probe("/healthz")[0] == 200


@pytest.mark.parametrize(
    "fault", [InStream(410), InStream(500), HalfClose(), Reset(), Answer(410), Answer(404)], ids=repr
)
def test_no_change_is_lost_to_a_watch_that_breaks(arena: Arena, fault: Fault) -> None:
    """Running watches break, or new ones are refused; what changes meanwhile is acted on, by the same process."""
    arena.change("broken", f"before-{time.time_ns()}")
    until(lambda: arena.observed("broken"), 20, "the first change")
    if isinstance(fault, Answer):
        arena.proxy.add(Rule(Reset(), watch=True, path="computepools", times=1))
    arena.proxy.add(Rule(fault, watch=True, path="computepools", seconds=2))

    arena.change("broken", f"after-{time.time_ns()}")

    until(lambda: arena.observed("broken"), 20, "the second change")


def test_a_deletion_that_a_410_hides_is_noticed_by_the_list_after_it(arena: Arena) -> None:
    """The watch is dead while an object goes and etcd is compacted; the operator forgets it within seconds."""
    arena.change("hidden", "gpu")
    until(lambda: arena.observed("hidden"), 20, "it is known")
    shown = 'name="hidden"'
    until(lambda: shown in metrics(arena), 10, "its figures are shown")
    blind = arena.proxy.add(Rule(Drop(), watch=True, path="computepools"))
    arena.client.delete(POOL, None, "hidden")
    arena.change("other", f"gpu-{time.time_ns()}")
    arena.compact()

    arena.proxy.add(Rule(InStream(410), watch=True, path="computepools", times=1))
    arena.proxy.remove(blind)

    until(lambda: shown not in metrics(arena), 3 * SILENCE + 10, "it is forgotten")
    until(lambda: arena.observed("other"), 10, "the change beside it")


def metrics(arena: Arena) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{arena.operator.metrics}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
    return text


@pytest.mark.parametrize(
    ("fault", "method"),
    [
        pytest.param(Answer(429, 1), ".*", id="429"),
        pytest.param(Answer(500), ".*", id="500"),
        pytest.param(Answer(403), ".*", id="403"),
        pytest.param(Answer(409), "PUT|PATCH", id="409"),
        pytest.param(Delay(1.5), ".*", id="slow"),
    ],
)
def test_a_flood_is_survived(arena: Arena, fault: Fault, method: str) -> None:
    """Requests are refused or slow for a while and running watches break: nothing ends, nothing is lost, once each."""
    names = [f"flood-{time.time_ns()}-{number}" for number in range(5)]
    breaking = arena.proxy.add(Rule(Reset(), watch=True))
    flood = arena.proxy.add(Rule(fault, method=method, seconds=6))
    arena.proxy.remove(breaking)
    for name in names:
        arena.change(name, "gpu")

    until(lambda: all(arena.observed(name) for name in names), 40, "all changes")

    assert flood.hits > 0
    landed = Counter(
        event["objectRef"]["name"]
        for event in arena.server.audit()
        if event.get("userAgent") == "modelops" and event["responseStatus"]["code"] < 300
    )
    # The last failure may still be told once the flood is over.
    assert all(1 <= landed[name] <= 2 for name in names), landed


def test_a_dead_watch_is_told_from_a_quiet_one(arena: Arena) -> None:
    """Only pools' watches vanish in a black hole: /healthz names them once their limit is over, and no other."""
    arena.proxy.add(Rule(Drop(), watch=True, path="computepools"))

    until(lambda: arena.probe("/healthz")[0] == 503, 2 * SILENCE + 10, "the watch is dead", 0.1)

    code, said = arena.probe("/healthz")
    assert code == 503
    assert [line.split()[3] for line in said.splitlines()] == ["computepools.modelops.dev"]
    assert arena.probe("/readyz")[0] == 503


def test_an_api_server_that_is_away_is_no_reason_for_a_restart(arena: Arena) -> None:
    """Everything vanishes in a black hole: /healthz stays well, also when it is over; /readyz says what is old."""
    arena.proxy.add(Rule(Drop(), seconds=4 * SILENCE))
    begun, lives, readies = time.monotonic(), set(), set()

    while time.monotonic() < begun + 5 * SILENCE:
        lives.add(arena.probe("/healthz")[0])
        readies.add(arena.probe("/readyz")[0])
        time.sleep(0.2)

    assert lives == {200}
    assert 503 in readies


def test_nobody_asks_for_pods(arena: Arena) -> None:
    """No list, no watch, no read."""
    assert not [seen.path for seen in arena.proxy.seen() if "/pods" in seen.path]

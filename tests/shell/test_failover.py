"""Two operators as processes over a real API server, whose audit log says who wrote what (often: `bench.failover`).

The Lease is shorter here than in production, so that a crash is survived sooner.
"""

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelops.adapters.cluster import KubeClient
from modelops.api import kinds
from modelops.app import EXIT_LOST
from tests.support import kube_apiserver
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Drop, Rule
from tests.support.operators import LEASE_NAME, Ledger, Replica, Replicas, Traffic, a_cluster, holder, until

pytestmark = pytest.mark.real_apiserver

LEASE, RENEW, RETRY = 4, 2.5, 0.5
SETTINGS = {
    "MODELOPS_LEASE_SECONDS": str(LEASE),
    "MODELOPS_LEASE_RENEW_SECONDS": str(RENEW),
    "MODELOPS_LEASE_RETRY_SECONDS": str(RETRY),
}


@dataclass
class Arena:
    """An API server with traffic, and operators that a test starts."""

    server: kube_apiserver.KubeApiServer
    client: KubeClient
    replicas: Replicas
    ledger: Ledger

    def leader(self) -> str:
        """Return who leads, once it has written something, as itself and as a repository's account."""
        who = str(until(lambda: holder(self.client), 30, "somebody leads"))
        self.until_works(who)
        until(lambda: self.ledger.update().acted(who), 30, f"{who} writes as an account", 0.1)
        return who

    def until_works(self, who: str) -> None:
        until(lambda: self.ledger.update().worked(who), 30, f"{who} writes", 0.1)

    def next_leader(self, before: str, seconds: float) -> str:
        """Return who leads after somebody, once it has written something."""

        def another() -> str:
            now = holder(self.client)
            return "" if now == before else now

        after = str(until(another, seconds, "another leads"))
        self.until_works(after)
        return after

    def pair(self) -> tuple[Replica, str]:
        """Return a leader at work and its name, while another stands by."""
        for one in [self.replicas.begin(), self.replicas.begin()]:
            self.replicas.ready(one)
        who = self.leader()
        return self.called(who), who

    def called(self, who: str) -> Replica:
        return next(one for one in self.replicas.running if who.startswith(f"{one.name}_"))


@pytest.fixture(scope="module")
def arena_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    lacking = kube_apiserver.missing()
    if lacking:
        pytest.skip(lacking)
    directory: Path = tmp_path_factory.mktemp("failover")
    server, config = a_cluster(directory)
    try:
        replicas = Replicas(directory, config, SETTINGS)
        client = KubeClient.from_kubeconfig(str(config), agent="test")
        with Traffic(client, directory):
            yield Arena(server, client, replicas, Ledger(server))
    finally:
        server.stop()


@pytest.fixture
def arena(arena_of_module: Arena) -> Iterator[Arena]:
    """Return the arena; whoever a test has started is gone after it, and so is its Lease."""
    yield arena_of_module
    arena_of_module.replicas.stop()
    arena_of_module.replicas.running.clear()
    arena_of_module.client.delete(kinds.LEASE, "default", LEASE_NAME)


def test_a_clean_stop_hands_over_within_three_seconds(arena: Arena) -> None:
    """One stands by, ready; the Lease is given up, exit code 0, the other works, and nothing of the old one lands."""
    old, before = arena.pair()
    standby = next(one for one in arena.replicas.running if one is not old)
    until(lambda: old.figure("modelops_leader") == 1, 10, "the leader says so")
    assert (standby.ready, standby.figure("modelops_leader")) == (True, 0)
    begun = time.monotonic()

    old.signal(signal.SIGTERM)
    after = arena.next_leader(before, 3)

    assert time.monotonic() - begun < 3
    assert old.ended(20) == 0
    assert standby.figure("modelops_leader") == 1
    assert arena.ledger.update().reign(after).intruders == ()


def test_a_killed_leader_is_followed_when_its_lease_has_run_out(arena: Arena) -> None:
    """Not before: its last write may be on its way still."""
    old, before = arena.pair()

    old.signal(signal.SIGKILL)
    killed = time.monotonic()
    after = arena.next_leader(before, LEASE + 2)

    assert time.monotonic() - killed > LEASE - RETRY - 1
    assert arena.ledger.update().reign(after).intruders == ()


def test_a_leader_that_was_stopped_and_goes_on_writes_nothing_and_exits(arena: Arena) -> None:
    """SIGSTOP, another leads, SIGCONT: one line in the log, exit code 3, and no write of it landed."""
    old, before = arena.pair()

    old.signal(signal.SIGSTOP)
    after = arena.next_leader(before, LEASE + 2)
    old.signal(signal.SIGCONT)

    assert old.ended(5) == EXIT_LOST
    assert old.log.count("leadership lost: ") == 1
    assert holder(arena.client) == after
    assert arena.ledger.update().reign(after).intruders == ()


def test_a_flood_of_429_does_not_lose_the_lease(arena: Arena, tmp_path: Path) -> None:
    """All other calls are refused or hang for twice a Lease's time, and some renewals are refused too."""
    proxy = FaultProxy(arena.server.url).start()
    config = tmp_path / "kubeconfig"
    config.write_text(kube_apiserver.kubeconfig(proxy.url, arena.server.token))
    try:
        leader = arena.replicas.start(config)
        who = arena.leader()
        arena.replicas.start()
        hung = proxy.add(Rule(Drop(), method="PUT|POST|PATCH", path="^(?!.*/leases)", times=16, seconds=2 * LEASE))
        refused = proxy.add(Rule(Answer(429, 1), path="^(?!.*/leases)", watch=False, seconds=2 * LEASE))
        renewals = proxy.add(Rule(Answer(429, 60), method="PATCH", path="/leases/", times=3, seconds=2 * LEASE))

        time.sleep(2 * LEASE)

        assert (hung.hits > 0, refused.hits > 0, renewals.hits) == (True, True, 3)
        assert holder(arena.client) == who
        assert leader.process.poll() is None
    finally:
        proxy.stop()


@pytest.mark.slow
def test_a_leader_whose_api_server_is_gone_exits_and_one_leads_when_it_is_back(arena: Arena) -> None:
    """Nobody leads without the API server; those that stand by wait for it."""
    old, before = arena.pair()

    arena.server.stop_serving()
    code = old.ended(RENEW + 10)
    arena.server.serve()
    arena.replicas.start()
    after = arena.next_leader(before, 20)

    assert code == EXIT_LOST
    assert sorted(one.process.poll() or 0 for one in arena.replicas.running) == [0, 0, EXIT_LOST]
    assert arena.ledger.update().reign(after).intruders == ()

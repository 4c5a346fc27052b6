"""Fail-over of two operators on a real kube-apiserver while objects change all the time; the audit log is the judge.

`python -m bench.failover --tries 20`. Each try ends the leader (SIGTERM, SIGKILL, or SIGSTOP and later SIGCONT) and
takes its times from the API server's audit log: from the signal to the next leader's write of the Lease, and to its
first write of anything else. A write that landed after that, of one who led before, is an intruder; there must be none.
Then 30 s of 429 (`--only flood`), and an API server that is gone for 20 s (`--only away`).
"""

import argparse
import shutil
import signal
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Drop, Rule
from tests.support.kube_apiserver import KubeApiServer, kubeconfig
from tests.support.operators import Ledger, Reign, Replica, Replicas, Traffic, a_cluster, holder, until

from modelops.adapters.cluster import KubeClient
from modelops.app import EXIT_LOST

MODES = ("graceful", "sigkill", "sigstop", "flood", "away")
BARS = {"graceful": 3.0, "sigkill": 17.0, "sigstop": 17.0}
"""Seconds until the next one leads."""
_CHANGE = 40.0
_STEADY = 1.5


@dataclass
class Arena:
    """One API server, two operators, and traffic."""

    directory: Path
    server: KubeApiServer
    client: KubeClient
    replicas: Replicas
    ledger: Ledger
    intruders: list[str] = field(default_factory=list)
    refused: int = 0

    def leader(self) -> tuple[Replica, str]:
        """Return the one that leads, once it is at work and another stands by."""
        who = until(lambda: holder(self.client), _CHANGE, "somebody leads")
        until(lambda: self.ledger.update().worked(who), _CHANGE, f"{who} writes", 0.1)
        time.sleep(_STEADY)
        found = next(one for one in self.replicas.running if who.startswith(f"{one.name}_"))
        return found, who

    def next_leader(self, before: str) -> str:
        """Return who leads after somebody, once it writes."""
        who = str(until(lambda: _other(holder(self.client), before), _CHANGE, "another leads", 0.02))
        until(lambda: self.ledger.update().worked(who), _CHANGE, f"{who} writes", 0.1)
        return who

    def judge(self, who: str) -> Reign:
        """Return the reign of a leader and remember what was wrong with it."""
        found = self.ledger.update().reign(who)
        self.intruders += [f"{write} after {found.who} led from {found.began}" for write in found.intruders]
        self.refused += found.refused
        return found


def _other(now: str, before: str) -> str:
    return now if now != before else ""


def _since(begun: datetime, moment: str) -> float:
    return (datetime.fromisoformat(moment) - begun).total_seconds()


def _fail_over(arena: Arena, mode: str) -> tuple[float, float, str]:
    """Return seconds until the next one leads and until it works, and what became of the old one."""
    old, before = arena.leader()
    begun = datetime.now(UTC)
    number = {"graceful": signal.SIGTERM, "sigkill": signal.SIGKILL, "sigstop": signal.SIGSTOP}[mode]
    old.signal(number)
    after = arena.next_leader(before)
    thawed = time.monotonic()
    if mode == "sigstop":
        # The other one is in the middle of its work by now.
        time.sleep(_STEADY)
        thawed = time.monotonic()
        old.signal(signal.SIGCONT)
    code = old.ended(20)
    ended = time.monotonic() - thawed
    wanted = {"graceful": 0, "sigkill": -signal.SIGKILL, "sigstop": EXIT_LOST}[mode]
    assert code == wanted, f"{old.name} ended with {code}, not {wanted}: {old.log[-2000:]}"
    time.sleep(_STEADY)
    found = arena.judge(after)
    arena.replicas.start()
    told = f"gone {ended:.2f} s after SIGCONT" if mode == "sigstop" else f"exit code {code}"
    return _since(begun, found.began), _since(begun, found.first_work), told


def _many(arena: Arena, mode: str, tries: int) -> bool:
    leads, works = [], []
    for number in range(1, tries + 1):
        lead, work, told = _fail_over(arena, mode)
        leads.append(lead)
        works.append(work)
        print(f"{mode} {number}/{tries}: leads after {lead:.2f} s, works after {work:.2f} s; {told}", flush=True)
    print(f"{mode}: {tries} tries, min / median / max")
    print(f"  leads after {min(leads):.2f} / {statistics.median(leads):.2f} / {max(leads):.2f} s (bar {BARS[mode]:g})")
    print(f"  works after {min(works):.2f} / {statistics.median(works):.2f} / {max(works):.2f} s", flush=True)
    return max(leads) <= BARS[mode]


def _flood(arena: Arena) -> bool:
    """30 s in which all but the Lease is answered 429 or not at all, and three renewals in a row are refused too."""
    who = arena.leader()[1]
    proxy = FaultProxy(arena.server.url).start()
    through = arena.directory / "through-proxy"
    through.write_text(kubeconfig(proxy.url, arena.server.token))
    try:
        # The one that leads next is the one behind the proxy: the others end while it stands by.
        flooded = arena.replicas.start(through)
        for other in [one for one in arena.replicas.running if one is not flooded and one.process.poll() is None]:
            other.signal(signal.SIGTERM)
            other.ended(20)
        after = arena.next_leader(who)
        standby = arena.replicas.start()
        time.sleep(_STEADY)
        rules = [
            proxy.add(Rule(Drop(), method="PUT|POST|PATCH", path="^(?!.*/leases)", times=4, seconds=30)),
            proxy.add(Rule(Answer(429, 1), path="^(?!.*/leases)", watch=False, seconds=30)),
            proxy.add(Rule(Answer(429, 1), method="PATCH", path="/leases/", times=3, seconds=30)),
        ]
        time.sleep(30)
        kept = holder(arena.client) == after and flooded.process.poll() is None
        hits = ", ".join(f"{rule.hits} × {rule.fault}" for rule in rules)
        print(f"flood: 30 s; {hits}; the leader {'kept' if kept else 'LOST'} the Lease", flush=True)
        flooded.signal(signal.SIGTERM)
        arena.next_leader(after)
        flooded.ended(60)
        arena.judge(holder(arena.client))
        arena.replicas.start()
        return kept and standby.process.poll() is None
    finally:
        proxy.stop()


def _away(arena: Arena) -> bool:
    """The API server ends and is started again after 20 s: who led exits, and exactly one leads again."""
    old, before = arena.leader()
    begun = time.monotonic()
    arena.server.stop_serving()
    code = old.ended(20)
    gone = time.monotonic() - begun
    time.sleep(max(0.0, 20 - gone))
    back = datetime.now(UTC)
    arena.server.serve()
    arena.replicas.start()
    after = arena.next_leader(before)
    found = arena.judge(after)
    time.sleep(5)
    alive = [one for one in arena.replicas.running if one.process.poll() is None]
    one = holder(arena.client) == after and len(alive) == 2
    print(
        f"away: 20 s; the leader exited with {code} after {gone:.1f} s; {_since(back, found.began):.1f} s after"
        f" its start {'exactly one leads' if one else 'NOT exactly one leads'}",
        flush=True,
    )
    return one and code == EXIT_LOST


def _run(directory: Path, tries: int, modes: list[str]) -> bool:
    server, config = a_cluster(directory)
    replicas = Replicas(directory, config)
    try:
        client = KubeClient.from_kubeconfig(str(config), agent="bench")
        arena = Arena(directory, server, client, replicas, Ledger(server))
        good = True
        with Traffic(KubeClient.from_kubeconfig(str(config), agent="traffic"), directory) as traffic:
            replicas.start()
            replicas.start()
            special: dict[str, Callable[[Arena], bool]] = {"flood": _flood, "away": _away}
            for mode in modes:
                good &= special[mode](arena) if mode in special else _many(arena, mode, tries)
        time.sleep(_STEADY)
        leaders = arena.ledger.update().leaders()
        intruders = [write for who in leaders for write in arena.ledger.reign(who).intruders]
        print(
            f"audit log: {len(arena.ledger.writes)} writes of {len(leaders)} leaders, {traffic.changes} changes made;"
            f" {len(intruders)} of an ex-leader landed, {arena.refused} were refused by the server"
        )
        for line in arena.intruders:
            print(f"  INTRUDER {line}")
        return good and not intruders and not arena.intruders
    finally:
        replicas.stop()
        server.stop()


def main() -> int:
    """Measure, print, take everything down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--only", default=",".join(MODES), help="some of: %(default)s")
    given = parser.parse_args()
    # The server's certificate is its own, and not looked at.
    warnings.simplefilter("ignore")
    directory = Path(tempfile.mkdtemp(prefix="modelops-failover-"))
    good = _run(directory, given.tries, given.only.split(","))
    if good:
        shutil.rmtree(directory, ignore_errors=True)
    else:
        print(f"logs are in {directory}")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())

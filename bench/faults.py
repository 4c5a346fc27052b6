"""`python -m bench.faults`: watches in a black hole for three minutes, etcd compacted meanwhile, 60 s of 429.

One leader over a real API server, every request through the fault proxy. Datasets are created and ComputePools
are changed all the time by a client that goes around it. Prints one JSON object a line.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from tests.shell.test_faults import Arena
from tests.support import kube_apiserver
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Drop, Reset, Rule
from tests.support.git_server import Repository
from tests.support.operators import TEAM, Replicas, a_cluster, until

from bench.objects import CSV, dataset
from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import COMPUTEPOOL, DATASET, GITSOURCE, WORKFLOW


def a_source(client: KubeClient, directory: Path) -> None:
    """Make a GitSource whose commit has the data, and wait until it is applied."""
    repo = Repository.make(directory / "repo")
    repo.commit({"data.csv": CSV})
    spec = {"url": repo.url, "ref": {"branch": "main"}, "path": ".", "interval": "10s"}
    client.apply(GITSOURCE.resource, {"metadata": {"name": "source", "namespace": TEAM}, "spec": spec})

    def applied() -> bool:
        found = client.get(GITSOURCE.resource, TEAM, "source") or {}
        return bool((found.get("status") or {}).get("lastAppliedRevision"))

    until(applied, 30, "the source is applied", 0.1)


class Load:
    """Changes objects around the proxy, and knows whether each change has reached its status."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self.changes = 0
        self.datasets: list[str] = []

    def step(self) -> None:
        """Change one pool, and every fifth time create a Dataset, which makes one Workflow."""
        self.changes += 1
        self._arena.change(f"pool-{self.changes % 20}", f"gpu-{self.changes}")
        if self.changes % 5 == 0:
            name = f"data-{self.changes}"
            self._arena.client.apply(DATASET.resource, dataset(name, source="source"))
            self.datasets.append(name)

    def unobserved(self) -> list[str]:
        """Return the objects whose newest generation is in no status."""
        objects = [
            *self._arena.client.list(COMPUTEPOOL.resource, None),
            *self._arena.client.list(DATASET.resource, TEAM),
        ]
        return [
            obj["metadata"]["name"]
            for obj in objects
            if (obj.get("status") or {}).get("observedGeneration") != obj["metadata"]["generation"]
        ]


def through(arena: Arena, load: Load, name: str, seconds: float, *, compact: bool) -> dict[str, Any]:
    """Keep a fault for so long; return what was seen meanwhile, and how long until nothing was missing."""
    begun, health = time.monotonic(), Counter[str]()
    first_dead: float | None = None
    compacted = not compact
    while (spent := time.monotonic() - begun) < seconds:
        load.step()
        code, said = arena.probe("/healthz")
        health[str(code)] += 1
        if code != 200 and first_dead is None:
            first_dead = round(spent, 1)
            health[said.splitlines()[0][:120]] += 1
        if not compacted and spent > seconds / 2:
            arena.compact()
            compacted = True
        time.sleep(0.5)
    arena.proxy.clear()
    over = time.monotonic()
    until(lambda: not load.unobserved(), 120, "every change reaches a status", 0.1)
    caught_up = time.monotonic() - over
    until(lambda: arena.probe("/healthz")[0] == 200 and arena.probe("/readyz")[0] == 200, 120, "it is well", 0.1)
    return {
        "fault": name,
        "seconds": seconds,
        "changes": load.changes,
        "healthz": dict(health),
        "healthz_503_after_s": first_dead,
        "caught_up_after_s": round(caught_up, 2),
        "well_after_s": round(time.monotonic() - over, 2),
    }


def workflows(arena: Arena) -> dict[str, Any]:
    """Return how often each Workflow was created, by the audit log."""
    made = Counter(
        event["objectRef"]["name"]
        for event in arena.server.audit()
        if event["objectRef"].get("resource") == WORKFLOW.plural
        and event["verb"] in {"create", "patch"}
        and event["responseStatus"]["code"] == 201
    )
    return {"workflows": len(made), "made_twice": [name for name, times in made.items() if times > 1]}


def main(words: list[str]) -> int:
    """Run both faults; exit 1 if something was lost or made twice."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.faults", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--blackhole", type=float, default=180, help="seconds")
    parser.add_argument("--flood", type=float, default=60, help="seconds")
    parser.add_argument("--silence", type=float, default=70, help="MODELOPS_WATCH_SILENCE_SECONDS")
    given = parser.parse_args(words)
    if lacking := kube_apiserver.missing():
        sys.stderr.write(f"{lacking}\n")
        return 2
    # The server's certificate is its own, and not looked at.
    warnings.simplefilter("ignore")
    directory = Path(tempfile.mkdtemp(prefix="modelops-faults-"))
    server, config = a_cluster(directory)
    proxy = FaultProxy(server.url).start()
    route = directory / "through-the-proxy"
    route.write_text(kube_apiserver.kubeconfig(proxy.url, server.token))
    replicas = Replicas(directory, route, {"MODELOPS_WATCH_SILENCE_SECONDS": str(given.silence)})
    try:
        operator = replicas.start()
        arena = Arena(server, KubeClient.from_kubeconfig(str(config), agent="bench"), proxy, operator)
        a_source(arena.client, directory)
        load = Load(arena)
        proxy.add(Rule(Drop(), watch=True, path="^(?!.*/leases)"))
        told = through(arena, load, "watches in a black hole, etcd compacted", given.blackhole, compact=True)
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        proxy.add(Rule(Answer(429, 1), path="^(?!.*/leases)"))
        proxy.add(Rule(Reset(), watch=True, path="^(?!.*/leases)", times=8))
        told = through(arena, load, "429 for everything but the Lease", given.flood, compact=False)
        sys.stdout.write(json.dumps(told) + "\n")
        same = operator.process.poll() is None
        found = workflows(arena) | {"datasets": len(load.datasets), "same_process": same, "requests": len(proxy.seen())}
        sys.stdout.write(json.dumps(found) + "\n")
        return 0 if same and not found["made_twice"] and found["workflows"] == found["datasets"] else 1
    finally:
        replicas.stop()
        proxy.stop()
        server.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

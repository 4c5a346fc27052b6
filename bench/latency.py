"""Change of an object → status, on a real kube-apiserver, beside a Go controller that does the same.

`python -m bench.latency`. 1000 TrainingRuns wait for a Dataset that is not pinned yet. Their specs are changed 50 and
then 100 times a second; a change ends when a watch shows a status whose observedGeneration is the changed one. First
modelops (as installed: elected by its Lease), then a minimal controller-runtime controller, and again.
Prints p50, p99 and the longest in milliseconds from when the change is sent, what was lost, memory, and the CPU that a
change takes of each: the controller, the API server, etcd, and the traffic (this process).

The same for both: etcd and its log lie in memory (/dev/shm) where there is that, so that no disk is measured; no audit
log is written; the API server collects its garbage between the rates (or it would halt everybody for half a second in
the midst of one). It takes 8 GiB at most for that.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.operators import TEAM, Replicas, a_cluster, until

from bench import wire
from bench.objects import dataset, training_run
from bench.peer import Process, built
from modelops.adapters.cluster import KubeClient, path_of
from modelops.api.kinds import DATASET, TRAININGRUN

WAITED_FOR = "unpinned"
_LONGEST = 10.0
"""Seconds after which a change counts as lost."""
_MEMORY = Path("/dev/shm")


@dataclass
class Statuses:
    """When each generation of each TrainingRun was first seen in its status."""

    client: KubeClient
    seen: dict[tuple[str, int], float] = field(default_factory=dict)
    behind: set[str] = field(default_factory=set)
    """Names whose status tells of an older generation, or of none."""

    def start(self) -> "Statuses":
        """Watch from now on, in a thread that ends with the process."""
        page = self.client.list_page(TRAININGRUN.resource, TEAM) or {}
        self.behind = {
            obj["metadata"]["name"]
            for obj in page["items"]
            if (obj.get("status") or {}).get("observedGeneration") != obj["metadata"]["generation"]
        }
        version = page["metadata"]["resourceVersion"]
        threading.Thread(target=self._watch, args=(version,), daemon=True).start()
        return self

    def _watch(self, version: str) -> None:
        path = f"{path_of(TRAININGRUN.resource, TEAM)}?watch=1&resourceVersion={version}&timeoutSeconds=3600"
        # The watch breaks when the server is ended.
        with contextlib.suppress(OSError):
            for line in wire.Wire(self.client.connection).lines(path, 3600):
                self._take(line, time.monotonic())

    def _take(self, line: bytes, now: float) -> None:
        name, observed = wire.name(line), wire.observed(line)
        self.seen.setdefault((name, observed), now)
        (self.behind.discard if observed == wire.generation(line) else self.behind.add)(name)


@dataclass
class Round:
    """What one contender did at one rate."""

    begun: dict[tuple[str, int], float] = field(default_factory=dict)
    writes: list[float] = field(default_factory=list)
    """Milliseconds in which the API server answered the changes themselves."""
    refused: list[str] = field(default_factory=list)
    """Names of the objects."""

    def judged(self, statuses: Statuses) -> tuple[list[float], int]:
        """Return sorted milliseconds, and how many changes were never seen.

        A change that the next one of the same object overtook is judged by the first later generation seen.
        """
        taken, lost = [], 0
        latest: dict[str, list[int]] = {}
        seen = dict(statuses.seen)
        for name, generation in seen:
            latest.setdefault(name, []).append(generation)
        for (name, generation), begun in self.begun.items():
            moments = [seen[name, later] for later in latest.get(name, ()) if later >= generation]
            lost += not moments
            taken += [(min(moments) - begun) * 1000] if moments else []
        return sorted(taken), lost


def _path(name: str) -> str:
    return path_of(TRAININGRUN.resource, TEAM, name)


def _epochs(number: int) -> bytes:
    return json.dumps({"spec": {"hyperparameters": {"epochs": number}}}).encode()


def _change(client: KubeClient, statuses: Statuses, names: list[str], rate: float, seconds: float) -> Round:
    found, chosen, wires = Round(), random.Random(7), wire.Wires(client.connection)

    def one(name: str, epochs: int) -> None:
        begun = time.monotonic()
        try:
            told = wires.mine.merge_patch(_path(name), _epochs(epochs))
        except wire.Refused:
            found.refused.append(name)
            return
        found.writes.append((time.monotonic() - begun) * 1000)
        found.begun[name, wire.generation(told)] = begun

    with ThreadPoolExecutor(16) as pool:
        started = time.monotonic()
        for number in range(int(rate * seconds)):
            time.sleep(max(0.0, started + number / rate - time.monotonic()))
            pool.submit(one, chosen.choice(names), 2 + time.monotonic_ns() % 9973)
    # A change that its own watch has not shown yet is behind nothing: what counts is that each one is seen.
    with contextlib.suppress(AssertionError):
        until(lambda: not found.judged(statuses)[1], _LONGEST, "every change is seen", 0.2)
    return found


@contextmanager
def modelops(directory: Path, config: Path) -> Iterator[Process]:
    """Run one operator."""
    replicas = Replicas(directory, config)
    try:
        yield Process(replicas.start().process.pid)
    finally:
        replicas.stop()


@contextmanager
def controller_runtime(config: Path) -> Iterator[Process]:
    """Run the Go controller."""
    process = subprocess.Popen([str(built())], env={"KUBECONFIG": str(config)})
    try:
        yield Process(process.pid)
    finally:
        process.kill()
        process.wait(10)


def _measure(
    who: str, others: Mapping[str, Process], client: KubeClient, names: list[str], rates: list[float], seconds: float
) -> None:
    statuses, process = Statuses(client).start(), others[who]
    for name in names:
        client.merge_patch(
            TRAININGRUN.resource, TEAM, name, {"spec": {"hyperparameters": {"epochs": time.time_ns() % 9973}}}
        )
    until(lambda: not statuses.behind, 120, "every status was written", 0.05)
    time.sleep(5)
    print(f"{who}: {process.mib:.0f} MiB at rest with {len(names)} objects", flush=True)
    for rate in rates:
        if not client.ping("/debug/pprof/heap?gc=1"):
            raise RuntimeError("the API server does not collect its garbage when it is told to")
        time.sleep(2)
        before, begun = {name: one.cpu for name, one in others.items()}, time.monotonic()
        found = _change(client, statuses, names, rate, seconds)
        took = time.monotonic() - begun
        taken, lost = found.judged(statuses)
        spent = {name: (one.cpu - before[name]) * 1000 / len(taken) for name, one in others.items()}
        print(
            f"{who}: {rate:g}/s for {took:.0f} s: p50 {statistics.median(taken):.1f} ms,"
            f" p99 {taken[int(len(taken) * 0.99)]:.1f} ms, longest {taken[-1]:.1f} ms"
            f" (the change itself: p50 {statistics.median(found.writes):.1f} ms,"
            f" p99 {sorted(found.writes)[int(len(found.writes) * 0.99)]:.1f} ms);"
            f" {len(taken)} seen, {lost} lost, {len(found.refused)} refused; ms of CPU a change: "
            + ", ".join(f"{name} {cost:.1f}" for name, cost in spent.items())
            + f"; {process.mib:.0f} MiB; load {os.getloadavg()[0]:.1f}",
            flush=True,
        )


def main() -> int:
    """Measure, print, take everything down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=1000)
    parser.add_argument("--rates", default="50,100", help="changes per second (%(default)s)")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each rate (%(default)s)")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=["modelops", "controller-runtime"])
    given = parser.parse_args()
    # The server's certificate is its own, and not looked at.
    warnings.simplefilter("ignore")
    rates = [float(rate) for rate in given.rates.split(",")]
    if given.only != "modelops":
        built()
    memory = _MEMORY if _MEMORY.is_dir() else None
    directory = Path(tempfile.mkdtemp(prefix="modelops-latency-", dir=memory))
    # Read by Go programs alone; the contender that is one is started without them.
    os.environ |= {"GOGC": "off", "GOMEMLIMIT": "8GiB"}
    server, config = a_cluster(directory, audited=False)
    try:
        client = KubeClient.from_kubeconfig(str(config), agent="bench")
        client.apply(DATASET.resource, dataset(WAITED_FOR, source="nobody"))
        names = [f"run-{number}" for number in range(given.objects)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: client.create(TRAININGRUN.resource, training_run(name, WAITED_FOR)), names))
        parts = dict(zip(("etcd", "API server"), (Process(one.pid) for one in server.processes), strict=True))
        parts["traffic"] = Process(os.getpid())
        contenders = {
            "modelops": lambda: modelops(directory, config),
            "controller-runtime": lambda: controller_runtime(config),
        }
        for _ in range(given.rounds):
            for who, started in contenders.items():
                if given.only in (None, who):
                    with started() as process:
                        _measure(who, {who: process, **parts}, client, names, rates, given.seconds)
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

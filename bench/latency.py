"""Change of an object → status, on a real kube-apiserver, beside a Go controller that does the same.

`python -m bench.latency`. 1000 TrainingRuns wait for a Dataset that is not pinned yet. Their specs are changed 50 and
then 100 times a second; a change ends when a watch shows a status whose observedGeneration is the changed one. First
modelops (as installed: elected by its Lease), then a minimal controller-runtime controller, and again.
Prints p50, p99 and the longest in milliseconds from when the change is sent, what was lost, CPU and memory.
"""

import argparse
import contextlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.operators import TEAM, Replicas, a_cluster, until

from bench.objects import dataset, training_run
from bench.peer import Process, built
from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import DATASET, TRAININGRUN
from modelops.errors import ModelopsError

WAITED_FOR = "unpinned"
_LONGEST = 10.0
"""Seconds after which a change counts as lost."""


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
        for obj in page["items"]:
            self._take(obj)
        version = page["metadata"]["resourceVersion"]
        threading.Thread(target=self._watch, args=(version,), daemon=True).start()
        return self

    def _watch(self, version: str) -> None:
        # The watch breaks when the server is ended.
        with contextlib.suppress(ModelopsError):
            for event in self.client.stream(TRAININGRUN.resource, TEAM, None, version, 3600):
                if event["type"] in ("ADDED", "MODIFIED"):
                    self._take(event["object"])

    def _take(self, obj: dict[str, Any]) -> None:
        now, name = time.monotonic(), obj["metadata"]["name"]
        observed = (obj.get("status") or {}).get("observedGeneration", 0)
        self.seen.setdefault((name, observed), now)
        (self.behind.discard if observed == obj["metadata"]["generation"] else self.behind.add)(name)


@dataclass
class Round:
    """What one contender did at one rate."""

    begun: dict[tuple[str, int], float] = field(default_factory=dict)
    writes: list[float] = field(default_factory=list)
    """Milliseconds in which the API server answered the changes themselves."""
    refused: int = 0

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


def _change(client: KubeClient, statuses: Statuses, names: list[str], rate: float, seconds: float) -> Round:
    found, lock, chosen = Round(), threading.Lock(), random.Random(7)

    def one(name: str, epochs: int) -> None:
        begun = time.monotonic()
        try:
            patch = {"spec": {"hyperparameters": {"epochs": epochs}}}
            answer = client.merge_patch(TRAININGRUN.resource, TEAM, name, patch)
        except ModelopsError:
            with lock:
                found.refused += 1
            return
        with lock:
            found.begun[name, answer["metadata"]["generation"]] = begun
            found.writes.append((time.monotonic() - begun) * 1000)

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
    who: str, process: Process, client: KubeClient, names: list[str], rates: list[float], seconds: float
) -> None:
    statuses = Statuses(client).start()
    for name in names:
        client.merge_patch(
            TRAININGRUN.resource, TEAM, name, {"spec": {"hyperparameters": {"epochs": time.time_ns() % 9973}}}
        )
    until(lambda: not statuses.behind, 120, "every status was written", 0.05)
    time.sleep(2)
    print(f"{who}: {process.mib:.0f} MiB at rest with {len(names)} objects", flush=True)
    for rate in rates:
        before, begun = process.cpu, time.monotonic()
        found = _change(client, statuses, names, rate, seconds)
        spent, took = process.cpu - before, time.monotonic() - begun
        taken, lost = found.judged(statuses)
        p99 = taken[int(len(taken) * 0.99)]
        print(
            f"{who}: {rate:g}/s for {seconds:g} s: p50 {statistics.median(taken):.1f} ms, p99 {p99:.1f} ms, longest"
            f" {taken[-1]:.1f} ms (the change itself: {statistics.median(found.writes):.1f} ms);"
            f" {len(taken)} seen, {lost} lost, {found.refused} refused;"
            f" {spent / took * 100:.0f} % of a core, {spent / len(taken) * 1000:.1f} ms of CPU a change,"
            f" {process.mib:.0f} MiB",
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
    built()
    directory = Path(tempfile.mkdtemp(prefix="modelops-latency-"))
    server, config = a_cluster(directory)
    try:
        client = KubeClient.from_kubeconfig(str(config), agent="bench")
        client.apply(DATASET.resource, dataset(WAITED_FOR, source="nobody"))
        names = [f"run-{number}" for number in range(given.objects)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: client.create(TRAININGRUN.resource, training_run(name, WAITED_FOR)), names))
        for _ in range(given.rounds):
            if given.only != "controller-runtime":
                with modelops(directory, config) as process:
                    _measure("modelops", process, client, names, rates, given.seconds)
            if given.only != "modelops":
                with controller_runtime(config) as process:
                    _measure("controller-runtime", process, client, names, rates, given.seconds)
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What operator and server cost, run from their images: size, start, memory.

`python -m bench.images` (root; buildah). The images are built first, of the working tree. Each runs with its root
read-only and as its own user; starts are taken in turn. The operator works against a real kube-apiserver, and then with
a thousand TrainingRuns; the server with a small model.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

from tests.images import containers, started
from tests.images.containers import Image
from tests.images.model import write_model
from tests.support.operators import TEAM, a_cluster, until

from bench.objects import training_run
from bench.peer import Process
from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import TRAININGRUN

_REST = 5.0
"""Seconds from the first answer, or the last status, to the look at the memory."""


def _ended(one: started.Started) -> None:
    one.process.terminate()
    one.process.wait(30)


def _told(what: str, seconds: list[float], mib: float) -> None:
    taken = f"{min(seconds):.2f}-{max(seconds):.2f} s, median {statistics.median(seconds):.2f}"
    print(f"{what} after {taken} ({len(seconds)} starts); {mib:.0f} MiB at rest", flush=True)


def _operator(image: Image, objects: int, starts: int, directory: Path) -> None:
    api, config = a_cluster(directory)
    try:
        seconds = []
        for _ in range(starts - 1):
            one = started.operator(image, config, directory)
            seconds.append(one.seconds)
            _ended(one)
        last = started.operator(image, config, directory)
        try:
            time.sleep(_REST)
            process = Process(last.process.pid)
            _told("operator: /healthz", [*seconds, last.seconds], process.mib)
            _with_objects(KubeClient.from_kubeconfig(str(config), agent="bench"), objects)
            time.sleep(_REST)
            print(f"operator: {process.mib:.0f} MiB with {objects} TrainingRuns, {process.peak_mib:.0f} at most")
        finally:
            _ended(last)
    finally:
        api.stop()


def _with_objects(client: KubeClient, objects: int) -> None:
    for number in range(objects):
        client.apply(TRAININGRUN.resource, training_run(f"run-{number}", "nowhere"))

    def statuses() -> int:
        return sum(bool(obj.get("status")) for obj in client.list(TRAININGRUN.resource, TEAM))

    until(lambda: statuses() == objects, 300, "every TrainingRun has a status", 1.0)


def _server(image: Image, starts: int, directory: Path) -> None:
    model = directory / "model"
    write_model(model)
    seconds = []
    for number in range(starts):
        one = started.server(image, model, directory)
        seconds.append(one.seconds)
        if number == starts - 1:
            time.sleep(_REST)
            _told("server: ready", seconds, Process(one.process.pid).mib)
        _ended(one)


def main() -> int:
    """Build, measure, print, take everything down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=1000)
    parser.add_argument("--starts", type=int, default=5)
    given = parser.parse_args()
    if lacking := containers.missing():
        print(f"bench.images: {lacking}", file=sys.stderr)
        return 2
    # The server's certificate is its own, and not looked at.
    warnings.simplefilter("ignore")
    directory = Path(tempfile.mkdtemp(prefix="modelops-images-"))
    try:
        for target in ("operator", "server"):
            image = Image.open(containers.build(target))
            print(f"{target}: {image.size / 1e6:.0f} MB, base included", flush=True)
            try:
                if target == "operator":
                    _operator(image, given.objects, given.starts, directory)
                else:
                    _server(image, given.starts, directory)
            finally:
                image.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

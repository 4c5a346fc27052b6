"""A hundred objects at rest on a real kube-apiserver for ten minutes: what two operators write, and what they cost.

`python -m bench.idle`. A GitSource brings 30 Datasets and 59 TrainingRuns and ModelReleases; with 10 ComputePools that
makes 100. Datasets are pinned and 30 runs registered (their Workflows are said to have succeeded); the others wait for
what is not there, beside an MLflow that knows nothing yet. Prints every write of an operator that the audit log has,
the Lease's apart: there must be none.
"""

import argparse
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import yaml
from tests.support.git_server import Repository
from tests.support.mlflow_server import running_mlflow
from tests.support.operators import TEAM, Ledger, Replicas, a_cluster, until

from bench.objects import CSV, dataset, play, release, training_run
from bench.peer import Process
from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import COMPUTEPOOL, GITSOURCE, KINDS, MODELRELEASE, TRAININGRUN

_DATASETS, _WAITING, _RELEASES, _POOLS = 30, 10, 19, 10
_SETTLE = 30.0
"""Seconds after the last object has come to rest, before its rest is measured."""


def _repository(directory: Path) -> Repository:
    objects = [dataset(f"data-{number}") for number in range(_DATASETS)]
    objects += [training_run(f"run-{number}", f"data-{number}") for number in range(_DATASETS)]
    objects += [training_run(f"late-{number}", "nowhere") for number in range(_WAITING)]
    objects += [release(f"release-{number}") for number in range(_RELEASES)]
    repo = Repository.make(directory / "repo")
    repo.commit({"all.yaml": yaml.safe_dump_all(objects), "data.csv": CSV})
    return repo


def _reasons(client: KubeClient) -> Counter[str]:
    found: Counter[str] = Counter()
    for kind in KINDS:
        for obj in client.list(kind.resource, None):
            conditions = (obj.get("status") or {}).get("conditions") or ()
            ready = next((one["reason"] for one in conditions if one["type"] == "Ready"), "nothing yet")
            found[f"{kind.resource.kind} {ready}"] += 1
    return found


def _at_rest(client: KubeClient) -> bool:
    play(client)
    found = _reasons(client)
    return (
        found["Dataset Pinned"] == _DATASETS
        and found["TrainingRun Registered"] == _DATASETS
        and found["TrainingRun DependencyNotReady"] == _WAITING
        and found["ModelRelease DependencyNotReady"] == _RELEASES
        and found["GitSource Succeeded"] == 1
    )


def _measure(client: KubeClient, replicas: Replicas, ledger: Ledger, seconds: float) -> int:
    processes = {one.name: Process(one.process.pid) for one in replicas.running}
    before, cpu = len(ledger.update().writes), {name: process.cpu for name, process in processes.items()}
    time.sleep(seconds)
    writes = [write for write in ledger.update().writes[before:] if not write.elects]
    for name, process in processes.items():
        share = (process.cpu - cpu[name]) / seconds * 100
        print(f"{name}: {share:.2f} % of a core, {process.mib:.0f} MiB")
    for what, count in Counter(f"{write.what} {write.code}" for write in writes).most_common():
        print(f"  {count} × {what}")
    print(f"writes in {seconds:.0f} s of rest, the Lease's apart: {len(writes)}; {dict(_reasons(client))}")
    return len(writes)


def main() -> int:
    """Measure, print, take everything down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    given = parser.parse_args()
    # The server's certificate is its own, and not looked at.
    warnings.simplefilter("ignore")
    directory = Path(tempfile.mkdtemp(prefix="modelops-idle-"))
    # A release without a revision that serves asks which version was good.
    with running_mlflow(directory / "mlflow") as url:
        writes = _rest(directory, url, given.seconds)
    shutil.rmtree(directory, ignore_errors=True)
    return int(writes > 0)


def _rest(directory: Path, mlflow: str, seconds: float) -> int:
    """Bring all objects to rest; return how often something is written then."""
    server, config = a_cluster(directory)
    replicas = Replicas(directory, config, {"MODELOPS_MLFLOW_TRACKING_URI": mlflow})
    try:
        client = KubeClient.from_kubeconfig(str(config), agent="bench")
        replicas.start()
        replicas.start()
        for number in range(_POOLS):
            spec = {"resourceName": f"example.com/gpu-{number}"}
            client.apply(COMPUTEPOOL.resource, {"metadata": {"name": f"pool-{number}"}, "spec": spec})
        spec = {"url": _repository(directory).url, "ref": {"branch": "main"}, "path": ".", "interval": "1m"}
        client.apply(GITSOURCE.resource, {"metadata": {"name": "source", "namespace": TEAM}, "spec": spec})
        until(lambda: _at_rest(client), 300, lambda: dict(_reasons(client)), 1.0)
        total = len(client.list(TRAININGRUN.resource, TEAM)) + len(client.list(MODELRELEASE.resource, TEAM))
        print(f"at rest: {total + _DATASETS + _POOLS + 1} objects", flush=True)
        time.sleep(_SETTLE)
        return _measure(client, replicas, Ledger(server), seconds)
    finally:
        replicas.stop()
        server.stop()


if __name__ == "__main__":
    sys.exit(main())

"""1000 TrainingRuns created in one go on a real kube-apiserver: how fast they become Workflows, and none twice.

`python -m bench.launch`. First with a leader that lives: the rate, and the operator's API calls per run, by the audit
log. Then with `kill -9` of the leader five times while it makes Workflows; another one stands by, and each that was
killed is started again. Nothing runs the Workflows of the runs; the Dataset's is said to have succeeded.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from tests.support.git_server import Repository
from tests.support.kube_apiserver import KubeApiServer
from tests.support.operators import TEAM, Replicas, a_cluster, holder, until

from bench.objects import CSV, dataset, play, training_run
from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import DATASET, GITSOURCE, TRAININGRUN, WORKFLOW
from modelops.api.labels import OWNER_NAME

_KILLS = 5


def pinned_dataset(client: KubeClient, directory: Path) -> None:
    """Have the operator pin a Dataset of a real repository."""
    repo = Repository.make(directory / "repo")
    repo.commit({"data.yaml": yaml.safe_dump(dataset("data")), "data.csv": CSV})
    spec = {"url": repo.url, "ref": {"branch": "main"}, "path": ".", "interval": "10m"}
    client.apply(GITSOURCE.resource, {"metadata": {"name": "source", "namespace": TEAM}, "spec": spec})
    until(lambda: client.list(WORKFLOW, TEAM), 60, "the Dataset has its Workflow", 0.2)
    play(client)
    until(lambda: _ready(client.get(DATASET.resource, TEAM, "data")), 60, "the Dataset is pinned", 0.2)


def _ready(obj: dict[str, Any] | None) -> bool:
    conditions = ((obj or {}).get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _create(client: KubeClient, names: list[str]) -> float:
    begun = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: client.create(TRAININGRUN.resource, training_run(name, "data")), names))
    return time.monotonic() - begun


def _calls(server: KubeApiServer, since: int) -> list[dict[str, Any]]:
    """Return what operators asked of the server since so many events, leases left out."""
    found = server.audit()[since:]
    return [
        event
        for event in found
        if event.get("userAgent", "").startswith("modelops/")
        and (event.get("objectRef") or {}).get("resource") not in ("leases", None)
        and event["verb"] not in ("watch", "list")
    ]


def _owned(client: KubeClient, prefix: str) -> Counter[str]:
    labels = (flow["metadata"]["labels"] for flow in client.list(WORKFLOW, TEAM))
    return Counter(found[OWNER_NAME] for found in labels if found[OWNER_NAME].startswith(prefix))


def _made(calls: list[dict[str, Any]], prefix: str) -> Counter[str]:
    """Return how often each Workflow was created, by the audit log."""
    return Counter(
        event["objectRef"]["name"]
        for event in calls
        if event["verb"] == "create"
        and event["objectRef"]["resource"] == "workflows"
        and event["responseStatus"]["code"] == 201
        and prefix in event["objectRef"].get("name", "")
    )


def _waiting(client: KubeClient, names: list[str]) -> int:
    """Return how many TrainingRuns do not yet say that their Workflow is there."""
    said = {
        obj["metadata"]["name"]
        for obj in client.list(TRAININGRUN.resource, TEAM)
        if ((obj.get("status") or {}).get("attempt") or {})
    }
    return len([name for name in names if name not in said])


def _one_go(server: KubeApiServer, client: KubeClient, objects: int) -> bool:
    names, since = [f"steady-{number}" for number in range(objects)], len(server.audit())
    begun = time.monotonic()
    created = _create(client, names)
    until(lambda: len(_owned(client, "steady-")) == objects, 600, "every run has a Workflow", 0.5)
    took = time.monotonic() - begun
    until(lambda: not _waiting(client, names), 120, "every status tells of its attempt", 0.5)
    time.sleep(5)
    calls = [call for call in _calls(server, since) if "steady-" in (call["objectRef"].get("name") or "")]
    kinds = Counter(f"{one['verb']} {_what(one)} {one['responseStatus']['code']}" for one in calls)
    per_run, made = len(calls) / objects, _made(calls, "steady-")
    pace = f"{objects / took * 60:.0f} a minute"
    print(f"{objects} runs created in {created:.1f} s, the last Workflow after {took:.1f} s: {pace}")
    print(f"  {per_run:.2f} API calls a run: {json.dumps(dict(kinds.most_common()))}", flush=True)
    return set(_owned(client, "steady-").values()) == {1} and set(made.values()) <= {1} and per_run <= 4


def _what(event: dict[str, Any]) -> str:
    about = event["objectRef"]
    return about["resource"] + (f"/{about['subresource']}" if about.get("subresource") else "")


def _with_kills(server: KubeApiServer, client: KubeClient, replicas: Replicas, objects: int) -> bool:
    names, since = [f"killed-{number}" for number in range(objects)], len(server.audit())
    begun, downtime = time.monotonic(), 0.0
    with ThreadPoolExecutor(1) as pool:
        creating = pool.submit(_create, client, names)
        for kill in range(1, _KILLS + 1):
            wanted = objects * kill // (_KILLS + 1)
            until(lambda wanted=wanted: len(_owned(client, "killed-")) >= wanted, 300, f"{wanted} Workflows", 0.05)
            who = holder(client)
            victim = next(one for one in replicas.running if who.startswith(f"{one.name}_"))
            victim.signal(signal.SIGKILL)
            victim.ended(10)
            killed = time.monotonic()
            replicas.start()
            until(lambda who=who: holder(client) not in ("", who), 60, "another leads", 0.1)
            downtime += time.monotonic() - killed
            print(
                f"  kill {kill} at {wanted}+ Workflows; another led {time.monotonic() - killed:.1f} s later", flush=True
            )
        creating.result()
    until(lambda: len(_owned(client, "killed-")) == objects, 600, "every run has a Workflow", 0.5)
    took = time.monotonic() - begun
    until(lambda: not _waiting(client, names), 120, "every status tells of its attempt", 0.5)
    time.sleep(5)
    made, owned = _made(_calls(server, since), "killed-"), _owned(client, "killed-")
    twice = [name for name, count in (made + Counter()).items() if count > 1] + [n for n, c in owned.items() if c > 1]
    print(
        f"{objects} runs with {_KILLS} × kill -9 of the leader: {len(owned)} runs have a Workflow,"
        f" {sum(made.values())} were created, {len(twice)} twice; {took:.1f} s, {downtime:.1f} s of it leaderless",
        flush=True,
    )
    return not twice and sum(made.values()) == objects == len(owned)


def main() -> int:
    """Measure, print, take everything down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=1000)
    given = parser.parse_args()
    # The server's certificate is its own, and not looked at.
    warnings.simplefilter("ignore")
    directory = Path(tempfile.mkdtemp(prefix="modelops-launch-"))
    server, config = a_cluster(directory, audit_reads=True)
    replicas = Replicas(directory, config)
    try:
        client = KubeClient.from_kubeconfig(str(config), agent="bench")
        replicas.start()
        pinned_dataset(client, directory)
        good = _one_go(server, client, given.objects)
        replicas.start()
        good &= _with_kills(server, client, replicas, given.objects)
    finally:
        replicas.stop()
        server.stop()
    if good:
        shutil.rmtree(directory, ignore_errors=True)
    else:
        print(f"logs are in {directory}")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())

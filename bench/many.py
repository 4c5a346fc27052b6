"""Three hundred objects of ten teams in one local home: time to steady state, then what rest costs.

`python -m bench.many`. Each of ten namespaces has a GitSource of its own over one repository: two Datasets, two
TrainingRuns and two ModelReleases that come to an end, twelve runs and eleven releases that wait for what is not there.
Prints seconds, CPU, memory, and how many writes the API server took in a minute of rest (the bar is none).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from examples.demo.program import Program

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import DATASET, GITSOURCE, KINDS, MODELRELEASE, NAMESPACE, TRAININGRUN

TEAMS = 10
TINY = Path(__file__).parents[1] / "tests" / "support" / "tiny_server.py"
DATA = """\
apiVersion: modelops.dev/v1alpha1
kind: Dataset
metadata: {name: data-N}
spec:
  source: {git: {path: data.csv}}
  task: regression
  target: price
  schema: {columns: [{name: id, type: string}, {name: area, type: float}, {name: price, type: float}]}
  checks: {minRows: 100}
  split: {by: hash, key: id, percent: {train: 60, validation: 20, test: 20}}
---
"""
RUN = """\
apiVersion: modelops.dev/v1alpha1
kind: TrainingRun
metadata: {name: run-N}
spec:
  datasetRef: {name: data-N}
  model: {name: TEAM-N}
  prepare: {drop: [id]}
  trainer: {builtin: torch-mlp}
  hyperparameters: {hidden: [4], epochs: 3}
---
"""
RELEASE = """\
apiVersion: modelops.dev/v1alpha1
kind: ModelRelease
metadata: {name: release-N}
spec:
  model: {name: TEAM-N, from: {trainingRun: run-N}}
  serving:
    runtime: custom
    replicas: 1
    podTemplate:
      spec:
        containers:
        - name: server
          image: none
          command: [PYTHON, TINY]
          readinessProbe: {httpGet: {path: /v2/health/ready, port: http}, periodSeconds: 5}
  traffic: {hostnames: [release-N.TEAM.example.com]}
  strategy: {canary: {steps: [{setWeight: 100}]}}
---
"""


def _repository(directory: Path) -> Path:
    repo = directory / "repo"
    for number in range(TEAMS):
        team = f"team-{number}"
        text = DATA.replace("N", "0") + DATA.replace("N", "1")
        text += "".join(RUN.replace("N", str(n)).replace("TEAM", team) for n in range(14))
        release = RELEASE.replace("PYTHON", sys.executable).replace("TINY", str(TINY)).replace("TEAM", team)
        text += "".join(release.replace("-N", f"-{n}") for n in [0, 1, *range(20, 31)])
        (repo / team).mkdir(parents=True)
        (repo / team / "all.yaml").write_text(text)
    rows = [f"r{n},{n % 97},{3 * (n % 97) + 2}" for n in range(300)]
    (repo / "data.csv").write_text("\n".join(["id,area,price", *rows, ""]))
    identity = ["-c", "user.name=Team", "-c", "user.email=team@example.com"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Ten teams"]):
        subprocess.run(["git", "-C", str(repo), *identity, *words], check=True)
    return repo


def _settled(client: KubeClient) -> tuple[int, int]:
    """Return how many objects there are, and how many have come as far as they can."""
    found = done = 0
    for kind, reasons in (
        (GITSOURCE, {"Succeeded"}),
        (DATASET, {"Pinned"}),
        (TRAININGRUN, {"Registered", "DependencyNotReady"}),
        (MODELRELEASE, {"Serving", "DependencyNotReady"}),
    ):
        for obj in client.list(kind.resource, None):
            name = obj["metadata"]["name"]
            ready = next((c for c in (obj.get("status") or {}).get("conditions") or () if c["type"] == "Ready"), {})
            ends = name.rpartition("-")[2] in ("0", "1")
            found += 1
            done += ready.get("reason") in (reasons - {"DependencyNotReady"} if ends else reasons)
    return found, done


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> int:
    """Measure, print, take everything down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rest", type=float, default=60.0, help="seconds of rest that are measured")
    given = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="modelops-many-"))
    repo, program = _repository(directory), Program(directory / "state")
    program.must("local", "up", "--detach", timeout=200)
    try:
        client = KubeClient.from_kubeconfig(str(directory / "state" / "kubeconfig"), context="local")
        begun = time.monotonic()
        for number in range(TEAMS):
            team = f"team-{number}"
            client.apply(NAMESPACE, {"metadata": {"name": team}})
            spec = {"url": repo.as_uri(), "ref": {"branch": "main"}, "path": team, "interval": "10s"}
            client.apply(GITSOURCE.resource, {"metadata": {"name": team, "namespace": team}, "spec": spec})
        applied = 0.0
        while True:
            found, done = _settled(client)
            if found == 30 * TEAMS and not applied:
                applied = time.monotonic() - begun
                print(f"{found} objects of {TEAMS} teams applied after {applied:.1f} s", flush=True)
            if applied and done == found:
                break
            if time.monotonic() - begun > 1200:
                print(f"not settled: {done} of {found}")
                return 1
            time.sleep(0.5)
        print(f"steady after {time.monotonic() - begun:.1f} s (20 prepared, 20 trained, 20 released)", flush=True)
        time.sleep(15)
        parts = {
            name: part["pid"]
            for name, part in json.loads(program.must("local", "status", "-o", "json"))["parts"].items()
        }
        before, cpu = _version(client), {name: _cpu(pid) for name, pid in parts.items()}
        time.sleep(given.rest)
        writes = _version(client) - before
        for name, pid in parts.items():
            share = (_cpu(pid) - cpu[name]) / given.rest * 100
            print(f"  {name:<11} {share:5.2f} % of a core  {_memory(pid):7.1f} MiB")
        print(f"writes in {given.rest:.0f} s of rest: {writes}")
        return int(writes > 0)
    finally:
        program.run("local", "down", timeout=120)
        shutil.rmtree(directory, ignore_errors=True)


def _version(client: KubeClient) -> int:
    """Return the version of the store, which every write raises."""
    page = client.list_page(KINDS[0].resource, None, None) or {}
    return int(page["metadata"]["resourceVersion"])


if __name__ == "__main__":
    sys.exit(main())

"""A local home that can be lived in and killed: a repository of its own, a small chain of objects, its processes.

The chain is whole but small: three hundred rows, a torch network of eight cells, a model server of forty lines. What
is looked at is looked at from outside: the API, MLflow's own client, /proc.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from examples.demo.program import Program

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import DATASET, MODELRELEASE, TRAININGRUN, WORKFLOW
from modelops.errors import ModelopsError
from modelops.localhome import children

NAME = "price"
HOST = "price.example.com"
TINY = Path(__file__).parents[1] / "support" / "tiny_server.py"
_DATASET = """\
apiVersion: modelops.dev/v1alpha1
kind: Dataset
metadata: {name: price}
spec:
  source: {git: {path: data.csv}}
  format: csv
  task: regression
  target: price
  schema:
    columns:
    - {name: id, type: string}
    - {name: area, type: float, min: 0}
    - {name: price, type: float}
  checks: {minRows: 100}
  split: {by: hash, key: id, percent: {train: 60, validation: 20, test: 20}}
"""
_RUN = """\
apiVersion: modelops.dev/v1alpha1
kind: TrainingRun
metadata: {name: price}
spec:
  datasetRef: {name: price}
  model: {name: price}
  prepare: {drop: [id], scale: standard, target: standard}
  trainer: {builtin: torch-mlp}
  hyperparameters: {hidden: [8], epochs: 5, seed: 1}
  compute: {timeout: 10m, retries: 3}
"""
_RELEASE = """\
apiVersion: modelops.dev/v1alpha1
kind: ModelRelease
metadata: {name: price}
spec:
  model: {name: price, from: {trainingRun: price}}
  serving:
    runtime: custom
    replicas: 1
    podTemplate:
      spec:
        terminationGracePeriodSeconds: 5
        containers:
        - name: server
          image: none
          command: [PYTHON, TINY]
          env: [{name: MILLISECONDS, value: "5"}]
          readinessProbe: {httpGet: {path: /v2/health/ready, port: http}, periodSeconds: 1}
  traffic: {hostnames: [price.example.com], timeout: 5s}
  strategy: {canary: {steps: [{setWeight: 50}, {analyze: {duration: 3s}}]}}
  analysis:
    interval: 1s
    warmUp: 1s
    metrics:
    # Servers and gateways are killed here on purpose: failures are counted, and one look without them is asked for.
    - {name: success-rate, builtin: success-rate, thresholdRange: {min: 0.9}, minSamples: 5, failureLimit: 1000}
"""


@dataclass
class House:
    """One home, its repository, and everything that was ever seen in it."""

    directory: Path
    workflows: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Name of every Workflow seen → the uids it was seen with."""
    _client: KubeClient | None = None

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.directory / "state"

    @property
    def repo(self) -> Path:
        """The team's repository."""
        return self.directory / "repo"

    @property
    def program(self) -> Program:
        """`modelops`, bound to this home."""
        return Program(self.state)

    def build(self) -> None:
        """Make the repository, with nothing in it yet."""
        (self.repo / "deploy").mkdir(parents=True)
        git(self.repo, "init", "-q", "-b", "main")

    def commit(self, change: int) -> str:
        """Commit new data (and at first the objects); return the commit. Every change trains a new version."""
        rng = random.Random(change)
        rows = [(f"r{i}", rng.uniform(20, 200)) for i in range(300 + change)]
        lines = [f"{name},{area:.2f},{3000 * area + 500:.1f}" for name, area in rows]
        (self.repo / "data.csv").write_text("\n".join(["id,area,price", *lines, ""]))
        release = _RELEASE.replace("PYTHON", sys.executable).replace("TINY", str(TINY))
        for name, text in (("dataset", _DATASET), ("run", _RUN), ("release", release)):
            (self.repo / "deploy" / f"{name}.yaml").write_text(text)
        git(self.repo, "add", "-A")
        git(self.repo, "commit", "-q", "-m", f"Data with {len(rows)} rows")
        return git(self.repo, "rev-parse", "HEAD").strip()

    def up(self) -> None:
        """Bring the home up, as a user does after whatever happened."""
        self._client = None
        self.program.must("local", "up", "--repo", str(self.repo), "--detach", timeout=200)

    def down(self) -> None:
        """Take it down."""
        self.program.run("local", "down", timeout=120)

    @property
    def client(self) -> KubeClient:
        """The home's API server."""
        if self._client is None:
            self._client = KubeClient.from_kubeconfig(str(self.state / "kubeconfig"), context="local")
        return self._client

    def look(self) -> dict[str, Any]:
        """Return dataset, run, release as they are, and take note of the Workflows. Empty while the API is away."""
        try:
            found = {
                kind.singular: self.client.get(kind.resource, "default", NAME) or {}
                for kind in (DATASET, TRAININGRUN, MODELRELEASE)
            }
            for workflow in self.client.list(WORKFLOW, None):
                self.workflows[workflow["metadata"]["name"]].add(workflow["metadata"]["uid"])
        except ModelopsError:
            return {}
        return found

    def parts(self) -> dict[str, int]:
        """Return part → pid, as home.json has it; the supervisor too."""
        read = json.loads((self.state / "home.json").read_text())
        found = {name: part["pid"] for name, part in (read.get("parts") or {}).items() if part["pid"]}
        supervisor = (read.get("supervisor") or {}).get("pid")
        return found | ({"supervisor": supervisor} if supervisor else {})

    def recorded(self, *, steps: bool) -> list[int]:
        """Return the pids of the steps, or of the model servers, that run now."""
        records = (self.state / "processes").glob("*.json")
        alive = [children.recorded(r) for r in records if r.name.startswith("step_") == steps]
        return sorted(found["pid"] for found in alive if found)

    def processes(self) -> Iterator[int]:
        """Yield every process whose command line or environment names this home."""
        mark = str(self.state).encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    said = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                    running = ") Z " not in (entry / "stat").read_text()
                except OSError:
                    continue
                if running and mark in said:
                    yield int(entry.name)

    def kill(self, target: str) -> list[int]:
        """End something with kill -9 and return the pids; an empty list if it was not running."""
        if target == "everything":
            parts = self.parts()
            if "supervisor" in parts:
                # Held still first, so that it cannot clear up after those that die before it.
                os.kill(parts["supervisor"], signal.SIGSTOP)
            victims = list(self.processes())
        elif target in ("step", "server"):
            victims = self.recorded(steps=target == "step")[:1]
        else:
            victims = [pid for name, pid in self.parts().items() if name == target]
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return victims


def git(repo: Path, *words: str) -> str:
    """Run git in a repository and return what it prints."""
    identity = ["-c", "user.name=Team", "-c", "user.email=team@example.com"]
    done = subprocess.run(["git", "-C", str(repo), *identity, *words], check=True, capture_output=True, text=True)
    return done.stdout


def until(true: Any, seconds: float, what: str) -> None:
    """Wait for something to be true.

    Raises:
        TimeoutError: it was not, in time.
    """
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)

"""A constant load on the gateway while releases are promoted and rolled back: who failed, and who answered.

    python -m bench.switching --rounds 10

Brings a local home up, releases a tiny server (20 ms a request), keeps 20 connections busy, and in each round promotes
a good version and rolls a bad one back. Old servers stop meanwhile. Prints one JSON object.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from tests.support import tiny
from tests.support.load import Load

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import MODELRELEASE

HOST = "tiny.example.com"
SERVER = Path(__file__).parents[1] / "tests" / "support" / "tiny_server.py"


@dataclass
class Switching:
    """One local home and one release in it."""

    state: Path
    rounds: int
    seconds: list[float] = field(default_factory=list)

    def modelops(self, *words: str) -> str:
        environment = {k: v for k, v in os.environ.items() if k != "KUBECONFIG"}
        done = subprocess.run(
            [str(Path(sys.executable).parent / "modelops"), *words, "--state-dir", str(self.state)],
            check=False, env=environment, capture_output=True, text=True, timeout=200,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"modelops {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def run(self) -> dict[str, Any]:
        """Do it; return the counts."""
        self.modelops("local", "up", "--detach")
        try:
            return self._run(json.loads(self.modelops("local", "status", "-o", "json")))
        finally:
            self.modelops("local", "down")

    def _run(self, home: dict[str, Any]) -> dict[str, Any]:
        client = KubeClient.from_kubeconfig(home["kubeconfig"], context="local")
        registry = MlflowClient(tracking_uri=home["endpoints"]["mlflow"])
        count = 2 * self.rounds + 1
        tiny.register(registry, count)
        bad = ",".join(str(number) for number in range(3, count + 1, 2))
        self._release(client, 1, bad)
        self._await(client, 1, "Promoted")
        load = Load(f"{home['endpoints']['gateway']}/infer", HOST)
        load.start()
        begun = time.monotonic()
        for number in range(2, count + 1):
            self._release(client, number, bad)
            self._await(client, number, "RolledBack" if number % 2 else "Promoted")
        time.sleep(8)  # the last servers drain and stop
        load.stop()
        took = time.monotonic() - begun
        return _summary(load, bad.split(","), self.rounds, took)

    def _release(self, client: KubeClient, version: int, bad: str, strategy: Mapping[str, Any] | None = None) -> None:
        env = [{"name": "BAD", "value": bad}]
        container = {"name": "server", "image": "tiny", "command": [sys.executable, str(SERVER)], "env": env}
        container["readinessProbe"] = {"httpGet": {"path": "/v2/health/ready", "port": "http"}, "periodSeconds": 1}
        metric = {"name": "success-rate", "builtin": "success-rate", "thresholdRange": {"min": 0.95}}
        spec = {
            "model": {"name": "tiny", "version": str(version)},
            "serving": {"runtime": "custom", "replicas": 1, "podTemplate": {"spec": {"containers": [container]}}},
            "traffic": {"hostnames": [HOST], "timeout": "3s"},
            "strategy": strategy or {"canary": {"steps": [{"setWeight": 30}, {"analyze": {"duration": "2s"}}]}},
            "analysis": {"interval": "1s", "warmUp": "1s", "metrics": [metric]},
        }
        client.apply(MODELRELEASE.resource, {"metadata": {"name": "tiny", "namespace": "default"}, "spec": spec})

    def _await(self, client: KubeClient, version: int, outcome: str) -> None:
        begun = time.monotonic()
        while time.monotonic() - begun < 90:
            status = (client.get(MODELRELEASE.resource, "default", "tiny") or {}).get("status") or {}
            last = (status.get("history") or [{}])[-1]
            if last.get("version") == str(version):
                if last["outcome"] != outcome:
                    raise RuntimeError(f"version {version} should be {outcome}: {last}")
                self.seconds.append(time.monotonic() - begun)
                return
            time.sleep(0.05)
        raise RuntimeError(f"version {version} was not settled: {json.dumps(status)[:2000]}")


def _summary(load: Load, bad: list[str], rounds: int, took: float) -> dict[str, Any]:
    by_stable = {v: n for (s, v), n in load.answers.items() if s == 200}
    failed_bad = sum(n for (s, v), n in load.answers.items() if s != 200 and v in bad)
    failed = sum(n for (s, v), n in load.answers.items() if s != 200 and v not in bad)
    return {
        "promotions": rounds,
        "rollbacks": rounds,
        "seconds": round(took, 1),
        "requests": sum(load.answers.values()),
        "answeredByGoodVersions": sum(by_stable.values()),
        "failedByBadCanaries": failed_bad,
        "failedOtherwise": failed,
        "errors": load.errors[:10],
    }


def main() -> int:
    """Run; exit 1 if a request failed that no bad canary failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="modelops-switching-") as directory:
        found = Switching(Path(directory), options.rounds).run()
    print(json.dumps(found, indent=2))
    return int(found["failedOtherwise"] > 0)


if __name__ == "__main__":
    sys.exit(main())

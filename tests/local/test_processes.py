"""The process controller as a process of its own against our API server: real servers, probes, signals."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import DEPLOYMENT, HTTPROUTE
from modelops.api.labels import LOCAL_ENDPOINTS, MANAGED_BY, MANAGER
from tests.support.local_apiserver import LocalApiServer

pytestmark = pytest.mark.local
ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "support" / "tiny_server.py"


@dataclass
class Node:
    """The controller, its API server and its state directory."""

    state: Path
    client: KubeClient
    kubeconfig: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        argv = [sys.executable, "-m", "modelops.localhome.processes", "--state-dir", str(self.state)]
        with (self.state / "processes.log").open("ab") as log:
            environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
            self.process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(40)

    def deploy(self, name: str, *command: str, replicas: int = 1, **pod: Any) -> None:
        """Apply a Deployment of the tiny server, or of a command."""
        container: dict[str, Any] = {
            "name": "server",
            "image": "none",
            "command": list(command or (sys.executable, str(TINY))),
            "env": [{"name": "WHO", "value": name}, {"name": "MODEL_VERSION", "value": "$(WHO)-1"}],
            "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": "http"}, "periodSeconds": 1},
        }
        labels = {MANAGED_BY: MANAGER, "app": name}
        spec = {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 5, **pod},
            },
        }
        self.client.apply(
            DEPLOYMENT, {"metadata": {"name": name, "namespace": "default", "labels": labels}, "spec": spec}
        )

    def get(self, name: str) -> dict[str, Any]:
        return self.client.get(DEPLOYMENT, "default", name) or {"metadata": {}}

    def ready(self, name: str) -> int:
        return int((self.get(name).get("status") or {}).get("readyReplicas", 0))

    def endpoints(self, name: str) -> list[str]:
        text = (self.get(name)["metadata"].get("annotations") or {}).get(LOCAL_ENDPOINTS, "")
        return [part for part in text.split(",") if part]

    def message(self, name: str) -> str:
        conditions = (self.get(name).get("status") or {}).get("conditions") or ()
        return next((f"{c['reason']}: {c['message']}" for c in conditions if c["type"] == "Progressing"), "")

    def pids(self, name: str) -> list[int]:
        records = (self.state / "processes").glob(f"default.{name}.*.json")
        return [json.loads(record.read_text())["pid"] for record in records]


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists() or ") Z " in Path(f"/proc/{pid}/stat").read_text()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApiServer]:
    found = LocalApiServer(tmp_path_factory.mktemp("api"), ROOT / "crds").start()
    yield found
    found.stop()


@pytest.fixture
def node(server: LocalApiServer, tmp_path: Path) -> Iterator[Node]:
    client = KubeClient.from_kubeconfig(str(server.kubeconfig), context="local")
    found = Node(tmp_path, client, server.kubeconfig)
    found.start()
    yield found
    for kind in (HTTPROUTE, DEPLOYMENT):
        for old in client.list(kind, None):
            client.delete(kind, "default", old["metadata"]["name"])
    if found.process is not None and found.process.poll() is None:
        found.end()


def test_deployment_becomes_processes_and_scales(node: Node) -> None:
    """Ready replicas are named with their addresses; each answers on its own $PORT with its own environment."""
    node.deploy("web", replicas=2)
    until(lambda: len(node.endpoints("web")) == 2 and node.ready("web") == 2)
    for address in node.endpoints("web"):
        with urllib.request.urlopen(f"http://{address}/infer", data=b"{}") as answer:
            assert answer.headers["x-version"] == "web-1"
    pids = node.pids("web")
    node.deploy("web", replicas=0)
    until(lambda: node.endpoints("web") == [] and all(map(gone, pids)))


def test_crash_is_said_and_tried_again(node: Node) -> None:
    """CrashLoopBackOff with the reason and where the log is."""
    node.deploy("crash", "sh", "-c", "exit 3")
    until(lambda: "CrashLoopBackOff" in node.message("crash"))
    assert "exited with 3" in node.message("crash")
    assert "crash.0.log" in node.message("crash")


def test_killed_server_comes_back(node: Node) -> None:
    """kill -9 of a server: not ready, started again, ready."""
    node.deploy("victim")
    until(lambda: node.ready("victim") == 1)
    (pid,) = node.pids("victim")
    os.kill(pid, signal.SIGKILL)
    until(lambda: node.ready("victim") == 1 and node.pids("victim") not in ([], [pid]))


def test_process_of_a_deleted_deployment_stays_while_a_route_names_it(node: Node) -> None:
    """Traffic is never cut by deleting what serves it."""
    node.deploy("routed")
    until(lambda: node.ready("routed") == 1)
    labels = {MANAGED_BY: MANAGER}
    route: dict[str, Any] = {
        "metadata": {"name": "r", "namespace": "default", "labels": labels},
        "spec": {"rules": [{"backendRefs": [{"name": "routed", "port": 80, "weight": 1}]}]},
    }
    node.client.apply(HTTPROUTE, route)
    (pid,) = node.pids("routed")
    time.sleep(0.5)
    node.client.delete(DEPLOYMENT, "default", "routed")
    time.sleep(2.5)
    assert not gone(pid)
    node.client.delete(HTTPROUTE, "default", "r")
    until(lambda: gone(pid))


def test_what_one_machine_cannot_give_is_said(node: Node) -> None:
    """A template never runs as less than it says."""
    node.deploy("volumes", volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}])
    until(lambda: node.message("volumes").startswith("UnsupportedLocally: spec.volumes"))


def test_killed_controller_s_servers_go_on_and_are_taken_over(node: Node) -> None:
    """The successor adopts by pid and start time: the same process answers before, meanwhile and after."""
    node.deploy("left")
    until(lambda: node.ready("left") == 1)
    (pid,), (address,) = node.pids("left"), node.endpoints("left")
    node.end(signal.SIGKILL)
    with urllib.request.urlopen(f"http://{address}/infer", data=b"{}") as answer:
        assert answer.status == 200
    node.start()
    until(lambda: "took over default.left.0" in (node.state / "processes.log").read_text())
    until(lambda: node.ready("left") == 1)
    assert (node.pids("left"), node.endpoints("left")) == ([pid], [address])
    os.kill(pid, signal.SIGKILL)
    until(lambda: node.pids("left") not in ([], [pid]) and node.ready("left") == 1)


def test_what_changed_while_the_controller_was_dead_is_made_so(node: Node) -> None:
    """A server whose Deployment is gone is ended; one whose template changed is replaced."""
    node.deploy("deleted")
    node.deploy("changed")
    until(lambda: node.ready("deleted") == 1 and node.ready("changed") == 1)
    (deleted,), (changed,) = node.pids("deleted"), node.pids("changed")
    node.end(signal.SIGKILL)
    node.client.delete(DEPLOYMENT, "default", "deleted")
    node.deploy("changed", terminationGracePeriodSeconds=6)
    node.start()
    until(lambda: gone(deleted) and gone(changed))
    until(lambda: node.ready("changed") == 1 and node.pids("changed") not in ([], [changed]))


def test_process_that_nobody_wrote_down_is_ended(node: Node) -> None:
    """A controller killed between starting a server and recording it leaves no orphan."""
    node.deploy("unwritten")
    until(lambda: node.ready("unwritten") == 1)
    (pid,) = node.pids("unwritten")
    node.end(signal.SIGKILL)
    for record in (node.state / "processes").glob("*.json"):
        record.unlink()
    node.start()
    until(lambda: gone(pid) and node.ready("unwritten") == 1)


def test_stopped_controller_ends_its_servers(node: Node) -> None:
    """SIGTERM is the end of the home: nothing is left running."""
    node.deploy("last")
    until(lambda: node.ready("last") == 1)
    (pid,) = node.pids("last")
    node.end()
    assert gone(pid)

"""Our API server, and the local controllers as processes of their own."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from modelops.adapters.cluster import KubeClient
from tests.support.local_apiserver import LocalApiServer

ROOT = Path(__file__).parents[2]
LEAK = {"MODELOPS_LEAK": "x", "MLFLOW_LEAK": "x"}


def until(true: Callable[[], Any], seconds: float = 15) -> None:
    """Wait for a condition, and fail when the time is up."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.03)


def gone(pid: int) -> bool:
    """Say whether a process has ended; a zombie has."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


@dataclass
class Machine:
    """One state directory, one namespace, and the controllers that a test starts."""

    state: Path
    server: LocalApiServer
    client: KubeClient
    namespace: str
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, controller: str) -> subprocess.Popen[bytes]:
        """Start `engine` or `processes`."""
        argv = [sys.executable, "-m", f"modelops.localhome.{controller}", "--state-dir", str(self.state)]
        environment = {**os.environ, **LEAK, "KUBECONFIG": str(self.server.kubeconfig)}
        with (self.state / f"{controller}.log").open("ab") as log:
            self.started.append(subprocess.Popen(argv, env=environment, stdout=log, stderr=log))
        return self.started[-1]


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApiServer]:
    server = LocalApiServer(tmp_path_factory.mktemp("api"), ROOT / "crds").start()
    yield server
    server.stop()


@pytest.fixture
def machine(api_server: LocalApiServer, tmp_path: Path) -> Iterator[Machine]:
    client = KubeClient.from_kubeconfig(str(api_server.kubeconfig), context="local")
    namespace = f"t-{secrets.token_hex(4)}"
    client.request("POST", "/api/v1/namespaces", body={"metadata": {"name": namespace}})
    state = tmp_path / "state"
    state.mkdir()
    found = Machine(state, api_server, client, namespace)
    yield found
    client.request("DELETE", f"/api/v1/namespaces/{namespace}")
    for process in found.started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            finally:
                process.kill()  # or it runs the next test's Workflows too

"""The real program against our API server as a real process; a namespace of its own for each test."""

import contextlib
import io
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import NAMESPACE, Kind
from modelops.cli.main import main
from tests.support.local_apiserver import LocalApiServer

ROOT = Path(__file__).parents[3]
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Done:
    """How the program ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What it printed."""
        return self.out.splitlines()


Run = Callable[..., Done]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApiServer]:
    """An API server with our CRDs."""
    started = LocalApiServer(tmp_path_factory.mktemp("api"), ROOT / "crds").start()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def client(server: LocalApiServer) -> KubeClient:
    """A client of it."""
    return KubeClient.from_kubeconfig(str(server.kubeconfig))


@pytest.fixture
def namespace(client: KubeClient) -> str:
    """A namespace that nothing else uses."""
    name = f"test-{os.getpid()}-{next(_NUMBERS)}"
    client.apply(NAMESPACE, {"metadata": {"name": name}})
    return name


def call(*arguments: str) -> Done:
    """Call the program's entry point in this process."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture
def modelops(server: LocalApiServer, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the program with the test's API server and namespace as its defaults."""
    home = server.directory / f"home-{namespace}"
    home.mkdir()
    config = json.loads(server.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = namespace
    (home / "config").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(home / "config"))
    monkeypatch.setenv("MODELOPS_STATE_DIR", str(home / "none"))
    return call


@pytest.fixture
def program() -> Callable[..., "subprocess.Popen[str]"]:
    """Return what starts the program as a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **more: Any) -> "subprocess.Popen[str]":
        code = "from modelops.cli.main import main; main()"
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | more
        # Unbuffered, Python itself loses what a closing pipe did not take, and does not hear of it.
        pipes["env"] = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        started.append(subprocess.Popen([sys.executable, "-c", code, *arguments], **pipes))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def put(client: KubeClient, namespace: str) -> Callable[..., dict[str, Any]]:
    """Return what creates or replaces an object and, when given, its status."""

    def put(kind: Kind, name: str, spec: dict[str, Any], status: dict[str, Any] | None = None, **meta: Any) -> Any:
        where = {"namespace": namespace} if kind.resource.namespaced else {}
        made = client.apply(kind.resource, {"metadata": {"name": name, **where, **meta}, "spec": spec})
        return made if status is None else client.replace_status(kind.resource, {**made, "status": status})

    return put

"""One real MLflow server for a test session: SQLite, artifact proxy, one worker, loopback only.

Import the fixture where it is wanted (`from tests.support.mlflow_server import mlflow_url`), or use the context
manager directly. It must never be replaced by a fake: what MLflow does with a call is what the tests are about.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

START_TIMEOUT = 120.0
"""Seconds. The first start makes the database; on two busy cores that was seen to take 30 s."""


def free_port() -> int:
    """Return a port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_mlflow(directory: Path) -> Iterator[str]:
    """Run `mlflow server` in a directory until the block ends; yield its URL.

    Raises:
        RuntimeError: it ended or did not answer in time; the message holds the end of its log.
    """
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    log_path = directory / "server.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
                *("--backend-store-uri", f"sqlite:///{directory / 'mlflow.db'}", "--workers", "1"),
                *("--serve-artifacts", "--artifacts-destination", str(directory / "artifacts")),
            ],
            cwd=directory,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_healthy(f"http://127.0.0.1:{port}/health", process, log_path)
            yield f"http://127.0.0.1:{port}"
        finally:
            # The workers are children of the server: the whole group goes, or one would keep the port.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
    http = urllib3.PoolManager(retries=False, timeout=2.0)
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            if http.request("GET", url).status == 200:
                return
        time.sleep(0.1)
    tail = log_path.read_text(errors="replace")[-2000:]
    msg = f"mlflow server did not become healthy at {url}; its log ends with:\n{tail}"
    raise RuntimeError(msg)


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of the session's MLflow server."""
    with running_mlflow(tmp_path_factory.mktemp("mlflow")) as url:
        yield url

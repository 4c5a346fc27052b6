"""Operator and server started from their images, and how long they took until they answered."""

import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

from tests.images.containers import Image
from tests.support.operators import free_port, until


@dataclass(frozen=True)
class Started:
    """What answers."""

    process: Popen[str]
    """The container's own; it has the image's user."""
    port: int
    seconds: float
    """From the start to the first answer."""


def operator(image: Image, kubeconfig: Path, directory: Path) -> Started:
    """Start an operator as the chart does, read-only with two mounts; MLflow and Prometheus are nowhere.

    Args:
        image: the operator's.
        kubeconfig: of the cluster; everybody may read it afterwards.
        directory: for its git mirrors and its log.
    """
    port = free_port()
    mirrors = directory / "git"
    mirrors.mkdir(exist_ok=True)
    kubeconfig.chmod(0o644)
    env = {
        "KUBECONFIG": "/mnt/kubeconfig",
        "MODELOPS_LEASE_NAMESPACE": "default",
        "MODELOPS_HEALTH_PORT": str(port),
        "MODELOPS_METRICS_PORT": str(free_port()),
        "MODELOPS_LISTEN": "127.0.0.1",
        "MODELOPS_MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "MODELOPS_PROMETHEUS_URL": "http://127.0.0.1:9",
        "PYTHONWARNINGS": "ignore",
    }
    given = {"env": env, "mounts": {"/mnt/kubeconfig": kubeconfig}, "writable": {"/var/cache/modelops/git": mirrors}}
    return _started(image, image.config["Entrypoint"], port, "/healthz", directory / "log", given)


def server(image: Image, model: Path, directory: Path) -> Started:
    """Start a server with a model of name price; it ends at once when it is told to.

    Args:
        image: the server's.
        model: directory of the model.
        directory: for its log.
    """
    command = [*image.config["Entrypoint"], "--model-uri", "/mnt/model", "--name", "price", "--drain-seconds", "0"]
    return serving(image, command, free_port(), "/v2/health/ready", model, directory)


def serving(image: Image, command: Sequence[str], port: int, path: str, model: Path, directory: Path) -> Started:
    """Start what serves /mnt/model, and wait until a path of it answers with 200."""
    given = {"env": {"PORT": str(port), "HOST": "127.0.0.1"}, "mounts": {"/mnt/model": model}}
    return _started(image, command, port, path, directory / "log", given)


def _started(image: Image, command: Sequence[str], port: int, path: str, log: Path, given: dict[str, Any]) -> Started:
    begun = time.monotonic()
    with log.open("w") as out:
        process = image.start(command, stdout=out, stderr=out, **given)
    url = f"http://127.0.0.1:{port}{path}"
    try:
        until(lambda: process.poll() is not None or _answers(url), 120, log.read_text)
        assert process.poll() is None, log.read_text()
    except BaseException:
        process.kill()
        raise
    return Started(process, port, time.monotonic() - begun)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False

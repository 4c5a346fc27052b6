"""A real MLflow as a process of this machine: lighter than an image of it, and the same to whoever asks."""

import sys
import urllib.request
from typing import Final

from tests.e2e.cluster import processes
from tests.e2e.cluster.choice import Cluster
from tests.e2e.surroundings import here
from tests.support.operators import until

NAMESPACE: Final = "modelops-system"
NAME: Final = "mlflow"
PORT: Final = 5000
_PATIENCE: Final = 120.0
"""Seconds. The first start makes the database."""


def start(cluster: Cluster) -> str:
    """Start it unless it runs, publish it as Service mlflow, and return its address for this machine."""
    url = f"http://{cluster.host}:{PORT}"
    directory = cluster.place.root / "mlflow"
    if not _answers(url):
        directory.mkdir(parents=True, exist_ok=True)
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", cluster.host, "--port", str(PORT)),
            *("--backend-store-uri", f"sqlite:///{directory / 'mlflow.db'}", "--workers", "1"),
            *("--serve-artifacts", "--artifacts-destination", str(directory / "artifacts")),
            *("--allowed-hosts", f"{cluster.host}:{PORT},{NAME}.{NAMESPACE}.svc:{PORT}"),
        ]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        processes.start(cluster.place.root, command, cluster.place.logs / "mlflow.log", quiet)
        until(lambda: _answers(url), _PATIENCE, f"MLflow answers at {url}", 0.1)
    ports = [{"name": "http", "port": PORT, "protocol": "TCP"}]
    here.serve(cluster.client(), NAMESPACE, NAME, ports, host=cluster.host)
    return url


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False

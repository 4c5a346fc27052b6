"""A real Prometheus as a process of this machine, which reads the operators' and the gateway's figures every second."""

import sys
import urllib.request
from pathlib import Path
from typing import Any, Final

import yaml

from modelops.localhome import parts
from tests.e2e.cluster import processes
from tests.e2e.cluster.choice import Cluster
from tests.e2e.surroundings import here, scraping
from tests.e2e.surroundings.mlflow import NAMESPACE
from tests.support.operators import until

PORT: Final = 9090
_ROOT: Final = Path(__file__).parents[3]


def missing() -> str | None:
    """Return why it cannot be started, or None."""
    return None if parts.prometheus_program() else "prometheus is not installed; `make setup` brings it"


def start(cluster: Cluster) -> str:
    """Start it unless it runs, publish it as Service prometheus, and return its address for this machine."""
    url = f"http://{cluster.host}:{PORT}"
    directory = cluster.place.root / "prometheus"
    if not _answers(url):
        directory.mkdir(parents=True, exist_ok=True)
        configuration = directory / "prometheus.yml"
        pods = directory / "pods.json"
        way = None if cluster.routed else scraping.through_the_api_server(cluster, directory)
        configuration.write_text(yaml.safe_dump(_configuration(pods, way)))
        finder = [sys.executable, "-m", "tests.e2e.surroundings.discovery", str(cluster.kubeconfig), str(pods)]
        finder += [way.server] if way is not None else []
        where = {"PYTHONPATH": str(_ROOT)}
        processes.start(cluster.place.root, finder, cluster.place.logs / "discovery.log", where)
        command = [
            str(parts.prometheus_program()),
            f"--config.file={configuration}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={cluster.host}:{PORT}",
        ]
        processes.start(cluster.place.root, command, cluster.place.logs / "prometheus.log")
        until(lambda: _answers(url), 60, f"Prometheus answers at {url}", 0.1)
    ports = [{"name": "http", "port": PORT, "protocol": "TCP"}]
    here.serve(cluster.client(), NAMESPACE, "prometheus", ports, host=cluster.host)
    return url


def _configuration(pods: Path, way: scraping.Way | None) -> dict[str, Any]:
    found = {"file_sd_configs": [{"files": [str(pods)], "refresh_interval": "1s"}]}
    scrape = {"job_name": "pods", **found, **(way.settings if way is not None else {})}
    return {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [scrape]}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False

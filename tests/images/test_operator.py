"""The operator's image works against a real kube-apiserver: it is elected, pins data and writes a status."""

import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import COMPUTEPOOL
from tests.images.containers import Image
from tests.support import kube_apiserver
from tests.support.operators import a_cluster, free_port, until

pytestmark = [pytest.mark.images, pytest.mark.real_apiserver, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[KubeClient, Path]]:
    if lacking := kube_apiserver.missing():
        pytest.skip(lacking)
    api, config = a_cluster(tmp_path_factory.mktemp("cluster"))
    yield KubeClient.from_kubeconfig(str(config), agent="test"), config
    api.stop()


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_reconciles_from_its_image(operator: Image, cluster: tuple[KubeClient, Path], tmp_path: Path) -> None:
    """Read-only, with the two mounts of the chart; it ends with 0 when it is told to."""
    client, config = cluster
    (tmp_path / "git").mkdir()
    port = free_port()
    config.chmod(0o644)
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
    begun = time.monotonic()
    with (tmp_path / "log").open("w") as log:
        process = operator.start(
            operator.config["Entrypoint"],
            env=env,
            mounts={"/mnt/kubeconfig": config},
            writable={"/var/cache/modelops/git": tmp_path / "git"},
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: healthy(port) or process.poll() is not None, 60, (tmp_path / "log").read_text)
        assert process.poll() is None, (tmp_path / "log").read_text()
        print(f"/healthz after {time.monotonic() - begun:.2f} s")  # noqa: T201
        client.apply(COMPUTEPOOL.resource, {"metadata": {"name": "gpu"}, "spec": {"resourceName": "example.com/gpu"}})
        until(
            lambda: ((client.get(COMPUTEPOOL.resource, None, "gpu") or {}).get("status") or {}).get("conditions"),
            60,
            (tmp_path / "log").read_text,
        )
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()

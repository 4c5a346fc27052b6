"""The operator's image works against a real kube-apiserver: it is elected, pins data and writes a status."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import COMPUTEPOOL
from tests.images import started
from tests.images.containers import Image
from tests.support import kube_apiserver
from tests.support.operators import a_cluster, until

pytestmark = [pytest.mark.images, pytest.mark.real_apiserver, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[KubeClient, Path]]:
    if lacking := kube_apiserver.missing():
        pytest.skip(lacking)
    api, config = a_cluster(tmp_path_factory.mktemp("cluster"))
    yield KubeClient.from_kubeconfig(str(config), agent="test"), config
    api.stop()


def test_reconciles_from_its_image(operator: Image, cluster: tuple[KubeClient, Path], tmp_path: Path) -> None:
    """Read-only, with the two mounts of the chart; it ends with 0 when it is told to."""
    client, config = cluster
    begun = started.operator(operator, config, tmp_path)
    try:
        print(f"/healthz after {begun.seconds:.2f} s")  # noqa: T201
        client.apply(COMPUTEPOOL.resource, {"metadata": {"name": "gpu"}, "spec": {"resourceName": "example.com/gpu"}})
        until(
            lambda: ((client.get(COMPUTEPOOL.resource, None, "gpu") or {}).get("status") or {}).get("conditions"),
            60,
            (tmp_path / "log").read_text,
        )
        begun.process.terminate()
        assert begun.process.wait(30) == 0
    finally:
        begun.process.kill()

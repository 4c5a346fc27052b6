"""An API server for each module: every one installs the chart, whose roles and policies belong to no namespace."""

from collections.abc import Iterator

import pytest

from modelops.api.kinds import HTTPROUTE, WORKFLOW
from tests.chart.cluster import PODMONITOR, PROMETHEUSRULE, SERVICEMONITOR, Cluster, start
from tests.support import helm, kube_apiserver


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """An API server; nothing of ours is in it yet."""
    lacking = kube_apiserver.missing() or helm.missing()
    if lacking:
        pytest.skip(lacking)
    others = (WORKFLOW, HTTPROUTE, SERVICEMONITOR, PODMONITOR, PROMETHEUSRULE)
    started = start(tmp_path_factory.mktemp("cluster"), others)
    yield started
    started.server.stop()

"""Watches that have nothing to tell, over a real API server: nobody calls them dead.

kube-apiserver sends bookmarks of a kind of which it has seen a change since it started. Of one without any it sends
them only if it had to ask etcd how far that kind's changes go, which a list may make it do.
"""

import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import COMPUTEPOOL, KINDS
from tests.support import kube_apiserver
from tests.support.fault_proxy import FaultProxy
from tests.support.operators import Replica, Replicas, a_cluster, until

pytestmark = [pytest.mark.real_apiserver, pytest.mark.slow]
SILENCE = 70
"""The default; kube-apiserver sends a bookmark every minute, and cannot be told another time."""
POOL = COMPUTEPOOL.resource
PLURALS = [kind.resource.plural for kind in KINDS]


def watches(proxy: FaultProxy) -> Counter[str]:
    """Return how many watches of each of our kinds have begun so far."""
    asked = [seen.path for seen in proxy.seen() if seen.watch]
    return Counter(plural for plural in PLURALS for path in asked if f"/{plural}?" in path)


def signs(operator: Replica) -> dict[str, float]:
    """Return when the watch of each of our kinds gave its last sign of life. Seconds since 1970."""
    with urllib.request.urlopen(f"http://127.0.0.1:{operator.metrics}/metrics", timeout=5) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    family = next(one for one in families if one.name == "modelops_watch_last_event_timestamp_seconds")
    last = {sample.labels["resource"].partition(".")[0]: sample.value for sample in family.samples}
    return {plural: last[plural] for plural in PLURALS}


def test_bookmarks_alone_keep_a_quiet_watch(tmp_path: Path) -> None:
    """For longer than makes a watch dead: with them none is made anew, without them it is; all are alive."""
    if lacking := kube_apiserver.missing():
        pytest.skip(lacking)
    server, config = a_cluster(tmp_path, audited=False)
    proxy = FaultProxy(server.url).start()
    through = tmp_path / "through-the-proxy"
    through.write_text(kube_apiserver.kubeconfig(proxy.url, server.token))
    settings = {"MODELOPS_LEADER_ELECTION": "false", "MODELOPS_WATCH_SILENCE_SECONDS": str(SILENCE)}
    replicas = Replicas(tmp_path, through, settings)
    try:
        client = KubeClient.from_kubeconfig(str(config), agent="test")
        client.create(POOL, {"metadata": {"name": "quiet"}, "spec": {}})
        operator = replicas.start()
        until(lambda: set(watches(proxy)) == set(PLURALS), 30, "the watches run")
        begun, since = watches(proxy), time.time()

        time.sleep(SILENCE + 20)

        anew, heard = watches(proxy) - begun, signs(operator)
        assert POOL.plural not in anew
        assert anew
        assert min(heard.values()) > since
        with urllib.request.urlopen(f"http://127.0.0.1:{operator.health}/healthz", timeout=5) as answer:
            assert answer.status == 200
    finally:
        replicas.stop()
        proxy.stop()
        server.stop()

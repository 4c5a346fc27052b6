"""What becomes of a write that comes too late: over a real API server, and a registry that counts."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from modelops.adapters.cached_cluster import CachedCluster
from modelops.adapters.cluster import KubeClient
from modelops.adapters.fence import Fence
from modelops.adapters.mlflow import MlflowRegistry
from modelops.api.kinds import COMPUTEPOOL, CONFIGMAP
from modelops.errors import Conflict, Transient
from tests.shell.conftest import a_pool
from tests.support.local_apiserver import LocalApiServer

POOL = COMPUTEPOOL.resource


class Clock:
    """Seconds that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def seen(client: KubeClient, name: str) -> dict[str, Any]:
    """Return a pool as somebody saw it, once."""
    client.create(POOL, a_pool(name))
    found = client.get(POOL, None, name)
    assert found is not None
    return found


def resource_of(client: KubeClient, name: str) -> str | None:
    return ((client.get(POOL, None, name) or {}).get("spec") or {}).get("resourceName")


def test_a_new_status_is_no_reason_to_decide_again(client: KubeClient) -> None:
    """The operator itself writes statuses all the time; an apply goes over them."""
    cluster, old = CachedCluster(client, [POOL]), seen(client, "status")
    client.merge_patch(POOL, None, "status", {"status": {"observedGeneration": 1}}, subresource="status")

    cluster.apply(POOL, a_pool("status", "example.com/new"), seen=old)

    assert resource_of(client, "status") == "example.com/new"


def test_an_object_that_became_another_is_looked_at_again(client: KubeClient) -> None:
    """What somebody wrote since stays, and the next read sees it although no watch has told."""
    cluster, old = CachedCluster(client, [POOL]), seen(client, "changed")
    cluster.get(POOL, None, "changed")
    client.merge_patch(POOL, None, "changed", {"spec": {"resourceName": "example.com/theirs"}})

    with pytest.raises(Conflict):
        cluster.apply(POOL, a_pool("changed", "example.com/late"), seen=old)
    with pytest.raises(Conflict):
        cluster.delete(POOL, None, "changed", seen=old)

    assert resource_of(client, "changed") == "example.com/theirs"
    again = cluster.get(POOL, None, "changed")
    assert again is not None
    assert again["spec"]["resourceName"] == "example.com/theirs"


def test_an_object_that_is_gone_is_not_made_anew(client: KubeClient) -> None:
    """A late apply over what was deleted since is a Conflict; the cache knows by then."""
    cluster, old = CachedCluster(client, [POOL]), seen(client, "gone")
    cluster.get(POOL, None, "gone")
    client.delete(POOL, None, "gone")

    with pytest.raises(Conflict):
        cluster.apply(POOL, a_pool("gone", "example.com/late"), seen=old)

    assert cluster.get(POOL, None, "gone") is None


def test_an_object_of_the_same_name_is_another_one(client: KubeClient) -> None:
    """Deleted and made anew by somebody: neither changed nor deleted by whoever saw the first."""
    cluster, old = CachedCluster(client, [POOL]), seen(client, "anew")
    client.delete(POOL, None, "anew")
    client.create(POOL, a_pool("anew", "example.com/second"))

    with pytest.raises(Conflict):
        cluster.apply(POOL, a_pool("anew", "example.com/late"), seen=old)
    with pytest.raises(Conflict):
        cluster.delete(POOL, None, "anew", seen=old)

    assert resource_of(client, "anew") == "example.com/second"


def test_nothing_passes_a_fence_that_ran_out(api_server: LocalApiServer, client: KubeClient) -> None:
    """No verb writes; reads go on, on the same connections."""
    clock, late = Clock(), []
    fence = Fence(lambda: late.append(1), clock)
    fenced = KubeClient.from_kubeconfig(str(api_server.kubeconfig), fence=fence)
    config = {"metadata": {"name": "fenced", "namespace": "default"}, "data": {"a": "1"}}
    fence.hold(10)
    fenced.create(CONFIGMAP, config)
    held = client.get(CONFIGMAP, "default", "fenced")
    clock.now = 11

    for write in (
        lambda: fenced.create(CONFIGMAP, {**config, "metadata": {"name": "other", "namespace": "default"}}),
        lambda: fenced.apply(CONFIGMAP, {**config, "data": {"a": "2"}}),
        lambda: fenced.merge_patch(CONFIGMAP, "default", "fenced", {"data": {"a": "3"}}),
        lambda: fenced.delete(CONFIGMAP, "default", "fenced"),
    ):
        with pytest.raises(Transient, match="nothing is written"):
            write()

    assert fenced.get(CONFIGMAP, "default", "fenced") == held
    assert client.get(CONFIGMAP, "default", "other") is None
    assert len(late) == 4
    client.delete(CONFIGMAP, "default", "fenced")


def test_a_fence_that_runs_out_after_the_head_was_sent_keeps_the_body(
    api_server: LocalApiServer, client: KubeClient
) -> None:
    """A process that was stopped between the two: the server has an incomplete request, and does nothing."""
    clock, asked = Clock(), []

    class Stopped(Clock):
        def __call__(self) -> float:
            # Asked first when a write begins, again when its body is due: in between, an hour has passed.
            asked.append(clock.now)
            clock.now += 3600 if len(asked) == 1 else 0
            return asked[-1]

    fence = Fence(now=Stopped())
    fence.hold(10)
    fenced = KubeClient.from_kubeconfig(str(api_server.kubeconfig), fence=fence)

    with pytest.raises(Transient, match="nothing is written"):
        fenced.create(CONFIGMAP, {"metadata": {"name": "headless", "namespace": "default"}})

    assert asked == [0, 3600]
    assert client.get(CONFIGMAP, "default", "headless") is None


@pytest.fixture
def posted() -> Iterator[tuple[str, list[bytes]]]:
    """Return the address of a registry that takes everything, and what it was told."""
    told: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say({"error_code": "RESOURCE_DOES_NOT_EXIST"}, 404)

        def do_POST(self) -> None:
            told.append(self.rfile.read(int(self.headers["Content-Length"])))
            self._say({}, 200)

        def log_message(self, *_: object) -> None: ...

        def _say(self, body: dict[str, str], code: int) -> None:
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", told
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_alias_is_not_moved_by_one_who_leads_no_more(posted: tuple[str, list[bytes]]) -> None:
    """MLflow has no resourceVersion: the fence is all there is."""
    url, told = posted
    clock = Clock()
    fence = Fence(now=clock)
    fence.hold(10)
    registry = MlflowRegistry(url, fence=fence)
    registry.set_alias("price", "champion", "3")
    clock.now = 11

    with pytest.raises(Transient, match="nothing is written"):
        registry.set_alias("price", "champion", "4")

    assert [json.loads(body)["version"] for body in told] == ["3"]

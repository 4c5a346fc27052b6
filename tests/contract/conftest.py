"""Servers for the contract suite: ours as a process, and a real kube-apiserver with etcd where there is one."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.contract.client import GROUP, Api, eventually
from tests.support import kube_apiserver
from tests.support.local_apiserver import LocalApiServer

CRDS = Path(__file__).parent / "crds"
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def local_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApiServer]:
    server = LocalApiServer(tmp_path_factory.mktemp("local-api"), CRDS).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def kube_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kube_apiserver.KubeApiServer]:
    lacking = kube_apiserver.missing()
    if lacking:
        pytest.skip(lacking)
    server = kube_apiserver.KubeApiServer(tmp_path_factory.mktemp("kube-api")).start()
    try:
        admin = Api(server.url, server.token, "default", real=True)
        for crd in yaml.safe_load_all((CRDS / "widget.yaml").read_text()):
            answer = admin.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
            assert answer.code == 201, answer.body
        eventually(lambda: admin.call("GET", admin.path("widgets")).code == 200)
        # A new resource's schema reaches OpenAPI, and with it apply, a moment later.
        eventually(lambda: admin.apply("warm-up", "warm-up", spec={"size": 1}).code in {200, 201})
        eventually(lambda: f"apis/{GROUP}/v1" in admin.call("GET", "/openapi/v3").body["paths"])
        yield server
    finally:
        server.stop()


@pytest.fixture(
    params=[
        pytest.param("local", id="ours"),
        pytest.param("kube", id="kube-apiserver", marks=pytest.mark.real_apiserver),
    ]
)
def api(request: pytest.FixtureRequest) -> Api:
    """Return a client of one of the servers, with a new namespace."""
    server = request.getfixturevalue(f"{request.param}_server")
    client = Api(server.url, server.token, f"t-{secrets.token_hex(4)}", real=request.param == "kube")
    answer = client.call("POST", "/api/v1/namespaces", {"metadata": {"name": client.namespace}})
    assert answer.code == 201, answer.body
    return client


@pytest.fixture
def local(local_server: LocalApiServer) -> Api:
    """Return a client of our server, for what a kube-apiserver alone does not do."""
    client = Api(local_server.url, local_server.token, f"t-{secrets.token_hex(4)}")
    assert client.call("POST", "/api/v1/namespaces", {"metadata": {"name": client.namespace}}).code == 201
    return client

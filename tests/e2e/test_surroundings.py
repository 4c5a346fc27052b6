"""What is brought to a cluster, where none is needed: used if there, else installed, else said."""

import ast
import base64
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import DEPLOYMENT, NAMESPACE
from modelops.errors import Transient
from tests.e2e.cluster import choice
from tests.e2e.cluster.layout import Layout
from tests.e2e.surroundings import argo, chart, discovery, gateway, released, scraping
from tests.support import kube_apiserver
from tests.support.fakes import FakeCluster


@dataclass(frozen=True, slots=True)
class Played(choice.Cluster):
    """A cluster whose API is in memory."""

    api: FakeCluster = field(default_factory=FakeCluster)

    def client(self) -> KubeClient:
        return self.api  # type: ignore[return-value]


def played(place: Path, *deployments: tuple[str, str, str], **more: Any) -> Played:
    """Return a cluster with Deployments: namespace, name, image."""
    cluster = Played(Layout(place), place / "kubeconfig", "192.0.2.7", lambda: None, **more)
    for namespace, name, image in deployments:
        template = {"spec": {"containers": [{"image": image}]}}
        cluster.api.put(
            DEPLOYMENT, {"metadata": {"name": name, "namespace": namespace}, "spec": {"template": template}}
        )
    return cluster


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with none of the programs, whose cache is this directory."""
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("MODELOPS_TEST_BIN", raising=False)
    return tmp_path


def test_what_a_given_cluster_has_is_used(bare: Path) -> None:
    """An Argo or an Envoy Gateway that is there is taken, whatever this machine has."""
    there = ("argo", "my-workflow-controller", "wf:1"), ("envoy-gateway-system", "envoy-gateway", "eg:1")
    cluster = played(bare, *there)

    argo.start(cluster)

    assert (argo.missing(cluster), gateway.missing(cluster)) == (None, None)
    assert cluster.api.calls == []


def test_what_a_given_cluster_lacks_is_said_with_how_to_install_it(bare: Path) -> None:
    """Nothing is installed where no image can be brought."""
    cluster = played(bare)
    for said in (argo.missing(cluster), gateway.missing(cluster)):
        assert said
        assert "install it: kubectl create namespace" in said
        assert "/install.yaml" in said


def test_programs_that_are_missing_are_said_where_images_can_be_brought(bare: Path) -> None:
    """On this machine's cluster nothing is fetched."""
    cluster = played(bare, load=lambda _: None)
    assert "workflow-controller and argoexec not found" in str(argo.missing(cluster))
    assert "tests.e2e.cluster build-gateway" in str(gateway.missing(cluster))


def test_release_is_applied_where_nodes_fetch_images(bare: Path) -> None:
    """On kind, with the manifest that is in the cache; it is there once its Deployment is ready."""
    for release in (released.ARGO, released.GATEWAY):
        manifest = bare / "modelops" / "releases" / f"{release.deployment}-{release.version}.yaml"
        manifest.parent.mkdir(parents=True, exist_ok=True)
        manifest.write_text(f"of {release.project}")
    applied: list[tuple[str, str]] = []

    def apply(manifest: str, namespace: str) -> None:
        applied.append((manifest, namespace))
        metadata = {"name": "workflow-controller", "namespace": namespace}
        cluster.api.put(DEPLOYMENT, {"metadata": metadata, "spec": {}})
        cluster.api.set_status(DEPLOYMENT, namespace, "workflow-controller", {"availableReplicas": 1})

    cluster = played(bare, load=lambda _: None, apply=apply)
    assert (argo.missing(cluster), gateway.missing(cluster)) == (None, None)

    argo.start(cluster)
    argo.start(cluster)

    assert applied == [("of argoproj/argo-workflows", "argo")]


def test_pods_are_read_through_the_api_server_where_they_are_not_reached() -> None:
    """The same series, by whichever way: the instance is the pod's."""
    port = {"name": "metrics", "containerPort": 19001}
    pod = {
        "metadata": {"name": "proxy-1", "namespace": "infra"},
        "spec": {"containers": [{"name": "envoy", "ports": [port, {"name": "http", "containerPort": 80}]}]},
        "status": {"podIP": "10.244.1.7"},
    }
    [near], [far] = discovery.targets([pod]), discovery.targets([pod], "127.0.0.1:6443")

    assert near["targets"] == ["10.244.1.7:19001"]
    assert near["labels"]["__metrics_path__"] == "/stats/prometheus"
    assert far["targets"] == ["127.0.0.1:6443"]
    path = "/api/v1/namespaces/infra/pods/proxy-1:19001/proxy/stats/prometheus"
    assert far["labels"] == near["labels"] | {"__metrics_path__": path}


def test_way_to_the_api_server_is_the_kubeconfigs(tmp_path: Path) -> None:
    """Its address and its authority, whoever the kubeconfig's user is."""
    entry = {"server": "https://127.0.0.1:40123", "certificate-authority-data": base64.b64encode(b"CA").decode()}
    read = {
        "current-context": "kind",
        "contexts": [{"name": "kind", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": entry}],
    }
    way = scraping.way_of(read, tmp_path, tmp_path / "token")

    assert way.server == "127.0.0.1:40123"
    assert way.settings["scheme"] == "https"
    assert Path(way.settings["tls_config"]["ca_file"]).read_bytes() == b"CA"
    assert way.settings["authorization"] == {"credentials_file": str(tmp_path / "token")}


def test_only_stories_that_train_may_be_skipped_in_ci() -> None:
    """Argo's programs are not to be had everywhere, and the trainer's image is large; all else .ci/run builds."""
    stories = Path(__file__).parent / "stories"
    train = set()
    for path in stories.glob("test_*.py"):
        for one in ast.parse(path.read_text()).body:
            if isinstance(one, ast.FunctionDef) and "trains" in {argument.arg for argument in one.args.args}:
                train.add(f"tests/e2e/stories/{path.name}::{one.name}")
    lines = (stories.parents[1] / "announced_skips.txt").read_text().splitlines()
    assert {line for line in lines if line.startswith("tests/e2e")} == train


@pytest.mark.real_apiserver
def test_account_that_reads_pods_may_do_just_that(tmp_path: Path) -> None:
    """Its token is one of the API server's own, and opens nothing but the way to pods."""
    if lacking := kube_apiserver.missing():
        pytest.skip(lacking)
    server = kube_apiserver.KubeApiServer(tmp_path / "kube").start()
    try:
        config = tmp_path / "kubeconfig"
        config.write_text(kube_apiserver.kubeconfig(server.url, server.token))
        cluster = choice.Cluster(Layout(tmp_path), config, "192.0.2.7", lambda: None)
        client = cluster.client()
        client.apply(NAMESPACE, {"metadata": {"name": chart.SYSTEM}})

        way = scraping.through_the_api_server(cluster, tmp_path)

        token = Path(way.settings["authorization"]["credentials_file"]).read_text()
        config.write_text(kube_apiserver.kubeconfig(server.url, token))
        reader = cluster.client()
        path = f"/api/v1/namespaces/{chart.SYSTEM}/pods"
        with pytest.raises(Transient, match="forbidden"):
            reader.request("GET", path)
        assert reader.request("GET", f"{path}/none:80/proxy/metrics") is None
        assert server.url.endswith(way.server)
    finally:
        server.stop()

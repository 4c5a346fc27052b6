"""What a cluster on this machine is made of: which programs, where they come from, and which are missing."""

import os
import shutil
import sys
from typing import Final

from tests.e2e.cluster.node import PLUGINS
from tests.support import go_programs, helm, kube_apiserver

_KUBERNETES: Final = kube_apiserver.RECIPE
NODE: Final = go_programs.Recipe(
    programs={
        name: f"k8s.io/kubernetes/cmd/{name}"
        for name in ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
    },
    require={"k8s.io/kubernetes": _KUBERNETES.require["k8s.io/kubernetes"]},
    replace=_KUBERNETES.replace,
    stamps=_KUBERNETES.stamps,
)
DNS: Final = go_programs.Recipe(
    programs={"coredns": "github.com/coredns/coredns"}, require={"github.com/coredns/coredns": "v1.14.7"}
)
GATEWAY: Final = go_programs.Recipe(
    programs={"envoy-gateway": "github.com/envoyproxy/gateway/cmd/envoy-gateway"},
    require={"github.com/envoyproxy/gateway": "v1.9.1"},
)
"""Only stories of traffic need it, and it takes longest."""
BUILT: Final = (_KUBERNETES, helm.RECIPE, NODE, DNS)
"""In the order in which they are built: each finds most of its packages in Go's cache."""
_PACKAGES: Final = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables-save": "iptables",
    "ip": "iproute2",
    "gcc": "gcc libc6-dev",
    "openssl": "openssl",
}
"""Program → its Debian packages."""
ARGO: Final = ("workflow-controller", "argoexec")
"""Argo Workflows' programs, which stories that train need; they cannot be built from Go modules."""


def missing() -> list[str]:
    """Return what a cluster on this machine lacks, a line each with how to get it."""
    if not sys.platform.startswith("linux") or os.geteuid():
        return ["a cluster on this machine needs Linux and root; give KUBECONFIG, or install kind"]
    lacking = sorted({package for program, package in _PACKAGES.items() if not shutil.which(program, path=_path())})
    if not any((directory / "ptp").exists() for directory in PLUGINS):
        lacking.append("containernetworking-plugins")
    found = [f"from the distribution: apt-get install --no-install-recommends {' '.join(lacking)}"] if lacking else []
    built = [name for recipe in BUILT for name in recipe.programs if go_programs.find(name) is None]
    if built:
        found.append(
            f"{', '.join(built)}: not in $MODELOPS_TEST_BIN, PATH or {go_programs.cache()}; build them with Go:"
            " python -m tests.e2e.cluster build"
        )
    return found


def missing_argo() -> str | None:
    """Return why nothing can train with the real Argo Workflows, or None."""
    lacking = [name for name in ARGO if go_programs.find(name) is None]
    if not lacking:
        return None
    return (
        f"{' and '.join(lacking)} not found in $MODELOPS_TEST_BIN, PATH or {go_programs.cache()}:"
        " put Argo Workflows' programs there, of its release"
    )


def build() -> None:
    """Build what Go can build; what is there already is kept.

    Raises:
        RuntimeError: Go is not installed.
    """
    for recipe in BUILT:
        go_programs.build(recipe, go_programs.cache())


def build_gateway() -> None:
    """Build Envoy Gateway, too."""
    go_programs.build(GATEWAY, go_programs.cache())


def _path() -> str:
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))

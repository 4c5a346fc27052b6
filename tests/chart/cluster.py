"""A real API server without nodes, for the chart: clients as anybody, and Helm."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from modelops.adapters.cluster import KubeClient
from modelops.adapters.kubeconfig import Connection
from modelops.adapters.token import Token
from modelops.api.kinds import HTTPROUTE, WORKFLOW, Resource
from tests.support.helm import helm
from tests.support.kube_apiserver import KubeApiServer, kubeconfig
from tests.support.operators import CRD, open_crd, served, until

CHART = Path(__file__).parents[2] / "charts" / "modelops"
SYSTEM = "modelops-system"
SERVICEMONITOR = Resource("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors")
PROMETHEUSRULE = Resource("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
"""What the chart needs of others, besides Workflow and HTTPRoute."""


@dataclass(frozen=True)
class Cluster:
    """A running API server."""

    server: KubeApiServer
    config: Path
    admin: KubeClient

    def as_user(self, user: str, namespace: str = "default") -> KubeClient:
        """Return a client that the API server takes for somebody else."""
        headers = {"Impersonate-User": user, "Impersonate-Group": "system:authenticated"}
        pool = urllib3.PoolManager(cert_reqs="CERT_NONE", retries=False, timeout=30)
        connection = Connection(self.server.url, None, None, Token(self.server.token), namespace, "")
        return KubeClient(connection, pool, headers)

    def helm(self, *words: str) -> str:
        """Run Helm against it."""
        return helm(*words, "--namespace", SYSTEM, kubeconfig=self.config)

    def token_of(self, account: str, namespace: str = SYSTEM) -> str:
        """Return a token of a service account, as a kubelet asks for it."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        answer = self.admin.request("POST", path, body=body)
        assert answer is not None
        return str(answer["status"]["token"])


def start(directory: Path, others: Sequence[Resource] = (WORKFLOW, HTTPROUTE)) -> Cluster:
    """Start an API server that serves the kinds of others which the chart or the operator writes."""
    server = KubeApiServer(directory / "kube").start()
    config = directory / "kubeconfig"
    config.write_text(kubeconfig(server.url, server.token))
    admin = KubeClient.from_kubeconfig(str(config), agent="test")
    try:
        for resource in others:
            admin.apply(CRD, open_crd(resource))
        until(lambda: all(served(admin, resource) for resource in others), 30, "the kinds of others are served")
    except BaseException:
        server.stop()
        raise
    return Cluster(server, config, admin)


def named(obj: dict[str, Any]) -> str:
    """Return kind/name."""
    return f"{obj['kind']}/{obj['metadata']['name']}"

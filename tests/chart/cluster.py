"""A real API server without nodes, for the chart: clients as anybody, and Helm."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modelops.adapters.cluster import KubeClient
from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import HTTPROUTE, WORKFLOW, Resource
from tests.support.helm import helm
from tests.support.installed import token_of
from tests.support.kube_apiserver import KubeApiServer, kubeconfig
from tests.support.operators import CRD, open_crd, served, until

CHART = Path(__file__).parents[2] / "charts" / "modelops"
SYSTEM = "modelops-system"
SERVICEMONITOR = Resource("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors")
PODMONITOR = Resource("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors")
PROMETHEUSRULE = Resource("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
"""What the chart needs of others, besides Workflow and HTTPRoute."""


@dataclass(frozen=True)
class Cluster:
    """A running API server."""

    server: KubeApiServer
    config: Path
    admin: KubeClient

    def as_account(self, account: ServiceAccount) -> KubeClient:
        """Return a client with the token of a service account, and with nobody else's rights."""
        path = self.config.with_name(f"{account.namespace}-{account.name}")
        path.write_text(kubeconfig(self.server.url, token_of(self.admin, account)))
        return KubeClient.from_kubeconfig(str(path), agent="test")

    def helm(self, *words: str) -> str:
        """Run Helm against it."""
        return helm(*words, "--namespace", SYSTEM, kubeconfig=self.config)


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

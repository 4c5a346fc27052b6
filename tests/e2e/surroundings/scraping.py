"""How Prometheus reads pods that this machine does not reach: through the API server, as an account for just that.

kind's pods have addresses of a network inside Docker, and those of a cluster somewhere else are as far away.
"""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import SERVICEACCOUNT, Resource
from tests.e2e.cluster.choice import Cluster
from tests.e2e.surroundings.mlflow import NAMESPACE

_NAME: Final = "story-prometheus"
_RBAC: Final = ("rbac.authorization.k8s.io", "v1")
_ROLE: Final = Resource(*_RBAC, "ClusterRole", "clusterroles", namespaced=False)
_BINDING: Final = Resource(*_RBAC, "ClusterRoleBinding", "clusterrolebindings", namespaced=False)
_VALID: Final = 24 * 3600
"""Seconds of a token: longer than all stories take."""


@dataclass(frozen=True, slots=True)
class Way:
    """The API server, and what it is asked with."""

    server: str
    """Host and port."""
    settings: dict[str, Any]
    """Of a scrape configuration."""


def through_the_api_server(cluster: Cluster, directory: Path) -> Way:
    """Make the account, and write its token and the API server's authority below a directory.

    Args:
        cluster: whose kubeconfig has one context that is used.
        directory: which exists.
    """
    client = cluster.client()
    client.apply(SERVICEACCOUNT, {"metadata": {"name": _NAME, "namespace": NAMESPACE}})
    rules = [{"apiGroups": [""], "resources": ["pods/proxy"], "verbs": ["get"]}]
    client.apply(_ROLE, {"metadata": {"name": _NAME}, "rules": rules})
    account = {"kind": "ServiceAccount", "name": _NAME, "namespace": NAMESPACE}
    role = {"apiGroup": _ROLE.group, "kind": _ROLE.kind, "name": _NAME}
    client.apply(_BINDING, {"metadata": {"name": _NAME}, "roleRef": role, "subjects": [account]})
    token = directory / "token"
    token.touch(mode=0o600)
    token.write_text(_token(client))
    return way_of(yaml.safe_load(cluster.kubeconfig.read_text()), cluster.kubeconfig.parent, token)


def way_of(kubeconfig: dict[str, Any], beside: Path, token: Path) -> Way:
    """Return the way to the API server of a kubeconfig's current context.

    Args:
        kubeconfig: as it was read.
        beside: the directory that its files are named from.
        token: who Prometheus is; the authority is written beside it.
    """
    contexts = {one["name"]: one["context"] for one in kubeconfig["contexts"]}
    clusters = {one["name"]: one["cluster"] for one in kubeconfig["clusters"]}
    cluster = clusters[contexts[kubeconfig["current-context"]]["cluster"]]
    address = urlsplit(cluster["server"])
    tls: dict[str, Any] = {"insecure_skip_verify": bool(cluster.get("insecure-skip-tls-verify"))}
    if "tls-server-name" in cluster:
        tls["server_name"] = cluster["tls-server-name"]
    if data := cluster.get("certificate-authority-data"):
        authority = token.with_name("authority.pem")
        authority.write_bytes(base64.b64decode(data))
        tls["ca_file"] = str(authority)
    elif named := cluster.get("certificate-authority"):
        tls["ca_file"] = str(beside / named)
    settings = {"scheme": address.scheme, "tls_config": tls, "authorization": {"credentials_file": str(token)}}
    default = 443 if address.scheme == "https" else 80
    return Way(f"{address.hostname}:{address.port or default}", settings)


def _token(client: KubeClient) -> str:
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{_NAME}/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": _VALID}}
    answer = client.request("POST", path, body=asked)
    assert answer is not None, f"no ServiceAccount {_NAME}"
    return str(answer["status"]["token"])

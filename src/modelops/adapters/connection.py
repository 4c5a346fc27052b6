"""Where an API server is and how to log in to it: from a kubeconfig, or from inside a pod."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from modelops.adapters import kubeconfig
from modelops.errors import Stalled


@dataclass(frozen=True, slots=True)
class Connection:
    """One API server. The headers hold the token, so they never appear in repr."""

    host: str
    """Base address."""
    pool: urllib3.PoolManager
    """Where connections come from; holds certificates."""
    headers: dict[str, str]
    """Sent with every request."""
    namespace: str
    """Of the context."""

    def __repr__(self) -> str:
        return f"Connection(host={self.host!r}, namespace={self.namespace!r})"


def connect(path: str | None, context: str | None, deadline: urllib3.Timeout) -> Connection:
    """Return the connection that a kubeconfig describes; without a path $KUBECONFIG's, ~/.kube/config's, or a pod's.

    Args:
        path: of one file.
        context: its name; by default the current one.
        deadline: of every call.

    Raises:
        Stalled: there is no usable configuration.
    """
    found = kubeconfig.load(Path(path), context) if path is not None else None
    if found is None:
        return _by_the_kubernetes_package(path, context, deadline)
    https: dict[str, Any] = {"ssl_context": found.tls} if found.tls else {}
    if found.server_name:
        https |= {"server_hostname": found.server_name, "assert_hostname": found.server_name}
    pool = urllib3.PoolManager(num_pools=4, maxsize=16, block=False, retries=False, timeout=deadline, **https)
    token = {"Authorization": f"Bearer {found.token}"} if found.token else {}
    return Connection(found.host, pool, token, found.namespace)


def _by_the_kubernetes_package(path: str | None, context: str | None, deadline: urllib3.Timeout) -> Connection:
    from kubernetes import client, config  # noqa: PLC0415 - 50 MiB and half a second; only who needs it pays
    from kubernetes.config.config_exception import ConfigException  # noqa: PLC0415

    settings = client.Configuration()
    namespace = "default"
    try:
        try:
            config.load_kube_config(path, context=context, client_configuration=settings)
            _, active = config.list_kube_config_contexts(path)
            named = context or (active or {}).get("name")
            contexts, _ = config.list_kube_config_contexts(path)
            for entry in contexts:
                if entry["name"] == named:
                    namespace = entry["context"].get("namespace", namespace)
        except ConfigException:
            if path is not None or context is not None:
                raise
            config.load_incluster_config(client_configuration=settings)
    except ConfigException as error:
        raise Stalled("NoKubeconfig", f"no usable kubeconfig: {error}; give --kubeconfig or --context") from error
    pool = urllib3.PoolManager(
        num_pools=4,
        maxsize=16,
        block=False,
        cert_reqs="CERT_REQUIRED" if settings.verify_ssl else "CERT_NONE",
        ca_certs=settings.ssl_ca_cert,
        cert_file=settings.cert_file,
        key_file=settings.key_file,
        retries=False,
        timeout=deadline,
    )
    token = settings.get_api_key_with_prefix("authorization") or settings.get_api_key_with_prefix("BearerToken")
    return Connection(settings.host, pool, {"Authorization": token} if token else {}, namespace)

"""Which API server to speak to: a kubeconfig that is named, the one of the environment, or the pod's own.

Called by `cluster.KubeClient.from_kubeconfig`. What needs a program or a plug-in is left to the `kubernetes` package.
"""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import urllib3
from urllib3.util.ssl_ import create_urllib3_context

from modelops.adapters import in_cluster, kubeconfig
from modelops.adapters.kubeconfig import Connection
from modelops.adapters.token import Token
from modelops.errors import Stalled

_GIVE: Final = "give --kubeconfig or --context"


def connection_of(path: str | None, context: str | None, environment: Mapping[str, str] = os.environ) -> Connection:
    """Return the connection of a kubeconfig; without a path of $KUBECONFIG, else ~/.kube/config, else the pod's own.

    Args:
        path: of one file.
        context: its name; by default the current one.
        environment: where KUBECONFIG and a pod's variables are looked for.

    Raises:
        Stalled: there is no usable configuration.
    """
    named = [part for part in (path or environment.get("KUBECONFIG") or "").split(os.pathsep) if part]
    usual = Path("~/.kube/config").expanduser()
    if not named and usual.exists():
        named = [str(usual)]
    if not named and context is None:
        found = in_cluster.load(environment)
        if found is not None:
            return found
    if len(named) == 1:
        found = kubeconfig.load(Path(named[0]).expanduser(), context)
        if found is not None:
            return found
    if not named:
        raise Stalled("NoKubeconfig", f"no kubeconfig: there is no {usual}; set KUBECONFIG, or {_GIVE}")
    return _by_the_kubernetes_package(path, context)


def pool_of(connection: Connection, deadline: urllib3.Timeout) -> urllib3.HTTPConnectionPool:
    """Return where connections to the API server come from; it is asked for paths.

    A PoolManager looks its one pool up anew for every call, which is a quarter of the CPU of one.

    Args:
        connection: where to.
        deadline: of every call that does not bring its own.
    """
    https: dict[str, Any] = {"ssl_context": connection.tls} if connection.tls else {}
    if connection.server_name:
        https |= {"server_hostname": connection.server_name, "assert_hostname": connection.server_name}
    manager = urllib3.PoolManager(maxsize=16, block=False, retries=False, timeout=deadline, **https)
    return manager.connection_from_url(connection.host)


def _by_the_kubernetes_package(path: str | None, context: str | None) -> Connection:
    try:
        from kubernetes import client, config  # noqa: PLC0415 - 50 MiB and half a second; only who needs it pays
        from kubernetes.config.config_exception import ConfigException  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise Stalled(
            "NoKubeconfig",
            "this kubeconfig needs the Python package kubernetes, which is not installed here: it is several files, or"
            f" names a program, a plug-in, a password or a proxy; install it (pip install kubernetes), or {_GIVE} of"
            " one file with a token or a certificate",
        ) from error

    settings = client.Configuration()
    try:
        config.load_kube_config(path, context=context, client_configuration=settings)
        contexts, active = config.list_kube_config_contexts(path)
    except ConfigException as error:
        raise Stalled("NoKubeconfig", f"no usable kubeconfig: {error}; {_GIVE}") from error
    name = context or (active or {}).get("name", "")
    namespace = next((entry["context"].get("namespace") for entry in contexts if entry["name"] == name), None)
    token = settings.get_api_key_with_prefix("authorization") or settings.get_api_key_with_prefix("BearerToken") or ""
    tls = _tls(settings) if settings.host.startswith("https:") else None
    return Connection(settings.host, tls, None, Token(token.removeprefix("Bearer ")), namespace or "default", name)


def _tls(settings: Any) -> ssl.SSLContext:
    context = create_urllib3_context()
    context.check_hostname = bool(settings.verify_ssl)
    context.verify_mode = ssl.CERT_REQUIRED if settings.verify_ssl else ssl.CERT_NONE
    if settings.ssl_ca_cert:
        context.load_verify_locations(cafile=settings.ssl_ca_cert)
    elif settings.verify_ssl:
        context.load_default_certs()
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    return context

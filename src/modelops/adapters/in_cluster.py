"""How a pod reaches its API server: an address in the environment, and its service account's files.

Called by `connect`; the `kubernetes` package does the same at 50 MiB, and reads the token once.
"""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from urllib3.util.ssl_ import create_urllib3_context

from modelops.adapters.kubeconfig import Connection
from modelops.adapters.token import Token
from modelops.errors import Stalled

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def load(environment: Mapping[str, str] = os.environ, directory: Path = SERVICE_ACCOUNT) -> Connection | None:
    """Return the connection of the pod that this is; None if this is no pod.

    Args:
        environment: with KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT.
        directory: with token, ca.crt and namespace.

    Raises:
        Stalled: this is a pod whose service account cannot be used.
    """
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        return None
    try:
        token = Token(file=directory / "token")
        context = create_urllib3_context()
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = True
        context.load_verify_locations(cafile=str(directory / "ca.crt"))
        namespace = directory / "namespace"
        named = namespace.read_text(encoding="utf-8").strip() if namespace.exists() else ""
    except (OSError, ssl.SSLError, UnicodeDecodeError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise Stalled(
            "NoKubeconfig",
            f"service account in {directory}: {what}; mount one (automountServiceAccountToken), or give KUBECONFIG",
        ) from error
    # IPv6 addresses stand in brackets in a URL.
    address = f"[{host}]" if ":" in host else host
    return Connection(f"https://{address}:{port}", context, None, token, named or "default", "in-cluster")

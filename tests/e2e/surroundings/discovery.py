"""Tells Prometheus which pods there are, by a file: Debian's Prometheus cannot ask an API server itself.

`python -m tests.e2e.surroundings.discovery KUBECONFIG FILE [SERVER]` writes the file anew whenever the pods change.
With the host and port of the API server, pods are read through it.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import POD
from modelops.api.labels import RELEASE
from modelops.errors import ModelopsError

_PORT: Final = "metrics"
_SERVED: Final = "http"
"""Of model servers, which tell their figures where they answer."""
_PATHS: Final = {"envoy": "/stats/prometheus"}
"""Of containers that do not answer at /metrics."""
_EVERY: Final = 1.0
"""Seconds between two looks."""


def targets(pods: Sequence[dict[str, Any]], server: str | None = None) -> list[dict[str, Any]]:
    """Return what Prometheus should read: of every pod with an address the ports named metrics; http of model servers.

    Args:
        pods: as the API has them.
        server: host and port of the API server, where pods are not reached without it.
    """
    found = []
    for pod in pods:
        address = (pod.get("status") or {}).get("podIP")
        meta = pod["metadata"]
        for container in pod["spec"]["containers"] if address and "deletionTimestamp" not in meta else ():
            for port in container.get("ports") or ():
                if port.get("name") not in (_PORT, _SERVED if RELEASE in (meta.get("labels") or {}) else _PORT):
                    continue
                instance, path = f"{address}:{port['containerPort']}", _PATHS.get(container["name"], "/metrics")
                labels = {"namespace": meta["namespace"], "pod": meta["name"], "instance": instance}
                if server is not None:
                    name = f"{meta['name']}:{port['containerPort']}"
                    path = f"/api/v1/namespaces/{meta['namespace']}/pods/{name}/proxy{path}"
                found.append({"targets": [server or instance], "labels": {**labels, "__metrics_path__": path}})
    return found


def main(kubeconfig: str, file: Path, server: str | None = None) -> None:
    """Keep the file as the pods are, until the process ends."""
    client = KubeClient.from_kubeconfig(kubeconfig, agent="test")
    written = ""
    while True:
        try:
            wanted = json.dumps(targets(client.list(POD, None), server))
        except ModelopsError as error:
            sys.stderr.write(f"{error}\n")
        else:
            if wanted != written:
                made = file.with_suffix(".part")
                made.write_text(wanted)
                made.rename(file)
                written = wanted
        time.sleep(_EVERY)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])

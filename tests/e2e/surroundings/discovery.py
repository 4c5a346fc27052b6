"""Tells Prometheus which pods there are, by a file: Debian's Prometheus cannot ask an API server itself.

`python -m tests.e2e.surroundings.discovery KUBECONFIG FILE` writes the file anew whenever the pods change.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import POD
from modelops.errors import ModelopsError

_PORT: Final = "metrics"
_PATHS: Final = {"envoy": "/stats/prometheus"}
"""Of containers that do not answer at /metrics."""
_EVERY: Final = 1.0
"""Seconds between two looks."""


def targets(pods: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what Prometheus should read: of every pod with an address, the ports that are named metrics."""
    found = []
    for pod in pods:
        address = (pod.get("status") or {}).get("podIP")
        meta = pod["metadata"]
        for container in pod["spec"]["containers"] if address and "deletionTimestamp" not in meta else ():
            found += [
                {
                    "targets": [f"{address}:{port['containerPort']}"],
                    "labels": {
                        "namespace": meta["namespace"],
                        "pod": meta["name"],
                        "__metrics_path__": _PATHS.get(container["name"], "/metrics"),
                    },
                }
                for port in container.get("ports") or ()
                if port.get("name") == _PORT
            ]
    return found


def main(kubeconfig: str, file: Path) -> None:
    """Keep the file as the pods are, until the process ends."""
    client = KubeClient.from_kubeconfig(kubeconfig, agent="test")
    written = ""
    while True:
        try:
            wanted = json.dumps(targets(client.list(POD, None)))
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
    main(sys.argv[1], Path(sys.argv[2]))

"""What a cluster leans on, taken away for a while."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from modelops.api.kinds import DEPLOYMENT, POD
from tests.e2e.cluster import processes
from tests.e2e.stories.estate import Estate
from tests.e2e.surroundings import gateway
from tests.support.operators import until


@contextmanager
def frozen(estate: Estate, program: str) -> Iterator[None]:
    """Stop the processes of a program of this machine until the block ends: it takes connections, and never answers.

    Args:
        estate: whose.
        program: mlflow or prometheus.
    """
    words = {"mlflow": "mlflow", "prometheus": "--storage.tsdb.path"}[program]
    pids = processes.said(estate.cluster.place.root, words)
    assert pids, f"no process of {program}"
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def without_gateway(estate: Estate) -> Iterator[None]:
    """Have neither Envoy Gateway's controller nor its proxies until the block ends."""
    deployments = estate.client.list(DEPLOYMENT, gateway.NAMESPACE)
    before = {one["metadata"]["name"]: one["spec"]["replicas"] for one in deployments}
    # The controller first, or it would scale its proxies up again.
    names = sorted(before, key=lambda name: name != "envoy-gateway")
    try:
        for name in names:
            _scale(estate, name, 0)
        yield
    finally:
        for name in names:
            _scale(estate, name, before[name])
        until(lambda: _ready(estate, before), 120, lambda: estate.pods(gateway.NAMESPACE), 0.2)


def _scale(estate: Estate, name: str, replicas: int) -> None:
    estate.client.merge_patch(DEPLOYMENT, gateway.NAMESPACE, name, {"spec": {"replicas": replicas}})
    if replicas == 0:
        labels = estate.client.get(DEPLOYMENT, gateway.NAMESPACE, name)["spec"]["selector"]["matchLabels"]
        for pod in estate.pods(gateway.NAMESPACE, labels):
            estate.client.delete(POD, gateway.NAMESPACE, pod["metadata"]["name"])
        until(lambda: not estate.pods(gateway.NAMESPACE, labels), 60, f"{name} is gone", 0.1)


def _ready(estate: Estate, wanted: dict[str, int]) -> bool:
    found = {one["metadata"]["name"]: one for one in estate.client.list(DEPLOYMENT, gateway.NAMESPACE)}
    return all((found[name].get("status") or {}).get("readyReplicas", 0) >= count for name, count in wanted.items())

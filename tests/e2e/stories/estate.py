"""What a story is told with: a furnished cluster, and questions to it."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import GITSOURCE, LEASE, POD, Kind
from modelops.errors import ModelopsError
from tests.e2e.cluster.choice import Cluster
from tests.e2e.surroundings.chart import NAME, SYSTEM
from tests.support.git_server import serving
from tests.support.operators import until

_SELECTED: Final = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/instance": NAME}


@dataclass(frozen=True, slots=True)
class Estate:
    """A cluster with modelops and what it works with."""

    cluster: Cluster
    client: KubeClient
    mlflow: str
    """MLflow's address for this machine."""

    def pods(self, namespace: str, labels: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Return the pods of a namespace that are not being deleted."""
        pods = self.client.list(POD, namespace)
        wanted = (labels or {}).items()
        return [
            pod
            for pod in pods
            if "deletionTimestamp" not in pod["metadata"] and wanted <= (pod["metadata"].get("labels") or {}).items()
        ]

    def operators(self) -> dict[str, dict[str, Any]]:
        """Return the operator's pods that are ready, by name."""
        return {pod["metadata"]["name"]: pod for pod in self.pods(SYSTEM, _SELECTED) if is_ready(pod)}

    def leader(self) -> str | None:
        """Return the pod in the Lease, if it is one of the operator's."""
        holder = self.holder()
        # A random part follows the pod's name.
        return next((name for name in self.operators() if holder.startswith(name)), None)

    def holder(self) -> str:
        """Return the identity in the Lease; empty if the API server does not tell."""
        try:
            lease = self.client.get(LEASE, SYSTEM, NAME) or {}
        except ModelopsError:
            return ""
        return str((lease.get("spec") or {}).get("holderIdentity") or "")

    def kill_leader(self) -> str:
        """End the leader's process with SIGKILL; return who leads then, once somebody does.

        Its pod is replaced then: the kubelet would start it later and later, the more often it was killed.
        """
        pod = until(self.leader, 60, "one leads", 0.1)
        before = self.holder()
        self.kill(SYSTEM, pod)
        until(lambda: self.holder() != before and self.leader(), 60, lambda: f"{self.holder()} leads", 0.1)
        self.client.delete(POD, SYSTEM, pod)
        return self.holder()

    def kill(self, namespace: str, name: str) -> None:
        """End the processes of a pod's first container with SIGKILL; the kubelet starts it again."""
        pod = self.client.get(POD, namespace, name)
        assert pod is not None, f"no pod {name}"
        identifier = pod["status"]["containerStatuses"][0]["containerID"].rpartition("//")[2]
        if not self.cluster.kill(identifier):
            pytest.skip("the containers of this cluster cannot be killed from here: give no KUBECONFIG")

    def status(self, kind: Kind, namespace: str | None, name: str) -> dict[str, Any]:
        """Return an object's status; empty if it has none yet."""
        obj = self.client.get(kind.resource, namespace, name) or {}
        status: dict[str, Any] = obj.get("status") or {}
        return status

    def ready(self, kind: Kind, namespace: str | None, name: str) -> tuple[str, str]:
        """Return status and reason of the condition Ready; empty if there is none."""
        conditions = self.status(kind, namespace, name).get("conditions") or ()
        return next(((c["status"], c["reason"]) for c in conditions if c["type"] == "Ready"), ("", ""))

    def until(
        self, kind: Kind, namespace: str | None, name: str, condition: Callable[[dict[str, Any]], Any], seconds: float
    ) -> dict[str, Any]:
        """Return an object's status once a condition holds for it.

        Raises:
            AssertionError: it did not in time; the message is the status as it is.
        """
        until(
            lambda: condition(self.status(kind, namespace, name)),
            seconds,
            lambda: f"{kind.resource.kind} {name}: {json.dumps(self.status(kind, namespace, name))}",
            0.2,
        )
        return self.status(kind, namespace, name)

    def until_ready(self, kind: Kind, namespace: str | None, name: str, seconds: float) -> dict[str, Any]:
        """Return an object's status once it is Ready."""
        return self.until(kind, namespace, name, is_ready_status, seconds)

    @contextmanager
    def repository(self, directory: Path, name: str, namespace: str, *, url: str = "") -> Iterator[None]:
        """Serve the repository `directory/name` and deliver its `deploy` to a namespace until the block ends.

        Args:
            directory: of the repository.
            name: of the repository and of the GitSource.
            namespace: of the GitSource.
            url: below the directory, if it is not the name.
        """
        with serving(directory, address=self.cluster.host) as server:
            spec = {
                "url": server.url(url or name),
                "ref": {"branch": "main"},
                "path": "deploy",
                "interval": "2s",
                "serviceAccountName": "modelops-sync",
            }
            self.client.apply(GITSOURCE.resource, {"metadata": {"name": name, "namespace": namespace}, "spec": spec})
            yield


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Return whether a pod is ready."""
    return is_ready_status(pod.get("status") or {})


def is_ready_status(status: Mapping[str, Any]) -> bool:
    """Return whether a status has the condition Ready."""
    conditions = status.get("conditions") or ()
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)

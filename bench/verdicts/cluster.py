"""One kube-apiserver for all contenders, and what none of them does: kubelet, Deployments and the gateway."""

import contextlib
import copy
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.support.operators import CRD, a_cluster, open_crd, served, until

from bench.verdicts.contender import Contender
from modelops.adapters.cluster import KubeClient
from modelops.adapters.watch import watch
from modelops.api.kinds import DEPLOYMENT, HTTPROUTE, NAMESPACE, Resource
from modelops.errors import ModelopsError

_REPLICASET = Resource("apps", "v1", "ReplicaSet", "replicasets")
_ACCEPTED = [{"type": kind, "status": "True", "reason": kind} for kind in ("Accepted", "ResolvedRefs")]

Told = Callable[[dict[str, Any], float], None]
"""Takes an object as it is now, and time.monotonic()."""


@dataclass
class Watches:
    """Tell of every change, each resource in a thread of its own, until stopped."""

    client: KubeClient
    _stopped: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()

    def on(self, resource: Resource, told: Told) -> None:
        """Tell of a resource's objects in all namespaces."""

        def follow() -> None:
            for change in watch(self.client, resource, stopped=self._stopped):
                if change.type == "present" and not self._stopped.is_set():
                    told(change.obj, time.monotonic())

        threading.Thread(target=follow, daemon=True).start()


@contextmanager
def cluster(directory: Path, contenders: Sequence[Contender]) -> Iterator[tuple[KubeClient, Path]]:
    """Run an API server with every contender's kinds and namespace; yield its client and kubeconfig."""
    server, config = a_cluster(directory, audited=False)
    try:
        client = KubeClient.from_kubeconfig(str(config), agent="bench")
        route = copy.deepcopy(open_crd(HTTPROUTE))
        route["spec"]["versions"][0]["subresources"] = {"status": {}}
        client.apply(CRD, route)
        for crds in {one.crds: None for one in contenders}:
            for definition in crds():
                client.apply(CRD, definition)
        for one in contenders:
            client.apply(NAMESPACE, {"metadata": {"name": one.name}})
            until(lambda kind=one.kind: served(client, kind), 30, f"{one.kind.plural} are served", 0.1)
        yield client, config
    finally:
        server.stop()


def play(client: KubeClient, watches: Watches) -> None:
    """Let everything that is wanted run, and every route be in force, as soon as it is written."""

    def status(resource: Resource, wanted: Callable[[dict[str, Any]], dict[str, Any]]) -> Told:
        def told(obj: dict[str, Any], _: float) -> None:
            found, meta = wanted(obj), obj["metadata"]
            if any((obj.get("status") or {}).get(key) != value for key, value in found.items()):
                # What is gone by now needs none.
                with contextlib.suppress(ModelopsError):
                    client.merge_patch(
                        resource, meta["namespace"], meta["name"], {"status": found}, subresource="status"
                    )

        return told

    watches.on(DEPLOYMENT, status(DEPLOYMENT, _deployed))
    watches.on(_REPLICASET, status(_REPLICASET, _replicated))
    watches.on(HTTPROUTE, status(HTTPROUTE, _routed))


def _replicated(obj: dict[str, Any]) -> dict[str, Any]:
    # The server leaves counts of 0 out.
    counts = dict.fromkeys(("readyReplicas", "availableReplicas"), obj["spec"]["replicas"] or None)
    return {**counts, "replicas": obj["spec"]["replicas"], "observedGeneration": obj["metadata"]["generation"]}


def _deployed(obj: dict[str, Any]) -> dict[str, Any]:
    replicas = obj["spec"]["replicas"] or None
    return {**_replicated(obj), "replicas": replicas, "updatedReplicas": replicas}


def _routed(obj: dict[str, Any]) -> dict[str, Any]:
    generation = obj["metadata"]["generation"]
    conditions = [{**one, "observedGeneration": generation} for one in _ACCEPTED]
    return {"parents": [{"conditions": conditions}]}

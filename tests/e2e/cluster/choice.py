"""Which cluster the stories run on: the one of KUBECONFIG, else kind's, else one started on this machine."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modelops.adapters.cluster import KubeClient
from tests.e2e.cluster import kind, layout, own, programs
from tests.e2e.cluster.layout import Layout


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that answers."""

    place: Layout
    """For what runs on this machine beside it."""
    kubeconfig: Path
    host: str
    """This machine, as the cluster's pods reach it."""
    load: Callable[[Path], None]
    """Brings an image archive to every node."""
    end: Callable[[], None]
    """Takes it away, if it was started for the stories."""

    def client(self) -> KubeClient:
        """Return an administrator's client."""
        return KubeClient.from_kubeconfig(str(self.kubeconfig), agent="test")


def missing() -> list[str]:
    """Return why there is no cluster and none can be started, a line each; empty if there is, or can be."""
    if os.environ.get("KUBECONFIG") or kind.missing() is None:
        return []
    lacking = programs.missing()
    return [*lacking, f"or give KUBECONFIG, or: {kind.missing()}"] if lacking else []


def start(place: Layout) -> Cluster:
    """Return a cluster that is up; nothing may be `missing`."""
    if given := os.environ.get("KUBECONFIG"):
        # Its images come from where its nodes get them.
        return Cluster(place, Path(given), _given_host(), lambda _archive: None, lambda: None)
    if kind.missing() is None:
        config = kind.up(place)
        return Cluster(place, config, kind.host(), kind.load, lambda: kind.down(place))
    was_up = own.is_up(place)
    own.up(place)
    end = (lambda: None) if was_up else (lambda: own.down(place))
    return Cluster(place, place.kubeconfig, layout.HOST, lambda archive: own.load(place, archive), end)


def _given_host() -> str:
    """Return this machine's address: $MODELOPS_TEST_HOST, else the one of its name."""
    return os.environ.get("MODELOPS_TEST_HOST") or socket.gethostbyname(socket.gethostname())

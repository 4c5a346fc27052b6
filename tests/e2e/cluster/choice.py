"""Which cluster the stories run on: the one of KUBECONFIG, else kind's, else one started on this machine."""

import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from modelops.adapters.cluster import KubeClient
from tests.e2e.cluster import kind, layout, own, processes, programs
from tests.e2e.cluster.layout import Layout


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that answers."""

    place: Layout
    """For what runs on this machine beside it."""
    kubeconfig: Path
    host: str
    """This machine, as the cluster's pods reach it."""
    end: Callable[[], None]
    """Takes away what was started for the stories."""
    load: Callable[[Path], None] | None = None
    """Brings an image archive to every node; None where nodes get their images from elsewhere."""
    apply: Callable[[str, str], None] | None = None
    """Applies a manifest of others to a namespace, whose images the nodes fetch; None where that is not to be."""
    kill: Callable[[str], bool] = lambda _: False
    """Ends a container by its id with SIGKILL, and returns whether it could."""
    routed: bool = False
    """Whether this machine reaches pods by their addresses."""

    def client(self) -> KubeClient:
        """Return an administrator's client."""
        return KubeClient.from_kubeconfig(str(self.kubeconfig), agent="test")


def given(place: Layout) -> Path | None:
    """Return the kubeconfig of a cluster that is neither kind's nor this machine's, if KUBECONFIG names one."""
    named = os.environ.get("KUBECONFIG")
    known = {str(place.kubeconfig), str(place.beside("kind").kubeconfig)}
    return Path(named) if named and named not in known else None


def missing(place: Layout) -> list[str]:
    """Return why there is no cluster and none can be started, a line each; empty if there is, or can be."""
    if given(place) or kind.missing() is None:
        return []
    lacking = programs.missing()
    return [*lacking, f"or give KUBECONFIG, or: {kind.missing()}"] if lacking else []


def start(place: Layout) -> Cluster:
    """Return a cluster that is up; nothing may be `missing`. One that was up before stays up after its `end`."""
    if config := given(place):
        there = place.beside("given")
        return Cluster(there, config, _given_host(), partial(processes.clear, there.root))
    if os.environ.get("KUBECONFIG") != str(place.kubeconfig) and kind.missing() is None:
        return _by_kind(place.beside("kind"))
    was_up = own.is_up(place)
    own.up(place)
    return Cluster(
        place,
        place.kubeconfig,
        layout.HOST,
        (lambda: None) if was_up else partial(own.down, place),
        load=partial(own.load, place),
        kill=_kill,
        # Whoever wants to see that it works through the API server, too, says so.
        routed=os.environ.get("MODELOPS_TEST_SCRAPE") != "proxy",
    )


def _by_kind(place: Layout) -> Cluster:
    was_up = kind.is_up()
    kind.up(place)
    end = (lambda: None) if was_up else partial(kind.down, place)
    return Cluster(place, place.kubeconfig, kind.host(), end, load=kind.load, apply=kind.apply, kill=kind.kill)


def _kill(container: str) -> bool:
    pids = processes.of_container(container)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(pids)


def _given_host() -> str:
    """Return this machine's address: $MODELOPS_TEST_HOST, else the one of its name."""
    return os.environ.get("MODELOPS_TEST_HOST") or socket.gethostbyname(socket.gethostname())

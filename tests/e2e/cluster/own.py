"""A whole cluster on this Linux machine, as root: control plane, two nodes, Services and DNS, below one directory."""

import shutil
from functools import partial
from pathlib import Path
from typing import Final

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import SERVICEACCOUNT
from tests.e2e.cluster import cgroups, dns, gpus, images, layout, mounts, network, processes, traces
from tests.e2e.cluster.control_plane import ControlPlane
from tests.e2e.cluster.layout import MEMBERS, Layout, Member
from tests.e2e.cluster.node import NETWORK, Node
from tests.support import go_programs
from tests.support.kube_apiserver import kubeconfig
from tests.support.operators import until

_PATIENCE: Final = 120.0
"""Seconds for the nodes to be ready, on a machine with much else to do."""


def up(place: Layout) -> None:
    """Start it, or leave the one that runs; what a killed start or stop left is removed first.

    Raises:
        RuntimeError: a part did not come up; its log is below the layout's logs.
    """
    if is_up(place):
        return
    down(place)
    place.root.mkdir(parents=True, mode=0o700)
    network.up((layout.HOST, *(member.address for member in MEMBERS)), place.forwarding)
    nodes = [Node(place, member) for member in MEMBERS]
    for node in nodes:
        cgroups.make(node.member.name)
        node.start_containers()
    control = ControlPlane(place, [member.name for member in MEMBERS])
    control.start()
    place.kubeconfig.write_text(kubeconfig(control.server.url, control.server.token, control.served_by))
    place.kubeconfig.chmod(0o600)
    pause = place.root / "pause.tar"
    images.pause(pause)
    for node in nodes:
        until(node.socket.exists, 30, f"containerd of node {node.member.name} listens")
        node.load(pause)
        node.start(control.config_of(f"system:node:{node.member.name}"), control.authority)
    _serve_services(place, control)
    dns.start(place, control)
    client = KubeClient.from_kubeconfig(str(place.kubeconfig), agent="test")
    dns.publish(client)
    for member in MEMBERS:
        until(partial(_is_ready, client, member), _PATIENCE, f"node {member.name} is ready", 0.1)
        if member.gpus:
            gpus.pretend(client, member.name, member.gpus)
    # Pods can be made once the controller manager has given a namespace its account.
    until(lambda: client.get(SERVICEACCOUNT, "default", "default"), _PATIENCE, "namespaces have accounts", 0.1)
    place.ready.touch()


def load(place: Layout, archive: Path) -> None:
    """Bring an image archive to every node.

    Raises:
        RuntimeError: there is no room for it, or a node does not take it.
    """
    _require_room(place, archive)
    for member in MEMBERS:
        Node(place, member).load(archive)


def is_up(place: Layout) -> bool:
    """Return whether it came up whole, and all that it started still runs."""
    if not place.ready.exists():
        return False
    running = set(processes.marked(place.root).values())
    return {"etcd", "kube-apiserver", "kubelet", "containerd", "coredns"} <= running


def down(place: Layout) -> None:
    """End and remove everything of it, also of one that did not come up, or whose start was killed."""
    # Whoever would start what is ended here goes first.
    programs = processes.marked(place.root)
    processes.end((pid for pid, program in programs.items() if not program.startswith("containerd-shim")), patience=3)
    processes.end(processes.contained(), patience=0)
    # What is left keeps nothing any more, and does not listen.
    processes.end(processes.marked(place.root), patience=0)
    network.down(place.forwarding)
    mounts.remove(place.root)
    cgroups.remove()
    traces.remove(place.root, NETWORK)
    if place.root.exists():
        shutil.rmtree(place.root)


def _require_room(place: Layout, archive: Path) -> None:
    """Refuse an archive before it fills the disk, of which every pod would die in another way."""
    # Each node keeps the layers, and beside them what it unpacked.
    needed = 2 * len(MEMBERS) * archive.stat().st_size
    free = shutil.disk_usage(place.root).free
    if needed > free:
        raise RuntimeError(
            f"{place.root}: {archive.name} takes {needed / 1e9:.1f} GB on {len(MEMBERS)} nodes, and {free / 1e9:.1f} GB"
            " are free: make room, or name a directory of another disk in MODELOPS_TEST_CLUSTER"
        )


def _serve_services(place: Layout, control: ControlPlane) -> None:
    program = go_programs.find("kube-proxy")
    assert program is not None
    command = (
        program,
        f"--kubeconfig={control.config_of('system:kube-proxy')}",
        "--proxy-mode=iptables",
        f"--cluster-cidr={layout.PODS}",
        f"--hostname-override={MEMBERS[0].name}",
        f"--bind-address={layout.HOST}",
        f"--healthz-bind-address={layout.HOST}",
        f"--metrics-bind-address={layout.HOST}",
        # The table's size is the machine's affair.
        "--conntrack-max-per-core=0",
    )
    processes.start(place.root, command, place.logs / "kube-proxy.log")


def _is_ready(client: KubeClient, member: Member) -> bool:
    node = client.get(gpus.NODE, None, member.name) or {}
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)

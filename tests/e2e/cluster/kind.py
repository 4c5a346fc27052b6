"""A cluster by kind, in Docker or Podman. Where this was written only Podman was to be had."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from modelops.adapters.cluster import KubeClient
from tests.e2e.cluster import processes
from tests.e2e.cluster.gpus import pretend
from tests.e2e.cluster.layout import Layout

NAME: Final = "modelops"
_CONFIGURATION: Final = Path(__file__).parents[1] / "kind.yaml"
_FIRST: Final = f"{NAME}-control-plane"
GPU_NODE: Final = f"{NAME}-worker2"
"""kind numbers workers in their order, from the second on."""
_GPUS: Final = 4
_PROVIDER: Final = "KIND_EXPERIMENTAL_PROVIDER"
"""What kind calls the choice of its engine."""


def missing() -> str | None:
    """Return why there can be no kind cluster, or None."""
    if shutil.which("kind") is None:
        return "kind: it is not installed; https://kind.sigs.k8s.io says how"
    engine = _engine()
    if engine is None:
        return "Docker or Podman: kind runs its nodes in one of them"
    if not _answers(engine):
        return f"{engine}: it does not answer ({engine} info says why)"
    return None


def is_up() -> bool:
    """Return whether it is there."""
    return NAME in _kind("get", "clusters").split()


def up(place: Layout) -> None:
    """Start it, unless it is there, and write its kubeconfig."""
    if not is_up():
        # What was brought to an earlier one is not in this one.
        processes.clear(place.root)
        _kind("create", "cluster", "--name", NAME, "--config", str(_CONFIGURATION), "--wait", "120s")
    place.root.mkdir(parents=True, exist_ok=True)
    place.kubeconfig.write_text(_kind("get", "kubeconfig", "--name", NAME))
    place.kubeconfig.chmod(0o600)
    pretend(KubeClient.from_kubeconfig(str(place.kubeconfig), agent="test"), GPU_NODE, _GPUS)


def host() -> str:
    """Return this machine's address, as kind's pods reach it: the gateway of its network.

    Raises:
        RuntimeError: that is another machine's, because the engine runs in a virtual one.
    """
    engine = _engine()
    assert engine is not None
    told = json.loads(_run(engine, "network", "inspect", "kind"))[0]
    ranges = (told.get("IPAM") or {}).get("Config") or told.get("subnets") or ()
    addresses = [one.get("Gateway") or one.get("gateway") for one in ranges]
    address = next(str(one) for one in addresses if one and "." in one)
    with socket.socket() as tried:
        try:
            tried.bind((address, 0))
        except OSError as error:
            raise RuntimeError(
                f"{address}, where kind's pods look for this machine, is not its own: {engine} runs in a virtual"
                " machine; run the stories inside of it, or on Linux"
            ) from error
    return address


def load(archive: Path) -> None:
    """Bring an image archive to every node."""
    _kind("load", "image-archive", str(archive), "--name", NAME)


def apply(manifest: str, namespace: str) -> None:
    """Apply a manifest with the kubectl of a node, which kind uses, too; its images are fetched by the nodes.

    Args:
        manifest: YAML of any number of objects.
        namespace: of those that name none.
    """
    words = ("--server-side", "--force-conflicts", "--namespace", namespace, "--filename", "-")
    _inside("-i", _FIRST, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "apply", *words, stdin=manifest)


def kill(container: str) -> bool:
    """End a container with SIGKILL, by its id; return whether a node had it."""
    for node in _kind("get", "nodes", "--name", NAME).split():
        try:
            _inside(node, "ctr", "--namespace=k8s.io", "tasks", "kill", "--signal=SIGKILL", container)
        except RuntimeError:  # it is on another one
            continue
        return True
    return False


def down(place: Layout) -> None:
    """Remove it, and end what runs beside it on this machine."""
    _kind("delete", "cluster", "--name", NAME)
    processes.clear(place.root)


def _engine() -> str | None:
    """Return the engine that kind is told to use, else the first installed one that answers, else any installed one."""
    told = os.environ.get(_PROVIDER)
    installed = [name for name in ([told] if told else ("docker", "podman")) if shutil.which(name)]
    # Docker's program may be there for an engine of elsewhere.
    return next(filter(_answers, installed), next(iter(installed), None))


def _answers(engine: str) -> bool:
    return subprocess.run([engine, "info"], capture_output=True, check=False).returncode == 0


def _inside(*words: str, stdin: str | None = None) -> str:
    engine = _engine()
    assert engine is not None
    return _run(engine, "exec", *words, stdin=stdin)


def _kind(*words: str) -> str:
    return _run("kind", *words, environment={**os.environ, _PROVIDER: _engine() or ""})


def _run(*command: str, stdin: str | None = None, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout

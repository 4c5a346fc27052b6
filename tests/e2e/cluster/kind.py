"""A cluster by kind, in Docker or Podman. Not run where this was written: neither was to be had there."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from modelops.adapters.cluster import KubeClient
from tests.e2e.cluster.gpus import pretend
from tests.e2e.cluster.layout import Layout

NAME: Final = "modelops"
_CONFIGURATION: Final = Path(__file__).parents[1] / "kind.yaml"
GPU_NODE: Final = f"{NAME}-worker"


def missing() -> str | None:
    """Return why there can be no kind cluster, or None."""
    if shutil.which("kind") is None:
        return "kind: it is not installed; https://kind.sigs.k8s.io says how"
    if _engine() is None:
        return "Docker or Podman: kind runs its nodes in one of them"
    return None


def up(place: Layout) -> Path:
    """Start it, unless it is there, and return its kubeconfig."""
    place.root.mkdir(parents=True, exist_ok=True)
    config = place.root / "kind.kubeconfig"
    if NAME not in _kind("get", "clusters").split():
        _kind("create", "cluster", "--name", NAME, "--config", str(_CONFIGURATION), "--wait", "120s")
    config.write_text(_kind("get", "kubeconfig", "--name", NAME))
    config.chmod(0o600)
    pretend(KubeClient.from_kubeconfig(str(config), agent="test"), GPU_NODE, 4)
    return config


def host() -> str:
    """Return this machine's address, as kind's pods reach it: the gateway of its network."""
    engine = _engine()
    assert engine is not None
    told = json.loads(_run(engine, "network", "inspect", "kind"))[0]
    ranges = (told.get("IPAM") or {}).get("Config") or told.get("subnets") or ()
    addresses = [one.get("Gateway") or one.get("gateway") for one in ranges]
    return next(str(address) for address in addresses if address and "." in address)


def load(archive: Path) -> None:
    """Bring an image archive to every node."""
    _kind("load", "image-archive", str(archive), "--name", NAME)


def down(place: Layout) -> None:
    """Remove it."""
    _kind("delete", "cluster", "--name", NAME)
    (place.root / "kind.kubeconfig").unlink(missing_ok=True)


def _engine() -> str | None:
    return next((name for name in ("docker", "podman") if shutil.which(name)), None)


def _kind(*words: str) -> str:
    return _run("kind", *words)


def _run(*command: str) -> str:
    environment = {**os.environ, "KIND_EXPERIMENTAL_PROVIDER": _engine() or ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout

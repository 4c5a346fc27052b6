"""The network of a cluster on this machine: an empty bridge with addresses; and what kube-proxy leaves behind."""

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.e2e.cluster import layout

_CHAIN: Final = "KUBE-"
_FORWARD: Final = Path("/proc/sys/net/ipv4/ip_forward")


def up(addresses: Iterable[str], before: Path) -> None:
    """Make the bridge with these addresses, and let packets be forwarded between pods.

    Args:
        addresses: of the bridge.
        before: a file for what the machine's setting was.

    Raises:
        RuntimeError: this machine is a Kubernetes node already.
    """
    if _rules_of_kubernetes():
        raise RuntimeError(
            "this machine has firewall chains of a Kubernetes node; a second one on it would break both:"
            " give KUBECONFIG, or run this on another machine"
        )
    before.write_text(_FORWARD.read_text())
    _run("ip", "link", "add", layout.BRIDGE, "type", "bridge")
    for address in addresses:
        _run("ip", "address", "add", f"{address}/32", "dev", layout.BRIDGE)
    _run("ip", "link", "set", layout.BRIDGE, "up")
    _FORWARD.write_text("1")


def down(before: Path) -> None:
    """Remove the bridge and Kubernetes' firewall chains, and undo the setting. Pods' links go with their namespaces."""
    if not before.exists():
        return  # it was never up, so the chains are somebody else's
    _FORWARD.write_text(before.read_text())
    if Path("/sys/class/net", layout.BRIDGE).exists():
        _run("ip", "link", "delete", layout.BRIDGE)
    for program in ("iptables", "ip6tables"):
        saved = _run(f"{program}-save").splitlines()
        kept = [line for line in saved if _CHAIN not in line]
        if kept != saved:
            subprocess.run([f"{program}-restore"], input="\n".join(kept) + "\n", text=True, check=True)


def _rules_of_kubernetes() -> bool:
    return _CHAIN in _run("iptables-save")


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout

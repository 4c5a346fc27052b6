"""What containerd, CNI and kubelets leave in places of the machine that no setting moves."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LOGS: Final = Path("/var/log/containers")
_NETWORKS: Final = Path("/var/lib/cni/results")
_PLUGINS: Final = Path("/var/lib/kubelet/device-plugins")


def remove(root: Path, network: str) -> None:
    """Remove it.

    Args:
        root: of the cluster; links to pods' logs lead there.
        network: name of the pods' network.
    """
    for link in _entries(_LOGS):
        if link.is_symlink() and link.readlink().is_relative_to(root):
            link.unlink()
    for result in _entries(_NETWORKS):
        if result.name.startswith(f"{network}-"):
            sandbox = result.name.removeprefix(f"{network}-").rpartition("-")[0]
            result.unlink()
            (_NETWORKS / f"cni-loopback-{sandbox}-lo").unlink(missing_ok=True)
    (_PLUGINS / "kubelet.sock").unlink(missing_ok=True)
    for directory in (_PLUGINS, _PLUGINS.parent, _NETWORKS, _NETWORKS.parent):
        with contextlib.suppress(OSError):  # somebody else has something in it
            directory.rmdir()


def _entries(directory: Path) -> Iterator[Path]:
    if directory.is_dir():
        yield from list(directory.iterdir())

"""The control groups below which the nodes' pods run: made before a kubelet starts, removed after it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/sys/fs/cgroup")
_OURS: Final = "modelops-cluster"
_INHERITED: Final = ("cpuset.cpus", "cpuset.mems")
"""Of version 1: empty in a new group, into which then nothing can go."""


def cgroup_of(node: str) -> str:
    """Return the control group of a node's pods, from the root of every hierarchy."""
    return f"/{_OURS}/{node}"


def make(node: str) -> None:
    """Make the control group of a node in every hierarchy."""
    for hierarchy in _hierarchies():
        for parent, group in ((hierarchy, hierarchy / _OURS), (hierarchy / _OURS, hierarchy / _OURS / node)):
            group.mkdir(exist_ok=True)
            if (parent / "cgroup.subtree_control").exists() and (parent / "cgroup.controllers").exists():
                controllers = (parent / "cgroup.controllers").read_text().split()
                with contextlib.suppress(OSError):  # a hierarchy beside version 1's has no controllers to give
                    (parent / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))
            for name in _INHERITED:
                if (parent / name).exists() and not (group / name).read_text().strip():
                    (group / name).write_text((parent / name).read_text())


def remove() -> None:
    """Remove the control groups of all nodes; nothing runs in them any more."""
    for hierarchy in _hierarchies():
        for group in sorted((hierarchy / _OURS).rglob("*/"), key=lambda path: len(path.parts), reverse=True):
            if group.is_dir():
                group.rmdir()
        with contextlib.suppress(FileNotFoundError):
            (hierarchy / _OURS).rmdir()


def _hierarchies() -> Iterator[Path]:
    if (_ROOT / "cgroup.controllers").exists():
        yield _ROOT
        return
    # Links such as cpu,cpuacct lead to a hierarchy that is listed under its own name, too.
    yield from {path.resolve() for path in _ROOT.iterdir() if path.is_dir() and (path / "cgroup.procs").exists()}

"""Where a cluster on this machine keeps its files, and the addresses that it takes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.support import go_programs

BRIDGE: Final = "modelops0"
"""An empty bridge: the kernel may lack dummy links. Its addresses serve what is not a pod."""
HOST: Final = "10.98.0.1"
"""Of the API server, DNS and whatever else runs on this machine for pods."""
DNS: Final = "10.96.0.10"
PODS: Final = "10.244.0.0/16"


@dataclass(frozen=True, slots=True)
class Layout:
    """One directory with everything in it."""

    root: Path
    shared: Mapping[Path, str] = field(default_factory=dict)
    """Directories of this machine that every container sees, read-only: where."""

    @classmethod
    def default(cls) -> "Layout":
        """Return that of $MODELOPS_TEST_CLUSTER and $MODELOPS_TEST_SHARED (HERE:THERE, comma-separated)."""
        told = os.environ.get("MODELOPS_TEST_SHARED", "")
        shared = dict(pair.split(":", 1) for pair in told.split(",") if pair)
        usual = Path("/var/lib/modelops-cluster") if os.geteuid() == 0 else go_programs.cache().parent / "cluster"
        root = Path(os.environ.get("MODELOPS_TEST_CLUSTER") or usual)
        return cls(root, {Path(here): there for here, there in shared.items()})

    def beside(self, name: str) -> "Layout":
        """Return the layout of another cluster, which shares no directory with this one."""
        return Layout(self.root.with_name(f"{self.root.name}-{name}"), self.shared)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.root / "kubeconfig"

    @property
    def ready(self) -> Path:
        """There once everything has come up."""
        return self.root / "ready"

    @property
    def forwarding(self) -> Path:
        """Whether the machine forwarded packets before."""
        return self.root / "ip_forward"

    @property
    def logs(self) -> Path:
        return self.root / "logs"


@dataclass(frozen=True, slots=True)
class Member:
    """A node, as it is asked for."""

    name: str
    number: int
    """From 1; its address and its pods' addresses follow."""
    labels: tuple[str, ...] = ()
    taints: tuple[tuple[str, str, str], ...] = ()
    """Key, value, effect."""
    gpus: int = 0
    """Pretended: a capacity that the scheduler counts, and no device."""

    @property
    def address(self) -> str:
        return f"10.98.0.{10 + self.number}"

    @property
    def pods(self) -> str:
        return f"10.244.{self.number}.0/24"


POOL: Final = "modelops.dev/pool"
MEMBERS: Final = (
    Member("main", 1),
    Member("gpu", 2, labels=(f"{POOL}=gpu",), taints=(("nvidia.com/gpu", "present", "NoSchedule"),), gpus=4),
)
"""As in kind.yaml: a node for everything, and one with pretended GPUs that only what tolerates it may use."""

"""One node: a containerd and a kubelet of its own, both below the node's directory.

Two kubelets on one containerd would each end the other's pods.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.e2e.cluster import images, layout, processes
from tests.e2e.cluster.cgroups import cgroup_of
from tests.e2e.cluster.layout import Member
from tests.support import go_programs

NETWORK: Final = "modelops-cluster"
PLUGINS: Final = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
"""Where Debian, and where others, put the CNI plugins."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a cluster."""

    place: layout.Layout
    member: Member

    @property
    def directory(self) -> Path:
        return self.place.root / self.member.name

    @property
    def socket(self) -> Path:
        """Where containerd listens."""
        return self.directory / "containerd.sock"

    def start_containers(self) -> None:
        """Start containerd."""
        networks = self.directory / "cni"
        networks.mkdir(parents=True)
        (networks / "pods.conflist").write_text(json.dumps(self._network()))
        configuration = self.directory / "containerd.toml"
        configuration.write_text(self._containerd(networks))
        (self.directory / "containers.json").write_text(json.dumps(_containers(self.place.shared)))
        self._run("containerd", "--config", str(configuration))

    def load(self, archive: Path) -> None:
        """Bring an image archive (Docker's or OCI's) in.

        Raises:
            RuntimeError: containerd does not take it.
        """
        ctr = ["ctr", "--address", str(self.socket), "--namespace", "k8s.io", "images", "import"]
        done = subprocess.run([*ctr, str(archive)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{archive.name} into node {self.member.name}: {done.stderr.strip()}")

    def start(self, kubeconfig: Path, clients: Path) -> None:
        """Start the kubelet, which makes this a node of the cluster.

        Args:
            kubeconfig: of the node's user.
            clients: the authority of those who may ask the kubelet.
        """
        configuration = self.directory / "kubelet.yaml"
        configuration.write_text(yaml.safe_dump(self._kubelet(clients)))
        self._run(
            "kubelet",
            f"--config={configuration}",
            f"--kubeconfig={kubeconfig}",
            f"--hostname-override={self.member.name}",
            f"--node-ip={self.member.address}",
            f"--root-dir={self.directory / 'kubelet'}",
            f"--cert-dir={self.directory / 'kubelet-certs'}",
            f"--volume-plugin-dir={self.directory / 'volume-plugins'}",
            *([f"--node-labels={','.join(self.member.labels)}"] if self.member.labels else []),
        )

    def _run(self, program: str, *arguments: str) -> None:
        path = go_programs.find(program) or shutil.which(program)
        assert path is not None
        processes.start(self.place.root, [path, *arguments], self.place.logs / f"{self.member.name}-{program}.log")

    def _network(self) -> dict[str, Any]:
        """Return the pods' network: a link to this machine for each, which routes between them.

        On a bridge of their own, answers of a Service's pod to another pod would pass by kube-proxy's rules unless the
        kernel filters bridged packets, too.
        """
        addresses = {
            "type": "host-local",
            "dataDir": str(self.directory / "addresses"),
            "ranges": [[{"subnet": self.member.pods}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        plugins = [
            {"type": "ptp", "ipMasq": False, "ipam": addresses},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ]
        return {"cniVersion": "0.4.0", "name": NETWORK, "plugins": plugins}

    def _containerd(self, networks: Path) -> str:
        plugins = next(path for path in PLUGINS if path.is_dir())
        return f"""\
version = 2
root = "{self.directory}/containerd"
state = "{self.directory}/containerd-state"
[grpc]
address = "{self.socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "{self.directory}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{images.PAUSE}"
netns_mounts_under_state_dir = true
# Lowering it needs a capability that a virtual machine's root may lack.
restrict_oom_score_adj = true
stream_server_address = "{self.member.address}"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{networks}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
base_runtime_spec = "{self.directory}/containers.json"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
Root = "{self.directory}/runc"
"""

    def _kubelet(self, clients: Path) -> dict[str, Any]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.member.address,
            "healthzPort": 0,
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "authentication": {"x509": {"clientCAFile": str(clients)}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "clusterDNS": [layout.DNS],
            "clusterDomain": "cluster.local",
            "resolvConf": "",
            "podLogsDir": str(self.directory / "pod-logs"),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": cgroup_of(self.member.name),
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            # A full disk of the machine is nobody's story here.
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "imageMinimumGCAge": "24h",
            "registerWithTaints": [
                {"key": key, "value": value, "effect": effect} for key, value, effect in self.member.taints
            ],
        }


def _containers(shared: Mapping[Path, str]) -> dict[str, Any]:
    """Return what every container starts from: containerd's own, and the directories that all of them see."""
    told = subprocess.run(["ctr", "oci", "spec"], capture_output=True, text=True, check=True)
    spec: dict[str, Any] = json.loads(told.stdout)
    spec["mounts"] += [
        {"destination": seen, "type": "bind", "source": str(path), "options": ["rbind", "ro"]}
        for path, seen in shared.items()
    ]
    # containerd adds to these what a pod asks for; without a base it starts from none, too.
    spec["process"].pop("capabilities")
    spec["process"].pop("rlimits", None)
    return spec

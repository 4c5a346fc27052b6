"""etcd, API server, controller manager and scheduler, and who may speak to them."""

import functools
import secrets
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.e2e.cluster import layout, processes
from tests.support import go_programs
from tests.support.kube_apiserver import KubeApiServer, kubeconfig

_SERVICES: Final = ("kube-controller-manager", "kube-scheduler", "kube-proxy")
DNS_USER: Final = "modelops-test:dns"


@dataclass(slots=True)
class ControlPlane:
    """The control plane of one cluster.

    Args:
        place: where everything is kept.
        nodes: names of the nodes that will join.
    """

    place: layout.Layout
    nodes: Iterable[str]
    server: KubeApiServer = field(init=False)
    _tokens: dict[str, str] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        return self.place.root / "kube"

    @property
    def authority(self) -> Path:
        """The certificate that signed the API server's own as a client of kubelets."""
        return self.directory / "kubelet-clients.crt"

    @property
    def served_by(self) -> Path:
        """What clients of the API server trust."""
        return self.directory / "certs" / "apiserver.crt"

    def start(self) -> None:
        """Start all four; return once the API server answers."""
        self.directory.mkdir(parents=True)
        _make_client(self.directory)
        groups = {f"system:{name}": "" for name in _SERVICES} | {DNS_USER: ""}
        groups |= {f"system:node:{name}": "system:nodes" for name in self.nodes}
        self._tokens = {name: secrets.token_hex(16) for name in groups}
        launch = functools.partial(processes.start, self.place.root)
        self.server = KubeApiServer(
            self.directory,
            address=layout.HOST,
            users=tuple((self._tokens[name], name, group) for name, group in groups.items()),
            launch=launch,
            options=(
                f"--kubelet-client-certificate={self.directory / 'apiserver-client.crt'}",
                f"--kubelet-client-key={self.directory / 'apiserver-client.key'}",
                # Else `exec` and `logs` look the node's name up in DNS.
                "--kubelet-preferred-address-types=InternalIP",
                "--allow-privileged=true",
            ),
        ).start()
        self._run("kube-controller-manager", *self._controllers())
        self._run("kube-scheduler", "--leader-elect=false", "--secure-port=0")

    def config_of(self, user: str) -> Path:
        """Return the kubeconfig of a user by name."""
        path = self.directory / f"{user.replace(':', '-')}.kubeconfig"
        path.write_text(kubeconfig(self.server.url, self._tokens[user], self.served_by))
        return path

    def _controllers(self) -> tuple[str, ...]:
        return (
            "--leader-elect=false",
            "--secure-port=0",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self.directory / 'service-account.key'}",
            f"--root-ca-file={self.served_by}",
        )

    def _run(self, program: str, *arguments: str) -> None:
        path = go_programs.find(program)
        assert path is not None
        command = [path, f"--kubeconfig={self.config_of(f'system:{program}')}", *arguments]
        processes.start(self.place.root, command, self.place.logs / f"{program}.log")


def _make_client(directory: Path) -> None:
    """Make an authority and a certificate of it by which kubelets know the API server."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    authority = ("-keyout", "kubelet-clients.key", "-out", "kubelet-clients.crt")
    openssl(*new, "-x509", "-days", "30", "-subj", "/CN=kubelet clients", *authority)
    client = ("-keyout", "apiserver-client.key", "-out", "apiserver-client.csr")
    openssl(*new, "-subj", "/O=system:masters/CN=kube-apiserver", *client)
    signed = ("-CA", "kubelet-clients.crt", "-CAkey", "kubelet-clients.key", "-CAcreateserial", "-days", "30")
    openssl("x509", "-req", "-in", "apiserver-client.csr", *signed, "-out", "apiserver-client.crt")

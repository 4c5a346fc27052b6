"""A real kube-apiserver with etcd for tests: found, or built once with Go, and started without a kubelet.

`python -m tests.support.kube_apiserver build` builds both into the cache (about 7 minutes on 2 cores).
"""

import json
import secrets
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import go_programs

VERSION = "1.34.4"
ETCD = "3.6.4"
STAGING = [
    "api",
    "apiextensions-apiserver",
    "apimachinery",
    "apiserver",
    "cli-runtime",
    "client-go",
    "cloud-provider",
    "cluster-bootstrap",
    "code-generator",
    "component-base",
    "component-helpers",
    "controller-manager",
    "cri-api",
    "cri-client",
    "csi-translation-lib",
    "dynamic-resource-allocation",
    "endpointslice",
    "externaljwt",
    "kms",
    "kube-aggregator",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
    "metrics",
    "mount-utils",
    "pod-security-admission",
    "sample-apiserver",
    "sample-cli-plugin",
    "sample-controller",
]
RECIPE = go_programs.Recipe(
    programs={"etcd": "go.etcd.io/etcd/server/v3", "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver"},
    require={"k8s.io/kubernetes": f"v{VERSION}", "go.etcd.io/etcd/server/v3": f"v{ETCD}"},
    replace={f"k8s.io/{name}": f"v0.{VERSION.partition('.')[2]}" for name in STAGING},
    # Clients of a server without one see v0.0.0.
    stamps={"k8s.io/component-base/version.gitVersion": f"v{VERSION}"},
)

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
- level: None
"""


def missing() -> str | None:
    """Return what is missing and how to get it, or None."""
    lacking = [program for program in RECIPE.programs if go_programs.find(program) is None]
    if not lacking:
        return None
    return (
        f"{' and '.join(lacking)} not found in $MODELOPS_TEST_BIN, PATH or {go_programs.cache()}: install them"
        f" (setup-envtest has both) or build them with Go: python -m tests.support.kube_apiserver build"
    )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def _own_address() -> str:
    """Return an address of this machine that is not loopback: the server refuses to advertise that."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a datagram socket sends nothing; it only asks for the route.
            probe.connect(("192.0.2.1", 9))
            address: str = probe.getsockname()[0]
        except OSError:
            return "192.0.2.1"
    return address if not address.startswith("127.") else "192.0.2.1"


def _launched(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(command, stdout=out, stderr=out)


@dataclass(slots=True)
class KubeApiServer:
    """etcd and kube-apiserver over one directory.

    With `audited` every write is recorded: who, what, the answer's code and when, in the order of the answers.
    """

    directory: Path
    audited: bool = False
    audit_reads: bool = False
    """Whether reads are recorded, too."""
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    port: int = 0
    etcd: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    address: str = "127.0.0.1"
    """Where it listens; pods reach it at any other one."""
    users: Sequence[tuple[str, str, str]] = ()
    """Of those beside the administrator: token, name, group."""
    options: Sequence[str] = ()
    """Further flags."""
    launch: Callable[[Sequence[str], Path], subprocess.Popen[bytes]] = _launched
    """Starts a command that writes to a log."""

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"

    def start(self, timeout: float = 90) -> "KubeApiServer":
        """Start both and wait until the server is ready.

        Raises:
            RuntimeError: it did not become ready; the end of its log is in the message.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        client, peer, self.port = _free_port(), _free_port(), _free_port()
        self.etcd = f"http://127.0.0.1:{client}"
        self._run(
            "etcd",
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{client}",
            f"--advertise-client-urls=http://127.0.0.1:{client}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync=true",
        )
        tokens = self.directory / "tokens.csv"
        users = ((self.token, "admin", "system:masters"), *self.users)
        tokens.write_text("".join(f"{token},{name},{name},{group}\n" for token, name, group in users))
        key = self.directory / "service-account.key"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        self.serve(timeout)
        return self

    def serve(self, timeout: float = 90) -> None:
        """Start the API server over a running etcd, at the same address as before.

        Raises:
            RuntimeError: it did not become ready; the end of its log is in the message.
        """
        key, tokens = self.directory / "service-account.key", self.directory / "tokens.csv"
        self._run(
            "kube-apiserver",
            f"--etcd-servers={self.etcd}",
            f"--secure-port={self.port}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address if self._for_pods else _own_address()}",
            f"--cert-dir={self.directory / 'certs'}",
            f"--token-auth-file={tokens}",
            f"--authorization-mode={'Node,RBAC' if self._for_pods else 'RBAC'}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            # Without a controller manager no namespace has an account, and no pod could be made.
            *(() if self._for_pods else ("--disable-admission-plugins=ServiceAccount",)),
            *self.options,
            *self._auditing(),
        )
        self._wait(time.monotonic() + timeout)

    @property
    def _for_pods(self) -> bool:
        return not self.address.startswith("127.")

    def _auditing(self) -> list[str]:
        if not self.audited:
            return []
        policy = self.directory / "audit-policy.yaml"
        level = "Metadata" if self.audit_reads else "None"
        policy.write_text(AUDIT_POLICY.replace("level: None", f"level: {level}"))
        # Blocking: an answer that a client has seen is in the file.
        log = (f"--audit-log-path={self.audit_log}", "--audit-log-mode=blocking", "--audit-log-maxsize=4096")
        return [f"--audit-policy-file={policy}", *log]

    @property
    def audit_log(self) -> Path:
        return self.directory / "audit.log"

    def audit(self) -> list[dict[str, Any]]:
        """Return every answered write so far, in the order of the answers, as audit.k8s.io/v1 Events."""
        if not self.audit_log.exists():
            return []
        whole = self.audit_log.read_text().rpartition("\n")[0]
        events = [json.loads(line) for line in whole.splitlines() if line]
        return [event for event in events if event["stage"] == "ResponseComplete"]

    def stop_serving(self) -> None:
        """End the API server; etcd keeps what it has."""
        self._end(self.processes.pop())

    def _run(self, program: str, *arguments: str) -> None:
        path = go_programs.find(program)
        assert path is not None
        self.processes.append(self.launch([path, *arguments], self.directory / f"{program}.log"))

    def _wait(self, deadline: float) -> None:
        trusting = ssl._create_unverified_context()
        waiting = time.monotonic() < deadline
        while waiting:
            if any(process.poll() is not None for process in self.processes):
                break
            request = urllib.request.Request(f"{self.url}/readyz", headers={"Authorization": f"Bearer {self.token}"})
            try:
                with urllib.request.urlopen(request, timeout=2, context=trusting) as answer:
                    if answer.status == 200 and self._has_default(trusting):
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
            waiting = time.monotonic() < deadline
        told = (self.directory / "kube-apiserver.log").read_text(errors="replace")[-2000:]
        self.stop()
        raise RuntimeError(f"kube-apiserver did not become ready: {told}")

    def _has_default(self, trusting: ssl.SSLContext) -> bool:
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(f"{self.url}/api/v1/namespaces/default", headers=headers)
        with urllib.request.urlopen(request, timeout=2, context=trusting) as answer:
            return bool(answer.status == 200)

    def stop(self) -> None:
        """End both, the server first."""
        for process in reversed(self.processes):
            self._end(process)
        self.processes.clear()

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def kubeconfig(url: str, token: str, authority: Path | None = None) -> str:
    """Return the text of a kubeconfig for a server and a token; without an authority any certificate will do."""
    trust = f"certificate-authority: '{authority}'" if authority else "insecure-skip-tls-verify: true"
    cluster = f"{{server: '{url}', {trust}}}" if url.startswith("https") else f"{{server: '{url}'}}"
    return (
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n"
        f"clusters: [{{name: test, cluster: {cluster}}}]\n"
        f"users: [{{name: test, user: {{token: '{token}'}}}}]\n"
        "contexts: [{name: test, context: {cluster: test, user: test, namespace: default}}]\n"
    )


if __name__ == "__main__":
    if sys.argv[1:] != ["build"]:
        sys.exit("usage: python -m tests.support.kube_apiserver build")
    go_programs.build(RECIPE, go_programs.cache())
    sys.stdout.write(f"{missing() or f'kube-apiserver and etcd are in {go_programs.cache()}'}\n")

"""Whole operators as processes over a real kube-apiserver: two that run for one Lease, and work that never ends.

Used by tests/shell/test_failover.py and bench/failover.
"""

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from modelops.adapters.cluster import KubeClient
from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import (
    COMPUTEPOOL,
    GITSOURCE,
    HTTPROUTE,
    LEASE,
    NAMESPACE,
    SERVICEACCOUNT,
    TRAININGRUN,
    WORKFLOW,
    Resource,
)
from modelops.errors import ModelopsError
from tests.support.kube_apiserver import KubeApiServer, kubeconfig

CRDS = Path(__file__).parents[2] / "crds"
TEAM = "team"
LEASE_NAME = "modelops"
ROLE = Resource("rbac.authorization.k8s.io", "v1", "Role", "roles")
ROLEBINDING = Resource("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
APPROVAL, UNAPPROVED = "api-approved.kubernetes.io", "unapproved, for tests"
CRD = Resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)


def until(condition: Callable[[], Any], seconds: float, what: str | Callable[[], Any], every: float = 0.01) -> Any:
    """Return what the condition returns once that is true; else fail with what was waited for, or is there instead."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(every)
    raise AssertionError(f"not within {seconds:g} s: {what() if callable(what) else what}")


def a_cluster(directory: Path, *, audited: bool = True, audit_reads: bool = False) -> tuple[KubeApiServer, Path]:
    """Return an API server with our CRDs and open ones for Workflow and HTTPRoute, and its kubeconfig.

    Args:
        directory: of everything.
        audited: whether it has an audit log.
        audit_reads: whether its audit log holds reads too.
    """
    server = KubeApiServer(directory / "kube", audited=audited, audit_reads=audit_reads).start()
    try:
        return server, _furnished(server, directory)
    except BaseException:
        server.stop()
        raise


def _furnished(server: KubeApiServer, directory: Path) -> Path:
    config = directory / "kubeconfig"
    config.write_text(kubeconfig(server.url, server.token))
    client = KubeClient.from_kubeconfig(str(config), agent="test")
    for path in sorted(CRDS.glob("*.yaml")):
        client.apply(CRD, yaml.safe_load(path.read_text()))
    for resource in (WORKFLOW, HTTPROUTE):
        client.apply(CRD, open_crd(resource))
    until(lambda: served(client, WORKFLOW) and served(client, HTTPROUTE), 30, "the CRDs are served")
    until(lambda: served(client, TRAININGRUN.resource) and served(client, COMPUTEPOOL.resource), 30, "ours are served")
    client.apply(NAMESPACE, {"metadata": {"name": TEAM}})
    let_workflows_run(client, ServiceAccount(TEAM, "default"))
    return config


def let_workflows_run(client: KubeClient, account: ServiceAccount) -> None:
    """Make an account, and let Argo's executor hand results back as it."""
    where = {"name": account.name, "namespace": account.namespace}
    client.apply(SERVICEACCOUNT, {"metadata": where})
    rules = [{"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}]
    client.apply(ROLE, {"metadata": where, "rules": rules})
    role = {"apiGroup": ROLE.group, "kind": ROLE.kind, "name": account.name}
    client.apply(ROLEBINDING, {"metadata": where, "roleRef": role, "subjects": [{"kind": "ServiceAccount", **where}]})


def served(client: KubeClient, resource: Resource) -> bool:
    """Return whether the API server serves a resource."""
    try:
        return client.list_page(resource, None) is not None
    except ModelopsError:
        return False


def open_crd(resource: Resource) -> dict[str, Any]:
    """Return a definition of somebody else's kind that takes everything."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": resource.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": resource.plural, "singular": resource.kind.lower(), "kind": resource.kind}
    return {
        # The Gateway API's group is protected; this says that the definition is not the official one.
        "metadata": {
            "name": f"{resource.plural}.{resource.group}",
            "annotations": {APPROVAL: UNAPPROVED},
        },
        "spec": {"group": resource.group, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@dataclass
class Replica:
    """One operator process."""

    name: str
    directory: Path
    process: subprocess.Popen[bytes]
    health: int
    metrics: int

    @property
    def log(self) -> str:
        return (self.directory / f"{self.name}.log").read_text(errors="replace")

    @property
    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health}/readyz", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def figure(self, name: str) -> float | None:
        """Return a figure without labels from /metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), None)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, seconds: float) -> int:
        """Return the exit code once the process has ended."""
        return self.process.wait(seconds)


@dataclass
class Replicas:
    """Operators that run for one Lease, started and ended one by one."""

    directory: Path
    config: Path
    settings: dict[str, str] = field(default_factory=dict)
    running: list[Replica] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def start(self, config: Path | None = None) -> Replica:
        """Start one more and wait until it is ready.

        Args:
            config: another kubeconfig than everybody's.
        """
        return self.ready(self.begin(config))

    def ready(self, replica: Replica) -> Replica:
        """Wait until one is ready."""
        until(lambda: replica.ready or replica.process.poll() is not None, 60, f"{replica.name} is ready", 0.05)
        assert replica.process.poll() is None, replica.log
        return replica

    def begin(self, config: Path | None = None) -> Replica:
        """Start one more and do not wait."""
        name, health, metrics = f"replica-{next(self._numbers)}", free_port(), free_port()
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MODELOPS_", "KUBECONFIG"))}
        settings = {
            "MODELOPS_POD_NAME": name,
            "MODELOPS_LEASE_NAMESPACE": "default",
            "MODELOPS_LEASE_NAME": LEASE_NAME,
            "MODELOPS_HEALTH_PORT": str(health),
            "MODELOPS_METRICS_PORT": str(metrics),
            "MODELOPS_LISTEN": "127.0.0.1",
            "MODELOPS_MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
            "MODELOPS_PROMETHEUS_URL": "http://127.0.0.1:9",
            "MODELOPS_ALLOWED_GIT_SCHEMES": "file",
            "MODELOPS_GIT_CACHE_DIR": str(self.directory / name),
            "KUBECONFIG": str(config or self.config),
            # The server's certificate is its own; the operators are told not to look at it.
            "PYTHONWARNINGS": "ignore",
        }
        with (self.directory / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-m", "modelops.app"]
            process = subprocess.Popen(command, env=kept | settings | self.settings, stdout=log, stderr=log)
        replica = Replica(name, self.directory, process, health, metrics)
        self.running.append(replica)
        return replica

    def stop(self) -> None:
        """Kill whatever is left."""
        for replica in self.running:
            if replica.process.poll() is None:
                replica.signal(signal.SIGKILL)
                replica.process.wait(10)


def holder(client: KubeClient) -> str:
    """Return the identity in the Lease; empty if nobody holds it, or nobody can tell."""
    try:
        lease = client.get(LEASE, "default", LEASE_NAME) or {}
    except ModelopsError:
        return ""
    return str((lease.get("spec") or {}).get("holderIdentity") or "")


class Traffic:
    """Changes objects all the time, so that whoever leads always has something to write.

    Every change makes work: specs of ComputePools and TrainingRuns (a status write each), and commits that a GitSource
    applies as a service account, of which every other one drops an object that is then pruned.
    """

    def __init__(self, client: KubeClient, directory: Path, per_second: float = 20) -> None:
        self._client = client
        self._repo = directory / "repo"
        self._pause = 1 / per_second
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._change), threading.Thread(target=self._commit)]
        self.changes = 0

    def __enter__(self) -> Self:
        self._repo.mkdir()
        self._git("init", "-q", "-b", "main")
        self._write(0)
        spec = {"url": self._repo.as_uri(), "ref": {"branch": "main"}, "path": ".", "interval": "1s"}
        self._client.apply(SERVICEACCOUNT, {"metadata": {"name": "sync", "namespace": TEAM}})
        self._client.apply(ROLEBINDING, _bound("sync"))
        spec["serviceAccountName"] = "sync"
        self._client.apply(GITSOURCE.resource, {"metadata": {"name": "source", "namespace": TEAM}, "spec": spec})
        for number in range(8):
            self._client.apply(COMPUTEPOOL.resource, _pool(number, 0))
            self._client.apply(TRAININGRUN.resource, _run(number, 0))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _change(self) -> None:
        for count in itertools.count(1):
            if self._stopped.wait(self._pause):
                return
            make, kind = (_pool, COMPUTEPOOL) if count % 2 else (_run, TRAININGRUN)
            with contextlib.suppress(ModelopsError):
                self._client.apply(kind.resource, make(count // 2 % 8, count))
                self.changes += 1

    def _commit(self) -> None:
        for count in itertools.count(1):
            if self._stopped.wait(1.0):
                return
            self._write(count)

    def _write(self, count: int) -> None:
        objects = [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"map-{n}"}, "data": {"count": str(count)}}
            for n in range(4 - count % 2)
        ]
        (self._repo / "all.yaml").write_text(yaml.safe_dump_all(objects))
        self._git("add", "-A")
        self._git("commit", "-q", "-m", f"change {count}")

    def _git(self, *words: str) -> None:
        identity = ["-c", "user.name=Team", "-c", "user.email=team@example.com", "-c", "gc.auto=0"]
        subprocess.run(["git", "-C", str(self._repo), *identity, *words], check=True)


def _bound(account: str) -> dict[str, Any]:
    # Not `admin`: that is empty until a controller manager, which there is none of, has gathered its rules.
    return {
        "metadata": {"name": account, "namespace": TEAM},
        "roleRef": {"apiGroup": ROLEBINDING.group, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": TEAM}],
    }


def _pool(number: int, count: int) -> dict[str, Any]:
    return {"metadata": {"name": f"pool-{number}"}, "spec": {"resourceName": f"example.com/gpu-{count}"}}


def _run(number: int, count: int) -> dict[str, Any]:
    spec = {
        "datasetRef": {"name": "nowhere"},
        "model": {"name": f"model-{number}"},
        "trainer": {"builtin": "torch-mlp"},
        "hyperparameters": {"hidden": [4], "epochs": 1 + count % 100},
    }
    return {"metadata": {"name": f"run-{number}", "namespace": TEAM}, "spec": spec}


@dataclass(frozen=True)
class Write:
    """One answered write of an operator."""

    who: str
    """Its identity."""
    what: str
    """verb plural/namespace/name/subresource."""
    code: int
    received: str
    """RFC 3339 with microseconds: such texts sort by time."""
    answered: str
    acting: str = ""
    """As whom it was made; empty: as itself."""

    @property
    def landed(self) -> bool:
        return 200 <= self.code < 300

    @property
    def elects(self) -> bool:
        return " leases/" in self.what


class Ledger:
    """What operators wrote, by the API server's audit log; reads on where it stopped."""

    def __init__(self, server: KubeApiServer) -> None:
        self._log = server.audit_log
        self._read = 0
        self.writes: list[Write] = []

    def update(self) -> "Ledger":
        """Read what was written since."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            new = log.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            event = json.loads(line)
            agent = event.get("userAgent", "")
            if event["stage"] == "ResponseComplete" and agent.startswith("modelops/"):
                self.writes.append(_write(event, agent.removeprefix("modelops/")))
        return self

    def reign(self, who: str) -> "Reign":
        """Return how an operator came to lead, and what others wrote from then on."""
        mine = [write for write in self.writes if write.who == who and write.landed]
        elected = min(write.received for write in mine if write.elects)
        # The earliest moment at which it may have led, against the last at which another's write may have landed.
        late = [write for write in self.writes if write.who != who and write.answered > elected]
        work = [write.answered for write in mine if not write.elects]
        earlier = {write.who for write in self.writes if write.answered < elected} - {who}
        return Reign(
            who,
            elected,
            min(work, default=""),
            tuple(write for write in late if write.who in earlier and write.landed),
            sum(write.who in earlier and not write.landed for write in late),
        )

    def worked(self, who: str) -> bool:
        """Return whether a write of somebody, other than of the Lease, has landed."""
        return any(write.who == who and not write.elects and write.landed for write in reversed(self.writes))

    def acted(self, who: str) -> bool:
        """Return whether a write of somebody as an account has landed."""
        return any(write.who == who and write.acting and write.landed for write in reversed(self.writes))

    def leaders(self) -> list[str]:
        """Return everybody who ever held the Lease, the first first."""
        return list(dict.fromkeys(write.who for write in self.writes if write.elects and write.landed))


@dataclass(frozen=True)
class Reign:
    """How one operator came to lead, and what those before it wrote since."""

    who: str
    began: str
    """When its write of the Lease was received."""
    first_work: str
    """When its first write of anything else was answered; empty if there was none."""
    intruders: tuple[Write, ...]
    """Writes of those before it that landed after it began."""
    refused: int
    """Writes of those before it that the server refused after it began."""


def _write(event: dict[str, Any], who: str) -> Write:
    about = event.get("objectRef") or {}
    parts = (about.get("resource"), about.get("namespace"), about.get("name"), about.get("subresource"))
    return Write(
        who,
        f"{event['verb']} {'/'.join(str(part) for part in parts if part)}",
        int(event["responseStatus"]["code"]),
        event["requestReceivedTimestamp"],
        event["stageTimestamp"],
        event.get("impersonatedUser", {}).get("username", ""),
    )

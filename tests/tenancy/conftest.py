"""A real API server with RBAC and an audit log, modelops installed on it, and teams that share it."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelops.adapters.cluster import KubeClient
from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import CONFIGMAP, DATASET, GITSOURCE, NAMESPACE, SERVICEACCOUNT
from tests.support import installed, kube_apiserver
from tests.support.git_server import Repository
from tests.support.installed import OPERATOR, bind, install
from tests.support.operators import Replica, until

_NUMBERS = itertools.count(1)
DEFAULT = "locked-down"
"""Account of GitSources that name none."""


@dataclass(frozen=True)
class Cluster:
    """The API server, and an administrator's way to it."""

    server: kube_apiserver.KubeApiServer
    admin: KubeClient

    def calls(self) -> list[dict[str, Any]]:
        """Return every call of the operator that was answered, oldest first, whoever it acted as."""
        return [event for event in self.server.audit() if event["user"]["username"] == OPERATOR.user]

    def status(self, client: KubeClient, headers: dict[str, str], path: str) -> int:
        """Return the code that a GET with a client's token and more headers is answered with."""
        sent = {**client._headers, **client.connection.token.headers(), **headers}
        return int(client._pool.request("GET", path, headers=sent).status)

    def writes_by(self, namespace: str) -> list[dict[str, Any]]:
        """Return the operator's answered writes in a namespace, oldest first, whoever it acted as."""
        return [
            event
            for event in self.calls()
            if (event.get("objectRef") or {}).get("namespace") == namespace
            and event["verb"] in ("create", "update", "patch", "delete")
        ]


@dataclass(frozen=True)
class Team:
    """A namespace with a repository."""

    cluster: Cluster
    namespace: str
    repository: Repository

    @property
    def admin(self) -> KubeClient:
        return self.cluster.admin

    def account(self, name: str = "sync", role: str = "modelops-tenant") -> ServiceAccount:
        """Make an account, with a role if one is named."""
        account = ServiceAccount(self.namespace, name)
        self.admin.apply(SERVICEACCOUNT, {"metadata": {"name": name, "namespace": self.namespace}})
        if role:
            bind(self.admin, self.namespace, name, role, account, "ClusterRole")
        return account

    def source(self, name: str = "source", **spec: Any) -> None:
        """Make or change a GitSource; by default it acts as `sync`."""
        whole = {"url": self.repository.url, "path": "deploy", "interval": "1s", "serviceAccountName": "sync", **spec}
        said = {key: value for key, value in whole.items() if value is not None}
        self.admin.apply(GITSOURCE.resource, {"metadata": {"name": name, "namespace": self.namespace}, "spec": said})

    def ready(self, name: str = "source") -> tuple[str, str, str]:
        """Return status, reason and message of a GitSource's Ready condition."""
        found = self.admin.get(GITSOURCE.resource, self.namespace, name) or {}
        for condition in (found.get("status") or {}).get("conditions") or ():
            if condition["type"] == "Ready":
                return condition["status"], condition["reason"], condition["message"]
        return "", "", ""

    def says(self, *parts: str, name: str = "source") -> str:
        """Wait until the Ready condition holds all the parts; return its message."""
        until(
            lambda: all(part in " ".join(self.ready(name)) for part in parts),
            30,
            lambda: (parts, self.ready(name)),
            0.05,
        )
        return self.ready(name)[2]

    def synced(self, name: str = "source", commit: str = "") -> None:
        """Wait until a GitSource applied a commit whole."""
        until(
            lambda: self.ready(name)[0] == "True" and commit in self.ready(name)[2],
            30,
            lambda: (commit, self.ready(name)),
            0.05,
        )

    def dataset(self, name: str) -> dict[str, Any] | None:
        return self.admin.get(DATASET.resource, self.namespace, name)

    def configmap(self, name: str) -> dict[str, Any] | None:
        return self.admin.get(CONFIGMAP, self.namespace, name)


def dataset(name: str, more: str = "", *, target: str = "price") -> str:
    """Return a Dataset's manifest; `more` goes into its metadata."""
    return (
        f"apiVersion: modelops.dev/v1alpha1\nkind: Dataset\nmetadata: {{name: {name}{more}}}\n"
        f"spec: {{suspend: true, source: {{git: {{path: data.csv}}}}, task: regression, target: {target},"
        f" schema: {{columns: [{{name: {target}, type: float}}]}}}}\n"
    )


def configmap(name: str, more: str = "", value: str = "git") -> str:
    """Return a ConfigMap's manifest."""
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}{more}}}\ndata: {{from: {value}}}\n"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if lacking := kube_apiserver.missing():
        pytest.skip(lacking)
    directory = tmp_path_factory.mktemp("tenancy")
    server = kube_apiserver.KubeApiServer(directory, audited=True, audit_reads=True).start()
    try:
        yield Cluster(server, install(server))
    finally:
        server.stop()


@pytest.fixture(scope="session")
def operator(cluster: Cluster) -> Iterator[Replica]:
    """The operator, locked down: who names no account acts as one that a namespace has or has not."""
    settings = {"MODELOPS_DEFAULT_SERVICE_ACCOUNT": DEFAULT}
    replicas = installed.operator(cluster.admin, cluster.server, **settings)
    try:
        yield replicas.start()
    finally:
        replicas.stop()


@pytest.fixture
def team(cluster: Cluster, operator: Replica, tmp_path: Path) -> Team:
    """A namespace in which the operator may act as accounts."""
    return make_team(cluster, tmp_path)


@pytest.fixture
def other(cluster: Cluster, operator: Replica, tmp_path: Path) -> Team:
    """Another one, with something in it."""
    made = make_team(cluster, tmp_path)
    where = {"name": "theirs", "namespace": made.namespace}
    cluster.admin.apply(CONFIGMAP, {"metadata": where, "data": {"from": "them"}})
    return made


def make_team(cluster: Cluster, directory: Path, *, impersonated: bool = True) -> Team:
    """Make a namespace with a repository."""
    namespace = f"team-{next(_NUMBERS)}"
    cluster.admin.apply(NAMESPACE, {"metadata": {"name": namespace}})
    if impersonated:
        role = "modelops-impersonator"
        bind(cluster.admin, namespace, role, role, OPERATOR, "ClusterRole")
    return Team(cluster, namespace, Repository.make(directory / namespace))

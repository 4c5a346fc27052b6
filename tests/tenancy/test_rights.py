"""modelops may do what its code does, and nothing else: the roles, as an API server reads them, against the code."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from modelops.api.kinds import (
    COMPUTEPOOL,
    GITSOURCE,
    LEASE,
    METRICTEMPLATE,
    MODELRELEASE,
    SECRET,
    SERVICEACCOUNT,
    WORKFLOWTEMPLATE,
)
from modelops.api.labels import CONFIRM_PRUNE
from modelops.ports import GitBlob, GitRemote
from modelops.reconcile.bundle import Ports
from modelops.reconcile.computepool import ComputePoolReconciler
from modelops.reconcile.gitsource import GitSourceReconciler
from modelops.reconcile.loop import Loop
from modelops.reconcile.metrictemplate import MetricTemplateReconciler
from modelops.shell.registry import watched
from tests.golden import rights
from tests.support.fakes import FakeClock, FakeCluster, FakeMetrics, FakeRegistry, FakeServers
from tests.tenancy.conftest import Cluster, configmap, dataset
from tests.tenancy.recorded import RecordedCluster, Rights, named
from tests.unit.release.world import World as ReleaseWorld
from tests.unit.training.test_own_template import boosted
from tests.unit.training.test_walk import World as TrainingWorld

_ELECTION = {named(LEASE): {"get", "watch", "create", "patch"}}
"""What adapters.lease asks; without one of these no operator ever leads in this directory's other tests."""


@dataclass
class Files:
    """A repository whose files change when a test says so."""

    now: dict[str, str]
    commit: str = "1" * 40

    def fetch(self, *_: Any, **__: Any) -> str:
        return self.commit

    def tree(self, _: GitRemote, __: str, ___: str) -> Sequence[GitBlob]:
        return [GitBlob(path, path, len(text)) for path, text in sorted(self.now.items())]

    def read(self, _: GitRemote, blob: GitBlob, *, limit: int) -> bytes:
        return self.now[blob.path].encode()[:limit]

    def blob(self, *_: Any) -> None:
        raise AssertionError

    def append(self, *_: Any) -> None:
        """Take what became of a release."""


_ALL = {
    "keep.yaml": configmap("keep"),
    "a.yaml": dataset("a"),
    "b.yaml": configmap("b"),
    "c.yaml": (
        "apiVersion: modelops.dev/v1alpha1\nkind: TrainingRun\nmetadata: {name: c}\n"
        "spec: {datasetRef: {name: a}, model: {name: m}, trainer: {builtin: torch-mlp}}\n"
    ),
    "d.yaml": (
        "apiVersion: modelops.dev/v1alpha1\nkind: ModelRelease\nmetadata: {name: d}\n"
        "spec: {model: {name: m, from: {trainingRun: c}}, serving: {runtime: modelops},"
        " traffic: {hostnames: [d.example.com]}, strategy: {canary: {steps: [{setWeight: 20}]}}}\n"
    ),
    "e.yaml": (
        "apiVersion: modelops.dev/v1alpha1\nkind: MetricTemplate\nmetadata: {name: e}\n"
        "spec: {prometheus: {query: up}, thresholdRange: {min: 1}}\n"
    ),
}


@pytest.fixture(scope="module")
def used() -> tuple[Rights, Rights]:
    """Every right that a whole life needs, of the operator and of a tenant's account."""
    operator: Rights = {}
    tenant: Rights = {}
    for account in (None, "sync"):
        _sync(operator, tenant, account)
    _train(operator, tenant)
    _release(operator, tenant)
    _accepted(operator, tenant)
    for resource in watched():
        # Listed and watched by the shell; a miss of the cache is asked of the API server.
        operator.setdefault(named(resource), set()).update({"get", "list", "watch"})
    return operator, tenant


def _sync(operator: Rights, tenant: Rights, account: str | None) -> None:
    cluster, git = FakeCluster(FakeClock()), Files(dict(_ALL))
    meta = {"name": "source", "namespace": "team"}
    spec = {"url": "https://git.example.com/a.git", "secretRef": {"name": "git"}, "serviceAccountName": account}
    spec["outcomes"] = {}
    cluster.put(SECRET, {"metadata": {"name": "git", "namespace": "team"}, "data": {}})
    cluster.put(GITSOURCE.resource, {"metadata": meta, "spec": {k: v for k, v in spec.items() if v is not None}})
    recorded = RecordedCluster(cluster, operator, tenant)
    ports = Ports(recorded, git, FakeRegistry(), FakeMetrics(), FakeClock(), FakeServers())
    loop = Loop(GitSourceReconciler(), ports)
    loop.reconcile(("team", "source"))
    end = {"version": "1", "revision": "1a", "outcome": "Promoted"}
    times = dict.fromkeys(("startedAt", "finishedAt"), "2026-01-01T11:00:00Z")
    cluster.set_status(MODELRELEASE.resource, "team", "d", {"history": [end | times]})
    loop.reconcile(("team", "source"))
    written = cluster.get(GITSOURCE.resource, "team", "source")
    assert written is not None
    assert [one["release"] for one in written["status"]["outcomes"]["written"]] == ["d"]
    git.now, git.commit = {"keep.yaml": configmap("keep", value="later")}, "2" * 40
    cluster.annotate(GITSOURCE.resource, "team", "source", **{CONFIRM_PRUNE: git.commit})
    loop.reconcile(("team", "source"))
    found = cluster.get(GITSOURCE.resource, "team", "source")
    assert found is not None
    assert [entry["name"] for entry in found["status"]["inventory"]] == ["keep"], found["status"]


def _train(operator: Rights, tenant: Rights) -> None:
    world = TrainingWorld()
    recorded = RecordedCluster(world.cluster, operator, tenant)
    for loop in (world.datasets, world.runs):
        loop._ports = replace(loop._ports, cluster=recorded)
    world.pin()
    world.train(hyperparameters={"epochs": 3})
    world.reconcile()
    assert len(world.workflows("tr")) == 1
    world.registered()
    world.cluster.put(WORKFLOWTEMPLATE, boosted())
    world.train(trainer={"workflowTemplate": {"name": "boosted"}})
    world.reconcile()
    assert len(world.workflows("tr")) == 2


def _release(operator: Rights, tenant: Rights) -> None:
    world = ReleaseWorld()
    world.loop._ports = replace(world.loop._ports, cluster=RecordedCluster(world.cluster, operator, tenant))
    world.servers_start = False  # so that somebody asks why
    world.train("1")
    world.settle()
    world.servers_start = True
    world.first()
    for version in range(2, 14):
        world.canary(str(version))
        world.settle(300)
        assert world.status["phase"] == "Promoted", world.status
        assert len(world.deployments()) == 1


def _accepted(operator: Rights, tenant: Rights) -> None:
    cluster = FakeCluster(FakeClock())
    cluster.put(COMPUTEPOOL.resource, {"metadata": {"name": "gpu"}, "spec": {}})
    template = {"metadata": {"name": "rate", "namespace": "team"}, "spec": {"prometheus": {"query": "up"}}}
    cluster.put(METRICTEMPLATE.resource, template)
    outside = (Files({}), FakeRegistry(), FakeMetrics(), FakeClock(), FakeServers())
    ports = Ports(RecordedCluster(cluster, operator, tenant), *outside)
    Loop(ComputePoolReconciler(), ports).reconcile((None, "gpu"))
    Loop(MetricTemplateReconciler(), ports).reconcile(("team", "rate"))


@pytest.mark.real_apiserver
def test_rights_are_what_the_golden_file_says(cluster: Cluster) -> None:
    """A change of the roles shows in review; `python -m tests.golden.rights` writes it anew."""
    assert rights.GOLDEN.read_text(encoding="utf-8") == rights.text_of(rights.asked(cluster.server, cluster.admin))


def test_operator_may_do_what_its_code_does_and_nothing_else(used: tuple[Rights, Rights]) -> None:
    """No right is unused and none is missing, verb by verb, over the life of a commit, a run and thirteen releases."""
    granted = rights.committed()
    accounts = named(SERVICEACCOUNT)
    assert granted[rights.LET] == {accounts: {"impersonate"}}
    whole = granted[rights.EVERYWHERE] | {accounts: granted[rights.EVERYWHERE][accounts] | {"impersonate"}}
    assert whole == used[0]
    assert granted[rights.ITS_OWN] == _ELECTION


def test_operator_of_one_namespace_has_the_same_rights_there_and_none_elsewhere() -> None:
    """A Role in place of the ClusterRole; only ComputePools, which belong to no namespace, are seen from everywhere."""
    granted = rights.committed()
    assert granted[rights.ALONE] == granted[rights.EVERYWHERE]
    pools = {resource for resource in granted[rights.EVERYWHERE] if resource.startswith("computepools.")}
    assert set(granted[rights.ALONE_ELSEWHERE]) == pools


def test_operator_that_is_to_read_tenants_secrets_reads_no_others() -> None:
    """`rbac.secrets: tenants` takes that one right away, and gives it back in a tenant's namespace."""
    granted = rights.committed()
    secrets = named(SECRET)
    assert granted[rights.SPARING] | {secrets: {"get"}} == granted[rights.EVERYWHERE]
    assert secrets not in granted[rights.SPARING]
    assert granted[rights.SPARING_LET] == granted[rights.LET] | {secrets: {"get"}}


def test_tenant_s_role_is_what_a_gitsource_needs(used: tuple[Rights, Rights]) -> None:
    """modelops-tenant is enough for every kind that git may bring, and for nothing else."""
    assert rights.committed()[rights.TENANT] == used[1]

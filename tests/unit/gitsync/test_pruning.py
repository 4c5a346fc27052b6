"""Nothing disappears by accident: an object goes only when a good commit dropped it, whatever else happens."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelops.api.kinds import GITSOURCE, TRAININGRUN
from modelops.api.labels import GITSOURCE as GITSOURCE_LABEL
from modelops.api.labels import PRUNE
from modelops.errors import Stalled, Transient
from modelops.ports import GitBlob, GitRemote
from modelops.reconcile.bundle import Ports
from modelops.reconcile.gitsource import GitSourceReconciler
from modelops.reconcile.loop import Loop
from tests.support.fakes import FakeClock, FakeCluster, FakeMetrics, FakeRegistry, FakeServers

NS, NAMES = "team", ("a", "b", "c", "d", "e", "f")
RUN = """\
apiVersion: modelops.dev/v1alpha1
kind: TrainingRun
metadata: {name: NAME}
spec: {datasetRef: {name: data}, model: {name: m}, trainer: {builtin: torch-mlp}, suspend: SUSPEND}
"""


@dataclass
class Repository:
    """What the remote says next: files at a commit, or an error."""

    commit: int = 0
    names: frozenset[str] = frozenset()
    broken: bool = False
    error: Stalled | Transient | None = None
    log: dict[str, dict[str, str]] = field(default_factory=dict)

    def fetch(self, *_: Any, **__: Any) -> str:
        if self.error is not None:
            raise self.error
        found = f"{self.commit:040x}"
        files = {f"deploy/{name}.yaml": RUN.replace("NAME", name) for name in self.names}
        if self.broken:
            files["deploy/zz.yaml"] = "a: ["
        self.log[found] = {
            path: text.replace("SUSPEND", str(bool(self.commit % 2)).lower()) for path, text in files.items()
        }
        return found

    def tree(self, _: GitRemote, commit: str, path: str) -> Sequence[GitBlob]:
        if not self.log[commit]:
            raise Stalled("PathNotFound", f"{path} is not there")
        return [GitBlob(name, f"{commit}:{name}", len(text)) for name, text in sorted(self.log[commit].items())]

    def read(self, _: GitRemote, blob: GitBlob, *, limit: int) -> bytes:
        commit, _, name = blob.oid.partition(":")
        return self.log[commit][name].encode()[:limit]

    def blob(self, *_: Any) -> None:
        raise AssertionError


class World:
    """A GitSource in memory, with one object of somebody else's and one that must stay."""

    def __init__(self) -> None:
        self.clock, self.git = FakeClock(), Repository()
        self.cluster = FakeCluster(self.clock)
        ports = Ports(self.cluster, self.git, FakeRegistry(), FakeMetrics(), self.clock, FakeServers())
        self.loop = Loop(GitSourceReconciler(), ports, jitter=lambda: 1.0)
        spec = {"url": "https://git.example.com/a.git", "ref": {"branch": "main"}, "path": "deploy", "prune": True}
        self.cluster.put(GITSOURCE.resource, {"metadata": {"name": "mine", "namespace": NS}, "spec": spec})
        foreign = {"name": "f", "namespace": NS, "labels": {GITSOURCE_LABEL: "theirs"}}
        self.cluster.put(TRAININGRUN.resource, {"metadata": foreign, "spec": {"model": {"name": "theirs"}}})

    def names(self) -> set[str]:
        """Return the runs that carry our label."""
        found = self.cluster.list(TRAININGRUN.resource, NS)
        return {o["metadata"]["name"] for o in found if (o["metadata"].get("labels") or {})[GITSOURCE_LABEL] == "mine"}

    def step(self) -> None:
        for _ in range(4):
            self.loop.reconcile((NS, "mine"))


EVENTS = st.one_of(
    st.tuples(st.just("commit"), st.frozensets(st.sampled_from(NAMES))),
    st.tuples(st.just("broken"), st.frozensets(st.sampled_from(NAMES))),
    st.tuples(st.just("away"), st.just(frozenset())),
    st.tuples(st.just("branch gone"), st.just(frozenset())),
    st.tuples(st.just("protect"), st.frozensets(st.sampled_from(NAMES), max_size=1)),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(EVENTS, min_size=1, max_size=8))
def test_only_a_good_commit_removes_and_only_what_was_ours(events: list[tuple[str, frozenset[str]]]) -> None:
    """Errors, broken files, emptied directories and large drops remove nothing; others' and protected objects stay."""
    world = World()
    protected: set[str] = set()
    for number, (what, names) in enumerate(events):
        before = world.names()
        git = world.git
        git.error = None
        match what:
            case "commit" | "broken":
                git.commit, git.names, git.broken = number, names, what == "broken"
            case "away":
                git.error = Transient("Unreachable", "the remote is away")
            case "branch gone":
                git.error = Stalled("RefNotFound", "no branch main")
            case _:
                for name in names & before:
                    world.cluster.annotate(TRAININGRUN.resource, NS, name, **{PRUNE: "disabled"})
                    protected.add(name)
        world.step()
        gone = before - world.names()
        wanted = git.names - {"f"}
        if gone:
            assert what in ("commit", "protect")
            assert git.error is None
            assert not git.broken
            assert git.names
            assert not gone & wanted
            assert not gone & protected
        if git.error is None:
            assert wanted <= world.names()
        theirs = world.cluster.get(TRAININGRUN.resource, NS, "f")
        assert theirs is not None
        assert theirs["spec"] == {"model": {"name": "theirs"}}


def test_more_than_half_goes_only_when_it_is_confirmed() -> None:
    """The condition says which annotation means yes, for this very commit."""
    world = World()
    world.git.names = frozenset("abcd")
    world.step()
    world.git.commit, world.git.names = 1, frozenset("a")
    world.step()
    assert world.names() == set("abcd")
    source = world.cluster.get(GITSOURCE.resource, NS, "mine")
    assert source is not None
    message = next(c["message"] for c in source["status"]["conditions"] if c["type"] == "Ready")
    assert f"modelops.dev/confirm-prune={1:040x}" in message
    world.cluster.annotate(GITSOURCE.resource, NS, "mine", **{"modelops.dev/confirm-prune": f"{1:040x}"})
    world.step()
    assert world.names() == {"a"}


def test_poll_without_news_reads_and_writes_nothing() -> None:
    """A commit is read once; what somebody changed by hand is set right all the same."""
    world = World()
    world.git.names = frozenset("abc")
    world.step()
    world.git.log.clear()
    world.git.log[f"{0:040x}"] = {}
    calls = len(world.cluster.calls)
    world.loop.reconcile((NS, "mine"))
    assert len(world.cluster.calls) == calls
    drifted = world.cluster.get(TRAININGRUN.resource, NS, "a")
    assert drifted is not None
    world.cluster.put(TRAININGRUN.resource, {**drifted, "spec": {**drifted["spec"], "model": {"name": "hand"}}})
    world.loop.reconcile((NS, "mine"))
    mended = world.cluster.get(TRAININGRUN.resource, NS, "a")
    assert mended is not None
    assert mended["spec"]["model"] == {"name": "m"}

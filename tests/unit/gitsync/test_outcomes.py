"""What became of a release is written back once, and whatever goes wrong with that holds nothing else up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import yaml

from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import GITSOURCE, MODELRELEASE, SECRET
from modelops.api.labels import APPLIED_COMMIT, REQUESTED_AT
from modelops.api.labels import GITSOURCE as GITSOURCE_LABEL
from modelops.api.v1alpha1.gitsource import Outcomes
from modelops.api.v1alpha1.modelrelease_status import ReleaseRecord
from modelops.domain.gitsync.outcome_file import outcome_commit
from modelops.domain.plan import FileCommit
from modelops.errors import Conflict, ModelopsError, Transient
from modelops.ports import GitBlob, GitRemote
from modelops.reconcile.bundle import Ports
from modelops.reconcile.dependents import dependents_of
from modelops.reconcile.gitsource import GitSourceReconciler
from modelops.reconcile.loop import Loop, Outcome
from tests.support.fakes import FakeClock, FakeCluster, FakeMetrics, FakeRegistry, FakeServers

NS, NAME = "team", "models"
RELEASE = """\
apiVersion: modelops.dev/v1alpha1
kind: ModelRelease
metadata: {name: NAME}
spec: {model: {name: m, version: "VERSION"}, strategy: {direct: {}}}
"""
GOOD = {"name": "latency", "verdict": "Pass", "value": 0.12, "bound": "≤ 0.25"}
BAD = {"name": "success-rate", "verdict": "Fail", "value": 0.4, "bound": "≥ 0.95"}
AWAY = Transient("PushForbidden", "https://git.example.com/a.git may be read, but not written")


def record(version: str, outcome: str, minute: int = 0, **more: Any) -> dict[str, Any]:
    """Return one end of a release, as its status has it."""
    return {
        "version": version,
        "revision": f"{version}a{version}b",
        "outcome": outcome,
        "message": "success-rate is 0.4 of 100 requests",
        "startedAt": "2026-01-01T11:00:00Z",
        "finishedAt": f"2026-01-01T11:{minute:02d}:30.123456Z",
        "releaseCommit": "1" * 40,
        "commit": "2" * 40,
        "datasetCommit": "",
        "metrics": [],
        **more,
    }


@dataclass
class Repository:
    """A repository with a release for each name, and what was appended to it."""

    version: int = 1
    names: tuple[str, ...] = ("price",)
    error: ModelopsError | None = None
    """Of a push."""
    away: ModelopsError | None = None
    """Of a fetch."""
    appended: list[tuple[GitRemote, str, FileCommit]] = field(default_factory=list)
    pushes: int = 0

    def fetch(self, *_: Any, **__: Any) -> str:
        if self.away is not None:
            raise self.away
        return f"{self.version:040x}"

    def tree(self, _: GitRemote, __: str, ___: str) -> Sequence[GitBlob]:
        return [GitBlob(f"{name}.yaml", name, 300) for name in self.names]

    def read(self, _: GitRemote, blob: GitBlob, *, limit: int) -> bytes:
        return RELEASE.replace("NAME", blob.oid).replace("VERSION", str(self.version)).encode()[:limit]

    def blob(self, *_: Any) -> None:
        raise AssertionError

    def append(self, remote: GitRemote, branch: str, commits: Sequence[FileCommit]) -> None:
        self.pushes += 1
        if self.error is not None:
            raise self.error
        there = {one.path for _, _, one in self.appended}
        self.appended += [(remote, branch, one) for one in commits if one.path not in there]


class World:
    """A GitSource that writes outcomes back, its repository and its releases, in memory."""

    def __init__(self, **spec: Any) -> None:
        self.clock, self.git = FakeClock(), Repository()
        self.cluster = FakeCluster(self.clock)
        self.spec = {"url": "https://git.example.com/a.git", "outcomes": {"path": "live"}} | spec
        self.cluster.put(GITSOURCE.resource, {"metadata": {"name": NAME, "namespace": NS}, "spec": self.spec})
        self.begin()

    def begin(self) -> None:
        """Start an operator that remembers nothing."""
        outside = (FakeRegistry(), FakeMetrics(), self.clock, FakeServers())
        ports = Ports(self.cluster, self.git, *outside)  # type: ignore[arg-type]
        self.loop = Loop(GitSourceReconciler(), ports, jitter=lambda: 1.0)

    def step(self) -> Outcome:
        """Reconcile until there is nothing to do at once."""
        for _ in range(10):
            outcome = self.loop.reconcile((NS, NAME))
            if not outcome.again:
                return outcome
        raise AssertionError("it goes on and on")

    def end(self, *history: dict[str, Any], release: str = "price") -> None:
        """Let a release have this history."""
        self.cluster.set_status(MODELRELEASE.resource, NS, release, {"history": list(history)})

    def change(self, **spec: Any) -> None:
        """Let somebody change the GitSource."""
        self.spec |= spec
        self.cluster.put(GITSOURCE.resource, {"metadata": {"name": NAME, "namespace": NS}, "spec": self.spec})

    @property
    def status(self) -> dict[str, Any]:
        found = self.cluster.get(GITSOURCE.resource, NS, NAME)
        assert found is not None
        return dict(found["status"])

    def condition(self, name: str) -> tuple[str, str, str] | None:
        """Return status, reason and message of a condition."""
        found = [one for one in self.status["conditions"] if one["type"] == name]
        return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else None

    def paths(self) -> list[str]:
        """Return what was written, in order."""
        return [one.path for _, _, one in self.git.appended]


@pytest.fixture
def world() -> World:
    made = World()
    made.step()
    return made


def test_what_became_of_a_release_is_written_whole(world: World) -> None:
    """A file that says what, why and of which commits, and a commit that says the same to readers of the log."""
    world.end(record("3", "RolledBack", metrics=[BAD, GOOD]))
    world.step()

    ((_, branch, written),) = world.git.appended
    assert (branch, written.author) == ("modelops/outcomes", "modelops <modelops@localhost>")
    assert written.path == "live/team/price/20260101T110030Z-3a3b-rolledback.yaml"
    assert written.at == datetime(2026, 1, 1, 11, 0, 30, 123456, UTC)
    assert written.content.decode() == (
        "release: price\n"
        "namespace: team\n"
        "outcome: RolledBack\n"
        "version: '3'\n"
        "revision: 3a3b\n"
        "reason: success-rate is 0.4 of 100 requests\n"
        "startedAt: '2026-01-01T11:00:00Z'\n"
        "finishedAt: '2026-01-01T11:00:30Z'\n"
        "commits:\n"
        f"  release: '{'1' * 40}'\n"
        f"  training: '{'2' * 40}'\n"
        "metrics:\n"
        "- name: success-rate\n"
        "  verdict: Fail\n"
        "  value: 0.4\n"
        "  bound: ≥ 0.95\n"
        "- name: latency\n"
        "  verdict: Pass\n"
        "  value: 0.12\n"
        "  bound: ≤ 0.25\n"
    )
    assert written.message == (
        "price: version 3 rolled back\n\nsuccess-rate is 0.4 of 100 requests\n\nRelease: team/price\nRevision: 3a3b\n"
        f"Release-Commit: {'1' * 40}\nTraining-Commit: {'2' * 40}\n\n[skip ci]\n"
    )
    told = "branch modelops/outcomes has all that has ended"
    assert world.condition("OutcomesWritten") == ("True", "Succeeded", told)
    assert world.condition("Ready") is not None
    assert "branch modelops/outcomes: price: version 3 rolled back" in [event.message for event in world.cluster.events]


def test_each_end_is_written_once(world: World) -> None:
    """A promotion that is taken back has two; a restart, a poll and another release's end write none of them again."""
    world.end(record("1", "Promoted", 1))
    world.step()
    world.end(record("1", "Promoted", 1), record("2", "Promoted", 2), record("2", "RolledBack", 3))
    world.step()
    assert [path.rpartition("/")[2] for path in world.paths()] == [
        "20260101T110130Z-1a1b-promoted.yaml",
        "20260101T110230Z-2a2b-promoted.yaml",
        "20260101T110330Z-2a2b-rolledback.yaml",
    ]
    assert world.git.pushes == 2
    for _ in range(3):
        world.begin()
        world.clock.advance(minutes=5)
        world.step()
    assert world.git.pushes == 2


@pytest.mark.parametrize(
    "forgotten",
    [
        pytest.param(lambda history: history, id="the status was never written"),
        pytest.param(lambda history: [*history[1:], record("9", "Promoted", 9)], id="the history has gone on"),
    ],
)
def test_an_operator_that_is_killed_after_the_push_writes_the_same_again(world: World, forgotten: Any) -> None:
    """Which is nothing, for git has it: paths and content depend on the end alone."""
    history = [record("1", "Promoted", 1), record("2", "Promoted", 2)]
    world.end(*history)
    world.cluster.failures[f"status gitsources/{NAME}"] = Conflict("Conflict", "killed")
    world.loop.reconcile((NS, NAME))
    assert (world.git.pushes, "outcomes" in world.status) == (1, False)
    first = list(world.git.appended)

    world.begin()
    world.end(*forgotten(history))
    world.step()

    assert world.git.appended[: len(first)] == first
    assert len(world.paths()) == len(set(world.paths()))
    assert world.status["outcomes"]["written"][0]["revision"] == forgotten(history)[-1]["revision"]


def test_refused_push_holds_nothing_up_and_is_tried_ever_less_often(world: World) -> None:
    """The GitSource stays Ready and goes on applying; the condition says what is wrong, one Event does, too."""
    world.git.error = AWAY
    world.end(record("1", "Promoted"))
    began, tried = world.clock.now(), [timedelta(0)]
    outcome = world.step()
    while tried[-1] < timedelta(hours=1):
        assert outcome.requeue_after is not None
        before = world.git.pushes
        world.clock.time += outcome.requeue_after
        outcome = world.step()
        if world.git.pushes > before:
            tried.append(world.clock.now() - began)

    assert world.condition("OutcomesWritten") == ("False", AWAY.reason, AWAY.message)
    assert (world.condition("Ready") or "")[0] == "True"
    assert [world.condition("Stalled"), world.condition("Reconciling")] == [None, None]
    waits = [int((after - before).total_seconds()) for before, after in pairwise(tried)]
    assert waits[:8] == [5, 5, 10, 20, 40, 80, 160, 320]
    assert set(waits[8:]) == {600}
    said = [event for event in world.cluster.events if event.reason == AWAY.reason]
    assert [(event.message, event.type) for event in said] == [(AWAY.message, "Warning")]

    world.git.version = 2
    world.step()
    applied = world.cluster.get(MODELRELEASE.resource, NS, "price")
    assert applied is not None
    assert applied["spec"]["model"]["version"] == "2"

    world.git.error = None
    world.clock.advance(minutes=10)
    world.step()
    assert len(world.paths()) == 1
    assert "retryAt" not in world.status["outcomes"]


def test_commit_that_cannot_be_synced_holds_no_outcome_up(world: World) -> None:
    """Nor does a git that is away: the condition says that, too."""
    world.git.away = Transient("Unreachable", "git is away")
    world.end(record("1", "Promoted"))
    world.step()
    assert len(world.paths()) == 1

    world.git.error = Transient("Unreachable", "git is away")
    world.end(record("1", "Promoted"), record("2", "RolledBack", 5))
    world.step()
    assert world.condition("OutcomesWritten") == ("False", "Unreachable", "git is away")
    assert (world.condition("Ready") or "")[0] == "True"


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(
            lambda world: world.cluster.annotate(GITSOURCE.resource, NS, NAME, **{REQUESTED_AT: "now"}), id="a request"
        ),
        pytest.param(lambda world: world.change(interval="2m"), id="a new spec"),
    ],
)
def test_whoever_asks_has_it_tried_at_once(world: World, ask: Any) -> None:
    """After the commit was looked at: a new spec is not called observed before."""
    world.git.error = AWAY
    world.end(record("1", "Promoted"))
    world.step()
    world.git.error = None
    assert world.git.pushes == 1
    ask(world)
    assert world.loop.reconcile((NS, NAME)).again
    assert world.git.pushes == 1
    assert (world.condition("Ready") or "")[0] == "True"
    world.step()
    assert len(world.paths()) == 1


def test_credentials_are_those_of_the_fetch(world: World) -> None:
    """And a Secret that is gone is a reason like any other."""
    world.cluster.put(SECRET, {"metadata": {"name": "git", "namespace": NS}, "data": {"password": "aHVudGVy"}})
    world.change(secretRef={"name": "git"})
    world.end(record("1", "Promoted"))
    world.step()
    ((remote, _, _),) = world.git.appended
    assert remote == GitRemote(world.spec["url"], {"password": b"hunter"})

    world.cluster.delete(SECRET, NS, "git")
    world.end(record("1", "Promoted"), record("2", "Promoted", 5))
    world.step()
    assert (world.condition("OutcomesWritten") or "")[1] == "SecretNotFound"


def test_nobody_elses_release_is_told_of(world: World) -> None:
    """Not one that only bears the label, not another source's, and not one that the account may not read."""
    for name, label in (("mine-by-label", NAME), ("theirs", "other")):
        meta = {"name": name, "namespace": NS, "labels": {GITSOURCE_LABEL: label}}
        world.cluster.put(MODELRELEASE.resource, {"metadata": meta, "spec": {}})
        world.end(record("1", "Promoted"), release=name)
    world.step()
    assert world.paths() == []

    account = ServiceAccount(NS, "sync")
    world.cluster.accounts = {account}
    world.change(serviceAccountName="sync")
    world.step()
    world.cluster.rights[account.user] = {"list modelreleases"}
    world.end(record("1", "Promoted"))
    world.step()
    assert world.paths() == []
    world.cluster.rights.clear()
    world.step()
    assert len(world.paths()) == 1


def test_account_that_is_gone_writes_nothing(world: World) -> None:
    """As it applies nothing."""
    world.cluster.accounts = set()
    world.change(serviceAccountName="sync")
    world.end(record("1", "Promoted"))
    world.step()
    assert world.git.pushes == 0
    assert (world.condition("Stalled") or "")[1] == "ServiceAccountNotFound"


def test_nothing_is_written_unless_asked_for() -> None:
    """Without spec.outcomes there is no push, no condition and no status; taken out, they go."""
    world = World(outcomes=None)
    world.step()
    world.end(record("1", "Promoted"))
    world.step()
    assert world.git.pushes == 0
    assert world.condition("OutcomesWritten") is None

    world.change(outcomes={})
    world.step()
    assert world.paths() == ["team/price/20260101T110030Z-1a1b-promoted.yaml"]
    world.change(outcomes=None)
    world.step()
    assert (world.condition("OutcomesWritten"), "outcomes" in world.status) == (None, False)


def test_failure_is_over_once_there_is_nothing_to_write(world: World) -> None:
    """The release was deleted meanwhile; what is remembered of it goes as well."""
    world.end(record("1", "Promoted"))
    world.step()
    world.git.error = AWAY
    world.end(record("1", "Promoted"), record("2", "Promoted", 5))
    world.step()
    world.git.names, world.git.version = (), 2
    world.change(prune=False)
    world.cluster.delete(MODELRELEASE.resource, NS, "price")
    world.clock.advance(minutes=1)
    world.step()
    assert (world.condition("OutcomesWritten") or "")[0] == "True"
    assert world.status["outcomes"] == {"written": []}


def test_many_ends_are_written_in_order_and_in_parts() -> None:
    """A source with 30 releases of ten ends each: no push has more than 200, and the oldest come first."""
    world = World()
    world.git.names = tuple(f"r{number:02d}" for number in range(30))
    world.step()
    for name in world.git.names:
        world.end(*(record(str(turn), "Promoted", turn) for turn in range(1, 11)), release=name)
    world.loop.reconcile((NS, NAME))
    assert len(world.paths()) == 200
    world.step()
    assert world.git.pushes == 2
    assert len(set(world.paths())) == len(world.paths()) == 300
    times = [path.rpartition("/")[2][:16] for path in world.paths()]
    assert times == sorted(times)


def test_source_is_woken_by_an_end_and_by_nothing_else(world: World) -> None:
    """A release changes every few seconds; each look of its source asks the remote."""

    def woken() -> list[str]:
        release = world.cluster.get(MODELRELEASE.resource, NS, "price")
        assert release is not None
        all_of = lambda resource: world.cluster.list(resource, None) if resource == GITSOURCE.resource else ()  # noqa: E731
        return [wake.key[1] for wake in dependents_of(MODELRELEASE.resource, release, all_of)]

    assert woken() == []
    world.end(record("1", "Promoted"))
    assert woken() == [NAME]
    world.git.error = AWAY
    world.step()
    assert woken() == []
    world.git.error = None
    world.clock.advance(minutes=1)
    world.step()
    assert woken() == []
    assert len(world.paths()) == 1


@pytest.mark.parametrize(
    ("namespace", "release", "revision"),
    [
        ("team", "..", "1a"),
        ("team", "a/../../b", "1a"),
        ("..", "price", "1a"),
        ("team", "price", "../../x"),
        ("team", "price", "1a\nD x"),
        ("team", ".git", "1a"),
        ("team", "price\n", "1a"),
        ("team", "", "1a"),
    ],
)
def test_name_that_would_leave_its_directory_is_no_path(namespace: str, release: str, revision: str) -> None:
    """A status may be written by others; no API server takes such names of objects."""
    one = ReleaseRecord.model_validate(record("1", "Promoted") | {"revision": revision})
    assert outcome_commit(Outcomes(), namespace, release, one) is None


def test_words_of_others_stay_on_their_line() -> None:
    """Whatever a version or a message says; what is no commit is not called one."""
    hostile = {"message": "a\nRevision: forged\n\n[skip]\0", "version": "1\nb: c", "commit": "main\nx"}
    commit = outcome_commit(Outcomes(), NS, "price", ReleaseRecord.model_validate(record("1", "Aborted") | hostile))
    assert commit is not None
    assert commit.message.splitlines()[:3] == ["price: version 1 b: c aborted", "", "a Revision: forged [skip]"]
    loaded = yaml.safe_load(commit.content)
    assert (loaded["version"], loaded["commits"]) == ("1\nb: c", {"release": "1" * 40})


def test_commit_annotation_of_the_release_stays(world: World) -> None:
    """Writing outcomes changes no object that git brought."""
    before = world.cluster.get(MODELRELEASE.resource, NS, "price")
    world.end(record("1", "Promoted"))
    world.step()
    after = world.cluster.get(MODELRELEASE.resource, NS, "price")
    assert before is not None
    assert after is not None
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]
    assert after["metadata"]["annotations"][APPLIED_COMMIT] == f"{1:040x}"

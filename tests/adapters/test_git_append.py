"""GitMirrors that write: files on a branch, each once, whoever else pushes, and nothing of anybody's is ever lost."""

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelops.adapters.fence import Fence
from modelops.adapters.git import GitMirrors
from modelops.domain.plan import FileCommit
from modelops.errors import ModelopsError, Stalled, Transient
from modelops.ports import GitRemote
from tests.support.git_server import GitServer, Repository, git, serving

SECRET = "hunter2-very-secret"
RIGHT = {"username": b"robot", "password": SECRET.encode()}
BRANCH = "modelops/outcomes"
PUSH = "git-receive-pack"


def commits(*names: str, content: str = "") -> list[FileCommit]:
    """Return a commit for each file."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        FileCommit(f"team/price/{name}", (content or name).encode(), f"{name}\n\nwhy", "A Robot <r@example.com>", start)
        for name in names
    ]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with one manifest, which may be pushed to."""
    made = Repository.make(tmp_path / "served" / "models.git")
    made.commit({"deploy/a.yaml": "a: 1\n"})
    made.let_push()
    return made


@pytest.fixture
def server(repository: Repository) -> Iterator[GitServer]:
    """It, for those who know the password."""
    with serving(repository.path.parent, user="robot", password=SECRET) as running:
        yield running


@pytest.fixture(params=["file", "http"])
def remote(request: pytest.FixtureRequest, repository: Repository, server: GitServer) -> GitRemote:
    """It, over both transports."""
    if request.param == "file":
        return GitRemote(repository.url)
    return GitRemote(server.url("models.git"), RIGHT)


@pytest.fixture
def mirrors(tmp_path: Path) -> GitMirrors:
    """Mirrors that were never used."""
    return GitMirrors(tmp_path / "cache", ("file", "http"), deadline=20)


def files(repository: Repository, branch: str = BRANCH) -> dict[str, str]:
    """Return what a branch holds, by path."""
    names = git(repository.path, "ls-tree", "-r", "--name-only", branch).splitlines()
    return {name: git(repository.path, "show", f"{branch}:{name}") for name in names}


def log(repository: Repository, form: str = "%s", branch: str = BRANCH) -> list[str]:
    """Return a line for each commit of a branch, oldest first."""
    return git(repository.path, "log", "--reverse", f"--format={form}", branch).splitlines()


def refused(mirrors: GitMirrors, remote: GitRemote, wanted: Sequence[FileCommit] = ()) -> ModelopsError:
    """Append, which must fail; return the error, one line without a secret."""
    with pytest.raises(ModelopsError) as caught:
        mirrors.append(remote, BRANCH, wanted or commits("a.yaml"))
    assert SECRET not in str(caught.value) + repr(caught.value.__dict__)
    assert "\n" not in caught.value.message
    return caught.value


def test_each_file_is_a_commit_on_a_branch_of_its_own(
    mirrors: GitMirrors, remote: GitRemote, repository: Repository
) -> None:
    """The branch begins with them: nothing of what is synced stands on it, and what is synced stays as it is."""
    before = git(repository.path, "rev-parse", "main")

    mirrors.append(remote, BRANCH, commits("a.yaml", "b.yaml"))

    assert files(repository) == {"team/price/a.yaml": "a.yaml", "team/price/b.yaml": "b.yaml"}
    told = log(repository, "%s|%b|%an|%ae|%cn|%cI")
    assert told == [
        f"{name}|why|A Robot|r@example.com|A Robot|2026-01-01T00:00:00+00:00" for name in ("a.yaml", "b.yaml")
    ]
    assert git(repository.path, "for-each-ref", "--format=%(refname)") == f"refs/heads/main\nrefs/heads/{BRANCH}"
    assert git(repository.path, "rev-parse", "main") == before


def test_what_stands_there_is_not_committed_again(
    mirrors: GitMirrors, remote: GitRemote, repository: Repository, tmp_path: Path
) -> None:
    """By nobody: not by the same process, not by one that begins with nothing, and not with other content."""
    mirrors.append(remote, BRANCH, commits("a.yaml"))
    tip = git(repository.path, "rev-parse", BRANCH)

    mirrors.append(remote, BRANCH, commits("a.yaml"))
    GitMirrors(tmp_path / "another", ("file", "http")).append(remote, BRANCH, commits("a.yaml", content="edited"))
    assert git(repository.path, "rev-parse", BRANCH) == tip

    mirrors.append(remote, BRANCH, commits("a.yaml", "b.yaml"))
    assert log(repository) == ["a.yaml", "b.yaml"]
    assert git(repository.path, "rev-parse", f"{BRANCH}^") == tip


def test_two_that_write_the_same_make_the_same_commit(tmp_path: Path) -> None:
    """A leader that was deposed in the middle of a push adds nothing to its successor's."""
    tips = set()
    for name in ("one", "two"):
        repository = Repository.make(tmp_path / name / "models.git")
        GitMirrors(tmp_path / name / "cache", ("file",)).append(GitRemote(repository.url), BRANCH, commits("a.yaml"))
        tips.add(git(repository.path, "rev-parse", BRANCH))
    assert len(tips) == 1


def test_what_others_have_on_the_branch_stays(mirrors: GitMirrors, remote: GitRemote, repository: Repository) -> None:
    """A README of the team's, and a file of the same name as ours that somebody corrected."""
    repository.commit({"README.md": "ours\n", "team/price/a.yaml": "corrected\n"}, branch=BRANCH, orphan=True)

    mirrors.append(remote, BRANCH, commits("a.yaml", "b.yaml"))

    assert files(repository) == {
        "README.md": "ours",
        "team/price/a.yaml": "corrected",
        "team/price/b.yaml": "b.yaml",
    }


@pytest.mark.parametrize("when", [f"GET /models.git/info/refs?service={PUSH}", f"POST /models.git/{PUSH}"])
def test_whoever_pushes_first_is_built_upon(
    mirrors: GitMirrors, server: GitServer, repository: Repository, when: str
) -> None:
    """Whether the other push lands before the server tells where the branch is, or after: both stand in the end."""
    remote = GitRemote(server.url("models.git"), RIGHT)
    others = iter(["one.md", "two.md"])

    def overtake(request: str) -> None:
        if request == when and (name := next(others, None)) is not None:
            repository.commit({name: "theirs\n"}, branch=BRANCH)

    server.before = overtake
    mirrors.append(remote, BRANCH, commits("a.yaml"))

    assert sorted(files(repository)) == ["one.md", "team/price/a.yaml", "two.md"]
    assert log(repository) == ["change", "change", "a.yaml"]


def test_many_that_write_at_once_all_get_there(tmp_path: Path, server: GitServer, repository: Repository) -> None:
    """Three operators with four files each: twelve commits in a row, and no merge."""
    remote, left = GitRemote(server.url("models.git"), RIGHT), []

    def work(number: int) -> None:
        mirrors = GitMirrors(tmp_path / f"cache-{number}", ("http",))
        todo = [f"{number}-{turn}.yaml" for turn in range(4)]
        for _ in range(80):
            try:
                mirrors.append(remote, BRANCH, commits(*todo[:1]))
            except Transient as error:
                overtaken.add(error.reason)
            else:
                todo.pop(0)
            if not todo:
                return
        left.append(todo)

    overtaken: set[str] = set()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not left
    assert overtaken <= {"PushRefused"}
    assert sorted(log(repository)) == sorted(f"{number}-{turn}.yaml" for number in range(3) for turn in range(4))
    assert git(repository.path, "rev-list", "--merges", BRANCH) == ""


def test_one_that_is_always_overtaken_gives_up_for_now(
    mirrors: GitMirrors, server: GitServer, repository: Repository
) -> None:
    """Nothing is forced; it says so, and is tried again later."""
    others = (f"{number}.md" for number in range(1000))

    def overtake(request: str) -> None:
        if request.startswith("GET") and PUSH in request:
            repository.commit({next(others): "theirs\n"}, branch=BRANCH)

    server.before = overtake
    error = refused(mirrors, GitRemote(server.url("models.git"), RIGHT))

    assert (error.reason, type(error)) == ("PushRefused", Transient)
    assert f"refuses branch {BRANCH}: fetch first" in error.message
    assert set(log(repository)) == {"change"}


def test_branch_that_was_taken_away_begins_anew(mirrors: GitMirrors, remote: GitRemote, repository: Repository) -> None:
    """What is asked for is written; what was written before is not of interest any more."""
    mirrors.append(remote, BRANCH, commits("a.yaml"))
    git(repository.path, "update-ref", "-d", f"refs/heads/{BRANCH}")
    mirrors.append(remote, BRANCH, commits("b.yaml"))
    assert log(repository) == ["b.yaml"]


def test_credentials_that_may_only_read_are_told_so(
    mirrors: GitMirrors, server: GitServer, repository: Repository
) -> None:
    """One line: what they may not, and both ways out."""
    git(repository.path, "config", "http.receivepack", "false")
    remote = GitRemote(server.url("models.git"), RIGHT)
    assert mirrors.fetch(remote, branch="main", tag=None, commit=None)

    error = refused(mirrors, remote)

    assert (error.reason, type(error)) == ("PushForbidden", Transient)
    where = f"http://127.0.0.1:{server.port}/models.git"
    assert error.message == (
        f"{where} may be read with the credentials of spec.secretRef, but not written: let them push branch {BRANCH}, "
        "or take spec.outcomes out"
    )


def test_a_hook_that_refuses_is_quoted_without_the_password(
    mirrors: GitMirrors, server: GitServer, repository: Repository
) -> None:
    """Its own first words, even if it echoes what it was given; what is fetched goes on."""
    repository.hook("pre-receive", f"echo '===='\necho 'unsigned commits are not taken, {SECRET}' >&2\nexit 1")
    remote = GitRemote(server.url("models.git"), RIGHT)

    error = refused(mirrors, remote)

    assert error.reason == "PushRefused"
    said = f"refuses branch {BRANCH}: pre-receive hook declined: unsigned commits are not taken, …"
    assert error.message.endswith(said)
    assert mirrors.fetch(remote, branch="main", tag=None, commit=None)
    assert not git(repository.path, "for-each-ref", f"refs/heads/{BRANCH}")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        pytest.param(lambda server: setattr(server, "status", 503), "Unreachable", id="failing"),
        pytest.param(lambda server: setattr(server, "password", "other"), "AuthenticationFailed", id="revoked"),
        pytest.param(lambda server: setattr(server, "hang", threading.Event()), "Timeout", id="hanging"),
    ],
)
def test_a_server_that_is_not_well_is_said_as_for_a_fetch(
    tmp_path: Path, server: GitServer, wrong: Callable[[GitServer], None], reason: str
) -> None:
    """In words of its own, within the deadline."""
    wrong(server)
    mirrors = GitMirrors(tmp_path / "cache", ("http",), deadline=0.7)
    assert refused(mirrors, GitRemote(server.url("models.git"), RIGHT)).reason == reason


def test_a_push_that_hangs_after_it_landed_is_not_repeated(
    tmp_path: Path, server: GitServer, repository: Repository
) -> None:
    """The answer is lost and the next try finds the file."""
    mirrors = GitMirrors(tmp_path / "cache", ("http",), deadline=1.5)
    remote = GitRemote(server.url("models.git"), RIGHT)
    repository.hook("post-receive", "exec >&- 2>&-\nsleep 3")

    assert refused(mirrors, remote).reason == "Timeout"
    tip = git(repository.path, "rev-parse", BRANCH)
    mirrors.append(remote, BRANCH, commits("a.yaml"))
    assert git(repository.path, "rev-parse", BRANCH) == tip


def test_a_file_where_a_directory_should_be_is_not_replaced(
    mirrors: GitMirrors, remote: GitRemote, repository: Repository
) -> None:
    """A human put it there."""
    repository.commit({"team": "a file\n"}, branch=BRANCH, orphan=True)
    error = refused(mirrors, remote)
    assert (error.reason, isinstance(error, Stalled)) == ("PathTaken", True)
    assert files(repository) == {"team": "a file"}


def test_a_branch_below_another_branch_is_refused_with_the_servers_words(
    mirrors: GitMirrors, remote: GitRemote, repository: Repository
) -> None:
    """`modelops` is a branch, so git has no room for `modelops/outcomes`."""
    git(repository.path, "branch", "modelops", "main")
    error = refused(mirrors, remote)
    assert error.reason == "PushRefused"
    assert "refs/heads/modelops" in error.message


def test_words_of_others_are_no_commands(mirrors: GitMirrors, remote: GitRemote, repository: Repository) -> None:
    """A message and a content that look like git's own stream are just a message and a content."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    hostile = "x\nreset refs/heads/main\n\ncommit refs/heads/main\ndata 1\nD deploy/a.yaml\n"
    one = FileCommit("team/price/a.yaml", hostile.encode(), hostile, "A Robot <r@example.com>", at)

    mirrors.append(remote, BRANCH, [one])

    assert files(repository)["team/price/a.yaml"] == hostile.removesuffix("\n")
    assert git(repository.path, "show", "main:deploy/a.yaml") == "a: 1"
    assert len(log(repository)) == 1


def _emptied(mirror: Path) -> None:
    for file in (mirror / "objects").rglob("*"):
        if file.is_file():
            file.unlink()
            file.write_bytes(b"")


def _without_objects(mirror: Path) -> None:
    for directory in (mirror / "objects").iterdir():
        shutil.rmtree(directory)


@pytest.mark.parametrize("damage", [_emptied, _without_objects, shutil.rmtree])
def test_a_mirror_that_is_damaged_or_gone_is_begun_anew(
    mirrors: GitMirrors, remote: GitRemote, repository: Repository, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """It is a cache; a try may be lost, and nothing else."""
    mirrors.append(remote, BRANCH, commits("a.yaml"))
    (mirror,) = (tmp_path / "cache").iterdir()
    damage(mirror)
    for _ in range(3):
        with suppress(Transient):
            mirrors.append(remote, BRANCH, commits("b.yaml"))
    assert log(repository) == ["a.yaml", "b.yaml"]


def test_nobody_pushes_who_does_not_lead(tmp_path: Path, repository: Repository) -> None:
    """As with every write."""
    time = [0.0]
    fence = Fence(now=lambda: time[0])
    mirrors = GitMirrors(tmp_path / "cache", ("file",), fence=fence)
    remote = GitRemote(repository.url)
    assert refused(mirrors, remote).reason == "NotLeader"
    fence.hold(timedelta(seconds=10).total_seconds())
    mirrors.append(remote, BRANCH, commits("a.yaml"))
    assert log(repository) == ["a.yaml"]

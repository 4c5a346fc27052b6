"""GitMirrors on real git, over file:// and over a real smart HTTP server: what is fetched, and what is refused."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelops.adapters.git import GitMirrors
from modelops.errors import Stalled, Transient
from modelops.ports import GitRemote
from tests.support.git_server import GitServer, Repository, git, serving

SCHEMES = ("file", "http")
Fetch = Callable[..., str]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with a branch and one manifest."""
    made = Repository.make(tmp_path / "served" / "models.git")
    made.commit({"deploy/a.yaml": "a: 1\n", "deploy/deep/b.yaml": "b: 1\n"})
    return made


@pytest.fixture
def server(repository: Repository) -> Iterator[GitServer]:
    """It, behind HTTP."""
    with serving(repository.path.parent) as running:
        yield running


@pytest.fixture(params=["file", "http"])
def remote(request: pytest.FixtureRequest, repository: Repository, server: GitServer) -> GitRemote:
    """It, over both transports."""
    return GitRemote(repository.url if request.param == "file" else server.url("models.git"))


@pytest.fixture
def mirrors(tmp_path: Path) -> GitMirrors:
    """Mirrors that were never used."""
    return GitMirrors(tmp_path / "cache", SCHEMES, deadline=20)


def fetch(mirrors: GitMirrors, remote: GitRemote, **ref: str) -> str:
    """Fetch a ref; branch main unless told."""
    wanted = ref or {"branch": "main"}
    return mirrors.fetch(remote, branch=wanted.get("branch"), tag=wanted.get("tag"), commit=wanted.get("commit"))


def tip(repository: Repository, name: str = "main") -> str:
    """Return the commit of a name, as git itself says."""
    return git(repository.path, "rev-parse", f"{name}^{{commit}}")


def test_a_branch_is_fetched_and_its_files_are_read(
    mirrors: GitMirrors, remote: GitRemote, repository: Repository
) -> None:
    """Files come sorted, from the root, without those of other directories."""
    commit = fetch(mirrors, remote)
    blobs = mirrors.tree(remote, commit, "deploy")

    assert commit == tip(repository)
    assert [blob.path for blob in blobs] == ["deploy/a.yaml", "deploy/deep/b.yaml"]
    assert mirrors.read(remote, blobs[0], limit=100) == b"a: 1\n"
    assert mirrors.blob(remote, commit, "deploy/a.yaml") == blobs[0]
    assert mirrors.blob(remote, commit, "deploy") is None
    assert mirrors.blob(remote, commit, "deploy/none.yaml") is None


@pytest.mark.parametrize("path", [".", "./", "deploy/.."])
def test_the_root_is_a_directory_and_dots_up_are_refused(mirrors: GitMirrors, remote: GitRemote, path: str) -> None:
    """`.` is the whole repository; `..` is no path."""
    commit = fetch(mirrors, remote)
    if ".." in path:
        with pytest.raises(Stalled, match="leaves the repository"):
            mirrors.tree(remote, commit, path)
    else:
        assert len(mirrors.tree(remote, commit, path)) == 3


@pytest.mark.parametrize("annotated", [True, False], ids=["annotated", "lightweight"])
def test_a_tag_is_the_commit_it_names(
    mirrors: GitMirrors, remote: GitRemote, repository: Repository, *, annotated: bool
) -> None:
    """Never the tag object; a tag that moves is followed."""
    words = ["-a", "-m", "release"] if annotated else []
    git(repository.path, "tag", *words, "v1", "main")
    first = tip(repository)
    assert fetch(mirrors, remote, tag="v1") == first

    second = repository.commit({"deploy/a.yaml": "a: 2\n"})
    git(repository.path, "tag", *words, "--force", "v1", "main")
    assert fetch(mirrors, remote, tag="v1") == second


def test_a_tag_and_a_branch_of_one_name_are_told_apart(
    mirrors: GitMirrors, remote: GitRemote, repository: Repository
) -> None:
    """spec.ref says which is meant."""
    old = tip(repository)
    git(repository.path, "tag", "main", old)
    new = repository.commit({"deploy/a.yaml": "a: 2\n"})

    assert fetch(mirrors, remote, branch="main") == new
    assert fetch(mirrors, remote, tag="main") == old


def test_a_commit_is_fetched_even_where_no_branch_ends_in_it(
    mirrors: GitMirrors, remote: GitRemote, repository: Repository
) -> None:
    """An older commit of a branch."""
    old = tip(repository)
    repository.commit({"deploy/a.yaml": "a: 2\n"})

    assert fetch(mirrors, remote, commit=old) == old
    assert [blob.path for blob in mirrors.tree(remote, old, "deploy/deep")] == ["deploy/deep/b.yaml"]


def test_a_commit_that_nobody_has_is_refused(mirrors: GitMirrors, remote: GitRemote) -> None:
    """A human has to correct it."""
    with pytest.raises(Stalled) as refused:
        fetch(mirrors, remote, commit="1" * 40)
    assert refused.value.reason == "RefNotFound"


def test_new_commits_forced_pushes_and_a_return_are_followed(
    mirrors: GitMirrors, remote: GitRemote, repository: Repository
) -> None:
    """What the branch names counts, not what came last."""
    first = fetch(mirrors, remote)
    second = repository.commit({"deploy/a.yaml": "a: 2\n"})
    assert fetch(mirrors, remote) == second

    forced = repository.commit({"other.yaml": "c: 1\n"}, orphan=True)
    assert fetch(mirrors, remote) == forced
    with pytest.raises(Stalled) as refused:
        mirrors.tree(remote, forced, "deploy")
    assert refused.value.reason == "PathNotFound"

    git(repository.path, "update-ref", "refs/heads/main", first)
    assert fetch(mirrors, remote) == first
    assert len(mirrors.tree(remote, first, "deploy")) == 2


def test_a_branch_may_be_replaced_by_one_below_its_name(
    mirrors: GitMirrors, remote: GitRemote, repository: Repository
) -> None:
    """`feature` goes, `feature/x` comes."""
    repository.commit({"x": "1"}, branch="feature")
    fetch(mirrors, remote, branch="feature")
    git(repository.path, "update-ref", "-d", "refs/heads/feature")
    below = repository.commit({"x": "2"}, branch="feature/x")

    assert fetch(mirrors, remote, branch="feature/x") == below


def test_a_deleted_branch_stalls_and_names_it(mirrors: GitMirrors, remote: GitRemote, repository: Repository) -> None:
    """Not an old commit out of the mirror."""
    repository.commit({"x": "1"}, branch="gone")
    fetch(mirrors, remote, branch="gone")
    git(repository.path, "update-ref", "-d", "refs/heads/gone")

    with pytest.raises(Stalled, match="heads/gone") as refused:
        fetch(mirrors, remote, branch="gone")
    assert refused.value.reason == "RefNotFound"


def test_an_empty_repository_has_no_branch(mirrors: GitMirrors, tmp_path: Path) -> None:
    """A repository that was just made."""
    (tmp_path / "new.git").mkdir()
    git(tmp_path / "new.git", "init", "--quiet", "--bare")

    with pytest.raises(Stalled) as refused:
        fetch(mirrors, GitRemote(f"file://{tmp_path}/new.git"))
    assert refused.value.reason == "RefNotFound"


def test_a_poll_without_news_asks_once_and_fetches_nothing(
    mirrors: GitMirrors, repository: Repository, server: GitServer
) -> None:
    """One listing of one ref; no pack, no discovery of everything."""
    remote = GitRemote(server.url("models.git"))
    first = fetch(mirrors, remote)
    server.requests.clear()

    assert fetch(mirrors, remote) == first
    assert [line for line in server.requests if "upload-pack" in line] == server.requests
    assert len(server.requests) == 2
    server.requests.clear()
    assert fetch(mirrors, remote, commit=first) == first
    assert server.requests == []


def test_a_new_commit_costs_its_own_bytes_only(mirrors: GitMirrors, repository: Repository, server: GitServer) -> None:
    """What the mirror has is not sent again."""
    noise = b"".join(number.to_bytes(4, "little") for number in range(0, 4_000_000_000, 40_001))
    repository.commit({"data.bin": noise})
    remote = GitRemote(server.url("models.git"))
    fetch(mirrors, remote)
    first, server.sent = server.sent, 0
    repository.commit({"deploy/a.yaml": "a: 2\n"})

    fetch(mirrors, remote)

    assert first > 100_000
    assert server.sent < 10_000


def test_a_damaged_mirror_is_begun_anew(mirrors: GitMirrors, remote: GitRemote, tmp_path: Path) -> None:
    """Whatever a crash or a full disk left behind."""
    commit = fetch(mirrors, remote)
    (mirror,) = (tmp_path / "cache").iterdir()
    for damage in ("HEAD", "objects"):
        for path in sorted((mirror / damage).rglob("*"), reverse=True):
            if path.is_file():
                path.unlink()
        if (mirror / damage).is_file():
            (mirror / damage).write_text("")

        assert fetch(mirrors, remote) == commit
        assert len(mirrors.tree(remote, commit, "deploy")) == 2


def test_a_lost_object_heals_with_the_next_fetch(
    mirrors: GitMirrors, remote: GitRemote, repository: Repository, tmp_path: Path
) -> None:
    """The commit is there, one of its files is not."""
    commit = fetch(mirrors, remote)
    blob = mirrors.tree(remote, commit, "deploy")[0]
    (mirror,) = (tmp_path / "cache").iterdir()
    for pack in (mirror / "objects" / "pack").glob("*.pack"):
        content = pack.read_bytes()
        pack.rename(tmp_path / pack.name)
        git(mirror, "unpack-objects", "-q", stdin=content)
    (mirror / "objects" / blob.oid[:2] / blob.oid[2:]).unlink()

    with pytest.raises(Transient):
        mirrors.read(remote, blob, limit=100)

    assert fetch(mirrors, remote) == commit
    assert mirrors.read(remote, blob, limit=100) == b"a: 1\n"

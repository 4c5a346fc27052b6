"""GitMirrors where no answer comes: refused, missing, away, too slow; and no secret in what is said of it."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelops.adapters.git import GitMirrors
from modelops.errors import ModelopsError, Stalled, Transient
from modelops.ports import GitRemote
from tests.support.git_server import GitServer, Repository, git, serving

SECRET = "hunter2-very-secret"
RIGHT = {"username": b"robot", "password": SECRET.encode()}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with one manifest."""
    made = Repository.make(tmp_path / "served" / "models.git")
    made.commit({"deploy/a.yaml": "a: 1\n"})
    return made


@pytest.fixture
def guarded(repository: Repository) -> Iterator[GitServer]:
    """It, for those who know the password."""
    with serving(repository.path.parent, user="robot", password=SECRET) as running:
        yield running


@pytest.fixture
def mirrors(tmp_path: Path) -> GitMirrors:
    """Mirrors that were never used."""
    return GitMirrors(tmp_path / "cache", ("file", "http"), deadline=20)


def refused(mirrors: GitMirrors, remote: GitRemote) -> ModelopsError:
    """Fetch, which must fail; return the error, which must hold no secret anywhere in its chain."""
    with pytest.raises(ModelopsError) as caught:
        mirrors.fetch(remote, branch="main", tag=None, commit=None)
    error: BaseException | None = caught.value
    while error is not None:
        hidden = error.__suppress_context__
        assert SECRET not in repr(error) + str(error) + repr(getattr(error, "__dict__", {}))
        error = error.__cause__ or (None if hidden else error.__context__)
    assert "\n" not in caught.value.message
    return caught.value


def test_the_right_credentials_open_the_repository(
    mirrors: GitMirrors, guarded: GitServer, repository: Repository, tmp_path: Path
) -> None:
    """And stay nowhere: not in the mirror, not in what is printed."""
    remote = GitRemote(guarded.url("models.git"), RIGHT)

    commit = mirrors.fetch(remote, branch="main", tag=None, commit=None)

    assert commit == git(repository.path, "rev-parse", "main")
    assert SECRET not in repr(remote)
    for path in (tmp_path / "cache").rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    "credentials",
    [
        pytest.param({"username": b"robot", "password": f"{SECRET}-no".encode()}, id="wrong password"),
        pytest.param({"username": b"somebody", "password": SECRET.encode()}, id="wrong user"),
        pytest.param({"username": b"robot", "password": b""}, id="empty password"),
        pytest.param({"username": b"robot"}, id="no password"),
        pytest.param(None, id="no credentials"),
    ],
)
def test_wrong_credentials_are_named_and_may_be_mended(
    mirrors: GitMirrors, guarded: GitServer, credentials: dict[str, bytes] | None
) -> None:
    """Transient: the Secret is corrected out of our sight."""
    error = refused(mirrors, GitRemote(guarded.url("models.git"), credentials))

    assert isinstance(error, Transient)
    assert error.reason == "AuthenticationFailed"
    assert "spec.secretRef" in error.message


def test_credentials_in_the_url_are_never_told(mirrors: GitMirrors, guarded: GitServer) -> None:
    """Whether git takes them or not."""
    url = f"http://robot:{SECRET}@127.0.0.1:{guarded.port}/none.git"

    assert f"127.0.0.1:{guarded.port}/none.git" in refused(mirrors, GitRemote(url)).message


@pytest.mark.parametrize("name", ["none.git", "team-401.git", "error-403.git", "timeout.git"])
def test_a_missing_repository_is_called_missing(mirrors: GitMirrors, guarded: GitServer, name: str) -> None:
    """Whatever digits and words its URL has."""
    error = refused(mirrors, GitRemote(guarded.url(name), RIGHT))

    assert isinstance(error, Transient)
    assert error.reason == "RepositoryNotFound"


def test_a_missing_directory_is_a_missing_repository(mirrors: GitMirrors, tmp_path: Path) -> None:
    """Over file:// as well."""
    assert refused(mirrors, GitRemote(f"file://{tmp_path}/none-401.git")).reason == "RepositoryNotFound"


@pytest.mark.parametrize(
    "url",
    [
        "ssh://git@example.com/models.git",
        "ext::sh -c touch% /tmp/owned",
        "https://example.com/models.git",
        "--upload-pack=touch /tmp/owned",
        "/etc",
        "git@example.com:models.git",
    ],
)
def test_other_schemes_are_refused_before_git_runs(mirrors: GitMirrors, tmp_path: Path, url: str) -> None:
    """And leave no mirror behind."""
    error = refused(mirrors, GitRemote(url))

    assert isinstance(error, Stalled)
    assert error.reason == "SchemeNotAllowed"
    assert not (tmp_path / "cache").exists()


def test_a_server_that_fails_or_is_gone_is_unreachable(mirrors: GitMirrors, guarded: GitServer) -> None:
    """Transient, with the address."""
    guarded.status = 503
    remote = GitRemote(guarded.url("models.git"), RIGHT)
    assert (refused(mirrors, remote).reason, type(refused(mirrors, remote))) == ("Unreachable", Transient)

    gone = refused(mirrors, GitRemote("http://127.0.0.1:1/models.git", RIGHT))
    assert (gone.reason, type(gone)) == ("Unreachable", Transient)
    assert "127.0.0.1:1" in gone.message


def test_a_server_that_hangs_costs_one_deadline(
    tmp_path: Path, guarded: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there is no ps, as in a small image."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "git").symlink_to("/usr/bin/git")
    monkeypatch.setenv("PATH", str(tools))
    guarded.hang = threading.Event()
    began = time.monotonic()

    error = refused(GitMirrors(tmp_path / "cache", ("http",), deadline=0.5), GitRemote(guarded.url("models.git")))

    assert (error.reason, type(error)) == ("Timeout", Transient)
    assert time.monotonic() - began < 5


def test_a_redirect_is_not_followed(mirrors: GitMirrors, guarded: GitServer) -> None:
    """It could lead to where the allow-list does not reach."""
    guarded.status = 302

    assert isinstance(refused(mirrors, GitRemote(guarded.url("models.git"), RIGHT)), Transient)


@pytest.mark.parametrize(
    ("stderr", "reason", "said"),
    [
        pytest.param(
            "git@host: Permission denied (publickey).\r\nfatal: Could not read from remote repository.\n\n"
            "Please make sure you have the correct access rights\nand the repository exists.\n",
            "AuthenticationFailed",
            "spec.secretRef",
            id="wrong key",
        ),
        pytest.param(
            "Host key verification failed.\r\nfatal: Could not read from remote repository.\n\n"
            "Please make sure you have the correct access rights\nand the repository exists.\n",
            "HostKeyUnknown",
            "Host key verification failed.",
            id="unknown host",
        ),
        pytest.param("warning: x\nfatal: cannot\n", "Unreachable", "fatal: cannot", id="a warning first"),
        pytest.param("", "Unreachable", "said nothing", id="silence"),
    ],
)
def test_what_ssh_says_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stderr: str, reason: str, said: str
) -> None:
    """The line that names the cause, not the last one of the advice."""
    (tmp_path / "told").write_text(stderr)
    (tmp_path / "ssh").write_text(f"#!/bin/sh\ncat {tmp_path}/told >&2\nexit 255\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    remote = GitRemote("ssh://git@host/models.git", {"identity": SECRET.encode(), "known_hosts": b""})

    error = refused(GitMirrors(tmp_path / "cache", ("ssh",)), remote)

    assert error.reason == reason
    if stderr:
        assert said in error.message

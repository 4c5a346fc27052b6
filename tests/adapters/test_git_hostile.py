"""GitMirrors over a repository that means harm: links, submodules, hooks, sizes, and whose configuration counts."""

from pathlib import Path

import pytest

from modelops.adapters.git import GitMirrors
from modelops.errors import Stalled, Transient
from modelops.ports import GitBlob, GitRemote
from tests.support.git_server import Repository, git


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with one manifest."""
    made = Repository.make(tmp_path / "served" / "models.git")
    made.commit({"deploy/a.yaml": "a: 1\n"})
    return made


@pytest.fixture
def mirrors(tmp_path: Path) -> GitMirrors:
    """Mirrors that were never used."""
    return GitMirrors(tmp_path / "cache", ("file",))


def test_symlinks_submodules_and_odd_names_are_not_files(mirrors: GitMirrors, repository: Repository) -> None:
    """A link would lead out; a submodule would fetch from elsewhere."""
    commit = repository.commit(
        {
            "deploy/link.yaml": "/etc/passwd",
            "deploy/sub": git(repository.path, "rev-parse", "main"),
            "deploy/run.yaml": "b: 1\n",
            "deploy/\udcff.yaml": "c: 1\n",
            ".gitmodules": '[submodule "sub"]\n path = deploy/sub\n url = ext::sh -c "touch owned"\n',
        },
        modes={"deploy/link.yaml": "120000", "deploy/sub": "160000", "deploy/run.yaml": "100755"},
    )
    remote = GitRemote(repository.url)
    assert mirrors.fetch(remote, branch="main", tag=None, commit=None) == commit

    paths = [blob.path for blob in mirrors.tree(remote, commit, "deploy")]

    assert paths == ["deploy/a.yaml", "deploy/run.yaml", "deploy/\ufffd.yaml"]
    assert mirrors.blob(remote, commit, "deploy/link.yaml") is None


def test_a_blob_over_the_limit_is_not_read(mirrors: GitMirrors, repository: Repository) -> None:
    """Neither by what the listing says nor by a size that lies."""
    commit = repository.commit({"deploy/big.yaml": "x" * 2000})
    remote = GitRemote(repository.url)
    mirrors.fetch(remote, branch="main", tag=None, commit=None)
    blob = mirrors.blob(remote, commit, "deploy/big.yaml")
    assert blob is not None
    assert blob.size == 2000

    with pytest.raises(Stalled, match="2000 bytes, at most 1999") as error:
        mirrors.read(remote, blob, limit=1999)
    assert error.value.reason == "TooLarge"
    assert len(mirrors.read(remote, blob, limit=2000)) == 2000
    with pytest.raises(Transient, match=r"models\.git"):
        mirrors.read(remote, GitBlob("deploy/big.yaml", "1" * 40, 3), limit=10)


def test_too_many_files_and_too_deep_ones_are_refused(mirrors: GitMirrors, repository: Repository) -> None:
    """Before anything is read."""
    deep = "/".join(["d"] * 40)
    commit = repository.commit({f"{deep}/a.yaml": "a: 1\n"})
    remote = GitRemote(repository.url)
    mirrors.fetch(remote, branch="main", tag=None, commit=None)

    with pytest.raises(Stalled) as error:
        mirrors.tree(remote, commit, "d")
    assert error.value.reason == "TooLarge"
    with pytest.raises(Stalled) as error:
        mirrors.tree(remote, commit, "none")
    assert error.value.reason == "PathNotFound"


def test_no_hook_and_no_configuration_of_anybody_takes_part(
    mirrors: GitMirrors, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the repository's, not the user's, not the environment's."""
    owned = tmp_path / "owned"
    script = f"#!/bin/sh\ntouch {owned}\nexec cat\n"
    template = tmp_path / "template" / "hooks"
    template.mkdir(parents=True)
    for directory in (repository.path / "hooks", template):
        for hook in ("post-update", "post-checkout", "post-merge", "reference-transaction", "update", "pre-auto-gc"):
            (directory / hook).write_text(script)
            (directory / hook).chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    away = f'[url "file://{tmp_path}/none"]\n insteadOf = {repository.url}\n'
    (home / ".gitconfig").write_text(f"[init]\n templateDir = {template.parent}\n{away}")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(template.parent))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere.git"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.file://{tmp_path}/none.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", repository.url)
    git(repository.path, "config", "uploadpack.packObjectsHook", str(template / "update"))
    remote = GitRemote(repository.url)

    for content in ("a: 2\n", "a: 3\n"):
        commit = repository.commit({"deploy/a.yaml": content}, branch="other")
        owned.unlink(missing_ok=True)
        assert mirrors.fetch(remote, branch="other", tag=None, commit=None) == commit
        (blob,) = mirrors.tree(remote, commit, "deploy")
        assert mirrors.read(remote, blob, limit=100) == content.encode()
        assert not owned.exists()

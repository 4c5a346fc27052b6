"""Private remotes: an authority of one's own, bearer tokens, ssh with known hosts, credentials that change."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelops.adapters.git import GitMirrors
from modelops.domain.plan import FileCommit
from modelops.errors import ModelopsError, Stalled
from modelops.localhome.children import free_port, port_is_free
from modelops.ports import GitRemote
from tests.chaos.house import until
from tests.support.git_server import GitServer, Repository, authority, git, serving

TOKEN = "b3ar3r-t0k3n"
SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.make(tmp_path / "served" / "models.git")


@pytest.fixture
def mirrors(tmp_path: Path) -> GitMirrors:
    return GitMirrors(tmp_path / "cache", ("https", "ssh"), deadline=20)


@pytest.fixture
def private(repository: Repository, tmp_path: Path) -> Iterator[tuple[GitServer, bytes]]:
    """A server over TLS that wants a token, and its authority."""
    pem, certificate = authority(tmp_path / "authority")
    with serving(repository.path.parent, token=TOKEN, certificate=certificate) as running:
        yield running, pem


def tip(mirrors: GitMirrors, remote: GitRemote) -> str:
    return mirrors.fetch(remote, branch="main", tag=None, commit=None)


def refused(mirrors: GitMirrors, remote: GitRemote) -> ModelopsError:
    with pytest.raises(ModelopsError) as caught:
        tip(mirrors, remote)
    assert "\n" not in caught.value.message
    assert TOKEN not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("key", ["ca.crt", "caFile"])
def test_authority_of_ones_own_and_a_token_open_the_repository(
    mirrors: GitMirrors, private: tuple[GitServer, bytes], repository: Repository, key: str, tmp_path: Path
) -> None:
    """And the token stays nowhere on disk."""
    server, pem = private
    remote = GitRemote(server.url("models.git"), {key: pem, "bearerToken": TOKEN.encode() + b"\n"})
    assert tip(mirrors, remote) == git(repository.path, "rev-parse", "main")
    assert all(TOKEN.encode() not in path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_unknown_authority_is_said_with_the_key_that_mends_it(
    mirrors: GitMirrors, private: tuple[GitServer, bytes], tmp_path: Path
) -> None:
    """Without one, and with another one."""
    server, _ = private
    other, _ = authority(tmp_path / "other")
    for credentials in ({"bearerToken": TOKEN.encode()}, {"bearerToken": TOKEN.encode(), "ca.crt": other}):
        error = refused(mirrors, GitRemote(server.url("models.git"), credentials))
        assert error.reason == "CertificateUntrusted"
        assert "as ca.crt" in error.message


def test_token_that_was_revoked_is_said_and_the_new_one_works_at_once(
    mirrors: GitMirrors, private: tuple[GitServer, bytes], repository: Repository
) -> None:
    """Credentials are read anew for every call; what was fetched before can be read all the time."""
    server, pem = private
    remote = GitRemote(server.url("models.git"), {"ca.crt": pem, "bearerToken": TOKEN.encode()})
    commit = tip(mirrors, remote)
    server.token = "rotated"
    repository.commit({"more.txt": "x"})
    error = refused(mirrors, remote)
    assert (error.reason, "spec.secretRef" in error.message) == ("AuthenticationFailed", True)
    assert mirrors.blob(remote, commit, "README.md") is not None
    renewed = GitRemote(server.url("models.git"), {"ca.crt": pem, "bearerToken": b"rotated"})
    assert tip(mirrors, renewed) == git(repository.path, "rev-parse", "main") != commit


def test_token_and_password_at_once_are_refused(mirrors: GitMirrors, private: tuple[GitServer, bytes]) -> None:
    """Nobody can know which one is meant."""
    credentials = {"bearerToken": b"a", "password": b"b"}
    error = refused(mirrors, GitRemote(private[0].url("models.git"), credentials))
    assert isinstance(error, Stalled)
    assert error.reason == "InvalidSecret"


@dataclass
class Ssh:
    """A real sshd on loopback that serves one repository to one key."""

    port: int
    directory: Path
    user: str

    def url(self, repository: Repository) -> str:
        return f"ssh://{self.user}@127.0.0.1:{self.port}{repository.path}"

    def secret(self, *, known: bool = True) -> dict[str, bytes]:
        host = (self.directory / "host.pub").read_text().split()
        hosts = f"[127.0.0.1]:{self.port} {host[0]} {host[1]}\n" if known else ""
        return {"identity": (self.directory / "key").read_bytes(), "known_hosts": hosts.encode()}


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[Ssh]:
    if not Path(SSHD).exists():
        pytest.skip("sshd is not installed; it is in the package openssh-server")
    directory = tmp_path / "ssh"
    directory.mkdir(mode=0o700)
    for name in ("host", "key", "other"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)]
        subprocess.run(keygen, check=True)
    shutil.copy(directory / "key.pub", directory / "authorized_keys")
    port = free_port()
    lines = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": directory / "host",
        "AuthorizedKeysFile": directory / "authorized_keys",
        "PidFile": directory / "pid",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "StrictModes": "no",
    }
    (directory / "config").write_text("".join(f"{key} {value}\n" for key, value in lines.items()))
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(directory / "config")], stdout=log, stderr=log)
    until(lambda: not port_is_free(port), 10, "sshd does not listen")
    try:
        yield Ssh(port, directory, subprocess.check_output(["id", "-un"], text=True).strip())
    finally:
        server.terminate()
        server.wait(10)


def test_ssh_with_a_known_host_and_the_right_key_opens_the_repository(
    mirrors: GitMirrors, ssh: Ssh, repository: Repository
) -> None:
    """A key without its last newline too, as people paste them."""
    secret = ssh.secret()
    secret["identity"] = secret["identity"].rstrip(b"\n")
    assert tip(mirrors, GitRemote(ssh.url(repository), secret)) == git(repository.path, "rev-parse", "main")


def test_ssh_host_that_nobody_vouches_for_is_refused(mirrors: GitMirrors, ssh: Ssh, repository: Repository) -> None:
    """No host key is ever taken on trust."""
    error = refused(mirrors, GitRemote(ssh.url(repository), ssh.secret(known=False)))
    assert error.reason == "HostKeyUnknown"
    assert "as known_hosts" in error.message


def test_ssh_key_that_was_rotated_is_refused_and_the_new_one_works(
    mirrors: GitMirrors, ssh: Ssh, repository: Repository
) -> None:
    """As with tokens."""
    remote = GitRemote(ssh.url(repository), ssh.secret())
    commit = tip(mirrors, remote)
    shutil.copy(ssh.directory / "other.pub", ssh.directory / "authorized_keys")
    assert refused(mirrors, remote).reason == "AuthenticationFailed"
    renewed = {**ssh.secret(), "identity": (ssh.directory / "other").read_bytes()}
    assert tip(mirrors, GitRemote(ssh.url(repository), renewed)) == commit


def outcome() -> FileCommit:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return FileCommit("team/price/a.yaml", b"outcome: Promoted\n", "price", "modelops <m@example.com>", at)


def test_token_and_key_that_may_write_do(
    mirrors: GitMirrors, private: tuple[GitServer, bytes], ssh: Ssh, repository: Repository
) -> None:
    """Over https with a token, and over ssh: the same credentials as for a fetch."""
    server, pem = private
    repository.let_push()
    token = {"ca.crt": pem, "bearerToken": TOKEN.encode()}
    mirrors.append(GitRemote(server.url("models.git"), token), "by-token", [outcome()])
    mirrors.append(GitRemote(ssh.url(repository), ssh.secret()), "by-key", [outcome()])
    assert git(repository.path, "rev-parse", "by-token") == git(repository.path, "rev-parse", "by-key")


def test_deploy_key_that_may_only_read_is_told_so(mirrors: GitMirrors, ssh: Ssh, repository: Repository) -> None:
    """In the words that forges have for it, which come over ssh before git's own."""
    key = (ssh.directory / "key.pub").read_text()
    gate = ssh.directory / "gate"
    gate.write_text(
        "#!/bin/sh\ncase $SSH_ORIGINAL_COMMAND in git-receive-pack*)\n"
        "echo 'ERROR: This deploy key does not have write access to this project.' >&2; exit 1;;\n"
        'esac\nexec sh -c "$SSH_ORIGINAL_COMMAND"\n'
    )
    gate.chmod(0o755)
    (ssh.directory / "authorized_keys").write_text(f'command="{gate}" {key}')
    remote = GitRemote(ssh.url(repository), ssh.secret())
    assert tip(mirrors, remote)

    with pytest.raises(ModelopsError) as caught:
        mirrors.append(remote, "modelops/outcomes", [outcome()])

    assert caught.value.reason == "PushForbidden"
    assert caught.value.message.endswith("(ERROR: This deploy key does not have write access to this project.)")

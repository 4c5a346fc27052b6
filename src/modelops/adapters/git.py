"""Repositories as bare mirrors behind GitPython. Implements `ports.Git`; the only place that runs git.

A repository is hostile input: nothing is ever checked out, no hook, filter, submodule or user configuration takes
part, blobs are read from the object database, and every call has a deadline and a limit on what it may read.
"""

import hashlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import git
from git.exc import GitCommandError, GitCommandNotFound

from modelops.errors import ModelopsError, Stalled, Transient
from modelops.ports import GitBlob, GitRemote

_DEADLINE: Final = 60
_MAX_FILES: Final = 10_000
_MAX_DEPTH: Final = 32
_LOCKED_DOWN: Final = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GCM_INTERACTIVE": "never",
    "LC_ALL": "C",
}
_OPTIONS: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=false",
    "credential.helper=",
    "http.followRedirects=false",
    "protocol.allow=never",
    "protocol.version=2",
    "fetch.fsckObjects=true",
    "transfer.credentialsInUrl=die",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "safe.bareRepository=all",
    "safe.directory=*",
)
_ASKPASS: Final = """#!/bin/sh
case "$1" in
*sername*) printf '%s\\n' "$MODELOPS_ASK_USERNAME" ;;
*) printf '%s\\n' "$MODELOPS_ASK_PASSWORD" ;;
esac
"""
_AUTH: Final = (
    "authentication failed",
    "could not read username",
    "permission denied",
    "403",
    "401",
    "invalid username",
)
_ABSENT: Final = ("not found", "does not exist", "does not appear to be a git repository", "404")
_MISSING_REF: Final = ("couldn't find remote ref", "not our ref", "unadvertised object", "no such ref")
_BROKEN: Final = ("not a git repository", "bad object", "corrupt", "unable to read", "invalid index")


class GitMirrors:
    """Mirrors of every repository that was ever asked for, one directory each.

    Args:
        cache_dir: parent of the mirrors; made when missing.
        schemes: URL schemes that may be fetched, such as https and ssh.
        deadline: of one git command. Seconds.
    """

    def __init__(self, cache_dir: Path, schemes: Sequence[str], *, deadline: float = _DEADLINE) -> None:
        self._cache = cache_dir
        self._schemes = frozenset(schemes)
        self._deadline = deadline
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def fetch(self, remote: GitRemote, *, branch: str | None, tag: str | None, commit: str | None) -> str:
        """Bring what the ref names into the mirror; return its commit, 40 hex digits.

        Raises:
            Stalled: the URL's scheme is not allowed (SchemeNotAllowed), the ref does not exist (RefNotFound).
            Transient: unreachable, refused, or too slow.
        """
        self._require_allowed(remote.url)
        wanted = f"refs/heads/{branch}" if branch else f"refs/tags/{tag}" if tag else str(commit)
        with self._locked(remote) as path:
            repo = self._opened(path)
            try:
                if commit and _has_commit(repo, commit):
                    return commit
                with _credentials(remote) as environment:
                    if not commit:
                        tip = self._tip(repo, remote, wanted, environment)
                        if _has_commit(repo, tip):
                            return _commit_of(repo, tip)
                    self._fetch(repo, remote, wanted, environment)
                return _commit_of(repo, commit or "FETCH_HEAD")
            finally:
                repo.close()

    def tree(self, remote: GitRemote, commit: str, path: str) -> Sequence[GitBlob]:
        """Return the regular files below a directory, sorted by path, paths from the root.

        Raises:
            Stalled: there is no such directory (PathNotFound), or too many files (TooLarge).
        """
        inside = _normal(path)
        with self._reading(remote) as repo:
            listing = self._run(
                repo, "ls-tree", "-r", "-z", "-l", "--full-tree", commit, "--", *([inside] if inside else [])
            )
            blobs = [blob for blob in _entries(listing) if blob is not None]
        below = [blob for blob in blobs if not inside or blob.path.startswith(inside + "/")]
        if not below:
            raise Stalled("PathNotFound", f"directory {path!r} does not exist at commit {commit[:12]} or has no files")
        if len(below) > _MAX_FILES or any(blob.path.count("/") > _MAX_DEPTH for blob in below):
            raise Stalled("TooLarge", f"{path!r} has more than {_MAX_FILES} files or is deeper than {_MAX_DEPTH}")
        return sorted(below, key=lambda blob: blob.path)

    def blob(self, remote: GitRemote, commit: str, path: str) -> GitBlob | None:
        """Return the regular file at a path, or None; no bytes are read."""
        inside = _normal(path)
        with self._reading(remote) as repo:
            if not _has_commit(repo, commit):
                return None
            listing = self._run(repo, "ls-tree", "-z", "-l", "--full-tree", commit, "--", inside)
            found = [blob for blob in _entries(listing) if blob is not None and blob.path == inside]
        return found[0] if found else None

    def read(self, remote: GitRemote, blob: GitBlob, *, limit: int) -> bytes:
        """Return the bytes of a blob, at most `limit`; larger is Stalled (TooLarge)."""
        if blob.size > limit:
            raise Stalled("TooLarge", f"{blob.path} has {blob.size} bytes, at most {limit} are read")
        with self._reading(remote) as repo:
            return bytes(repo.odb.stream(bytes.fromhex(blob.oid)).read())

    # --- inside ------------------------------------------------------------------------------------------------

    def _require_allowed(self, url: str) -> None:
        scheme = urlsplit(url).scheme
        if scheme not in self._schemes or url.startswith("-"):
            allowed = ", ".join(sorted(self._schemes))
            raise Stalled("SchemeNotAllowed", f"{shown(url)}: only {allowed} may be fetched here")

    @contextmanager
    def _locked(self, remote: GitRemote) -> Iterator[Path]:
        name = hashlib.sha256(remote.url.encode()).hexdigest()[:24]
        with self._guard:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            yield self._cache / f"{name}.git"

    @contextmanager
    def _reading(self, remote: GitRemote) -> Iterator[git.Repo]:
        with self._locked(remote) as path:
            repo = self._opened(path)
            try:
                yield repo
            except (GitCommandError, ValueError, OSError) as error:
                raise Transient("GitFailed", f"{shown(remote.url)}: {_first_line(error)}") from error
            finally:
                repo.close()

    def _opened(self, path: Path) -> git.Repo:
        """Return the mirror; one that is damaged is thrown away and begun anew."""
        try:
            if (path / "HEAD").exists():
                return git.Repo(path, odbt=git.GitCmdObjectDB)
        except (git.InvalidGitRepositoryError, git.NoSuchPathError, OSError):
            shutil.rmtree(path, ignore_errors=True)
        try:
            path.mkdir(parents=True, exist_ok=True)
            return git.Repo.init(path, bare=True, odbt=git.GitCmdObjectDB)
        except OSError as error:
            raise Transient(
                "GitCache", f"{path} cannot be written: {error.strerror}; check the cache directory"
            ) from error
        except GitCommandNotFound as error:
            raise Stalled("GitMissing", "git is not installed; install it") from error

    def _tip(self, repo: git.Repo, remote: GitRemote, ref: str, environment: Mapping[str, str]) -> str:
        listed = self._remote(repo, remote, environment, "ls-remote", "--", remote.url, ref, f"{ref}^{{}}")
        tips: dict[str, str] = {}
        for line in listed.splitlines():
            oid, _, name = line.partition("\t")
            tips[name] = oid
        tip = tips.get(f"{ref}^{{}}") or tips.get(ref)
        if tip is None:
            raise Stalled("RefNotFound", f"{shown(remote.url)} has no {ref.removeprefix('refs/')}; correct spec.ref")
        return tip

    def _fetch(self, repo: git.Repo, remote: GitRemote, wanted: str, environment: Mapping[str, str]) -> None:
        arguments = ("fetch", "--no-tags", "--no-recurse-submodules", "--no-write-commit-graph", "--force", "--quiet")
        try:
            self._remote(repo, remote, environment, *arguments, "--", remote.url, wanted)
        except Stalled:
            if not re.fullmatch(r"[0-9a-f]{40}", wanted):
                raise
            # A server may refuse single commits; then everything is fetched and looked through.
            refs = "+refs/heads/*:refs/remotes/origin/*"
            self._remote(repo, remote, environment, *arguments, "--", remote.url, refs)

    def _remote(self, repo: git.Repo, remote: GitRemote, environment: Mapping[str, str], *words: str) -> str:
        scheme = urlsplit(remote.url).scheme
        try:
            return self._run(repo, *words, allow=scheme, environment=environment)
        except GitCommandError as error:
            raise _translated(remote, error) from None

    def _run(
        self, repo: git.Repo, *words: str, allow: str | None = None, environment: Mapping[str, str] | None = None
    ) -> str:
        options = [*_OPTIONS, *([f"protocol.{allow}.allow=always"] if allow else [])]
        command = ["git", *(part for option in options for part in ("-c", option)), *words]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "SSH_"))}
        output = repo.git.execute(
            command,
            env={**inherited, **_LOCKED_DOWN, **(environment or {})},
            kill_after_timeout=self._deadline,
            strip_newline_in_stdout=False,
            stdout_as_string=True,
        )
        return str(output)


def shown(url: str) -> str:
    """Return a URL without user, password and query, for messages."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def _normal(path: str) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or path.startswith("/") or "\0" in path:
        raise Stalled("PathNotAllowed", f"{path!r} leaves the repository; write it relative to the root, without ..")
    return "/".join(parts)


def _entries(listing: str) -> Iterator[GitBlob | None]:
    for entry in listing.split("\0"):
        if not entry:
            continue
        described, _, path = entry.partition("\t")
        mode, kind, oid, size = described.split()
        regular = kind == "blob" and mode in ("100644", "100755")
        yield GitBlob(path, oid, int(size)) if regular else None


def _has_commit(repo: git.Repo, commit: str) -> bool:
    try:
        repo.git.cat_file("-e", f"{commit}^{{commit}}")
    except GitCommandError:
        return False
    return True


def _commit_of(repo: git.Repo, name: str) -> str:
    try:
        return str(repo.git.rev_parse("--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"))
    except GitCommandError as error:
        raise Stalled("RefNotFound", f"{name} does not name a commit; correct spec.ref") from error


@contextmanager
def _credentials(remote: GitRemote) -> Iterator[dict[str, str]]:
    """Yield the environment that answers for a remote; files live only as long as the call."""
    secrets = remote.credentials or {}
    if not secrets:
        yield {"GIT_ASKPASS": "true", "GIT_SSH_COMMAND": _ssh(None, None)}
        return
    with tempfile.TemporaryDirectory(prefix="modelops-git-") as name:
        directory = Path(name)
        environment = {}
        if "identity" in secrets:
            identity, hosts = directory / "identity", directory / "known_hosts"
            identity.touch(mode=0o600)
            identity.write_bytes(secrets["identity"])
            hosts.write_bytes(secrets.get("known_hosts", b""))
            environment["GIT_SSH_COMMAND"] = _ssh(identity, hosts)
        if "password" in secrets:
            askpass = directory / "askpass"
            askpass.touch(mode=0o700)
            askpass.write_text(_ASKPASS)
            environment |= {
                "GIT_ASKPASS": str(askpass),
                "MODELOPS_ASK_USERNAME": secrets.get("username", b"git").decode("utf-8", "replace"),
                "MODELOPS_ASK_PASSWORD": secrets["password"].decode("utf-8", "replace"),
            }
        yield environment


def _ssh(identity: Path | None, hosts: Path | None) -> str:
    words = [
        "ssh",
        "-F",
        "/dev/null",
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "ConnectTimeout=10",
    ]
    if identity is not None:
        words += ["-i", str(identity), "-o", "IdentitiesOnly=yes"]
    if hosts is not None:
        words += ["-o", f"UserKnownHostsFile={hosts}"]
    return " ".join(words)


def _translated(remote: GitRemote, error: GitCommandError) -> ModelopsError:
    text = str(error.stderr or error.stdout or "").lower()
    where = shown(remote.url)
    if any(sign in text for sign in _MISSING_REF):
        return Stalled("RefNotFound", f"{where} does not have what spec.ref names; correct it")
    if any(sign in text for sign in _AUTH):
        return Transient("AuthenticationFailed", f"{where} refuses the credentials; check spec.secretRef")
    if any(sign in text for sign in _ABSENT):
        return Transient("RepositoryNotFound", f"{where} does not exist, or the credentials may not see it")
    if "timeout" in text or "timed out" in text:
        return Transient("Timeout", f"{where} did not answer in time")
    return Transient("Unreachable", f"{where}: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    text = str(getattr(error, "stderr", "") or error)
    lines = [line.strip(" '") for line in text.splitlines() if line.strip(" '") and "stderr:" not in line[:10]]
    return re.sub(r"://[^/@\s]+@", "://…@", lines[-1])[:300] if lines else type(error).__name__

"""Repositories as bare mirrors behind GitPython. Implements `ports.Git`; the only place that runs git.

A repository is hostile input: nothing is ever checked out, no hook, filter, submodule or user configuration takes
part, blobs are read from the object database, and every call has a deadline and a limit on what it may read.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import git

from modelops.adapters.git_access import access
from modelops.errors import ModelopsError, Stalled, Transient, Waiting
from modelops.ports import GitBlob, GitRemote

_DEADLINE: Final = 60
_MAX_FILES: Final = 10_000
_FETCH_SOON: Final = timedelta(seconds=2)
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
_AUTH: Final = (
    "authentication failed",
    "could not read username",
    "could not read password",
    "permission denied",
    "error: 401",
    "error: 403",
    "invalid username",
)
_UNTRUSTED: Final = ("certificate verification failed", "certificate problem", "certificate verify failed")
_ABSENT: Final = ("not found", "does not exist", "does not appear to be a git repository", "error: 404")
_MISSING_REF: Final = ("couldn't find remote ref", "not our ref", "unadvertised object", "no such ref")
_BROKEN: Final = (
    "not a git repository",
    "bad object",
    "corrupt",
    "unable to read",
    "did not send all necessary objects",
)


class _Failed(Exception):
    """A git command that ended with something other than 0, and what it wrote to stderr."""

    def __init__(self, stderr: str) -> None:
        super().__init__(stderr)
        self.stderr = stderr


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
        self._running: set[subprocess.Popen[bytes]] = set()

    def fetch(self, remote: GitRemote, *, branch: str | None, tag: str | None, commit: str | None) -> str:
        """Bring what the ref names into the mirror; return its commit, 40 hex digits.

        Raises:
            Stalled: the URL's scheme is not allowed (SchemeNotAllowed), the ref does not exist (RefNotFound).
            Transient: unreachable, refused, or too slow.
        """
        self._require_allowed(remote.url)
        wanted = f"refs/heads/{branch}" if branch else f"refs/tags/{tag}" if tag else str(commit)
        with self._locked(remote) as path:
            try:
                return self._brought(path, remote, wanted, commit)
            except _Failed as error:
                if not _is_damage(error):
                    raise _translated(remote, error) from None
            shutil.rmtree(path, ignore_errors=True)
            try:
                return self._brought(path, remote, wanted, commit)
            except _Failed as error:
                raise _translated(remote, error) from None

    def tree(self, remote: GitRemote, commit: str, path: str) -> Sequence[GitBlob]:
        """Return the regular files below a directory, sorted by path, paths from the root.

        Raises:
            Stalled: there is no such directory (PathNotFound), or too many files (TooLarge).
            Waiting: the commit was not fetched yet (NotFetched).
        """
        inside = _normal(path)
        with self._reading(remote) as mirror:
            self._require_commit(mirror, remote, commit)
            listing = self._run(
                mirror, "ls-tree", "-r", "-z", "-l", "--full-tree", commit, "--", *([inside] if inside else [])
            )
            blobs = [blob for blob in _entries(listing) if blob is not None]
        below = [blob for blob in blobs if not inside or blob.path.startswith(inside + "/")]
        if not below:
            raise Stalled("PathNotFound", f"directory {path!r} does not exist at commit {commit[:12]} or has no files")
        if len(below) > _MAX_FILES or any(blob.path.count("/") > _MAX_DEPTH for blob in below):
            raise Stalled("TooLarge", f"{path!r} has more than {_MAX_FILES} files or is deeper than {_MAX_DEPTH}")
        return sorted(below, key=lambda blob: blob.path)

    def blob(self, remote: GitRemote, commit: str, path: str) -> GitBlob | None:
        """Return the regular file at a path, or None; no bytes are read.

        Raises:
            Waiting: the commit was not fetched yet (NotFetched); nothing can be said of the path.
        """
        inside = _normal(path)
        with self._reading(remote) as mirror:
            self._require_commit(mirror, remote, commit)
            listing = self._run(mirror, "ls-tree", "-z", "-l", "--full-tree", commit, "--", inside)
            found = [blob for blob in _entries(listing) if blob is not None and blob.path == inside]
        return found[0] if found else None

    def read(self, remote: GitRemote, blob: GitBlob, *, limit: int) -> bytes:
        """Return the bytes of a blob, at most `limit`; larger is Stalled (TooLarge)."""
        if blob.size > limit:
            raise Stalled("TooLarge", f"{blob.path} has {blob.size} bytes, at most {limit} are read")
        with self._reading(remote) as mirror:
            return self._run(mirror, "cat-file", "blob", blob.oid)

    def close(self) -> None:
        """End every git command that runs, with its helpers: nobody waits for it any more."""
        with self._guard:
            for process in self._running:
                _kill(process)

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
    def _reading(self, remote: GitRemote) -> Iterator[Path]:
        with self._locked(remote) as path:
            mirror = self._opened(path)
            try:
                yield mirror
            except _Failed as error:
                # What was fetched cannot be read: the mirror is damaged, and the next fetch begins anew.
                shutil.rmtree(path, ignore_errors=True)
                raise Transient("GitFailed", f"{shown(remote.url)}: {_first_line(error)}") from None

    def _opened(self, path: Path) -> Path:
        """Return the mirror; one that is damaged is thrown away and begun anew."""
        try:
            if (path / "HEAD").exists():
                git.Repo(path).close()
                return path
        except (git.InvalidGitRepositoryError, git.NoSuchPathError, OSError):
            shutil.rmtree(path, ignore_errors=True)
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._run(path, "init", "--bare", "--quiet", "--template=")
        except OSError as error:
            raise Transient(
                "GitCache", f"{path} cannot be written: {error.strerror}; check the cache directory"
            ) from error
        except _Failed as error:
            raise Transient("GitCache", f"{path}: {_first_line(error)}; check the cache directory") from None
        return path

    def _brought(self, path: Path, remote: GitRemote, wanted: str, commit: str | None) -> str:
        mirror = self._opened(path)
        if commit and self._has_commit(mirror, commit):
            return commit
        with access(remote) as environment:
            if not commit:
                tip = self._tip(mirror, remote, wanted, environment)
                if self._has_commit(mirror, tip):
                    return self._commit_of(mirror, tip)
            self._fetch(mirror, remote, wanted, environment)
        return self._commit_of(mirror, commit or "FETCH_HEAD")

    def _tip(self, mirror: Path, remote: GitRemote, ref: str, environment: Mapping[str, str]) -> str:
        listed = self._remote(mirror, remote, environment, "ls-remote", "--", remote.url, ref, f"{ref}^{{}}")
        tips: dict[str, str] = {}
        for line in listed.splitlines():
            oid, _, name = line.partition("\t")
            tips[name] = oid
        tip = tips.get(f"{ref}^{{}}") or tips.get(ref)
        if tip is None:
            raise Stalled("RefNotFound", f"{shown(remote.url)} has no {ref.removeprefix('refs/')}; correct spec.ref")
        return tip

    def _fetch(self, mirror: Path, remote: GitRemote, wanted: str, environment: Mapping[str, str]) -> None:
        arguments = ("fetch", "--no-tags", "--no-recurse-submodules", "--no-write-commit-graph", "--force", "--quiet")
        # A ref of our own tells the server the next time what is here already; its name cannot clash with a directory.
        kept = f"refs/modelops/{hashlib.sha256(wanted.encode()).hexdigest()[:24]}"
        try:
            self._remote(mirror, remote, environment, *arguments, "--", remote.url, f"+{wanted}:{kept}")
        except Stalled:
            if not re.fullmatch(r"[0-9a-f]{40}", wanted):
                raise
            # A server may refuse single commits; then everything is fetched and looked through.
            refs = "+refs/heads/*:refs/remotes/origin/*"
            self._remote(mirror, remote, environment, *arguments, "--prune", "--", remote.url, refs)

    def _remote(self, mirror: Path, remote: GitRemote, environment: Mapping[str, str], *words: str) -> str:
        scheme = urlsplit(remote.url).scheme
        try:
            output = self._run(mirror, *words, allow=scheme, environment=environment)
        except _Failed as error:
            if _is_damage(error):
                raise
            raise _translated(remote, error) from None
        except Transient as error:
            raise Transient(error.reason, f"{shown(remote.url)}: {error.message}") from None
        return output.decode("utf-8", "replace")

    def _has_commit(self, mirror: Path, commit: str) -> bool:
        try:
            self._run(mirror, "cat-file", "-e", f"{commit}^{{commit}}")
        except _Failed:
            return False
        return True

    def _commit_of(self, mirror: Path, name: str) -> str:
        try:
            found = self._run(mirror, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        except _Failed:
            raise Stalled("RefNotFound", f"{name} does not name a commit; correct spec.ref") from None
        return found.decode("ascii").strip()

    def _require_commit(self, mirror: Path, remote: GitRemote, commit: str) -> None:
        # A mirror may be younger than what was fetched: another replica's, or one that was thrown away.
        if not self._has_commit(mirror, commit):
            message = f"{shown(remote.url)}: commit {commit[:12]} is being fetched"
            raise Waiting("NotFetched", message, delay=_FETCH_SOON)

    @contextmanager
    def _noted(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        with self._guard:
            self._running.add(process)
        try:
            yield
        finally:
            with self._guard:
                self._running.discard(process)

    def _run(
        self, mirror: Path, *words: str, allow: str | None = None, environment: Mapping[str, str] | None = None
    ) -> bytes:
        """Run git in a process group of its own, so that its helpers end with it; return what it wrote.

        GitPython would pass the operator's own GIT_* variables on, and needs `ps` to end a command that hangs.
        """
        options = [*_OPTIONS, *([f"protocol.{allow}.allow=always"] if allow else [])]
        command = ["git", f"--git-dir={mirror}", *(part for option in options for part in ("-c", option)), *words]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "SSH_"))}
        try:
            process = subprocess.Popen(
                command,
                cwd=mirror,
                env={**inherited, **_LOCKED_DOWN, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            if error.filename != "git":
                raise
            raise Stalled("GitMissing", "git is not installed; install it") from None
        with process, self._noted(process):
            try:
                output, told = process.communicate(timeout=self._deadline)
            except BaseException as error:
                _kill(process)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise Transient("Timeout", f"git {words[0]} did not end within {self._deadline:g} s") from None
                raise
        if process.returncode:
            raise _Failed(told.decode("utf-8", "replace"))
        return output


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


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


def _entries(listing: bytes) -> Iterator[GitBlob | None]:
    for entry in listing.decode("utf-8", "replace").split("\0"):
        if not entry:
            continue
        described, _, path = entry.partition("\t")
        mode, kind, oid, size = described.split()
        regular = kind == "blob" and mode in ("100644", "100755")
        yield GitBlob(path, oid, int(size)) if regular else None


def _is_damage(error: _Failed) -> bool:
    """Return whether it is our mirror that is broken, not the other side."""
    ours = "\n".join(line for line in error.stderr.lower().splitlines() if not line.startswith("remote:"))
    return any(sign in ours for sign in _BROKEN)


def _translated(remote: GitRemote, error: _Failed) -> ModelopsError:
    # What git quotes is the URL: a repository may be called error-403.
    text = re.sub(r"'[^'\n]*'", "''", error.stderr.replace(remote.url, "").lower())
    where = shown(remote.url)
    if any(sign in text for sign in _MISSING_REF):
        return Stalled("RefNotFound", f"{where} does not have what spec.ref names; correct it")
    if any(sign in text for sign in _UNTRUSTED):
        return Transient(
            "CertificateUntrusted",
            f"{where}: its certificate is not trusted; put the authority's into the Secret of spec.secretRef as ca.crt",
        )
    if "host key verification failed" in text:
        return Transient(
            "HostKeyUnknown",
            f"{where}: Host key verification failed. Put the line of ssh-keyscan, once checked, into the Secret of "
            "spec.secretRef as known_hosts",
        )
    if any(sign in text for sign in _AUTH):
        return Transient("AuthenticationFailed", f"{where} refuses the credentials; check spec.secretRef")
    if any(sign in text for sign in _ABSENT):
        return Transient("RepositoryNotFound", f"{where} does not exist, or the credentials may not see it")
    if "timeout" in text or "timed out" in text:
        return Transient("Timeout", f"{where} did not answer in time")
    return Transient("Unreachable", f"{where}: {_first_line(error)}")


def _first_line(error: _Failed) -> str:
    """Return the line that says what went wrong: git's own, or what ssh says before it."""
    lines = [line.strip() for line in error.stderr.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("remote:", "warning:", "hint:"))] or lines
    text = telling[0] if telling else "git failed and said nothing"
    return re.sub(r"://[^/@\s]+@", "://…@", text)[:300]

"""Repositories as bare mirrors behind GitPython. Implements `ports.Git`.

A repository is hostile input: nothing is ever checked out, no hook, filter, submodule or user configuration takes
part, blobs are read from the object database, and every call has a deadline and a limit on what it may read.
"""

import hashlib
import re
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import git

from modelops.adapters import git_outgoing as outgoing
from modelops.adapters.fence import Fence
from modelops.adapters.git_access import access
from modelops.adapters.git_command import GitCommands, GitFailed
from modelops.adapters.git_errors import first_line, is_damage, shown, translated
from modelops.domain.plan import FileCommit
from modelops.errors import Stalled, Transient, Waiting
from modelops.ports import GitBlob, GitRemote

_DEADLINE: Final = 60
_MAX_FILES: Final = 10_000
_FETCH_SOON: Final = timedelta(seconds=2)
_MAX_DEPTH: Final = 32
_PUSHES: Final = 5
"""How often a push is tried on top of what others pushed meanwhile."""


class GitMirrors:
    """Mirrors of every repository that was ever asked for, one directory each.

    Args:
        cache_dir: parent of the mirrors; made when missing.
        schemes: URL schemes that may be fetched, such as https and ssh.
        deadline: of one git command. Seconds.
        fence: asked before every push; None where there is no other writer.
    """

    def __init__(
        self, cache_dir: Path, schemes: Sequence[str], *, deadline: float = _DEADLINE, fence: Fence | None = None
    ) -> None:
        self._cache = cache_dir
        self._schemes = frozenset(schemes)
        self._git = GitCommands(deadline)
        self._fence = fence
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
            try:
                return self._brought(path, remote, wanted, commit)
            except GitFailed as error:
                if not is_damage(error):
                    raise translated(remote, error) from None
            shutil.rmtree(path, ignore_errors=True)
            try:
                return self._brought(path, remote, wanted, commit)
            except GitFailed as error:
                raise translated(remote, error) from None

    def tree(self, remote: GitRemote, commit: str, path: str) -> Sequence[GitBlob]:
        """Return the regular files below a directory, sorted by path, paths from the root.

        Raises:
            Stalled: there is no such directory (PathNotFound), or too many files (TooLarge).
            Waiting: the commit was not fetched yet (NotFetched).
        """
        inside = _normal(path)
        with self._reading(remote) as mirror:
            self._require_commit(mirror, remote, commit)
            listing = self._git.run(
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
            listing = self._git.run(mirror, "ls-tree", "-z", "-l", "--full-tree", commit, "--", inside)
            found = [blob for blob in _entries(listing) if blob is not None and blob.path == inside]
        return found[0] if found else None

    def read(self, remote: GitRemote, blob: GitBlob, *, limit: int) -> bytes:
        """Return the bytes of a blob, at most `limit`; larger is Stalled (TooLarge)."""
        if blob.size > limit:
            raise Stalled("TooLarge", f"{blob.path} has {blob.size} bytes, at most {limit} are read")
        with self._reading(remote) as mirror:
            return self._git.run(mirror, "cat-file", "blob", blob.oid)

    def append(self, remote: GitRemote, branch: str, commits: Sequence[FileCommit]) -> None:
        """Have each file on a branch, as `ports.Git` says; others may push to it meanwhile.

        Raises:
            Stalled: as there, and SchemeNotAllowed.
            Transient: as there; unreachable, refused, or too slow.
        """
        self._require_allowed(remote.url)
        ref, scheme = f"refs/heads/{branch}", urlsplit(remote.url).scheme
        with self._reading(remote) as mirror, access(remote) as environment:
            for tries_left in reversed(range(_PUSHES)):
                tip = self._tips(mirror, remote, ref, environment).get(ref)
                if tip is not None and not self._has_commit(mirror, tip):
                    self._fetch(mirror, remote, ref, environment)
                left = outgoing.missing(self._git, mirror, tip, commits)
                if not left:
                    return
                last = outgoing.committed(self._git, mirror, tip, left)
                words = ("push", "--quiet", "--no-follow-tags", "--", remote.url, f"{last}:{ref}")
                # Asked and not held: a push that lands late adds nothing, and a successor should not wait for it.
                with self._fence.passing() if self._fence else nullcontext():
                    pass
                try:
                    self._git.run(mirror, *words, allow=scheme, environment=environment)
                except GitFailed as error:
                    if is_damage(error):
                        raise
                    if tries_left == 0 or not outgoing.was_overtaken(error):
                        raise outgoing.refused(remote, branch, error) from None
                else:
                    return

    def close(self) -> None:
        """End every git command that runs, with its helpers: nobody waits for it any more."""
        self._git.close()

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
            except GitFailed as error:
                # What was fetched cannot be read: the mirror is damaged, and the next fetch begins anew.
                shutil.rmtree(path, ignore_errors=True)
                raise Transient("GitFailed", f"{shown(remote.url)}: {first_line(error)}") from None

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
            self._git.run(path, "init", "--bare", "--quiet", "--template=")
        except OSError as error:
            raise Transient(
                "GitCache", f"{path} cannot be written: {error.strerror}; check the cache directory"
            ) from error
        except GitFailed as error:
            raise Transient("GitCache", f"{path}: {first_line(error)}; check the cache directory") from None
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

    def _tips(self, mirror: Path, remote: GitRemote, ref: str, environment: Mapping[str, str]) -> dict[str, str]:
        listed = self._remote(mirror, remote, environment, "ls-remote", "--", remote.url, ref, f"{ref}^{{}}")
        return {name: oid for oid, _, name in (line.partition("\t") for line in listed.splitlines())}

    def _tip(self, mirror: Path, remote: GitRemote, ref: str, environment: Mapping[str, str]) -> str:
        tips = self._tips(mirror, remote, ref, environment)
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
            output = self._git.run(mirror, *words, allow=scheme, environment=environment)
        except GitFailed as error:
            if is_damage(error):
                raise
            raise translated(remote, error) from None
        except Transient as error:
            raise Transient(error.reason, f"{shown(remote.url)}: {error.message}") from None
        return output.decode("utf-8", "replace")

    def _has_commit(self, mirror: Path, commit: str) -> bool:
        try:
            self._git.run(mirror, "cat-file", "-e", f"{commit}^{{commit}}")
        except GitFailed:
            return False
        return True

    def _commit_of(self, mirror: Path, name: str) -> str:
        try:
            found = self._git.run(mirror, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        except GitFailed:
            raise Stalled("RefNotFound", f"{name} does not name a commit; correct spec.ref") from None
        return found.decode("ascii").strip()

    def _require_commit(self, mirror: Path, remote: GitRemote, commit: str) -> None:
        # A mirror may be younger than what was fetched: another replica's, or one that was thrown away.
        if not self._has_commit(mirror, commit):
            message = f"{shown(remote.url)}: commit {commit[:12]} is being fetched"
            raise Waiting("NotFetched", message, delay=_FETCH_SOON)


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

"""Commits of our own, made in a bare mirror without a work tree, on top of a remote's. Called by `adapters.git`."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from modelops.adapters.git_command import GitCommands, GitFailed
from modelops.adapters.git_errors import AUTH, shown, translated
from modelops.domain.plan import FileCommit
from modelops.errors import ModelopsError, Stalled, Transient
from modelops.ports import GitRemote

_OUTGOING: Final = "refs/modelops/outgoing"
_OVERTAKEN: Final = ("[rejected]", "(failed to update ref)", "(incorrect old value provided)", "cannot lock ref")
_READ_ONLY: Final = (*AUTH, "read only", "read-only", "write access", "not allowed to push", "not allowed to upload")


def missing(git: GitCommands, mirror: Path, tip: str | None, commits: Sequence[FileCommit]) -> list[FileCommit]:
    """Return the commits whose files do not stand at a tip yet.

    Raises:
        Stalled: a file stands where one of their directories would be (PathTaken).
    """
    if tip is None:
        return list(commits)
    above = {str(parent) for one in commits for parent in PurePosixPath(one.path).parents if parent.name}
    names = [*sorted(above), *(one.path for one in commits)]
    asked = "".join(f"{tip}:{name}\n" for name in names).encode()
    told = git.run(mirror, "cat-file", "--batch-check=%(objecttype)", stdin=asked).decode("utf-8", "replace")
    found = dict(zip(names, told.splitlines(), strict=True))
    taken = next((name for name in sorted(above) if found[name] == "blob"), None)
    if taken is not None:
        raise Stalled("PathTaken", f"{taken} is a file, so nothing can be written below it; name another path")
    return [one for one in commits if found[one.path].endswith(" missing")]


def committed(git: GitCommands, mirror: Path, tip: str | None, commits: Sequence[FileCommit]) -> str:
    """Make the commits on top of a tip, or without one as the first of a history; return the last one's id.

    They are the same bytes, and so have the same ids, whoever makes them on the same tip.
    """
    stream = b"".join(_stream(tip, commits))
    git.run(mirror, "fast-import", "--quiet", "--force", stdin=stream)
    return git.run(mirror, "rev-parse", "--verify", _OUTGOING).decode("ascii").strip()


def _stream(tip: str | None, commits: Sequence[FileCommit]) -> Iterator[bytes]:
    yield f"reset {_OUTGOING}\n".encode()
    if tip is not None:
        yield f"from {tip}\n".encode()
    for one in commits:
        message = one.message.encode()
        yield f"commit {_OUTGOING}\ncommitter {one.author} {int(one.at.timestamp())} +0000\n".encode()
        # Lengths stand before what somebody else has worded: nothing in it is read as a command.
        yield b"data %d\n%s\n" % (len(message), message)
        yield b"M 100644 inline %s\ndata %d\n%s\n" % (one.path.encode(), len(one.content), one.content)


def was_overtaken(error: GitFailed) -> bool:
    """Return whether a push failed because somebody else pushed first."""
    return any(sign in error.stderr for sign in _OVERTAKEN)


def refused(remote: GitRemote, branch: str, error: GitFailed) -> ModelopsError:
    """Return what a push failed for, where the same credentials had just read the repository."""
    where, words = shown(remote.url), _server_words(remote, error)
    text = error.stderr.lower().replace(remote.url.lower(), "")
    if any(sign in text for sign in _READ_ONLY):
        return Transient(
            "PushForbidden",
            f"{where} may be read with the credentials of spec.secretRef, but not written: let them push branch "
            f"{branch}, or take spec.outcomes out{words and f' ({words})'}",
        )
    if "rejected]" in text:
        return Transient("PushRefused", f"{where} refuses branch {branch}: {words}")
    return translated(remote, error)


def _server_words(remote: GitRemote, error: GitFailed) -> str:
    """Return what the server gives as its reason, on one line and without the password that it may echo."""
    reasons = re.findall(r"rejected\].*\((.+)\)$", error.stderr, re.MULTILINE)
    said = [line.removeprefix("remote:").strip() for line in error.stderr.splitlines() if _is_servers(line)]
    words = ": ".join([*reasons[:1], *[line for line in said if re.search(r"\w", line)][:1]])
    for key in ("password", "bearerToken"):
        secret = (remote.credentials or {}).get(key, b"").decode("utf-8", "replace").strip()
        words = words.replace(secret, "…") if secret else words
    return words[:300]


def _is_servers(line: str) -> bool:
    return line.startswith(("remote:", "ERROR:"))

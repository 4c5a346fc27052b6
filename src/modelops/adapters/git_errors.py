"""What git says when it fails, as errors that say what to do, without secrets. Called by `adapters.git`."""

import re
from typing import Final
from urllib.parse import urlsplit

from modelops.adapters.git_command import GitFailed
from modelops.errors import ModelopsError, Stalled, Transient
from modelops.ports import GitRemote

AUTH: Final = (
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


def shown(url: str) -> str:
    """Return a URL without user, password and query, for messages."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def is_damage(error: GitFailed) -> bool:
    """Return whether it is our mirror that is broken, not the other side."""
    ours = "\n".join(line for line in error.stderr.lower().splitlines() if not line.startswith("remote:"))
    return any(sign in ours for sign in _BROKEN)


def translated(remote: GitRemote, error: GitFailed) -> ModelopsError:
    """Return what a command that asked a remote failed for."""
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
    if any(sign in text for sign in AUTH):
        return Transient("AuthenticationFailed", f"{where} refuses the credentials; check spec.secretRef")
    if any(sign in text for sign in _ABSENT):
        return Transient("RepositoryNotFound", f"{where} does not exist, or the credentials may not see it")
    if "timeout" in text or "timed out" in text:
        return Transient("Timeout", f"{where} did not answer in time")
    return Transient("Unreachable", f"{where}: {first_line(error)}")


def first_line(error: GitFailed) -> str:
    """Return the line that says what went wrong: git's own, or what ssh says before it."""
    lines = [line.strip() for line in error.stderr.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("remote:", "warning:", "hint:"))] or lines
    text = telling[0] if telling else "git failed and said nothing"
    return re.sub(r"://[^/@\s]+@", "://…@", text)[:300]

"""How git reaches a remote: credentials, keys and authorities of a Secret, as an environment and files for one call.

Called by `adapters.git`. The keys are those of Flux: username and password, bearerToken, ca.crt (or caFile), identity
and known_hosts. Nothing of it ever stands in an argument, where other users of the machine could read it.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from modelops.errors import Stalled
from modelops.ports import GitRemote

_ASKPASS: Final = """#!/bin/sh
case "$1" in
*sername*) printf '%s\\n' "$MODELOPS_ASK_USERNAME" ;;
*) printf '%s\\n' "$MODELOPS_ASK_PASSWORD" ;;
esac
"""


@contextmanager
def access(remote: GitRemote) -> Iterator[dict[str, str]]:
    """Yield the environment that answers for a remote; files live only as long as the call.

    Raises:
        Stalled: the Secret says two things at once (InvalidSecret).
    """
    secrets = remote.credentials or {}
    if not secrets:
        yield {"GIT_ASKPASS": "true", "GIT_SSH_COMMAND": _ssh(None, None)}
        return
    if "bearerToken" in secrets and "password" in secrets:
        raise Stalled("InvalidSecret", "the Secret of spec.secretRef has bearerToken and password; keep one of them")
    with tempfile.TemporaryDirectory(prefix="modelops-git-") as name:
        yield _environment(Path(name), secrets)


def _environment(directory: Path, secrets: Mapping[str, bytes]) -> dict[str, str]:
    environment = {}
    if "identity" in secrets:
        identity, hosts = directory / "identity", directory / "known_hosts"
        identity.touch(mode=0o600)
        # ssh refuses a key without a last newline, which editors and `kubectl create secret` leave out.
        identity.write_bytes(secrets["identity"].rstrip(b"\n") + b"\n")
        hosts.write_bytes(secrets.get("known_hosts", b""))
        environment["GIT_SSH_COMMAND"] = _ssh(identity, hosts)
    if authority := secrets.get("ca.crt") or secrets.get("caFile"):
        file = directory / "ca.crt"
        file.write_bytes(authority)
        environment["GIT_SSL_CAINFO"] = str(file)
    if "bearerToken" in secrets:
        token = secrets["bearerToken"].decode("utf-8", "replace").strip()
        environment |= {
            "GIT_ASKPASS": "true",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Bearer {token}",
        }
    if "password" in secrets:
        askpass = directory / "askpass"
        askpass.touch(mode=0o700)
        askpass.write_text(_ASKPASS)
        environment |= {
            "GIT_ASKPASS": str(askpass),
            "MODELOPS_ASK_USERNAME": secrets.get("username", b"git").decode("utf-8", "replace"),
            "MODELOPS_ASK_PASSWORD": secrets["password"].decode("utf-8", "replace"),
        }
    return environment


def _ssh(identity: Path | None, hosts: Path | None) -> str:
    words = ["ssh", "-F", "/dev/null"]
    for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=10"):
        words += ["-o", option]
    if identity is not None:
        words += ["-i", str(identity), "-o", "IdentitiesOnly=yes"]
    if hosts is not None:
        words += ["-o", f"UserKnownHostsFile={hosts}"]
    return " ".join(words)

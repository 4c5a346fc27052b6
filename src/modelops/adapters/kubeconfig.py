"""Reads a kubeconfig for the usual case, so that a verb need not import 50 MiB to learn one address.

Called by `connect.connection_of`, which hands over to the `kubernetes` package whatever needs a program or
a plug-in (`exec`, `auth-provider`), a proxy, or several files merged. It must never log what it reads.
"""

import base64
import binascii
import difflib
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from urllib3.util.ssl_ import create_urllib3_context

from modelops.adapters.token import Token
from modelops.errors import Stalled

_LEFT_TO_KUBERNETES: Final = frozenset({"exec", "auth-provider", "username", "password", "as", "proxy-url"})
_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Connection:
    """What one context of a kubeconfig says."""

    host: str
    tls: ssl.SSLContext | None
    """None for plain http."""
    server_name: str | None
    """The name that the server's certificate must have, where it is not the host's."""
    token: Token
    namespace: str
    context: str


def load(path: Path, context: str | None) -> Connection | None:
    """Return the connection of a context; None if the `kubernetes` package has to read this file.

    Args:
        path: of one kubeconfig.
        context: its name; None for the current one.

    Raises:
        Stalled: the file cannot be used, or has no such context.
    """
    config = _read(path)
    contexts = _by_name(config, "contexts", "context", path)
    name = context or str(config.get("current-context") or "")
    if not name:
        raise _unusable(path, "it has no current-context; give --context")
    if name not in contexts:
        raise _unusable(path, f"it has no context {name!r}{_near(name, contexts)}")
    entry = contexts[name]
    cluster = _by_name(config, "clusters", "cluster", path).get(str(entry.get("cluster")))
    if cluster is None or not cluster.get("server"):
        raise _unusable(path, f"context {name!r} names no cluster with a server")
    user = _by_name(config, "users", "user", path).get(str(entry.get("user")), {})
    if _LEFT_TO_KUBERNETES & {key for key, value in (user | cluster).items() if value}:
        return None
    host = str(cluster["server"])
    return Connection(
        host=host,
        tls=_tls(path, cluster, user) if host.startswith("https:") else None,
        server_name=cluster.get("tls-server-name"),
        token=_token(path, user),
        namespace=str(entry.get("namespace") or "default"),
        context=name,
    )


def _read(path: Path) -> Mapping[str, Any]:
    try:
        config = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 - a safe loader, libyaml's where there is one
    except FileNotFoundError as error:
        raise _unusable(path, "there is no such file; give --kubeconfig or --context") from error
    except OSError as error:
        raise _unusable(path, f"{error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _unusable(path, f"broken YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(config, Mapping) or not config.get("contexts"):
        raise _unusable(path, "it is not a kubeconfig: it has no contexts")
    return config


def _by_name(config: Mapping[str, Any], section: str, field: str, path: Path) -> dict[str, dict[str, Any]]:
    try:
        return {str(entry["name"]): dict(entry.get(field) or {}) for entry in config.get(section) or ()}
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise _unusable(path, f"its {section} are not a list of name and {field}") from error


def _tls(path: Path, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ssl.SSLContext:
    context = create_urllib3_context()
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = True
    try:
        if authority := _bytes(path, cluster, "certificate-authority"):
            context.load_verify_locations(cadata=authority.decode("ascii"))
        else:
            context.load_default_certs()
        certificate, key = _bytes(path, user, "client-certificate"), _bytes(path, user, "client-key")
        if certificate and key:
            # OpenSSL loads a pair from a file only; it is private and gone right after.
            with _private(certificate + b"\n" + key) as pair:
                context.load_cert_chain(pair)
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise _unusable(path, f"a certificate in it cannot be read: {error}") from error
    return context


def _bytes(path: Path, where: Mapping[str, Any], field: str) -> bytes | None:
    """Return inline data, else the named file's content; a file is relative to the kubeconfig."""
    if inline := where.get(f"{field}-data"):
        try:
            return base64.b64decode(str(inline), validate=False)
        except binascii.Error as error:
            raise _unusable(path, f"{field}-data is not base64") from error
    if not (named := where.get(field)):
        return None
    return _file(path, str(named))


def _file(path: Path, named: str) -> bytes:
    try:
        return (path.parent / Path(named).expanduser()).read_bytes()
    except OSError as error:
        raise _unusable(path, f"{named}: {error.strerror}") from error


def _token(path: Path, user: Mapping[str, Any]) -> Token:
    if user.get("token") or not user.get("tokenFile"):
        return Token(str(user.get("token") or ""))
    named = str(user["tokenFile"])
    try:
        return Token(file=path.parent / Path(named).expanduser())
    except OSError as error:
        raise _unusable(path, f"{named}: {error.strerror}") from error


@contextmanager
def _private(content: bytes) -> Iterator[str]:
    with tempfile.NamedTemporaryFile(prefix="modelops-") as file:
        file.write(content)
        file.flush()
        yield file.name


def _near(name: str, contexts: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, contexts, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; it has: {', '.join(sorted(contexts))}"


def _unusable(path: Path, why: str) -> Stalled:
    return Stalled("NoKubeconfig", f"kubeconfig {path}: {why}")

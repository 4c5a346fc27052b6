"""What reconcile needs of the outside world, as small Protocols. Adapters implement them; tests fake them.

Every method may raise `errors.Transient` (away, slow), `errors.Stalled` (refused for good) or, for
writes that carry a resourceVersion, `errors.Conflict`. Absent is None, never an exception.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import Resource
from modelops.domain.plan import FileCommit


class Clock(Protocol):
    """Time as an input."""

    def now(self) -> datetime:
        """Return the current time, aware, UTC."""
        ...


class Objects(Protocol):
    """Objects of the Kubernetes API, as one identity may see and change them.

    Where that identity is a service account, everything may raise `errors.Forbidden` too.
    """

    def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        """Return an object or None."""
        ...

    def apply(
        self, resource: Resource, obj: Mapping[str, Any], *, seen: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Server-side apply with force under the field manager `modelops`; return the result.

        Args:
            resource: of the object.
            obj: the fields.
            seen: the object as it was when this was decided; one that has become another since is a Conflict.
        """
        ...

    def create(self, resource: Resource, obj: Mapping[str, Any]) -> dict[str, Any] | None:
        """Create; None if the name is taken."""
        ...

    def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        seen: Mapping[str, Any] | None = None,
    ) -> None:
        """Delete with background propagation; absent, or another uid, is success; `seen` as for an apply."""
        ...


class Cluster(Objects, Protocol):
    """The Kubernetes API as the operator: reads from watch-fed caches where there is a watch, writes through."""

    def list(
        self, resource: Resource, namespace: str | None, labels: Mapping[str, str] | None = None
    ) -> Sequence[dict[str, Any]]:
        """Return the objects of a namespace (None: of all) that carry all the labels."""
        ...

    def acting_as(self, account: ServiceAccount) -> Objects:
        """Return the objects as an account may see and change them; what it may not read is not told from a cache."""
        ...

    def has_account(self, account: ServiceAccount) -> bool:
        """Return whether the account exists; True where the API server knows no accounts (the local home).

        Raises:
            Forbidden: the operator may not act as accounts of that namespace.
        """
        ...

    def may(self, account: ServiceAccount | None, namespace: str, verb: str, resource: Resource) -> bool | None:
        """Return whether an account (None: the operator) may do something in a namespace; None if nobody can tell."""
        ...

    def replace_status(self, resource: Resource, obj: Mapping[str, Any]) -> dict[str, Any]:
        """Put `/status`, guarded by the object's resourceVersion."""
        ...

    def let_go(self, resource: Resource, obj: Mapping[str, Any]) -> None:
        """Take our finalizers off an object; gone already, or without them, is success."""
        ...

    def emit(self, resource: Resource, about: Mapping[str, Any], reason: str, message: str, type_: str) -> None:
        """Record an Event about an object. Best effort: never raises."""
        ...


@dataclass(frozen=True, slots=True)
class GitRemote:
    """A repository and how to reach it. Credentials never appear in repr."""

    url: str
    credentials: Mapping[str, bytes] | None = None
    """Data of the Secret: username and password, or identity and known_hosts."""

    def __repr__(self) -> str:
        return f"GitRemote(url={self.url!r})"


@dataclass(frozen=True, slots=True)
class GitBlob:
    """One regular file at one commit."""

    path: str
    oid: str
    """Object id of the blob, 40 hex digits."""
    size: int
    """Bytes."""


def code_digest(files: Sequence[GitBlob]) -> str:
    """Return `sha256:` over the paths and object ids of files, whatever their order and commit."""
    digest = hashlib.sha256()
    for blob in sorted(files, key=lambda blob: blob.path):
        digest.update(f"{blob.oid} {blob.path}\n".encode())
    return f"sha256:{digest.hexdigest()}"


class Git(Protocol):
    """Repositories as bare mirrors; hostile input."""

    def fetch(self, remote: GitRemote, *, branch: str | None, tag: str | None, commit: str | None) -> str:
        """Bring what the ref names into the mirror; return its commit, 40 hex digits."""
        ...

    def tree(self, remote: GitRemote, commit: str, path: str) -> Sequence[GitBlob]:
        """Return the regular files below a directory, recursively, sorted by path, paths from the root.

        Raises:
            Stalled: the directory does not exist (PathNotFound), or a cap is exceeded (TooLarge).
        """
        ...

    def blob(self, remote: GitRemote, commit: str, path: str) -> GitBlob | None:
        """Return the file at a path, or None; no bytes are read. Waiting: the commit was not fetched yet."""
        ...

    def read(self, remote: GitRemote, blob: GitBlob, *, limit: int) -> bytes:
        """Return the bytes of a blob, at most `limit`; larger is Stalled (TooLarge)."""
        ...

    def append(self, remote: GitRemote, branch: str, commits: Sequence[FileCommit]) -> None:
        """Have each file on a branch, by a commit on top of what is there; a file that is there is not touched.

        A branch that does not exist begins with the first commit. Nothing is ever forced.

        Raises:
            Transient: the credentials may not write (PushForbidden), or the server refuses (PushRefused).
            Stalled: a file stands where a directory is wanted (PathTaken).
        """
        ...


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered version, as far as releases need it."""

    name: str
    version: str
    run_id: str
    status: str
    """READY, PENDING_REGISTRATION or FAILED_REGISTRATION."""
    tags: Mapping[str, str]
    """`modelops.*` tags carry artifact digest and lineage, see docs/architecture.md."""


class Registry(Protocol):
    """MLflow's registry, as a controller uses it: four calls, none of them a search."""

    def version(self, model: str, version: str) -> ModelVersion | None:
        """Return a version or None."""
        ...

    def alias(self, model: str, alias: str) -> ModelVersion | None:
        """Return the version an alias points at, or None."""
        ...

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Point the alias at the version; no write when it does already."""
        ...


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an instant query's answer."""

    labels: Mapping[str, str]
    value: float
    """May be NaN or infinite."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model server answered."""

    status: int
    body: bytes
    seconds: float
    """From the request to the last byte."""


class ModelServer(Protocol):
    """One model server; hostile input."""

    def ask(self, path: str, body: bytes | None, timeout: timedelta, bearer: str = "") -> Answer:
        """Send JSON by POST, or without a body a GET; redirects are answers like any other.

        Args:
            path: from the root.
            body: JSON, or None.
            timeout: of the whole answer.
            bearer: a token to show; none by default.

        Raises:
            Transient: there is no connection (ServerUnreachable), or no whole answer in time (NoAnswer).
            Stalled: the answer is larger than 64 KiB (AnswerTooLarge).
        """
        ...


class ModelServers(Protocol):
    """Model servers, asked by HTTP."""

    def at(self, address: str, *, within: timedelta) -> AbstractContextManager[ModelServer]:
        """Return the server at host:port; after `within` there are no more answers."""
        ...


class Metrics(Protocol):
    """Prometheus."""

    def query(self, promql: str, at: datetime) -> Sequence[Series]:
        """Evaluate an instant query; a scalar comes back as one series without labels.

        Raises:
            Transient: unreachable, timeout or 5xx (MetricsUnavailable); the query was refused (BadQuery).
        """
        ...

"""Calls of an API server over a pooled connection: addresses, headers, deadlines, and what an answer means.

Typed client models cost tens of milliseconds and megabytes per list; dictionaries cost neither. The configuration
(addresses, certificates, tokens) is found by `connect`, as kubectl users expect.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, Final, Self
from urllib.parse import urlsplit

import orjson
import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError, SSLError
from urllib3.exceptions import TimeoutError as PoolTimeout

from modelops.adapters.connect import connection_of, pool_of
from modelops.adapters.fence import Fence
from modelops.adapters.kubeconfig import Connection
from modelops.adapters.refusals import refusal
from modelops.api.accounts import ServiceAccount
from modelops.api.labels import MANAGER
from modelops.errors import Stalled, Transient

_JSON: Final = "application/json"
_DEADLINE: Final = urllib3.Timeout(connect=5, read=30)
_UNAUTHORIZED: Final = 401
_NOT_FOUND: Final = 404


class ApiCalls:
    """One API server. Thread-safe; every call has a deadline.

    Args:
        connection: where it is, and with which token; the token is never logged.
        pool: where connections come from.
        headers: sent with every request.
        fence: passed by every write; None where there is no other writer.
    """

    def __init__(
        self,
        connection: Connection,
        pool: urllib3.HTTPConnectionPool,
        headers: Mapping[str, str],
        fence: Fence | None = None,
    ) -> None:
        self.connection = connection
        self.namespace = connection.namespace
        self.agent = headers.get("User-Agent", MANAGER)
        self._host = connection.host.rstrip("/")
        self._prefix = urlsplit(self._host).path
        self._pool = pool
        self._headers = dict(headers)
        self._fence = fence
        self.account: ServiceAccount | None = None
        """As whom it calls; None as itself."""

    @classmethod
    def from_kubeconfig(
        cls,
        path: str | None = None,
        *,
        context: str | None = None,
        deadline: urllib3.Timeout = _DEADLINE,
        agent: str = MANAGER,
        fence: Fence | None = None,
    ) -> Self:
        """Connect by a kubeconfig; without a path by $KUBECONFIG, ~/.kube/config, or from inside a pod.

        Args:
            path: of one file.
            context: its name; by default the current one.
            deadline: of every call but a watch.
            agent: User-Agent, by which the API server's audit log tells clients apart.
            fence: passed by every write.

        Raises:
            Stalled: there is no usable configuration.
        """
        connection = connection_of(path, context)
        return cls(connection, pool_of(connection, deadline), {"User-Agent": agent}, fence)

    def acting_as(self, account: ServiceAccount) -> Self:
        """Return a client of the same server, over the same connections, whose calls have an account's rights.

        The API server adds the account's groups by itself; to name them would take a right to act as groups.
        What is refused to the account is Forbidden.
        """
        acting = copy.copy(self)
        acting._headers = self._headers | {"Impersonate-User": account.user}  # noqa: SLF001 - a copy of its own class
        acting.account = account
        return acting

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        content_type: str = _JSON,
        accept: str = _JSON,
        what: str = "",
    ) -> dict[str, Any] | None:
        """Send one request and decode the answer; 404 is None.

        Raises:
            Conflict: 409. Transient: unreachable, timeout, 401, 429 or 5xx, or the fence (NotLeader). Stalled: any
                other refusal. 403 is Transient for the client itself, and Forbidden if it acts as an account.
        """
        headers = {"Accept": accept}
        data: bytes | None = None
        if body is not None:
            data = orjson.dumps(body)
            headers |= {"Content-Type": content_type, "Content-Length": str(len(data))}
        fence = None if method == "GET" else self._fence
        with self._named(), fence.passing() if fence is not None else nullcontext():
            response = self._sent(method, path, data, headers, fence)
            if response.status == _UNAUTHORIZED and self.connection.token.renewed():
                response = self._sent(method, path, data, headers, fence)
        if response.status == _NOT_FOUND:
            return None
        if response.status >= 400:
            raise refusal(response, response.data, what or path, self.account)
        decoded: dict[str, Any] = orjson.loads(response.data)
        return decoded

    def _sent(
        self, method: str, path: str, data: bytes | None, headers: Mapping[str, str], fence: Fence | None
    ) -> urllib3.BaseHTTPResponse:
        body = fence.guarded(data) if fence is not None and data is not None else data
        everything = {**self._headers, **self.connection.token.headers(), **headers}
        return self._pool.urlopen(method, self._prefix + path, body=body, headers=everything)

    def ping(self, path: str) -> bool:
        """Return whether a path answers with success, whatever it says: for what the API server proxies.

        Raises:
            Transient: the API server does not answer. Stalled: its certificate does not fit.
        """
        with self._named():
            return self._sent("GET", path, None, {}, None).status < 400

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say which server it is that cannot be reached."""
        try:
            yield
        except SSLError as error:
            raise Stalled("ApiCertificate", f"{self._host}: {error}") from error
        except (PoolTimeout, MaxRetryError, HTTPError) as error:
            raise Transient("ApiUnreachable", f"the API server at {self._host} does not answer: {error}") from error

    def lines(self, path: str, seconds: int, what: str) -> Iterator[dict[str, Any]]:
        """Yield what the server tells line by line until it ends.

        Args:
            path: of a GET.
            seconds: after which no byte means that the connection is dead.
            what: is asked, for messages.

        Raises:
            Transient: the connection broke, or no byte came for so long. Stalled: its certificate does not fit. Else as
                `request`: what is refused.
        """
        with self._named():
            response = self._pool.urlopen(
                "GET",
                self._prefix + path,
                headers={**self._headers, **self.connection.token.headers(), "Accept": _JSON},
                preload_content=False,
                timeout=urllib3.Timeout(connect=5, read=seconds),
            )
        try:
            if response.status >= 400:
                raise refusal(response, response.read(), what)
            yield from _decoded(response)
        except HTTPError as error:
            raise Transient("WatchBroken", f"the watch of {what} broke: {error}") from error
        finally:
            response.close()


def _decoded(response: urllib3.BaseHTTPResponse) -> Iterator[dict[str, Any]]:
    rest = b""
    for chunk in response.stream(None, decode_content=True):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield orjson.loads(line)

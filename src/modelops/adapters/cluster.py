"""The Kubernetes API with raw dictionaries over a pooled connection. The only place that speaks to it.

Typed client models cost tens of milliseconds and megabytes per list; dictionaries cost neither. The configuration
(addresses, certificates, tokens) is found by `connect`, as kubectl users expect.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any, Final, Self
from urllib.parse import quote, urlencode, urlsplit

import orjson
import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError, SSLError
from urllib3.exceptions import TimeoutError as PoolTimeout

from modelops.adapters import reviews, rights
from modelops.adapters.connect import connection_of, pool_of
from modelops.adapters.fence import Fence
from modelops.adapters.kubeconfig import Connection
from modelops.adapters.refusals import refusal
from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import EVENT, SERVICEACCOUNT, Resource
from modelops.api.labels import MANAGER
from modelops.errors import Conflict, ModelopsError, Stalled, Transient

_JSON: Final = "application/json"
_TABLE: Final = "application/json;as=Table;g=meta.k8s.io;v=v1,application/json"
_DEADLINE: Final = urllib3.Timeout(connect=5, read=30)
_UNAUTHORIZED: Final = 401
_NOT_FOUND: Final = 404


class KubeClient:
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
        self._account: ServiceAccount | None = None

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

    # --- identities --------------------------------------------------------------------------------------------

    def acting_as(self, account: ServiceAccount) -> Self:
        """Return a client of the same server, over the same connections, whose calls have an account's rights.

        The API server adds the account's groups by itself; to name them would take a right to act as groups.
        What is refused to the account is Forbidden.
        """
        acting = copy.copy(self)
        acting._headers = self._headers | {"Impersonate-User": account.user}  # noqa: SLF001 - a copy of its own class
        acting._account = account  # noqa: SLF001
        return acting

    def has_account(self, account: ServiceAccount) -> bool:
        """Return whether an account exists; True where the API server knows no accounts (the local home).

        Raises:
            Forbidden: it may not be looked at, so neither be acted as.
        """
        try:
            if self.get(SERVICEACCOUNT, account.namespace, account.name) is not None:
                return True
            listed = self.request("GET", "/api/v1", what="discovery") or {}
        except Transient as error:
            if error.reason == "ApiForbidden" and (operator := rights.user_in(error.message)):
                raise rights.may_not_act_as(account, operator) from error
            raise
        return all(resource["name"] != SERVICEACCOUNT.plural for resource in listed.get("resources") or ())

    def may(self, account: ServiceAccount | None, namespace: str, verb: str, resource: Resource) -> bool | None:
        """Return whether an account (None: the client itself) may do something; None if nobody can tell."""
        return reviews.may(self.request, account, namespace, verb, resource)

    # --- one request -------------------------------------------------------------------------------------------

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
        try:
            with fence.passing() if fence is not None else nullcontext():
                response = self._sent(method, path, data, headers, fence)
                if response.status == _UNAUTHORIZED and self.connection.token.renewed():
                    response = self._sent(method, path, data, headers, fence)
        except SSLError as error:
            raise Stalled("ApiCertificate", f"{self._host}: {error}") from error
        except (PoolTimeout, MaxRetryError, HTTPError) as error:
            raise Transient("ApiUnreachable", f"the API server at {self._host} does not answer: {error}") from error
        if response.status == _NOT_FOUND:
            return None
        if response.status >= 400:
            raise refusal(response, response.data, what or path, self._account)
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
        try:
            return self._sent("GET", path, None, {}, None).status < 400
        except SSLError as error:
            raise Stalled("ApiCertificate", f"{self._host}: {error}") from error
        except (PoolTimeout, MaxRetryError, HTTPError) as error:
            raise Transient("ApiUnreachable", f"the API server at {self._host} does not answer: {error}") from error

    # --- reads -------------------------------------------------------------------------------------------------

    def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        """Return an object or None."""
        return self.request("GET", path_of(resource, namespace, name), what=f"{resource.kind} {name}")

    def list(
        self, resource: Resource, namespace: str | None, labels: Mapping[str, str] | None = None
    ) -> Sequence[dict[str, Any]]:
        """Return the objects of a namespace (None: of all) that carry all the labels."""
        answer = self.list_page(resource, namespace, labels)
        items: list[dict[str, Any]] = [] if answer is None else answer["items"]
        return [{"apiVersion": resource.api_version, "kind": resource.kind} | item for item in items]

    def list_page(
        self,
        resource: Resource,
        namespace: str | None,
        labels: Mapping[str, str] | None = None,
        *,
        selector: str = "",
        limit: int = 0,
    ) -> dict[str, Any] | None:
        """Return the whole list object, with its resourceVersion; None if the resource is unknown.

        Args:
            resource: what.
            namespace: where; None everywhere.
            labels: only objects that carry all of these.
            selector: instead of labels, a label selector as kubectl's -l.
            limit: at most so many objects; 0 for all.
        """
        selector = selector or ",".join(f"{key}={value}" for key, value in (labels or {}).items())
        asked = ({"labelSelector": selector} if selector else {}) | ({"limit": str(limit)} if limit else {})
        query = "?" + urlencode(asked) if asked else ""
        return self.request("GET", path_of(resource, namespace) + query, what=resource.plural)

    def table(
        self, resource: Resource, namespace: str | None, name: str | None = None, *, selector: str = ""
    ) -> dict[str, Any]:
        """Return the server's table of one object or of all in a namespace.

        Args:
            resource: what.
            namespace: where; None everywhere.
            name: of the one object; by default all.
            selector: a label selector, as kubectl's -l.

        Raises:
            Stalled: the API server does not know the resource.
        """
        query = "?" + urlencode({"labelSelector": selector}) if selector else ""
        answer = self.request("GET", path_of(resource, namespace, name) + query, accept=_TABLE, what=resource.plural)
        if answer is None:
            raise Stalled("NotFound", f"this API server has no {resource.plural}; are modelops' CRDs installed?")
        return answer

    def stream(
        self,
        resource: Resource,
        namespace: str | None,
        labels: Mapping[str, str] | None,
        version: str,
        seconds: int,
        *,
        selector: str = "",
        name: str = "",
    ) -> Iterator[dict[str, Any]]:
        """Yield watch events after a resourceVersion until the server ends the watch.

        Args:
            resource: what.
            namespace: where; None everywhere.
            labels: only objects that carry all of these.
            version: where to begin; empty tells what there is first.
            seconds: after which the server ends it.
            selector: instead of labels, a label selector as kubectl's -l.
            name: only the object of this name.

        Raises:
            Transient: the connection broke, or no byte came for longer than the watch may last.
        """
        query = {
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        if labels or selector:
            query["labelSelector"] = selector or ",".join(f"{key}={value}" for key, value in (labels or {}).items())
        if name:
            query["fieldSelector"] = f"metadata.name={name}"
        path = self._prefix + path_of(resource, namespace) + "?" + urlencode(query)
        try:
            response = self._pool.urlopen(
                "GET",
                path,
                headers={**self._headers, **self.connection.token.headers(), "Accept": _JSON},
                preload_content=False,
                timeout=urllib3.Timeout(connect=5, read=seconds + 15),
            )
        except HTTPError as error:
            raise Transient("ApiUnreachable", f"the API server at {self._host} does not answer: {error}") from error
        try:
            if response.status >= 400:
                raise refusal(response, response.read(), resource.plural)
            yield from _lines(response)
        except HTTPError as error:
            raise Transient("WatchBroken", f"the watch of {resource.plural} broke: {error}") from error
        finally:
            response.close()

    # --- writes ------------------------------------------------------------------------------------------------

    def apply(
        self, resource: Resource, obj: Mapping[str, Any], *, seen: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Server-side apply with force under the field manager `modelops`, over exactly what was seen if given."""
        meta = obj["metadata"]
        path = path_of(resource, meta.get("namespace"), meta["name"])
        body = {"apiVersion": resource.api_version, "kind": resource.kind} | dict(obj)
        if seen is not None:
            # The uid too: without it, what is gone by now would be made anew.
            body["metadata"] = {**meta, **{key: seen["metadata"][key] for key in ("uid", "resourceVersion")}}
        return self._must(
            self.request(
                "PATCH",
                f"{path}?fieldManager={MANAGER}&force=true",
                body=body,
                content_type="application/apply-patch+yaml",
                what=f"{resource.kind} {meta['name']}",
            ),
            resource,
            meta["name"],
        )

    def dry_run(self, resource: Resource, obj: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what a write would leave, defaults filled in, without writing; None if the namespace does not exist.

        Args:
            resource: of the object.
            obj: with a resourceVersion it would replace what is there, else it would be created.

        Raises:
            Stalled: the API server would refuse it.
        """
        meta = obj["metadata"]
        exists = bool(meta.get("resourceVersion"))
        path = path_of(resource, meta.get("namespace"), meta["name"] if exists else None)
        return self.request(
            "PUT" if exists else "POST",
            f"{path}?dryRun=All&fieldManager={MANAGER}",
            body={"apiVersion": resource.api_version, "kind": resource.kind} | dict(obj),
            what=f"{resource.kind} {meta['name']}",
        )

    def create(self, resource: Resource, obj: Mapping[str, Any]) -> dict[str, Any] | None:
        """Create; None if the name is taken."""
        meta = obj["metadata"]
        body = {"apiVersion": resource.api_version, "kind": resource.kind} | dict(obj)
        path = f"{path_of(resource, meta.get('namespace'))}?fieldManager={MANAGER}"
        try:
            created = self.request("POST", path, body=body, what=f"{resource.kind} {meta.get('name', '')}")
        except Conflict:
            return None
        return self._must(created, resource, str(meta.get("name", "")))

    def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        seen: Mapping[str, Any] | None = None,
    ) -> None:
        """Delete with background propagation; absent, or another uid, is success; exactly what was seen if given."""
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        if seen is not None:
            options["preconditions"] = {key: seen["metadata"][key] for key in ("uid", "resourceVersion")}
        try:
            path = path_of(resource, namespace, name)
            self.request("DELETE", path, body=options, what=f"{resource.kind} {name}")
        except Conflict:
            if seen is not None:
                raise

    def replace_status(self, resource: Resource, obj: Mapping[str, Any]) -> dict[str, Any]:
        """Put `/status`, guarded by the object's resourceVersion."""
        meta = obj["metadata"]
        path = path_of(resource, meta.get("namespace"), meta["name"]) + f"/status?fieldManager={MANAGER}"
        answer = self.request("PUT", path, body=obj, what=f"status of {resource.kind} {meta['name']}")
        if answer is None:
            raise Conflict("Gone", f"{resource.kind} {meta['name']} is gone")
        return answer

    def merge_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: Mapping[str, Any],
        *,
        subresource: str | None = None,
    ) -> dict[str, Any]:
        """Apply a JSON merge patch (RFC 7386) to an object or its subresource."""
        path = path_of(resource, namespace, name) + (f"/{subresource}" if subresource else "")
        answer = self.request(
            "PATCH", path, body=patch, content_type="application/merge-patch+json", what=f"{resource.kind} {name}"
        )
        return self._must(answer, resource, name)

    def emit(self, resource: Resource, about: Mapping[str, Any], reason: str, message: str, type_: str) -> None:
        """Record an Event. Best effort: what goes wrong is dropped, because an Event is never worth a failure."""
        meta = about["metadata"]
        now = datetime.now(UTC)
        namespace = meta.get("namespace") or "default"
        event = {
            "metadata": {"name": f"{meta['name'][:200]}.{int(now.timestamp() * 1e6):x}", "namespace": namespace},
            "involvedObject": {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "name": meta["name"],
                "namespace": meta.get("namespace"),
                "uid": meta.get("uid"),
                "resourceVersion": meta.get("resourceVersion"),
            },
            "reason": reason,
            "message": message[:1024],
            "type": type_,
            "source": {"component": MANAGER},
            "reportingComponent": MANAGER,
            "reportingInstance": "",
            "firstTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lastTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "count": 1,
        }
        try:
            self.create(EVENT, event)
        except ModelopsError:
            return

    @staticmethod
    def _must(answer: dict[str, Any] | None, resource: Resource, name: str) -> dict[str, Any]:
        if answer is None:
            raise Transient("NotFound", f"{resource.kind} {name}: the object or its namespace does not exist")
        return answer


def path_of(resource: Resource, namespace: str | None, name: str | None = None) -> str:
    """Return the path of a collection or an object."""
    base = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    if resource.namespaced and namespace:
        base += f"/namespaces/{quote(namespace, safe='')}"
    base += f"/{resource.plural}"
    return f"{base}/{quote(name, safe='')}" if name else base


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[dict[str, Any]]:
    rest = b""
    for chunk in response.stream(None, decode_content=True):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield orjson.loads(line)

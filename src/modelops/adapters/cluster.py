"""The Kubernetes API's objects as raw dictionaries. With `api_calls` the only place that speaks to it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from modelops.adapters import reviews, rights
from modelops.adapters.api_calls import ApiCalls
from modelops.adapters.events import event
from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import EVENT, SERVICEACCOUNT, Resource
from modelops.api.labels import MANAGER
from modelops.errors import Conflict, ModelopsError, Stalled, Transient

_TABLE: Final = "application/json;as=Table;g=meta.k8s.io;v=v1,application/json"


class KubeClient(ApiCalls):
    """Objects of one API server. Thread-safe; every call has a deadline."""

    # --- accounts ----------------------------------------------------------------------------------------------

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
        path = f"{path_of(resource, namespace)}?{urlencode(query)}"
        yield from self.lines(path, seconds + 15, resource.plural)

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
        try:
            self.create(EVENT, event(resource, about, reason, message, type_))
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

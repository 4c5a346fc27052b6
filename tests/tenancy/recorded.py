"""A cluster in memory that notes which rights every call would need of an API server."""

from collections.abc import Mapping, Sequence
from typing import Any

from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import EVENT, LOCALACCESSREVIEW, SERVICEACCOUNT, Resource
from modelops.ports import Cluster, Objects
from modelops.shell.registry import watched

Rights = dict[str, set[str]]


def named(resource: Resource, subresource: str = "") -> str:
    """Return a resource as the golden rights name it."""
    group = f".{resource.group}" if resource.group else ""
    return f"{resource.plural}{group}{'/' if subresource else ''}{subresource}"


class RecordedObjects:
    """Objects under one identity.

    Args:
        objects: what is called.
        used: where rights are noted.
        lists_first: whether a read is preceded by the question whether the kind may be listed.
    """

    def __init__(self, objects: Objects, used: Rights, *, lists_first: bool) -> None:
        self._objects = objects
        self._used = used
        self._lists_first = lists_first

    def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        self.note(named(resource), "get", *(["list"] if self._lists_first and resource in watched() else []))
        return self._objects.get(resource, namespace, name)

    def apply(
        self, resource: Resource, obj: Mapping[str, Any], *, seen: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        # Over something that was seen: after a conflict it is read again.
        self.note(named(resource), "patch", *(["create"] if seen is None else ["get"]))
        return self._objects.apply(resource, obj, seen=seen)

    def create(self, resource: Resource, obj: Mapping[str, Any]) -> dict[str, Any] | None:
        self.note(named(resource), "create")
        return self._objects.create(resource, obj)

    def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        seen: Mapping[str, Any] | None = None,
    ) -> None:
        self.note(named(resource), "delete", *([] if seen is None else ["get"]))
        self._objects.delete(resource, namespace, name, uid=uid, seen=seen)

    def note(self, resource: str, *verbs: str) -> None:
        self._used.setdefault(resource, set()).update(verbs)


class RecordedCluster(RecordedObjects):
    """Implements `ports.Cluster`; what an account does is noted by itself."""

    def __init__(self, cluster: Cluster, used: Rights, tenant: Rights) -> None:
        super().__init__(cluster, used, lists_first=False)
        self._cluster = cluster
        self._tenant = tenant

    def list(
        self, resource: Resource, namespace: str | None, labels: Mapping[str, str] | None = None
    ) -> Sequence[dict[str, Any]]:
        self.note(named(resource), "list")
        return self._cluster.list(resource, namespace, labels)

    def acting_as(self, account: ServiceAccount) -> Objects:
        self.note(named(SERVICEACCOUNT), "impersonate")
        return RecordedObjects(self._cluster.acting_as(account), self._tenant, lists_first=True)

    def has_account(self, account: ServiceAccount) -> bool:
        self.note(named(SERVICEACCOUNT), "get")
        return self._cluster.has_account(account)

    def may(self, account: ServiceAccount | None, namespace: str, verb: str, resource: Resource) -> bool | None:
        if account is not None:  # everybody may ask about oneself
            self.note(named(LOCALACCESSREVIEW), "create")
        return self._cluster.may(account, namespace, verb, resource)

    def replace_status(self, resource: Resource, obj: Mapping[str, Any]) -> dict[str, Any]:
        self.note(named(resource, "status"), "update")
        return self._cluster.replace_status(resource, obj)

    def let_go(self, resource: Resource, obj: Mapping[str, Any]) -> None:
        # Over what was seen: after a conflict it is read again.
        self.note(named(resource), "patch", "get")
        self._cluster.let_go(resource, obj)

    def emit(self, resource: Resource, about: Mapping[str, Any], reason: str, message: str, type_: str) -> None:
        self.note(named(EVENT), "create")
        self._cluster.emit(resource, about, reason, message, type_)

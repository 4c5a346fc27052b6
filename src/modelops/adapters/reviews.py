"""Asks the API server who may do what, without trying it."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import LOCALACCESSREVIEW, Resource
from modelops.errors import Transient

_GROUP: Final = f"{LOCALACCESSREVIEW.group}/{LOCALACCESSREVIEW.version}"


class Request(Protocol):
    """Sends one request to the API server, as `KubeClient.request` does."""

    def __call__(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, what: str = ""
    ) -> dict[str, Any] | None:
        """Return the decoded answer; None for a 404."""
        ...


def may(request: Request, account: ServiceAccount | None, namespace: str, verb: str, resource: Resource) -> bool | None:
    """Return whether somebody may do something in a namespace; None if nobody here can tell (the local home).

    Args:
        request: asks the API server.
        account: of whom; None for whoever asks.
        namespace: where.
        verb: what.
        resource: to what.

    Raises:
        Transient: the API server is away.
    """
    attributes = {"namespace": namespace, "verb": verb, "group": resource.group, "resource": resource.plural}
    if account is None:
        path = f"/apis/{_GROUP}/selfsubjectaccessreviews"
        body: dict[str, Any] = {"kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}
    else:
        path = f"/apis/{_GROUP}/namespaces/{namespace}/{LOCALACCESSREVIEW.plural}"
        spec = {"resourceAttributes": attributes, "user": account.user, "groups": account.groups}
        body = {"kind": LOCALACCESSREVIEW.kind, "metadata": {"namespace": namespace}, "spec": spec}
    try:
        answer = request("POST", path, body={"apiVersion": _GROUP, **body}, what="an access review")
    except Transient as error:
        if error.reason != "ApiForbidden":
            raise
        return None
    return None if answer is None else bool(answer["status"]["allowed"])

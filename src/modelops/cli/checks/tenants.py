"""Whether GitSources can act as the accounts that they name: the accounts exist, and the operator may act as them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelops.adapters import rights
from modelops.adapters.cluster import KubeClient
from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import DEPLOYMENT, GITSOURCE, SERVICEACCOUNT, Resource
from modelops.cli.checks import Finding
from modelops.errors import ModelopsError

OPERATOR: Final = "app.kubernetes.io/name=modelops"
"""Label of the operator's Deployment."""
_SETTING: Final = "MODELOPS_DEFAULT_SERVICE_ACCOUNT"
_REVIEW: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def tenants(client: KubeClient, namespace: str) -> Iterator[Finding]:
    """Yield how the accounts stand that GitSources of a namespace act as; nothing if none acts as any.

    The operator's rights are asked as the operator, by a SelfSubjectAccessReview: who asks has to be allowed that.
    """
    try:
        deployment = operator_deployment(client)
        named = _named(client, namespace, _default(deployment))
    except ModelopsError:
        return  # what cannot be read is said by the other checks
    if not named:
        return
    for account, sources in named.items():
        about = f"{account}, as which GitSource {', '.join(sources)} acts"
        try:
            if not client.has_account(account):
                how = f"kubectl -n {account.namespace} create serviceaccount {account.name}"
                yield Finding("tenant", "missing", f"there is no {about}", how)
                continue
        except ModelopsError as error:
            yield Finding("tenant", "warn", f"{about}: it cannot be looked for: {error.message}")
            continue
        yield _acting(client, account, about, deployment)


def operator_deployment(client: KubeClient) -> Mapping[str, Any] | None:
    """Return the operator's Deployment, or None.

    Raises:
        ModelopsError: it may not be looked for, or the API server does not answer.
    """
    page = client.list_page(DEPLOYMENT, None, selector=OPERATOR)
    return next(iter((page or {}).get("items") or ()), None)


def may(client: KubeClient, verb: str, resource: Resource, namespace: str, name: str = "") -> bool | None:
    """Return whether a client may do something; None if the API server does not tell.

    Raises:
        ModelopsError: it may not even be asked.
    """
    attributes = {"verb": verb, "group": resource.group, "resource": resource.plural}
    attributes |= {"namespace": namespace} if resource.namespaced else {}
    attributes |= {"name": name} if name else {}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = client.request("POST", _REVIEW, body=body, what="permissions")
    return None if answer is None else bool((answer.get("status") or {}).get("allowed"))


def _default(deployment: Mapping[str, Any] | None) -> str:
    """Return the account of GitSources that name none, as the operator's Deployment says."""
    if deployment is None:
        return ""
    environment = deployment["spec"]["template"]["spec"]["containers"][0].get("env") or ()
    return next((str(entry.get("value", "")) for entry in environment if entry["name"] == _SETTING), "")


def _named(client: KubeClient, namespace: str, default: str) -> dict[ServiceAccount, list[str]]:
    """Return the GitSources that act as an account, by it."""
    found: dict[ServiceAccount, list[str]] = {}
    for source in client.list(GITSOURCE.resource, namespace):
        name = source["spec"].get("serviceAccountName") or default
        if name:
            found.setdefault(ServiceAccount(namespace, name), []).append(source["metadata"]["name"])
    return found


def _acting(client: KubeClient, account: ServiceAccount, about: str, deployment: Mapping[str, Any] | None) -> Finding:
    """Return whether the operator may act as an account."""
    if deployment is None:
        why = "the operator's Deployment is not here, so its account is not known"
        return Finding("tenant", "warn", f"{about}: whether the operator may act as it was not asked; {why}")
    spec = deployment["spec"]["template"]["spec"]
    operator = ServiceAccount(deployment["metadata"]["namespace"], spec.get("serviceAccountName") or "default")
    try:
        allowed = may(client.acting_as(operator), "impersonate", SERVICEACCOUNT, account.namespace, account.name)
    except ModelopsError as error:
        return Finding(
            "tenant", "warn", f"{about}: whether the operator may act as it cannot be asked: {error.message}"
        )
    if allowed is False:
        refusal = rights.may_not_act_as(account, operator.user)
        return Finding("tenant", "missing", refusal.message, refusal.remedy.removeprefix("grant it: "))
    return Finding("tenant", "ok", f"{about}, is there, and the operator may act as it")

"""What the API server says of missing rights, in one line that tells who may not do what where, and how to grant it."""

import re
from typing import Final

from modelops.api.accounts import ServiceAccount
from modelops.errors import Forbidden, Stalled

TENANT_ROLE: Final = "modelops-tenant"
"""ClusterRole with what an account needs for a GitSource."""
IMPERSONATOR_ROLE: Final = "modelops-impersonator"
"""ClusterRole by which the operator may act as the accounts of a namespace."""
_SAID: Final = re.compile(r'User "([^"]+)" cannot (\S+) resource "([^"]+)"')
_ACCOUNT: Final = re.compile(r"^system:serviceaccount:([^:]+):([^:]+)$")


def refused(account: ServiceAccount, what: str, message: str) -> Stalled:
    """Return the error for a 403 that a call under an account got.

    Args:
        account: as which the call was made.
        what: it was about.
        message: of the API server. If it is not about rights (a quota, a namespace that ends), it is told as it is.
    """
    found = _SAID.search(message)
    if found is None:
        return Stalled("ApiRefused", f"{what}: {message}")
    user, verb, resource = found.groups()
    if verb == "impersonate":
        return may_not_act_as(account, user)
    where = f"in namespace {account.namespace}"
    return Forbidden(
        "Forbidden",
        f"{what}: {account} may not {verb} {resource} {where}",
        remedy=f"grant it: {_bind(account.namespace, account.name, TENANT_ROLE, account.user)}",
    )


def may_not_act_as(account: ServiceAccount, operator: str) -> Forbidden:
    """Return the error for an operator that may not act as an account.

    Args:
        account: as which it would act.
        operator: its name as the API server knows it.
    """
    return Forbidden(
        "ImpersonationForbidden",
        f"the operator ({operator}) may not act as {account}",
        remedy=f"grant it: {_bind(account.namespace, IMPERSONATOR_ROLE, IMPERSONATOR_ROLE, operator)}",
    )


def user_in(message: str) -> str:
    """Return the user that a refusal names, or nothing."""
    found = _SAID.search(message)
    return found.group(1) if found else ""


def _bind(namespace: str, binding: str, role: str, user: str) -> str:
    account = _ACCOUNT.match(user)
    subject = f"--serviceaccount={account[1]}:{account[2]}" if account else f"--user={user}"
    return f"kubectl -n {namespace} create rolebinding {binding} --clusterrole={role} {subject}"

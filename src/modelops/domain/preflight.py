"""Whether a namespace lets a Workflow run: rights, the account of its pods, room in its quotas. Pure.

Only what is bound to be refused is refused here, before anything is made. Argo's executor and a LimitRange add to what
a pod asks; what they exceed is told by the Workflow itself (`workflow_waits`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from modelops.api.accounts import ServiceAccount
from modelops.domain import status
from modelops.domain.plan import ConditionSpec, CreateObject, DeleteObject, Plan
from modelops.domain.quantities import quantity

AGAIN: Final = timedelta(seconds=15)
"""Nothing watches quotas and rights."""
_EVERY_POD: Final = frozenset(
    {"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"},
)
"""Where a quota counts one of these, a pod has to ask for some of it."""


@dataclass(frozen=True, slots=True)
class Quota:
    """A ResourceQuota that counts every pod: resource → quantity, as the API has them."""

    name: str
    hard: Mapping[str, str]
    used: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """A namespace, as far as it is known; what nobody could tell is taken as granted."""

    account: ServiceAccount
    """Of Workflows' pods."""
    may_create: bool = True
    """Whether the operator may create Workflows."""
    account_exists: bool = True
    account_may_report: bool = True
    """Whether Argo's executor may hand results back as that account."""
    quotas: tuple[Quota, ...] = ()

    @property
    def is_fit(self) -> bool:
        """Whether Workflows may be made and run, if there is room."""
        return self.may_create and self.account_exists and self.account_may_report


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a Workflow would not run."""

    reason: str
    message: str
    passes: bool = False
    """Whether it may pass without a human."""

    @property
    def conditions(self) -> tuple[ConditionSpec, ...]:
        """What is said of the object that launches it."""
        if self.passes:
            return status.not_ready(self.reason, self.message), status.reconciling(self.reason, self.message)
        return status.stalled(self.reason, self.message)


def launched(plan: Plan) -> Mapping[str, Any] | None:
    """Return the Workflow that a plan creates, or None."""
    return next((action.obj for action in plan.actions if isinstance(action, CreateObject)), None)


def refusal(plan: Plan, place: Place | None) -> Refusal | None:
    """Return why the Workflow that a plan creates would not run, or None.

    Args:
        plan: of a kind that creates nothing but Workflows.
        place: its namespace; None where there is nothing to be asked.
    """
    workflow = launched(plan)
    if workflow is None or place is None:
        return None
    account = place.account
    if not place.may_create:
        return Refusal(
            "Forbidden",
            f"the operator may not create workflows.argoproj.io in namespace {account.namespace}; bind its role there",
        )
    if not place.account_exists:
        return Refusal(
            "ServiceAccountNotFound",
            f"Workflows' pods would run as {account}, which does not exist; create it: "
            f"kubectl -n {account.namespace} create serviceaccount {account.name}",
        )
    if not place.account_may_report:
        return Refusal(
            "Forbidden",
            f"{account} may not create and patch workflowtaskresults.argoproj.io, by which Argo hands results back; "
            f"grant it: {_grant(account)}",
        )
    if any(isinstance(action, DeleteObject) for action in plan.actions):
        return None  # The Workflow before it gives back what it has.
    return _no_room(asked_of(workflow), place)


def asked_of(workflow: Mapping[str, Any]) -> dict[str, str]:
    """Return what a Workflow is sure to ask of a quota at least: resource → quantity. Its steps run one at a time."""
    asked = {"count/workflows.argoproj.io": "1", "pods": "1", "count/pods": "1"}
    for template in workflow["spec"]["templates"]:
        for container in (*template.get("initContainers", ()), template.get("container", {})):
            for resource, amount in ((container.get("resources") or {}).get("limits") or {}).items():
                name = f"requests.{resource}"
                asked[name] = max(asked.get(name, "0"), str(amount), key=quantity)
    for claim in workflow["spec"].get("volumeClaimTemplates", ()):
        asked |= {"persistentvolumeclaims": "1", "requests.storage": claim["spec"]["resources"]["requests"]["storage"]}
    return asked


def _no_room(asked: Mapping[str, str], place: Place) -> Refusal | None:
    for quota in place.quotas:
        for resource, hard in sorted(quota.hard.items()):
            if resource not in asked and resource not in _EVERY_POD:
                continue
            amount, used = quantity(asked.get(resource, "0")), quota.used.get(resource, "0")
            left = quantity(hard) - quantity(used)
            if left >= amount and left > 0:
                continue
            what = f"{resource}: {asked.get(resource, 'some')} asked, {used} of {hard} used"
            remedy = "ask for less, or for a larger quota" if amount > quantity(hard) else "it starts once there is"
            where = f"ResourceQuota {quota.name} of namespace {place.account.namespace}"
            return Refusal("QuotaExceeded", f"{where} has no room: {what}; {remedy}", passes=True)
    return None


def _grant(account: ServiceAccount) -> str:
    role = f"{account.name}-results"
    kubectl = f"kubectl -n {account.namespace} create"
    return (
        f"{kubectl} role {role} --verb=create,patch --resource=workflowtaskresults.argoproj.io && "
        f"{kubectl} rolebinding {role} --role={role} --serviceaccount={account.namespace}:{account.name}"
    )

"""What is known of namespaces before a Workflow is made there: asked once, and kept for a while.

A run costs three calls of the API server; these are asked once a namespace, not once a run. What is wrong, and how full
a quota is, is kept for seconds; that all is well, for minutes: a Workflow tells by itself what went wrong since.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import RESOURCEQUOTA, WORKFLOW, WORKFLOWTASKRESULT
from modelops.domain.preflight import Place, Quota
from modelops.errors import Forbidden, Transient
from modelops.reconcile.bundle import Ports

_GOOD_FOR: Final = timedelta(minutes=5)
_ROOM_GOOD_FOR: Final = timedelta(seconds=10)
"""Less than until a run looks again."""
_REPORTS: Final = ("create", "patch")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Known:
    place: Place
    rights_at: datetime
    room_at: datetime


class Places:
    """Knows namespaces. Thread-safe; two that ask at once may both ask the API server."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def of(self, namespace: str, ports: Ports) -> Place:
        """Return what is known of a namespace.

        Raises:
            Transient: the API server is away.
        """
        now = ports.clock.now()
        with self._lock:
            known = self._known.get(namespace)
        good_for = _GOOD_FOR if known is not None and known.place.is_fit else _ROOM_GOOD_FOR
        if known is None or now - known.rights_at >= good_for:
            account = ServiceAccount(namespace, ports.settings.workflow_service_account or "default")
            known = _Known(_rights(account, ports), now, datetime.min.replace(tzinfo=now.tzinfo))
        if now - known.room_at >= _ROOM_GOOD_FOR:
            none: tuple[Quota, ...] = ()
            quotas = _asked(lambda: _quotas(namespace, ports), unknown=none)
            known = replace(known, place=replace(known.place, quotas=quotas), room_at=now)
        with self._lock:
            self._known[namespace] = known
        return known.place


def _rights(account: ServiceAccount, ports: Ports) -> Place:
    cluster, namespace = ports.cluster, account.namespace
    exists = _asked(lambda: cluster.has_account(account), unknown=True)
    return Place(
        account,
        may_create=cluster.may(None, namespace, "create", WORKFLOW) is not False,
        account_exists=exists,
        # Rights may be bound to an account that does not exist.
        account_may_report=exists
        and all(cluster.may(account, namespace, verb, WORKFLOWTASKRESULT) is not False for verb in _REPORTS),
    )


def _quotas(namespace: str, ports: Ports) -> tuple[Quota, ...]:
    found = (_quota(obj) for obj in ports.cluster.list(RESOURCEQUOTA, namespace))
    return tuple(quota for quota in found if quota is not None)


def _quota(obj: Mapping[str, Any]) -> Quota | None:
    """Return a quota; None for one that counts only some pods: which, is decided by what others add to a pod."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    if spec.get("scopes") or spec.get("scopeSelector"):
        return None
    return Quota(obj["metadata"]["name"], status.get("hard") or {}, status.get("used") or {})


def _asked(ask: Callable[[], _T], *, unknown: _T) -> _T:
    """Return the answer, or what stands for one that the operator may not have."""
    try:
        return ask()
    except Forbidden:
        return unknown
    except Transient as error:
        if error.reason != "ApiForbidden":
            raise
        return unknown

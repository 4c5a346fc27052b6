"""The only place that builds conditions, and the only place that finishes a status.

A transition time changes only when the status of the condition changes. Time is an argument.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, TypeVar

from modelops.api.v1alpha1.common import Condition, Status
from modelops.domain.plan import ConditionSpec

_S = TypeVar("_S", bound=Status)
_ONLY_WHILE_TRUE: Final = frozenset({"Reconciling", "Stalled"})
_MAX_MESSAGE: Final = 1024
CAPACITY: Final = "WaitingForCapacity"
"""Reason of whatever waits for room: nodes, GPUs, a quota."""


def ready(reason: str, message: str) -> ConditionSpec:
    """Return Ready=True."""
    return ConditionSpec("Ready", "True", reason, message)


def not_ready(reason: str, message: str) -> ConditionSpec:
    """Return Ready=False."""
    return ConditionSpec("Ready", "False", reason, message)


def reconciling(reason: str, message: str) -> ConditionSpec:
    """Return Reconciling=True: work is under way."""
    return ConditionSpec("Reconciling", "True", reason, message)


def stalled(reason: str, message: str) -> tuple[ConditionSpec, ConditionSpec]:
    """Return Ready=False and Stalled=True with one reason: a human has to act."""
    return not_ready(reason, message), ConditionSpec("Stalled", "True", reason, message)


def suspended() -> ConditionSpec:
    """Return Ready=Unknown of an object that nobody reconciles."""
    return ConditionSpec("Ready", "Unknown", "Suspended", "spec.suspend is true; nothing is reconciled")


def said(condition: Condition) -> ConditionSpec:
    """Return what says a condition once more."""
    return ConditionSpec(condition.type, condition.status, condition.reason, condition.message)


def build_conditions(
    wanted: Iterable[ConditionSpec], previous: Iterable[Condition], *, generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Return the wanted conditions with times and generation; what is not wanted any more is left out."""
    before = {condition.type: condition for condition in previous}
    built = []
    for spec in wanted:
        if spec.type in _ONLY_WHILE_TRUE and spec.status != "True":
            continue
        old = before.get(spec.type)
        changed = old is None or old.status != spec.status
        built.append(
            Condition(
                type=spec.type,
                status=spec.status,
                observed_generation=generation,
                last_transition_time=now.replace(microsecond=0) if old is None or changed else old.last_transition_time,
                reason=spec.reason,
                message=spec.message[:_MAX_MESSAGE],
            )
        )
    return tuple(sorted(built, key=lambda condition: (condition.type != "Ready", condition.type)))


def finish(
    status: _S,
    wanted: Iterable[ConditionSpec],
    previous: Iterable[Condition],
    *,
    generation: int,
    requested_at: str | None,
    now: datetime,
) -> _S:
    """Return the status with conditions, generation and the handled request filled in."""
    return status.model_copy(
        update={
            "conditions": build_conditions(wanted, previous, generation=generation, now=now),
            "observed_generation": generation,
            "last_handled_reconcile_at": requested_at or status.last_handled_reconcile_at,
        }
    )


def to_wire(status: Status) -> dict[str, Any]:
    """Return the status as the API has it: camelCase, no nulls, no empty defaults that say nothing."""
    dumped: dict[str, Any] = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return dumped

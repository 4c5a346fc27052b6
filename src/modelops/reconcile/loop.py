"""One reconcile for every kind: observe → decide → act → summarise → one status write, only when it differs.

The shell calls `Loop.reconcile(key)`; it never raises. What goes wrong becomes a condition and a delay. This is the
only place that catches everything: an unknown exception is a bug, logged with its traceback and tried again.
"""

import logging
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Generic, Protocol, TypeVar

from pydantic import ValidationError

from modelops.api.kinds import Kind
from modelops.api.labels import REQUESTED_AT
from modelops.api.v1alpha1.common import Condition, Status
from modelops.domain import status as statuses
from modelops.domain.plan import ConditionSpec, EventSpec, Plan, Setback
from modelops.errors import Conflict, ModelopsError, Stalled, Transient, Waiting
from modelops.reconcile import workflows
from modelops.reconcile.act import act
from modelops.reconcile.bundle import Ports

_FIRST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 300.0

_O = TypeVar("_O")
_BEGUN: Final = (statuses.not_ready("Progressing", "acting"), statuses.reconciling("Progressing", "acting"))
"""Of an object that is acted for before anything was ever said of it."""
Key = tuple[str | None, str]
"""(namespace, name)."""


class Reconciler(Protocol[_O]):
    """What a kind adds to the loop."""

    @property
    def kind(self) -> Kind:
        """The kind."""
        ...

    def observe(self, obj: dict[str, Any], ports: Ports) -> _O:
        """Read everything the decision needs. The spec of `obj` is known to be valid."""
        ...

    def decide(self, observed: _O) -> Plan:
        """Decide; pure and total."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """When to look again, and how it went."""

    requeue_after: timedelta | None
    """None waits for an event."""
    error: str | None = None
    """The reason of a failure, for the metrics."""
    gone: bool = False
    """The object does not exist any more."""
    again: bool = False
    """It has a new status, which the next decision may depend on: nobody tells of one's own writes."""


class Loop(Generic[_O]):
    """Reconciles objects of one kind, one at a time per object.

    Args:
        reconciler: the kind's part.
        ports: everything outside.
        jitter: a number in [0, 1) for back-off.
    """

    def __init__(
        self,
        reconciler: Reconciler[_O],
        ports: Ports,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._reconciler = reconciler
        self._ports = ports
        self._jitter = jitter
        self._failures: dict[Key, int] = {}
        self._log = logging.getLogger(f"{__name__}.{reconciler.kind.singular}")

    @property
    def kind(self) -> Kind:
        """The kind this loop reconciles."""
        return self._reconciler.kind

    def forget(self, key: Key) -> None:
        """Drop what is remembered of an object that is gone."""
        self._failures.pop(key, None)

    def reconcile(self, key: Key) -> Outcome:
        """Bring one object a step nearer to what it asks for."""
        obj: dict[str, Any] | None = None
        try:
            obj = self._ports.cluster.get(self.kind.resource, *key)
            if obj is None or obj["metadata"].get("deletionTimestamp"):
                self.forget(key)
                workflows.let_go(self.kind, *key, self._ports, gone=obj is None)
                return Outcome(None, gone=obj is None)
            outcome = self._pass(obj)
        except ModelopsError as error:
            return self._failed(key, obj, error)
        except Exception as error:  # noqa: BLE001 - the one place; see the docstring of this module
            self._log.exception("%s %s: a bug in modelops", self.kind.resource.kind, key)
            return self._failed(key, obj, Transient("InternalError", f"{type(error).__name__}; see the operator's log"))
        if outcome.error is None:
            self._failures.pop(key, None)
        return outcome

    def _pass(self, obj: dict[str, Any]) -> Outcome:
        before = obj
        if (obj.get("spec") or {}).get("suspend") is True and not self.kind.launches:
            self._keep(obj, [statuses.suspended()])
            return Outcome(None)
        self._require_valid(obj)
        observed = self._reconciler.observe(obj, self._ports)
        plan = self._reconciler.decide(observed)
        if plan.status_first:
            obj = self._write(obj, plan.status, plan.conditions)
        elif plan.status_before is not None:
            kept = [statuses.said(condition) for condition in self._status(obj).conditions]
            obj = self._write(obj, plan.status_before, kept or _BEGUN)
        try:
            act(plan.actions, self._ports, each_by_itself=plan.each_by_itself, acting_as=plan.acting_as)
        except ModelopsError as error:
            if plan.setback is not None:
                return self._set_back(obj, plan.setback, error)
            if not (plan.each_by_itself and isinstance(error, Stalled)):
                raise
            # What is wrong may be mended in git, where no watch looks.
            found = (condition.message for condition in plan.conditions if condition.status == "False")
            message = "; ".join([error.message, *found])
            raise Stalled(error.reason, message, retry_after=plan.requeue_after) from error
        obj = self._write(obj, plan.status, plan.conditions)
        self._emit(obj, plan.events)
        return Outcome(plan.requeue_after, again=obj is not before)

    def _set_back(self, obj: dict[str, Any], setback: Setback, error: ModelopsError) -> Outcome:
        """Say what failed in a condition of its own; another pass, which comes at once, goes on with all else."""
        self._log.warning("%s %s: %s", self.kind.resource.kind, obj["metadata"]["name"], error)
        others = [one for one in self._status(obj).conditions if one.type != setback.condition]
        told = (one.message for one in self._status(obj).conditions if one.type == setback.condition)
        said = ConditionSpec(setback.condition, "False", error.reason, error.message)
        self._write(obj, setback.status, [*map(statuses.said, others), said])
        if error.message not in told:
            self._emit(obj, [EventSpec(error.reason, error.message, "Warning")])
        return Outcome(timedelta(0), error.reason, again=True)

    def _require_valid(self, obj: dict[str, Any]) -> None:
        try:
            self.kind.spec.model_validate(obj.get("spec", {}))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(part) for part in ("spec", *first["loc"]))
            raise Stalled("InvalidSpec", f"{where}: {first['msg']}") from error

    def _failed(self, key: Key, obj: dict[str, Any] | None, error: ModelopsError) -> Outcome:
        if isinstance(error, Conflict):
            return Outcome(timedelta(0), error.reason)
        delay = self._delay(key, error)
        self._log.warning("%s %s: %s", self.kind.resource.kind, key, error)
        # Whoever asked for patience does not want the status either; it is said later, if it still holds then.
        asked = isinstance(error, Transient) and error.reason == "ApiUnavailable" and error.retry_after is not None
        if obj is not None and not asked:
            try:
                self._say(obj, error)
            except Conflict:
                return Outcome(timedelta(0), error.reason)
            except ModelopsError as second:
                self._log.warning("%s %s: status not written: %s", self.kind.resource.kind, key, second)
        return Outcome(delay, error.reason)

    def _delay(self, key: Key, error: ModelopsError) -> timedelta | None:
        match error:
            case Stalled(retry_after=after):
                return after
            case Waiting(delay=delay):
                return delay
            case Transient(retry_after=after) if after is not None:
                return after
            case _:
                failures = self._failures[key] = self._failures.get(key, 0) + 1
                seconds = min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** min(failures - 1, 16))
                return timedelta(seconds=seconds * (0.5 + self._jitter() / 2))

    def _say(self, obj: dict[str, Any], error: ModelopsError) -> None:
        """Put the failure into the conditions; what was Ready stays so while something outside is away."""
        previous = {condition.type: condition for condition in self._status(obj).conditions}
        was_ready = previous.get("Ready")
        generation = int(obj["metadata"].get("generation", 0))
        if isinstance(error, Stalled):
            wanted = list(statuses.stalled(error.reason, error.message))
        elif was_ready and was_ready.status == "True" and was_ready.observed_generation == generation:
            kept = ConditionSpec("Ready", "True", was_ready.reason, was_ready.message)
            wanted = [kept, statuses.reconciling(error.reason, error.message)]
        else:
            wanted = [
                statuses.not_ready(error.reason, error.message),
                statuses.reconciling(error.reason, error.message),
            ]
        said = {spec.type for spec in wanted} | {"Reconciling", "Stalled"}
        others = [statuses.said(condition) for name, condition in previous.items() if name not in said]
        changed = was_ready is None or (was_ready.reason, was_ready.message) != (error.reason, error.message)
        self._keep(obj, [*wanted, *others])
        if isinstance(error, Stalled) and changed:
            self._emit(obj, [EventSpec(error.reason, error.message, "Warning")])

    def _keep(self, obj: dict[str, Any], conditions: Iterable[ConditionSpec]) -> None:
        self._write(obj, self._status(obj), conditions)

    def _status(self, obj: Mapping[str, Any]) -> Status:
        return self.kind.status.model_validate(obj.get("status") or {})

    def _write(self, obj: dict[str, Any], status: Status, conditions: Iterable[ConditionSpec]) -> dict[str, Any]:
        metadata = obj["metadata"]
        finished = statuses.finish(
            status,
            conditions,
            _conditions(obj),
            generation=int(metadata.get("generation", 0)),
            requested_at=(metadata.get("annotations") or {}).get(REQUESTED_AT),
            now=self._ports.clock.now(),
        )
        wire = statuses.to_wire(finished)
        if wire == obj.get("status"):
            return obj
        return self._ports.cluster.replace_status(self.kind.resource, {**obj, "status": wire})

    def _emit(self, obj: Mapping[str, Any], events: Iterable[EventSpec]) -> None:
        for event in events:
            self._ports.cluster.emit(self.kind.resource, obj, event.reason, event.message, event.type)


def _conditions(obj: Mapping[str, Any]) -> tuple[Condition, ...]:
    return Status.model_validate(obj.get("status") or {}).conditions

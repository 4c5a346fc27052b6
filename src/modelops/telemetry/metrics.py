"""The operator's own figures. One registry, made by `modelops.app` and handed on; nothing is registered at import.

Series of an object are deleted with it, and no label can grow without bound (no commit, no message).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from modelops.api.kinds import Kind, Resource
from modelops.reconcile.loop import Key, Outcome
from modelops.telemetry.family import OBJECT, Family, fields, one_of
from modelops.telemetry.objects import ObjectSeries
from modelops.telemetry.releases import ReleaseSeries

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STATES: Final = ("True", "False", "Unknown")


class OperatorMetrics:
    """What Grafana shows of the operator.

    Args:
        registry: where the series live.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._duration = Histogram(
            "modelops_reconcile_duration_seconds", "One reconcile.", ["kind"], buckets=_SECONDS, registry=registry
        )
        self._errors = Counter(
            "modelops_reconcile_errors_total", "Reconciles that failed.", ["kind", "reason"], registry=registry
        )
        self._leader = Gauge("modelops_leader", "1 if this operator works, 0 if it stands by.", registry=registry)
        self._heard = Gauge(
            "modelops_watch_last_event_timestamp_seconds",
            "When a watch last gave a sign of life: an event, a bookmark, an answer. 0 if it never did.",
            ["resource"], registry=registry,
        )  # fmt: skip
        self._lists = Counter(
            "modelops_watch_lists_total", "Times that a watch began with a whole list.", ["resource"], registry=registry
        )
        self._condition = Family(
            "modelops_condition", "1 for the status that a condition has.", OBJECT, ("type", "status"), registry
        )
        self._releases = ReleaseSeries(registry)
        self._objects = ObjectSeries(registry)

    def leads(self) -> None:
        """Say that this operator works; one that ceases to ends."""
        self._leader.set(1)

    def watches(self, resource: Resource, last: Callable[[], float]) -> None:
        """Show a watch from now on.

        Args:
            resource: what is watched.
            last: returns when it last gave a sign of life, seconds since 1970.
        """
        self._heard.labels(f"{resource.plural}.{resource.group}").set_function(last)

    def listed(self, resource: Resource) -> None:
        """Count one list of a watch."""
        self._lists.labels(f"{resource.plural}.{resource.group}").inc()

    def reconciled(self, kind: Kind, outcome: Outcome, seconds: float) -> None:
        """Count one reconcile."""
        self._duration.labels(kind.resource.kind).observe(seconds)
        if outcome.error:
            self._errors.labels(kind.resource.kind, outcome.error).inc()

    def observed(self, kind: Kind, obj: Mapping[str, Any]) -> None:
        """Show an object's status."""
        name, status = kind.resource.kind, fields(obj, "status")
        owner = (obj["metadata"].get("namespace") or "", obj["metadata"]["name"])
        states: dict[tuple[str, ...], float] = {}
        for condition in status.get("conditions", ()):
            states |= one_of(condition["status"], _STATES, condition["type"])
        self._condition.show((name, *owner), states)
        if name == "ModelRelease":
            self._releases.observed(owner, obj)
        else:
            self._objects.observed(name, owner, status)

    def gone(self, kind: Kind, key: Key) -> None:
        """Delete the series of an object that does not exist any more."""
        name, owner = kind.resource.kind, (key[0] or "", key[1])
        self._condition.gone((name, *owner))
        if name == "ModelRelease":
            self._releases.gone(owner)
        else:
            self._objects.gone(name, owner)

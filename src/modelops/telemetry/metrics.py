"""The operator's own figures. One registry, made by `modelops.app` and handed on; nothing is registered at import.

Series of an object are deleted with it, and no label can grow without bound (no commit, no message).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from modelops.api.kinds import Kind, Resource
from modelops.reconcile.loop import Key, Outcome

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STATES: Final = ("True", "False", "Unknown")
_VERDICTS: Final = ("Pass", "Fail", "NoData", "Error")


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
        named = ["kind", "namespace", "name"]
        self._condition = Gauge(
            "modelops_condition", "1 for the status that a condition has.", [*named, "type", "status"],
            registry=registry,
        )  # fmt: skip
        release = ["namespace", "name"]
        self._weight = Gauge(
            "modelops_release_weight_ratio", "Share of the traffic that the canary has.", release, registry=registry
        )
        self._step = Gauge("modelops_release_step", "Index of the canary's step.", release, registry=registry)
        metric = [*release, "metric"]
        self._value = Gauge("modelops_analysis_value", "Last value of a metric.", metric, registry=registry)
        self._samples = Gauge("modelops_analysis_samples", "Samples behind it.", metric, registry=registry)
        self._verdict = Gauge(
            "modelops_analysis_verdict", "1 for the last verdict.", [*metric, "verdict"], registry=registry
        )
        self._gauges = (self._condition, self._weight, self._step, self._value, self._samples, self._verdict)

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
        meta, status = obj["metadata"], obj.get("status") or {}
        namespace, name = meta.get("namespace") or "", meta["name"]
        for condition in status.get("conditions", ()):
            for state in _STATES:
                labels = (kind.resource.kind, namespace, name, condition["type"], state)
                self._condition.labels(*labels).set(condition["status"] == state)
        if kind.resource.kind == "ModelRelease":
            self._weight.labels(namespace, name).set(status.get("weight", 0) / 100)
            self._step.labels(namespace, name).set(status.get("step", 0))
            self._analysis(namespace, name, status.get("analysis", ()))

    def _analysis(self, namespace: str, name: str, metrics: Iterable[Mapping[str, Any]]) -> None:
        for metric in metrics:
            looks = metric.get("measurements") or ()
            if not looks:
                continue
            last = looks[-1]
            labels = (namespace, name, metric["name"])
            if last.get("value") is not None:
                self._value.labels(*labels).set(last["value"])
            if last.get("samples") is not None:
                self._samples.labels(*labels).set(last["samples"])
            for verdict in _VERDICTS:
                self._verdict.labels(*labels, verdict).set(last["verdict"] == verdict)

    def gone(self, kind: Kind, key: Key) -> None:
        """Delete the series of an object that does not exist any more."""
        namespace, name = key[0] or "", key[1]
        wanted = {"namespace": namespace, "name": name}
        self._condition.remove_by_labels(wanted | {"kind": kind.resource.kind})
        if kind.resource.kind == "ModelRelease":
            for gauge in self._gauges[1:]:
                gauge.remove_by_labels(wanted)

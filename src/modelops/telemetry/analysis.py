"""What is shown of a release's metrics: the last look at each, its bounds, what it comes to."""

from collections.abc import Mapping
from typing import Any, Final, get_args

from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from modelops.api.v1alpha1.analysis import Analysis
from modelops.api.v1alpha1.analysis_status import EvidenceStatus, Outcome, Verdict
from modelops.api.v1alpha1.common import parse_duration
from modelops.domain.analysis.evidence import worse
from modelops.domain.analysis.sequential import alarm_level
from modelops.telemetry.family import RELEASE, Family, Owner, fields, one_of, seconds_since_1970

_VERDICTS: Final[tuple[str, ...]] = get_args(Verdict)
_OUTCOMES: Final[tuple[str, ...]] = get_args(Outcome)
_Series = dict[tuple[str, ...], float]


class AnalysisSeries:
    """Series of the metrics by which releases are judged; those of a metric that left the spec are deleted.

    Args:
        registry: where the series live.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def family(name: str, what: str, *more: str) -> Family:
            return Family(f"modelops_analysis_{name}", what, RELEASE, ("metric", *more), registry)

        self._value = family("value", "Value of the last look at a metric; none without an answer.")
        self._stable = family("stable_value", "Stable's value at the last look, for a comparison with it.")
        self._bound = family(
            "bound", "What the value was held against, side lower or upper; none for a bound in CEL.", "side"
        )
        self._samples = family("samples", "Samples behind the value.")
        self._verdict = family("verdict", "1 for the verdict of the last look.", "verdict")
        self._outcome = family("outcome", "1 for what a metric comes to so far.", "outcome")
        self._looked = family("look_timestamp_seconds", "When a metric was last looked at.")
        self._failures = family("failures", "Failed looks at the revision, held against failureLimit.")
        self._due = family(
            "no_data_due_timestamp_seconds",
            "When NoData has lasted for noDataDeadline; none while there is data, and of a dryRun.",
        )
        self._evidence = family("evidence", "Of test sequential: how much all looks say that the canary is worse.")
        self._alarm = family("evidence_alarm", "The evidence that is an alarm.")
        self._families = tuple(one for one in vars(self).values() if isinstance(one, Family))

    def observed(self, owner: Owner, spec: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        """Show a release's metrics."""
        wanted = {metric["name"]: metric for metric in fields(spec, "analysis").get("metrics") or ()}
        found = [metric for metric in status.get("analysis") or () if metric["name"] in wanted]
        last = {metric["name"]: metric["measurements"][-1] for metric in found if metric.get("measurements")}
        for family, field in ((self._value, "value"), (self._stable, "stable"), (self._samples, "samples")):
            family.show(owner, {(name,): look[field] for name, look in last.items() if look.get(field) is not None})
        bounds: _Series = {}
        for metric in found:
            name = metric["name"]
            limits = bounds_of(metric | wanted[name], fields(last, name).get("stable"))
            bounds |= {(name, side): value for side, value in limits.items()}
        self._bound.show(owner, bounds)
        verdicts: _Series = {}
        for name, look in last.items():
            verdicts |= one_of(look["verdict"], _VERDICTS, name)
        self._verdict.show(owner, verdicts)
        outcomes: _Series = {}
        for metric in found:
            outcomes |= one_of(metric.get("outcome"), _OUTCOMES, metric["name"])
        self._outcome.show(owner, outcomes)
        times = {name: seconds_since_1970(look["time"]) for name, look in last.items()}
        self._looked.show(owner, {(name,): time for name, time in times.items() if time is not None})
        self._failures.show(owner, {(metric["name"],): metric.get("failures", 0) for metric in found})
        dues = {metric["name"]: _no_data_due(metric, wanted[metric["name"]], spec) for metric in found}
        self._due.show(owner, {(name,): due for name, due in dues.items() if due is not None})
        evidence, alarm = _evidence(found), _alarm(spec)
        self._evidence.show(owner, evidence if alarm else {})
        self._alarm.show(owner, dict.fromkeys(evidence, alarm) if alarm else {})

    def gone(self, owner: Owner) -> None:
        """Delete a release's series."""
        for family in self._families:
            family.gone(owner)


def _no_data_due(found: Mapping[str, Any], metric: Mapping[str, Any], spec: Mapping[str, Any]) -> float | None:
    since = seconds_since_1970(found.get("noDataSince"))
    if since is None or metric.get("dryRun"):
        return None
    deadline = metric.get("noDataDeadline") or fields(spec, "analysis").get("noDataDeadline") or "1h"
    return since + parse_duration(deadline).total_seconds()


def _evidence(found: list[Mapping[str, Any]]) -> _Series:
    compared = {
        metric["name"]: fields(metric, "comparison", "evidence") for metric in found if metric.get("comparison")
    }
    return {(name,): worse(EvidenceStatus.model_validate(one)) for name, one in compared.items()}


def _alarm(spec: Mapping[str, Any]) -> float | None:
    """Return the evidence that is an alarm; None of a spec that is refused."""
    try:
        return 1 / alarm_level(Analysis.model_validate(fields(spec, "analysis")))
    except ValidationError:
        return None


def bounds_of(metric: Mapping[str, Any], stable: float | None) -> dict[str, float]:
    """Return the tightest bounds of a metric's value, as far as they are numbers.

    Args:
        metric: of the spec; its thresholdRange may be the status', for a MetricTemplate's.
        stable: stable's value at the last look, if it was asked for.
    """
    fixed = fields(metric, "thresholdRange")
    lower = [float(fixed["min"])] if fixed.get("min") is not None else []
    upper = [float(fixed["max"])] if fixed.get("max") is not None else []
    limits = fields(metric, "compareTo", "stable")
    if limits and stable is not None and limits.get("test", "threshold") == "threshold":
        failures = metric.get("builtin") == "success-rate"
        base = 1 - stable if failures else stable
        relative, absolute = limits.get("maxRelativeIncrease"), limits.get("maxAbsoluteIncrease")
        if (less := limits.get("maxAbsoluteDecrease")) is not None:
            lower.append(base - less)
        allowed = [] if absolute is None else [base + absolute]
        if relative is not None and base:
            allowed.append(base + abs(base) * relative)
        if allowed and failures:
            lower.append(1 - min(allowed))
        elif allowed:
            upper.append(min(allowed))
    return ({"lower": max(lower)} if lower else {}) | ({"upper": min(upper)} if upper else {})

"""What is shown of a ModelRelease: how far it is, what it waits for, how it ended. Read from its status alone."""

from collections.abc import Mapping
from typing import Any, Final, get_args

from prometheus_client import CollectorRegistry, Counter
from pydantic import ValidationError

from modelops.api.v1alpha1.common import parse_duration
from modelops.api.v1alpha1.modelrelease import Phase, Strategy
from modelops.domain.release.settle import Outcome
from modelops.domain.release.steps import written_steps
from modelops.telemetry.analysis import AnalysisSeries
from modelops.telemetry.family import RELEASE, Family, Owner, fields, one_of, seconds_since_1970
from modelops.telemetry.smoke_test import SmokeTestSeries

PHASES: Final[tuple[str, ...]] = get_args(Phase)
OUTCOMES: Final[tuple[str, ...]] = get_args(Outcome)
_VERSION: Final = ("version", "revision")
_SIDES: Final = ("stable_version", "stable_revision", "canary_version", "canary_revision")


class ReleaseSeries:
    """Series of ModelReleases.

    Args:
        registry: where the series live.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def family(name: str, what: str, *more: str) -> Family:
            return Family(f"modelops_release_{name}", what, RELEASE, more, registry)

        self._weight = family("weight_ratio", "Share of the traffic that the canary has, as the gateway confirmed.")
        self._desired = family("desired_weight_ratio", "Share of the traffic that the canary is to have.")
        self._step = family("step", "Index of the canary's step.")
        self._steps = family("steps", "Number of steps.")
        self._phase = family("phase", "1 for the phase that a release is in.", "phase")
        self._info = family("info", "Always 1; the versions and revisions now.", *_SIDES)
        self._started = family("step_started_timestamp_seconds", "When the current step began.")
        self._due = family(
            "step_due_timestamp_seconds",
            "When the current step should be over: its duration and spec.progressDeadline. None while it waits for a "
            "human or for room.",
        )
        self._canary = family("canary_started_timestamp_seconds", "When the canary was first seen.")
        self._paused = family("paused_timestamp_seconds", "Since when the release waits for a human or a pause.")
        self._missing = family("capacity_missing_timestamp_seconds", "Since when the canary's servers wait for room.")
        self._eta = family("eta_timestamp_seconds", "When the release expects to be through, if nothing holds it.")
        self._last = family("last_outcome", "1 for how the last release of a revision ended.", "outcome")
        self._ended = family(
            "outcome_timestamp_seconds", "When a release last ended so, as far as its history goes back.", "outcome"
        )
        self._outcomes = Counter(
            "modelops_release_outcomes_total", "Releases of a revision that ended while this process worked.",
            [*RELEASE, "outcome"], registry=registry,
        )  # fmt: skip
        self._counted: dict[Owner, float] = {}
        self._smoke_test = SmokeTestSeries(registry)
        self._analysis = AnalysisSeries(registry)
        self._families = tuple(one for one in vars(self).values() if isinstance(one, Family))

    def observed(self, owner: Owner, obj: Mapping[str, Any]) -> None:
        """Show a release's status."""
        spec, status = fields(obj, "spec"), fields(obj, "status")
        self._weight.say(owner, status.get("weight", 0) / 100)
        self._desired.say(owner, status.get("desiredWeight", 0) / 100)
        self._step.say(owner, status.get("step", 0))
        self._steps.say(owner, _number_of_steps(spec, status))
        self._phase.choose(owner, status.get("phase"), PHASES)
        sides = [str(fields(status, side).get(what, "")) for side in ("stable", "canary") for what in _VERSION]
        self._info.show(owner, {tuple(sides): 1} if any(sides) else {})
        self._started.say(owner, seconds_since_1970(status.get("stepStartedAt")))
        self._due.say(owner, _due(spec, status))
        self._canary.say(owner, seconds_since_1970(fields(status, "canary").get("since")))
        self._paused.say(owner, _paused_since(status))
        self._missing.say(owner, seconds_since_1970(status.get("capacityMissingSince")))
        self._eta.say(owner, seconds_since_1970(status.get("eta")))
        self._smoke_test.observed(owner, spec, status)
        self._ends(owner, [record for record in status.get("history", ()) if record.get("finishedAt")])
        self._analysis.observed(owner, spec, status)

    def gone(self, owner: Owner) -> None:
        """Delete a release's series."""
        for family in self._families:
            family.gone(owner)
        self._smoke_test.gone(owner)
        self._analysis.gone(owner)
        self._outcomes.remove_by_labels(dict(zip(RELEASE, owner, strict=True)))
        self._counted.pop(owner, None)

    def _ends(self, owner: Owner, history: list[Mapping[str, Any]]) -> None:
        ends = [(record["outcome"], seconds_since_1970(record["finishedAt"]) or 0.0) for record in history]
        self._last.show(owner, one_of(ends[-1][0], OUTCOMES) if ends else {})
        # Later records overwrite earlier ones.
        self._ended.show(owner, {(outcome,): at for outcome, at in ends})
        # What had ended before this process first saw the release was counted by another one.
        counted = self._counted.get(owner)
        if counted is None:
            for outcome in OUTCOMES:
                self._outcomes.labels(*owner, outcome)
        else:
            for outcome, at in ends:
                if at > counted:
                    self._outcomes.labels(*owner, outcome).inc()
        self._counted[owner] = max([at for _, at in ends], default=0.0)


def _number_of_steps(spec: Mapping[str, Any], status: Mapping[str, Any]) -> int | None:
    total = str(status.get("stepTotal") or "").partition("/")[2]
    return int(total) if total.isdigit() else len(_steps(spec)) or None


def _steps(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the steps that the strategy comes to; none of a spec that is refused."""
    try:
        return written_steps(Strategy.model_validate(spec.get("strategy") or {}))
    except ValidationError:
        return []


def _paused_since(status: Mapping[str, Any]) -> float | None:
    """Return since when it is paused: by a step, or by the condition when something else paused it."""
    if status.get("phase") != "Paused":
        return None
    conditions = [one for one in status.get("conditions", ()) if one["type"] == "Paused" and one["status"] == "True"]
    return seconds_since_1970(conditions[0]["lastTransitionTime"] if conditions else status.get("stepStartedAt"))


def _due(spec: Mapping[str, Any], status: Mapping[str, Any]) -> float | None:
    """Return when the current step should be over, if nobody has to do anything for it."""
    began = [seconds_since_1970(status.get(name)) for name in ("stepStartedAt", "startingSince")]
    known = [time for time in began if time is not None]
    if not known or not status.get("canary") or spec.get("suspend") or status.get("capacityMissingSince"):
        return None
    if status.get("pausedReason") or status.get("heldBy"):
        return None
    takes = 0.0
    steps, index = _steps(spec), status.get("step", 0)
    if status.get("phase") != "Initial" and index < len(steps):
        kind, step = next(iter(steps[index].items()))
        duration = step.get("duration") if isinstance(step, Mapping) else None
        if duration is not None:
            takes = parse_duration(duration).total_seconds()
        elif kind in ("pause", "approve"):
            return None
        takes += parse_duration(fields(spec, "analysis").get("warmUp") or "30s").total_seconds()
    return max(known) + takes + parse_duration(spec.get("progressDeadline") or "10m").total_seconds()

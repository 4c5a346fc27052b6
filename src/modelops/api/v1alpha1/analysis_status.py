"""What is known of each metric: its last looks, what they came to, and the requests behind them."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from modelops.api.v1alpha1.common import Name, StatusModel

Verdict = Literal["Pass", "Fail", "NoData", "Error"]
Outcome = Literal["Running", "Successful", "Failed", "Inconclusive", "Error", "Skipped"]


class Measurement(StatusModel):
    """One look at one metric."""

    time: AwareDatetime
    verdict: Verdict
    value: float | None = None
    samples: float | None = None
    stable: float | None = None
    """Stable's value, for a comparison with it."""
    message: Annotated[str, Field(max_length=512)] = ""


class RangeStatus(StatusModel):
    """A thresholdRange as a value was held against it."""

    min: float | None = None
    max: float | None = None


class EvidenceStatus(StatusModel):
    """What the looks so far add up to; see docs/analysis.md."""

    ticks: int = 0
    """Looks that counted."""
    worse: Annotated[tuple[float, ...], Field(max_length=15)] = ()
    """The capital of the bets on a change beyond what is allowed."""
    better: Annotated[tuple[float, ...], Field(max_length=6)] = ()
    """The capital of the bets on the contrary."""
    spread: Annotated[tuple[float, ...], Field(max_length=8)] = ()
    """Running sums for the dispersion: recent events of both sides, squared surprises, their number. Of means: the
    recent difference and its weight, the same two, and squared deviations and their number of both sides."""


class ComparisonStatus(StatusModel):
    """Canary against stable by test sequential."""

    counted_until: AwareDatetime | None = None
    """What happened until then has been counted, and is not counted again."""
    samples: float = 0
    """Of the canary at the current weight, as the next three."""
    events: float = 0
    """Of a mean: the sum of the samples."""
    stable_samples: float = 0
    stable_events: float = 0
    evidence: EvidenceStatus = EvidenceStatus()


class SplitStatus(StatusModel):
    """How the requests are split between canary and stable, by the gateway's own counts; see docs/analysis.md."""

    measured_at: AwareDatetime | None = None
    """When they were asked last at the current weight."""
    counted_until: AwareDatetime | None = None
    """What came until then has been counted, and is not counted again."""
    canary: float = 0
    """Requests at the current weight; of the last look alone while they contradict it."""
    stable: float = 0
    evidence: EvidenceStatus = EvidenceStatus()


class MetricStatus(StatusModel):
    """What one metric said of the current canary."""

    name: Name
    query: Annotated[str, Field(max_length=8192)] = ""
    """As it was sent last; cut short where the status would grow too large."""
    bound: Annotated[str, Field(max_length=2300)] = ""
    """The condition in words, such as `≥ 0.99`."""
    threshold_range: RangeStatus | None = None
    """The same as numbers, where it is a thresholdRange: the metric's, or its MetricTemplate's."""
    outcome: Outcome | None = None
    """What it comes to so far. Skipped: the release ended before it was conclusive, which is no success."""
    passes: int = 0
    failures: int = 0
    inconclusive: int = 0
    step_passes: int = 0
    """Conclusive passes since the current weight was verified."""
    step_looks: int = 0
    """Looks at the current weight that count: neither NoData for want of data nor Error."""
    consecutive_passes: int = 0
    consecutive_errors: int = 0
    measured_at: AwareDatetime | None = None
    """When it was asked last at the current weight; its next look is one interval later, after an Error sooner."""
    no_data_since: AwareDatetime | None = None
    error_since: AwareDatetime | None = None
    comparison: ComparisonStatus | None = None
    """Of test sequential."""
    measurements: Annotated[tuple[Measurement, ...], Field(max_length=10)] = ()

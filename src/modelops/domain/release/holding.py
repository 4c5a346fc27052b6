"""Which metrics have no answer at this weight: while one has none, the weight does not rise. Pure."""

from modelops.api.v1alpha1.analysis import Analysis, Metric
from modelops.api.v1alpha1.analysis_status import MetricStatus
from modelops.domain.release.looks import is_complete


def holding(metrics: tuple[MetricStatus, ...], analysis: Analysis) -> str:
    """Return what the last looks at this weight lack, or nothing; a human's word forgives it until the next look."""
    specs = {metric.name: metric for metric in analysis.metrics}
    held = [found for found in metrics if found.name in specs and _holds(found, specs[found.name])]
    return "; ".join(f"{found.name}: {_words(found)}" for found in held)[:400]


def _holds(found: MetricStatus, spec: Metric) -> bool:
    if spec.dry_run or found.measured_at is None or not found.measurements or is_complete(found, spec):
        return False
    undecided = found.measurements[-1].verdict == "NoData" and found.inconclusive > 0
    return undecided or found.no_data_since is not None or found.error_since is not None


def _words(found: MetricStatus) -> str:
    last = found.measurements[-1]
    return f"{last.verdict} ({last.message})" if last.message else last.verdict

"""Which verdicts are told as Events: those that a metric's last looks did not have. Pure.

The status keeps the last looks and Prometheus all of them; an Event is for who follows along. One that comes and goes
at each look is told once in ten.
"""

from collections.abc import Iterator

from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.domain.plan import EventSpec


def verdicts(before: ModelReleaseStatus, after: ModelReleaseStatus) -> Iterator[EventSpec]:
    """Yield what there is to tell of the looks that were taken since.

    Args:
        before: the canary's status before its metrics were asked.
        after: and then.
    """
    assert after.canary is not None
    known = {metric.name: metric for metric in before.analysis}
    for metric in after.analysis:
        earlier = known.get(metric.name)
        if not metric.measurements or (earlier is not None and earlier.measured_at == metric.measured_at):
            continue
        look = metric.measurements[-1]
        if earlier is not None and any(one.verdict == look.verdict for one in earlier.measurements):
            continue
        counted = f" of {look.samples:g} samples" if look.samples is not None else ""
        message = f"version {after.canary.version}, weight {after.weight}: {metric.name}: {look.message}{counted}"
        yield EventSpec(f"Metric{look.verdict}", message, "Warning" if look.verdict in ("Fail", "Error") else "Normal")

"""Where along its steps a canary's metric can be measured. Pure; asked by stepping, so that none is waited for in vain.

Whatever gets requests has figures; a comparison needs stable to have some, too, and one of answers to the same requests
needs copies.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile

from modelops.api.v1alpha1.analysis import Metric
from modelops.api.v1alpha1.modelrelease import Step
from modelops.domain.analysis.verdicts import is_paired, needs_stable
from modelops.domain.release.routing import Routing, after
from modelops.domain.release.steps import turns_requests, weight_after


def is_measurable(metric: Metric, steps: Sequence[Step]) -> bool:
    """Return whether a metric can be measured once these steps are done."""
    weight = weight_after(steps)
    if weight == 100:  # Routes and copies end with stable's requests.
        return not needs_stable(metric)
    routing = after(steps)
    return routing.mirror > 0 if is_paired(metric) else weight > 0 or routing != Routing()


def ends_with(metric: Metric, steps: Sequence[Step], index: int) -> bool:
    """Return whether a metric can be measured before a step, and neither after it nor after any later one.

    Steps beyond weight 100 are none of those for a comparison: that weight waits for its Pass.
    """
    later: Iterator[Sequence[Step]] = (steps[:done] for done in range(index + 1, len(steps) + 1))
    if needs_stable(metric):
        later = takewhile(lambda part: weight_after(part) < 100, later)
    return is_measurable(metric, steps[:index]) and not any(is_measurable(metric, part) for part in later)


def back_to(metrics: Iterable[Metric], steps: Sequence[Step]) -> int | None:
    """Return the step from which on each of these can be measured once more; None where no step lets any be."""
    turns = [index for index, step in enumerate(steps) if turns_requests(step)]
    each = [[index for index in turns if is_measurable(metric, steps[: index + 1])] for metric in metrics]
    return min((found[-1] for found in each if found), default=None)

"""What a histogram of latency says: which bucket a limit falls to, how long a share of the requests took. Pure."""

import math
from collections.abc import Collection, Mapping
from itertools import accumulate


def bucket_for(slo: float, bounds: tuple[str, ...], second: float = 1000) -> str | None:
    """Return the largest bound not above the SLO, so that a doubtful request counts as slow; None: no bound.

    Args:
        slo: seconds.
        bounds: of the histogram.
        second: one second in the bounds' unit.

    Raises:
        ValueError: there are bounds, but all are above the SLO; or they are spelt in two ways.
    """
    if not bounds:
        return None
    require_one_spelling(bounds)
    below = [text for text in bounds if text != "+Inf" and float(text) <= slo * second * (1 + 1e-9)]
    if not below:
        raise ValueError(f"the latency histogram has no bucket at or below {slo:g} s")
    return max(below, key=float)


def require_one_spelling(bounds: Collection[str]) -> None:
    """Refuse a histogram some of whose buckets are there twice.

    Raises:
        ValueError: they are spelt in two ways.
    """
    if len({float(text) for text in bounds}) < len(bounds):
        # Either spelling would miss what the other one counted, and what is spelt anew counts as if it were all new.
        raise ValueError("the latency histogram's bounds are spelt in two ways, as after an upgrade to Prometheus 3")


def quantile_of(buckets: Mapping[str, float], share: float, second: float = 1000) -> float | None:
    """Return within how many seconds a share of the requests was answered; None without requests.

    Within a bucket the answers are taken to be spread evenly, as Prometheus' histogram_quantile does. Beyond the last
    bound nobody knows how long they took, if they were answered at all: infinite.

    Args:
        buckets: how many requests took at most as long as each bound; those of `+Inf` are all of them.
        share: above 0, below 1.
        second: one second in the bounds' unit.

    Raises:
        ValueError: the bounds are spelt in two ways.
    """
    require_one_spelling(buckets)
    bounds = sorted((float(text), count) for text, count in buckets.items())
    # Buckets are not read at one moment; a larger one has what a smaller one has.
    counts = list(accumulate((count for _, count in bounds), max))
    if not counts or not counts[-1] > 0:
        return None
    rank, lower, before = share * counts[-1], 0.0, 0.0
    for (bound, _), count in zip(bounds, counts, strict=True):
        if count >= rank:
            within = (rank - before) / (count - before)
            return (lower + (bound - lower) * within) / second if math.isfinite(bound) else math.inf
        lower, before = bound, count
    return math.inf

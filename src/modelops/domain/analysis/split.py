"""How the requests are split between canary and stable, by the gateway's own counts, held against the weight. Pure.

Two questions to the same counts: whether all looks together are evidence that the requests do not come as weighted,
which is an alarm; and whether those at this weight contradict it, so that it is not believed yet. ADR 16, ADR 28.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from modelops.api.v1alpha1.analysis_status import EvidenceStatus, SplitStatus
from modelops.domain.analysis.evidence import Allowance, Tick, advanced, dispersion, worse

MISMATCH: Final = "SampleRatioMismatch"
_TOLERATED: Final = 1.1
"""Of the odds of a request to get to the canary; a gateway that rounds is no alarm."""
_AS_WEIGHTED: Final = Allowance(times=_TOLERATED)


@dataclass(frozen=True, slots=True)
class Requests:
    """What the gateway counted of both in the same time; nothing where the two times are the same."""

    since: datetime
    until: datetime
    canary: float = 0
    stable: float = 0


def counted(before: SplitStatus | None, requests: Requests, weight: int, level: float) -> SplitStatus:
    """Return the split with one look more; what was counted already, or not at all, is only asked again.

    Args:
        before: until now.
        requests: of the look.
        weight: percent of the requests that the canary should get, 1-99.
        level: see sequential.alarm_level.
    """
    found = before or SplitStatus()
    overlaps = found.counted_until is not None and requests.since < found.counted_until
    if overlaps or requests.until <= requests.since:
        return found
    canary, stable = max(0.0, requests.canary), max(0.0, requests.stable)
    tick = Tick(canary, weight, stable, 100 - weight)
    bets = [(tick, _AS_WEIGHTED), (tick.swapped(), _AS_WEIGHTED)]
    # What contradicted the weight was of another one: the next look is by itself.
    kept = SplitStatus() if contradicts(found, weight, level) else found
    return SplitStatus(
        measured_at=found.measured_at,
        counted_until=requests.until,
        canary=kept.canary + canary,
        stable=kept.stable + stable,
        evidence=advanced(found.evidence, bets),
    )


def at_new_weight(split: SplitStatus | None) -> SplitStatus | None:
    """Return the split where nothing has been counted at the weight yet. Evidence stays: it is about the gateway."""
    return split and SplitStatus(evidence=split.evidence)


def is_mismatch(split: SplitStatus | None, level: float) -> bool:
    """Return whether all looks together are evidence enough that the requests do not come as weighted."""
    return split is not None and worse(split.evidence) >= 1 / level


def contradicts(split: SplitStatus | None, weight: int, level: float) -> bool:
    """Return whether a gateway that sends as weighted would hardly ever count what was counted at this weight."""
    return split is not None and _surprise(split.canary, split.stable, weight, split.evidence) > -math.log(level)


def is_too_few(split: SplitStatus, weight: int, level: float) -> bool:
    """Return whether so few requests were counted that they would not contradict the weight if none were the canary's.

    Args:
        split: in which something was counted.
        weight: percent of the requests that the canary should get, 1-99.
        level: see sequential.alarm_level.
    """
    return _surprise(0, split.canary + split.stable, weight, split.evidence) <= -math.log(level)


def _surprise(canary: float, stable: float, weight: int, evidence: EvidenceStatus) -> float:
    """Return how improbable counts are: -log of a bound of the probability that they are as far from the weight.

    It is Chernoff's, of a binomial share; without a request for the canary it is (1 - weight)^n. Requests that come in
    clusters are so many times fewer.
    """
    both = canary + stable
    if both <= 0:
        return 0.0
    odds, share = weight / (100 - weight), canary / both
    low, high = (least / (1 + least) for least in (odds / _TOLERATED, odds * _TOLERATED))
    likely = min(max(share, low), high)
    apart = sum(
        seen * math.log(seen / expected) for seen, expected in ((share, likely), (1 - share, 1 - likely)) if seen > 0
    )
    return both * apart / dispersion(evidence)

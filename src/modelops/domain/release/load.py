"""How many requests a server of the canary gets for each of a stable one's, by weights and numbers of servers. Pure.

Where that is far from one, latencies compare unlike loads.
"""

from typing import Final

from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.domain.release import placing
from modelops.domain.release.observed import Observed
from modelops.domain.release.routing import split_weight
from modelops.domain.release.scale import canary_replicas, stable_replicas

_ALIKE: Final = 1.5


def load_words(seen: Observed, status: ModelReleaseStatus) -> str:
    """Return by how much the load of a server differs between the two, to stand behind the weight, or nothing."""
    weight = split_weight(status)
    if placing.is_used(seen.spec) or status.canary is None or status.stable is None or not weight or weight == 100:
        return ""
    ratio = load_ratio(weight, canary_replicas(seen, status), stable_replicas(seen, status))
    if ratio is None or 1 / _ALIKE <= ratio <= _ALIKE:
        return ""
    return f", {ratio:.2g} times stable's requests per server"


def load_ratio(weight: int, canary: int, stable: int) -> float | None:
    """Return the canary's requests per server over stable's; None where either has no servers.

    Args:
        weight: percent of the requests that come to the canary, 1-99.
        canary: its servers.
        stable: its servers.
    """
    return None if 0 in (canary, stable) else weight * stable / ((100 - weight) * canary)

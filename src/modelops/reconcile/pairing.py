"""Asks the servers of canary and stable what they answered to the same requests, for metric answer-difference.

One of the questions of a look: whatever goes wrong is a reading, and it ends before the look does.
"""

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from modelops.api.v1alpha1.analysis import Metric
from modelops.domain.analysis.paired import Sample, heard, paired
from modelops.domain.analysis.verdicts import Reading
from modelops.errors import ModelopsError
from modelops.reconcile.bundle import Ports

_PATH: Final = "/answers"
_WITHIN: Final = 4.0
"""Seconds for all servers of a side; both together take less than a look may."""
_TIMEOUT: Final = timedelta(seconds=2)
_MOST_ASKED: Final = 16
_NONE_KEPT: Final = (
    "its servers keep no answers: modelops made the revision, or serving.image, before it compared them; "
    "set dryRun on this metric until a later revision is stable"
)
_UNNAMED: Final = "requests come without x-request-id, by which copies are known; let the gateway set it"


@dataclass(frozen=True, slots=True)
class Side:
    """Where the servers of one revision answer, and how many there are."""

    addresses: tuple[str, ...]
    """One may lead to any of them."""
    servers: int


def read_pairs(metric: Metric, canary: Side, stable: Side, key: str, ports: Ports) -> Reading:
    """Return which share of the requests that both sides answered they answered differently.

    Args:
        metric: what is asked.
        canary: its servers.
        stable: its servers.
        key: of the release, which the servers want to see.
        ports: the servers.
    """
    sides: list[tuple[Sample, ...]] = []
    for name, side in (("canary", canary), ("stable", stable)):
        found = _asked(name, side, key, ports)
        if isinstance(found, Reading):
            return found
        sides.append(found)
    mine, others = sides
    pairs = paired(mine, others, metric.tolerance or 0.0)
    if not pairs.number:
        return Reading(samples=0, note=_UNNAMED if any(one.unnamed for one in others) else "")
    return Reading(values=(pairs.different / pairs.number,), samples=pairs.number, note=pairs.words)


def _asked(name: str, side: Side, key: str, ports: Ports) -> tuple[Sample, ...] | Reading:
    """Return what the servers of one side keep, each asked over a connection of its own; or why that is not known.

    A Service chooses by chance, so it is asked until as many have answered as there are, or often enough.
    """
    if not side.addresses:
        return Reading(error=f"{name}: nobody knows where its servers are")
    found: dict[str, Sample] = {}
    until = time.monotonic() + _WITHIN
    try:
        for count in range(_MOST_ASKED):
            left = timedelta(seconds=until - time.monotonic())
            if len(found) >= max(1, side.servers) or (found and left <= timedelta(0)):
                break
            with ports.servers.at(side.addresses[count % len(side.addresses)], within=left) as server:
                answer = server.ask(_PATH, None, _TIMEOUT, bearer=key)
            if answer.status == 404:
                return Reading(samples=0, note=f"{name}: {_NONE_KEPT}")
            if answer.status != 200:
                return Reading(error=f"{name}: a server says HTTP {answer.status} when it is asked for its answers")
            sample = heard(answer.body)
            found[sample.server] = sample
    except ModelopsError as error:
        return Reading(error=f"{name}: {error.message}")
    except ValueError as error:
        return Reading(error=f"{name}: what a server says of its answers cannot be read: {error}")
    return tuple(found.values())

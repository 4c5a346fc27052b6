"""Weights without a gateway: one Service over the servers of stable and canary, and how many either of them has. Pure.

The Service selects stable alone, both, or the canary alone. Whoever is to get requests has its servers before the other
side loses any, so no request waits for a server that starts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from modelops.api.labels import REVISION
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus, RevisionStatus
from modelops.domain.plan import ApplyObject
from modelops.domain.release import objects
from modelops.domain.release.objects import release_labels
from modelops.domain.release.observed import Observed
from modelops.domain.release.revision import selector_of, selector_text
from modelops.domain.release.steps import effective_steps

BOTH: Final = ""
"""Instead of a revision: whatever servers the release has."""


@dataclass(frozen=True, slots=True)
class Servers:
    """How many servers either side has."""

    stable: int
    canary: int

    @property
    def weight(self) -> int:
        """Return what percent of all servers the canary's are."""
        return round(100 * self.canary / (self.stable + self.canary))


def is_used(spec: ModelReleaseSpec) -> bool:
    """Return whether weights are made of numbers of servers."""
    return spec.traffic.mode == "replicas"


def split(replicas: int, weight: int, more: int = 1) -> Servers:
    """Return the numbers of servers that come closest to a weight, the fewer of two that are as close.

    As Argo Rollouts does it without a traffic router: they are as many as are wanted, or one more; and from 1 to 99
    percent neither side is without.

    Args:
        replicas: how many are wanted.
        weight: percent for the canary.
        more: how many there may be beyond those.
    """
    if replicas == 0 or weight in (0, 100):
        return Servers(replicas, 0) if weight == 0 else Servers(0, replicas)
    totals = range(max(2, replicas), replicas + more + 1)
    found = [
        Servers(total - canary, canary)
        for total in totals
        for canary in {max(1, min(total - 1, total * weight // 100 + up)) for up in (0, 1)}
    ]
    return min(found, key=lambda one: (_off(one, weight), one.stable + one.canary, one.canary))


def _off(servers: Servers, weight: int) -> float:
    return abs(100 * servers.canary / (servers.stable + servers.canary) - weight)


def reached(spec: ModelReleaseSpec, weight: int) -> int:
    """Return the percent that so many servers come to where a weight is asked for."""
    full = spec.serving.replicas
    return weight if full == 0 or weight in (0, 100) else split(full, weight).weight


def canary_servers(seen: Observed, status: ModelReleaseStatus) -> int:
    """Return how many servers the canary is to have now: before any traffic, those of the first weight to come."""
    full, wanted = seen.spec.serving.replicas, status.desired_weight
    if status.stable is None:
        return full
    found = _servers(seen, status.canary)
    if wanted == 0 and _selected(seen) not in (None, status.stable.revision):
        # More would get requests before it is their time, and fewer before stable can take them.
        return found
    steps = effective_steps(seen.spec.strategy)[status.step :]
    aim = split(full, wanted or next((step.set_weight for step in steps if step.set_weight), 100)).canary
    alone = status.canary is not None and _selected(seen) == status.canary.revision
    if 0 < wanted < 100 and aim < found and (alone or _ready(seen, status.stable) < split(full, wanted).stable):
        # Stable's are to get requests first.
        return found
    return aim


def stable_servers(seen: Observed, status: ModelReleaseStatus) -> int:
    """Return how many servers stable is to have now: it gives some up only when the canary's, in their stead, serve."""
    full, wanted = seen.spec.serving.replicas, status.desired_weight
    if status.canary is None or wanted == 0:
        return full
    found = _servers(seen, status.stable)
    if wanted == 100:
        return found or full
    aim = split(full, wanted)
    placed = _selected(seen) == BOTH and _ready(seen, status.canary) >= aim.canary
    return aim.stable if placed else max(aim.stable, found)


def selection(seen: Observed, status: ModelReleaseStatus) -> str | None:
    """Return the revision whose servers alone the Service is to select now, or BOTH; None while nothing is to serve.

    It stays as it is until those that would be left can take all of the requests.
    """
    aim, now = _aim(status), _selected(seen)
    if aim is None or aim == now:
        return aim
    stable, canary = status.stable, status.canary
    if aim == BOTH:
        # A third revision's servers would get requests, too.
        alone = status.stable.revision if status.stable is not None else None
        return BOTH if not _others(seen, status) else now or alone
    if now is None or stable is None:
        return aim
    if canary is not None and aim == canary.revision:
        return aim if _ready(seen, canary) >= canary_servers(seen, status) else now
    return aim if _takes_all(seen, status, stable) else now


def service(seen: Observed, chosen: str) -> ApplyObject:
    """Return the release's own Service over what was chosen by `selection`."""
    owner = seen.owner
    return objects.service_object(owner, owner.name, release_labels(owner), selector_of(owner.name, chosen))


def is_placed(seen: Observed, status: ModelReleaseStatus) -> bool:
    """Return whether the Service selects what the wanted weight asks for, and either side has its servers."""
    wanted, full = status.desired_weight, seen.spec.serving.replicas
    if _aim(status) != _selected(seen):
        return False
    if wanted in (0, 100) or status.stable is None:
        return True
    aim = split(full, wanted)
    sides = ((status.stable, aim.stable), (status.canary, aim.canary))
    return all(_servers(seen, one) == _ready(seen, one) == count for one, count in sides)


def is_rid_of(seen: Observed, revisions: Sequence[str]) -> bool:
    """Return whether the Service selects no servers of these revisions."""
    chosen = _selected(seen)
    return chosen not in revisions and (
        chosen != BOTH or not any(seen.name_of(o) in seen.deployments for o in revisions)
    )


def is_settling(seen: Observed, status: ModelReleaseStatus) -> bool:
    """Return whether servers of a canary that is none any more still get requests, until stable's can take them."""
    if not is_used(seen.spec) or status.canary is not None or status.stable is None:
        return False
    return _selected(seen) not in (None, status.stable.revision)


def awaited(seen: Observed, status: ModelReleaseStatus) -> str:
    """Return which servers are waited for."""
    wanted, full = status.desired_weight, seen.spec.serving.replicas
    if status.canary is None or wanted == 0:
        return f"servers of stable: {_ready(seen, status.stable)} of {full} are ready to take all of the traffic"
    aim = split(full, wanted)
    found = [f"{_ready(seen, status.canary)} of {aim.canary} of version {status.canary.version}"]
    if wanted < 100:
        found.append(f"{_ready(seen, status.stable)} of {aim.stable} of stable")
    return f"servers for {words(seen.spec, wanted)}: {', '.join(found)}"


def words(spec: ModelReleaseSpec, weight: int) -> str:
    """Return a weight as it is told: what so many servers come to, and what was asked for."""
    found = reached(spec, weight)
    return f"weight {found}" if found == weight else f"weight {found}, the closest to {weight},"


def scaled(seen: Observed, chosen: str | None = None) -> tuple[str, int]:
    """Return the selector of all servers that get requests, and how many there are: what an autoscaler measures.

    Args:
        seen: the release.
        chosen: whose servers; by default those that the Service selects.
    """
    chosen = (_selected(seen) or BOTH) if chosen is None else chosen
    found = [one for name, one in seen.deployments.items() if chosen == BOTH or name == seen.name_of(chosen)]
    return selector_text(seen.owner.name, chosen), sum(map(objects.servers, found))


def _aim(status: ModelReleaseStatus) -> str | None:
    """Return what the Service is to select in the end."""
    stable, canary = (None if one is None else one.revision for one in (status.stable, status.canary))
    sides = objects.shares(stable, canary, status.desired_weight if canary is not None else 0)
    return None if not sides else BOTH if len(sides) > 1 else sides[0][0]


def _selected(seen: Observed) -> str | None:
    """Return what the Service selects; None while there is none."""
    return None if seen.route is None else str((seen.route["spec"].get("selector") or {}).get(REVISION, BOTH))


def _servers(seen: Observed, revision: RevisionStatus | None) -> int:
    """Return how many servers a revision's Deployment asks for."""
    deployment = seen.deployment(revision)
    return 0 if deployment is None else int(deployment["spec"].get("replicas", 1))


def _ready(seen: Observed, revision: RevisionStatus | None) -> int:
    """Return how many of a revision's servers are ready; 0 while its Deployment says that of an earlier number."""
    deployment = seen.deployment(revision)
    return 0 if deployment is None or not objects.is_current(deployment) else objects.ready_servers(deployment)


def _others(seen: Observed, status: ModelReleaseStatus) -> bool:
    """Return whether any revision but stable and canary has servers."""
    mine = {seen.name_of(one.revision) for one in (status.stable, status.canary) if one is not None}
    return bool(seen.deployments.keys() - mine)


def _takes_all(seen: Observed, status: ModelReleaseStatus, stable: RevisionStatus) -> bool:
    """Return whether stable's servers are to get all of the requests: they are whole, or cannot or will not be soon."""
    if _ready(seen, stable) >= seen.spec.serving.replicas:
        return True
    if not objects.serves(seen.deployment(stable)):
        # Nobody has anything to lose by it.
        return not any(objects.serves(one) for one in seen.deployments.values())
    ended = status.history[-1].finished_at if status.history else seen.now
    since = ended if status.canary is None else status.step_started_at or seen.now
    return seen.obstacle(stable) is not None or seen.now - since >= seen.spec.progress_deadline

"""A ComputePool is Ready when its spec is accepted; that it is used shows in the runs. Pure."""

from dataclasses import dataclass

from modelops.api.v1alpha1.computepool import ComputePoolSpec, ComputePoolStatus
from modelops.domain import status
from modelops.domain.plan import Plan


@dataclass(frozen=True, slots=True)
class Observed:
    """A pool as it is."""

    spec: ComputePoolSpec
    status: ComputePoolStatus


def decide_pool(seen: Observed) -> Plan:
    """Return the plan for a ComputePool."""
    allowed = "all namespaces" if not seen.spec.namespaces else f"{len(seen.spec.namespaces)} namespaces"
    return Plan(seen.status, (status.ready("Accepted", f"{seen.spec.resource_name}, for {allowed}"),))

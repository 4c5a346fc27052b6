"""Observes ComputePools."""

from typing import Any

from modelops.api.kinds import COMPUTEPOOL, Kind
from modelops.api.v1alpha1.computepool import ComputePoolSpec, ComputePoolStatus
from modelops.domain.plan import Plan
from modelops.domain.pool.decide import Observed, decide_pool
from modelops.reconcile.bundle import Ports


class ComputePoolReconciler:
    """The ComputePool's part of the loop."""

    @property
    def kind(self) -> Kind:
        """ComputePool."""
        return COMPUTEPOOL

    def observe(self, obj: dict[str, Any], ports: Ports) -> Observed:  # noqa: ARG002 - a pool depends on nothing else
        """Parse the pool."""
        return Observed(
            ComputePoolSpec.model_validate(obj["spec"]), ComputePoolStatus.model_validate(obj.get("status") or {})
        )

    def decide(self, observed: Observed) -> Plan:
        """Decide."""
        return decide_pool(observed)

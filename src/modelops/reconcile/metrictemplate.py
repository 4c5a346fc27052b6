"""Observes MetricTemplates."""

from typing import Any

from modelops.api.kinds import METRICTEMPLATE, Kind
from modelops.api.v1alpha1.metrictemplate import MetricTemplateSpec, MetricTemplateStatus
from modelops.domain.metrictemplate.decide import Observed, decide_template
from modelops.domain.plan import Plan
from modelops.reconcile.bundle import Ports


class MetricTemplateReconciler:
    """The MetricTemplate's part of the loop."""

    @property
    def kind(self) -> Kind:
        """MetricTemplate."""
        return METRICTEMPLATE

    def observe(self, obj: dict[str, Any], ports: Ports) -> Observed:  # noqa: ARG002 - a template depends on nothing else
        """Parse the template."""
        return Observed(
            MetricTemplateSpec.model_validate(obj["spec"]), MetricTemplateStatus.model_validate(obj.get("status") or {})
        )

    def decide(self, observed: Observed) -> Plan:
        """Decide."""
        return decide_template(observed)

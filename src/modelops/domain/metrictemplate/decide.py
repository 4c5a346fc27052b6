"""A MetricTemplate is Ready when it can be asked; what it answers shows in the releases that name it. Pure."""

from dataclasses import dataclass

from modelops.api.manifest import dotted
from modelops.api.v1alpha1.metrictemplate import Argument, MetricTemplateSpec, MetricTemplateStatus
from modelops.domain import status
from modelops.domain.analysis.templates import unsound_template
from modelops.domain.plan import Plan


@dataclass(frozen=True, slots=True)
class Observed:
    """A template as it is."""

    spec: MetricTemplateSpec
    status: MetricTemplateStatus


def decide_template(seen: Observed) -> Plan:
    """Return the plan for a MetricTemplate."""
    for path, problem in unsound_template(seen.spec):
        return Plan(seen.status, status.stalled("InvalidSpec", f"{dotted(path)}: {problem}"))
    takes = ", ".join(map(_words, seen.spec.args)) or "no arguments"
    return Plan(seen.status, (status.ready("Accepted", f"takes {takes}"),))


def _words(argument: Argument) -> str:
    return argument.name if argument.default is None else f"{argument.name} (by default {argument.default})"

"""Observes ModelReleases: the wanted version, the objects of its revisions, the route, and the metrics when due.

The order keeps a rollback independent of everything but Prometheus and the API server: a registry that is away leaves
the release with the version it has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from modelops.api.kinds import (
    CONTROLLERREVISION,
    DEPLOYMENT,
    DISRUPTIONBUDGET,
    HTTPROUTE,
    METRICTEMPLATE,
    MODELRELEASE,
    POD,
    SERVICE,
    Kind,
    Resource,
)
from modelops.api.labels import APPLIED_COMMIT, OWNER_KIND, OWNER_NAME
from modelops.api.v1alpha1.metrictemplate import MetricTemplateSpec
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus, RevisionStatus
from modelops.domain.plan import Plan
from modelops.domain.release.address import Address, older_route, wanted
from modelops.domain.release.decide import decide_release
from modelops.domain.release.inputs import refusal
from modelops.domain.release.objects import Gateway, is_ready
from modelops.domain.release.observed import Observed
from modelops.domain.release.placing import is_used
from modelops.domain.release.revision import child_name, selector_of
from modelops.domain.release.steps import Path
from modelops.domain.release.templates import named_templates, with_templates
from modelops.domain.release.watching import measured_as
from modelops.errors import ModelopsError
from modelops.reconcile.bundle import Ports
from modelops.reconcile.looks import Looks
from modelops.reconcile.smoke import SmokeTests
from modelops.reconcile.wanted import wanted_revision
from modelops.reconcile.wiring import command_of, owner_of_object, pull_secrets, serving_of
from modelops.workflows.render import Owner

_DEADLINE: Final = 10.0
_PATIENCE: Final = 0.2


class ModelReleaseReconciler:
    """The ModelRelease's part of the loop.

    Args:
        deadline: of all the metrics of one look. Seconds.
        patience: how long the reconcile that starts a smoke test waits for it. Seconds.
    """

    def __init__(self, *, deadline: float = _DEADLINE, patience: float = _PATIENCE) -> None:
        self._looks = Looks(deadline)
        self._smoke_tests = SmokeTests(patience)

    @property
    def kind(self) -> Kind:
        """ModelRelease."""
        return MODELRELEASE

    def observe(self, obj: dict[str, Any], ports: Ports) -> Observed:
        """Read everything; ask the metrics only when an interval has passed."""
        spec, unfit = _with_templates(obj, ports)
        status = ModelReleaseStatus.model_validate(obj.get("status") or {})
        owner = owner_of_object(obj)
        settings = ports.settings
        defaults = serving_of(settings)
        now = ports.clock.now()
        deployments = _children(ports, DEPLOYMENT, owner.namespace, owner.name)
        services = _children(ports, SERVICE, owner.namespace, owner.name)
        commit = (obj["metadata"].get("annotations") or {}).get(APPLIED_COMMIT, "")
        found = wanted_revision(spec, status, owner.namespace, commit, defaults, ports, now)
        records = _children(ports, CONTROLLERREVISION, owner.namespace, owner.name)
        in_question = (one for one in (found.target, status.canary, status.stable) if one is not None)
        if any(child_name(owner.name, one.revision) not in records for one in in_question):
            # A record keeps those that its servers were made with.
            defaults = replace(defaults, pull_secrets=pull_secrets(owner.namespace, ports))
        gateway = Gateway(settings.gateway_name, settings.gateway_namespace)
        route = ports.cluster.get(SERVICE if is_used(spec) else HTTPROUTE, owner.namespace, owner.name)
        measured = measured_as(spec, status)
        readings, requests = self._looks.taken(*measured, owner, services, deployments, ports, now)
        return Observed(
            owner=owner,
            spec=spec,
            status=status,
            target=found.target,
            waiting=found.waiting,
            rival=_rival(obj, spec, ports),
            route=route,
            deployments=deployments,
            pods=_pods(ports, status, owner, deployments),
            services=services,
            budgets=_children(ports, DISRUPTIONBUDGET, owner.namespace, owner.name),
            records=records,
            readings=readings,
            command=command_of(obj, status),
            gateway=gateway,
            defaults=defaults,
            now=now,
            problems=found.problems,
            last_good=found.last_good,
            then=found.then,
            proven=found.proven,
            freeze=settings.freeze,
            unfit=unfit,
            ahead=_ahead(wanted(owner.name, spec, gateway), owner, route, ports),
            unlike=_unlike(spec, status, found.target, ports),
            golden=self._smoke_tests.answers(spec, status, owner, services, deployments, ports, now),
            requests=requests,
        )

    def decide(self, observed: Observed) -> Plan:
        """Decide."""
        return decide_release(observed)


def _with_templates(obj: Mapping[str, Any], ports: Ports) -> tuple[ModelReleaseSpec, tuple[tuple[Path, str], ...]]:
    """Return the spec with the MetricTemplates that it names, and why it cannot use some."""
    spec, namespace = ModelReleaseSpec.model_validate(obj["spec"]), obj["metadata"]["namespace"]
    there = {
        name: MetricTemplateSpec.model_validate(found["spec"])
        for name in named_templates(spec)
        if (found := ports.cluster.get(METRICTEMPLATE.resource, namespace, name)) is not None
    }
    return with_templates(spec, there, f"in namespace {namespace}")


def _unlike(spec: ModelReleaseSpec, status: ModelReleaseStatus, target: RevisionStatus | None, ports: Ports) -> str:
    """Return why a version that is to begin would refuse what stable answers, or why nobody knows; or nothing."""
    stable, canary = status.stable, status.canary
    if target is None or stable is None or target.version == stable.version or spec.model.input_changes == "Allow":
        return ""
    if spec.serving.runtime == "custom" or target.revision in status.aborted:
        return ""
    if canary is not None and canary.version == target.version:
        return ""
    try:
        known, found = (ports.registry.version(spec.model.name, one.version) for one in (stable, target))
    except ModelopsError as error:
        return error.message
    words = "" if known is None or found is None else refusal(stable, known.tags, target, found.tags)
    return f"{words}; register one that fits, or set spec.model.inputChanges to Allow" if words else ""


def _rival(obj: Mapping[str, Any], spec: ModelReleaseSpec, ports: Ports) -> str:
    """Return the older release that would move the same alias of the same model."""
    mine = _age(obj)
    for other in ports.cluster.list(MODELRELEASE.resource, None):
        model = other["spec"].get("model") or {}
        same = (model.get("name"), model.get("promotedAlias", "champion")) == (
            spec.model.name,
            spec.model.promoted_alias,
        )
        if same and other["metadata"].get("uid") != obj["metadata"].get("uid") and _age(other) < mine:
            return f"ModelRelease {other['metadata'].get('namespace')}/{other['metadata']['name']}"
    return ""


def _ahead(mine: frozenset[Address], owner: Owner, route: Mapping[str, Any] | None, ports: Ports) -> str:
    """Return which older route takes requests to the release's addresses; in mode replicas there are none."""
    return older_route(mine, route, (owner.namespace, owner.name), ports.cluster.list(HTTPROUTE, None)) if mine else ""


def _age(obj: Mapping[str, Any]) -> tuple[str, str, str]:
    meta = obj["metadata"]
    return str(meta.get("creationTimestamp", "")), str(meta.get("namespace", "")), meta["name"]


def _children(ports: Ports, resource: Resource, namespace: str, name: str) -> dict[str, dict[str, Any]]:
    found = ports.cluster.list(resource, namespace, {OWNER_KIND: "ModelRelease", OWNER_NAME: name})
    return {child["metadata"]["name"]: child for child in found if not child["metadata"].get("deletionTimestamp")}


def _pods(
    ports: Ports, status: ModelReleaseStatus, owner: Owner, deployments: Mapping[str, Mapping[str, Any]]
) -> dict[str, Sequence[dict[str, Any]]]:
    """Return the pods of the revisions in question that are not ready: only then does anybody ask why."""
    found: dict[str, Sequence[dict[str, Any]]] = {}
    for one in (status.stable, status.canary):
        name = "" if one is None else child_name(owner.name, one.revision)
        if one is not None and name in deployments and not is_ready(deployments[name]):
            found[name] = ports.cluster.list(POD, owner.namespace, selector_of(owner.name, one.revision))
    return found

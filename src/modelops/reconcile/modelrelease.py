"""Observes ModelReleases: the wanted version, the objects of its revisions, the route, and the metrics when due.

The order keeps a rollback independent of everything but Prometheus and the API server: a registry that is away leaves
the release with the version it has.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
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
    TRAININGRUN,
    Kind,
    Resource,
)
from modelops.api.labels import APPLIED_COMMIT, OWNER_KIND, OWNER_NAME
from modelops.api.v1alpha1.analysis import Metric
from modelops.api.v1alpha1.metrictemplate import MetricTemplateSpec
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec, ModelReleaseStatus, RevisionStatus
from modelops.domain.analysis.flavours import SERVER
from modelops.domain.analysis.queries import Subject
from modelops.domain.analysis.verdicts import Reading
from modelops.domain.plan import Plan
from modelops.domain.release.address import Address, older_route, wanted
from modelops.domain.release.decide import decide_release
from modelops.domain.release.inputs import refusal
from modelops.domain.release.looks import counts_from, due, interval_of, window_start
from modelops.domain.release.objects import Gateway, is_ready
from modelops.domain.release.observed import Observed
from modelops.domain.release.placing import is_used
from modelops.domain.release.revision import (
    Registered,
    ServingDefaults,
    asked_by,
    candidate,
    child_name,
    revision_of,
    selector_of,
)
from modelops.domain.release.steps import Path
from modelops.domain.release.strategies import resolved
from modelops.domain.release.templates import named_templates, with_templates
from modelops.domain.release.watching import measured_as
from modelops.errors import ModelopsError, Stalled
from modelops.reconcile.bundle import Ports
from modelops.reconcile.readings import read_metric
from modelops.reconcile.smoke import SmokeTests
from modelops.reconcile.wiring import command_of, owner_of_object
from modelops.workflows.render import Owner

_PARALLEL: Final = 16
_DEADLINE: Final = 10.0
_PATIENCE: Final = 0.2


class ModelReleaseReconciler:
    """The ModelRelease's part of the loop.

    All releases ask their metrics on the same few threads; whoever waits for an answer waits for so long at most.

    Args:
        deadline: of all the metrics of one look. Seconds.
        patience: how long the reconcile that starts a smoke test waits for it. Seconds.
    """

    def __init__(self, *, deadline: float = _DEADLINE, patience: float = _PATIENCE) -> None:
        self._deadline = deadline
        self._asking = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="metrics")
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
        defaults = ServingDefaults(
            settings.server_image, settings.mlflow_tracking_uri, settings.mlserver_image, settings.registry_secret
        )
        now = ports.clock.now()
        deployments = _children(ports, DEPLOYMENT, owner.namespace, owner.name)
        services = _children(ports, SERVICE, owner.namespace, owner.name)
        commit = (obj["metadata"].get("annotations") or {}).get(APPLIED_COMMIT, "")
        target, waiting, problems = _target(spec, status, owner.namespace, defaults, ports, now)
        target = target and asked_by(target, status, commit)
        gateway = Gateway(settings.gateway_name, settings.gateway_namespace)
        route = ports.cluster.get(SERVICE if is_used(spec) else HTTPROUTE, owner.namespace, owner.name)
        return Observed(
            owner=owner,
            spec=spec,
            status=status,
            target=target,
            waiting=waiting,
            rival=_rival(obj, spec, ports),
            route=route,
            deployments=deployments,
            pods=_pods(ports, status, owner, deployments),
            services=services,
            budgets=_children(ports, DISRUPTIONBUDGET, owner.namespace, owner.name),
            records=_children(ports, CONTROLLERREVISION, owner.namespace, owner.name),
            readings=self._readings(*measured_as(spec, status), owner, ports, now),
            command=command_of(obj, status),
            gateway=gateway,
            defaults=defaults,
            now=now,
            problems=problems,
            freeze=settings.freeze,
            unfit=unfit,
            ahead=_ahead(wanted(owner.name, spec, gateway), owner, route, ports),
            unlike=_unlike(spec, status, target, ports),
            golden=self._smoke_tests.answers(spec, status, owner, services, deployments, ports, now),
        )

    def decide(self, observed: Observed) -> Plan:
        """Decide."""
        return decide_release(observed)

    def _readings(
        self, spec: ModelReleaseSpec, status: ModelReleaseStatus, owner: Owner, ports: Ports, now: datetime
    ) -> dict[str, Reading]:
        """Ask the metrics that are due, at once; each is an answer or an Error by itself."""
        spec = resolved(spec)
        start, metrics = window_start(status, spec.analysis), due(status, spec.analysis, now)
        if start is None or status.canary is None or not metrics:
            return {}
        release = (owner.namespace, owner.name)
        gateway = SERVER if is_used(spec) else ports.settings.gateway_figures
        copies = status.routing is not None and status.routing.mirror_percent > 0
        serves = status.stable
        canary = Subject(*release, status.canary.revision, gateway, copies, status.canary.version)
        stable = None if serves is None else Subject(*release, serves.revision, gateway, version=serves.version)

        def read(metric: Metric) -> Reading:
            interval = interval_of(metric, spec.analysis)
            step = max(now - start, interval)
            since = counts_from(status, spec.analysis, metric)
            began = status.analysis_started_at
            return read_metric(
                metric,
                canary,
                ports,
                stable=stable,
                interval=interval,
                step=step,
                now=now,
                since=since,
                began=began,
            )

        asked = {metric.name: self._asking.submit(read, metric) for metric in metrics}
        wait(asked.values(), self._deadline)
        return {name: self._answer(future) for name, future in asked.items()}

    def _answer(self, future: Future[Reading]) -> Reading:
        if future.done():
            return future.result()
        # One that has not begun never will; one that hangs ends with its own deadline, and nobody waits for it.
        future.cancel()
        return Reading("", error=f"the metrics did not answer within {self._deadline:g} s")


def _with_templates(obj: Mapping[str, Any], ports: Ports) -> tuple[ModelReleaseSpec, tuple[tuple[Path, str], ...]]:
    """Return the spec with the MetricTemplates that it names, and why it cannot use some."""
    spec, namespace = ModelReleaseSpec.model_validate(obj["spec"]), obj["metadata"]["namespace"]
    there = {
        name: MetricTemplateSpec.model_validate(found["spec"])
        for name in named_templates(spec)
        if (found := ports.cluster.get(METRICTEMPLATE.resource, namespace, name)) is not None
    }
    return with_templates(spec, there, f"in namespace {namespace}")


def _target(
    spec: ModelReleaseSpec,
    status: ModelReleaseStatus,
    namespace: str,
    defaults: ServingDefaults,
    ports: Ports,
    now: datetime,
) -> tuple[RevisionStatus | None, str, tuple[str, ...]]:
    """Return the wanted revision; or None, and why."""
    try:
        version, waiting = _version(spec, namespace, ports)
        if version is None:
            return None, waiting, ()
        known = _known(status, version)
        if known is not None:
            # What a version is never changes; what serves it may.
            revision = revision_of(spec, known.digest, defaults)
            return known.model_copy(update={"revision": revision, "since": now}), "", ()
        found = ports.registry.version(spec.model.name, version)
    except Stalled:
        raise
    except ModelopsError as error:
        if status.stable is None and status.canary is None:
            raise
        return status.canary or None, error.message, (error.message,)
    if found is None:
        return None, f"model {spec.model.name} has no version {version}", ()
    if found.status != "READY":
        return None, f"version {version} of model {spec.model.name} is {found.status}", ()
    return candidate(spec, Registered(found.version, found.run_id, found.tags), defaults, now), "", ()


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


def _version(spec: ModelReleaseSpec, namespace: str, ports: Ports) -> tuple[str | None, str]:
    """Return the version that is wanted; or None, and why."""
    model = spec.model
    if model.from_ is not None:
        return _from_run(model.name, model.from_.training_run, namespace, ports)
    if model.alias is not None:
        found = ports.registry.alias(model.name, model.alias)
        return (found.version, "") if found else (None, f"model {model.name} has no alias {model.alias}")
    return model.version, ""


def _from_run(model: str, name: str, namespace: str, ports: Ports) -> tuple[str | None, str]:
    run = ports.cluster.get(TRAININGRUN.resource, namespace, name)
    if run is None:
        return None, f"there is no TrainingRun {name} in namespace {namespace}"
    trained = (run["spec"].get("model") or {}).get("name")
    if trained != model:
        raise Stalled("ModelMismatch", f"TrainingRun {name} registers model {trained}, not {model}; make them agree")
    version = (run.get("status") or {}).get("modelVersion")
    return (str(version), "") if version else (None, f"TrainingRun {name} has not registered a version yet")


def _known(status: ModelReleaseStatus, version: str) -> RevisionStatus | None:
    return next((one for one in (status.canary, status.stable) if one is not None and one.version == version), None)


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

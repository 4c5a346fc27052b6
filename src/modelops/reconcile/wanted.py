"""Observes which revision a release is to have next: what the spec asks for, or before it the last good version.

What a status knew may be lost with its cluster. The registry still knows what was promoted last, by promotedAlias. So
where nothing serves, that version comes first, and the one that the spec asks for is then a newer one like any other.
"""

from dataclasses import dataclass
from datetime import datetime

from modelops.api.kinds import TRAININGRUN
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus, RevisionStatus
from modelops.domain.release.revision import Registered, ServingDefaults, asked_by, candidate, revision_of
from modelops.errors import ModelopsError, Stalled
from modelops.ports import ModelVersion
from modelops.reconcile.bundle import Ports


@dataclass(frozen=True, slots=True)
class Wanted:
    """The revision that is to come next, as Observed has it."""

    target: RevisionStatus | None
    waiting: str = ""
    problems: tuple[str, ...] = ()
    last_good: str = ""
    then: str | None = None
    proven: bool = False


def wanted_revision(
    spec: ModelReleaseSpec,
    status: ModelReleaseStatus,
    namespace: str,
    commit: str,
    defaults: ServingDefaults,
    ports: Ports,
    now: datetime,
) -> Wanted:
    """Return the revision that is to come next; or none, and why.

    Args:
        spec: of the release.
        status: of the release; a version that it knows is not asked for again.
        namespace: of the release.
        commit: that last changed the release.
        defaults: the operator's configuration.
        ports: the registry and the cluster.
        now: the time.
    """
    try:
        version, waiting = _asked_for(spec, namespace, ports)
        champion = None
        if status.stable is None:
            champion = ports.registry.alias(spec.model.name, spec.model.promoted_alias)
        good, words = _last_good(spec, status, version, champion, defaults, now)
        if good is not None:
            return Wanted(good, last_good=words, then=version, proven=True)
        if version is None:
            return Wanted(None, "; ".join(filter(None, (waiting, words))))
        proven = champion is not None and champion.version == version
        known = _known(status, version)
        if known is not None:
            # What a version is never changes; what serves it may.
            revision = revision_of(spec, known.digest, defaults)
            target = known.model_copy(update={"revision": revision, "since": now})
            return Wanted(asked_by(target, status, commit), last_good=words, proven=proven)
        found = ports.registry.version(spec.model.name, version)
    except Stalled:
        raise
    except ModelopsError as error:
        if status.stable is None and status.canary is None:
            raise
        return Wanted(status.canary, error.message, (error.message,))
    if found is None:
        return Wanted(None, f"model {spec.model.name} has no version {version}")
    if found.status != "READY":
        return Wanted(None, f"version {version} of model {spec.model.name} is {found.status}")
    target = asked_by(_revision(spec, found, defaults, now), status, commit)
    return Wanted(target, last_good=words, proven=proven)


def _last_good(
    spec: ModelReleaseSpec,
    status: ModelReleaseStatus,
    version: str | None,
    champion: ModelVersion | None,
    defaults: ServingDefaults,
    now: datetime,
) -> tuple[RevisionStatus | None, str]:
    """Return the version that was promoted last, if it is to serve before the one that is asked for, and what to say.

    No commit of the release asks for it, so its record names none.
    """
    if champion is None or champion.version == version:
        return None, ""
    alias = spec.model.promoted_alias
    which = f"version {champion.version}, which alias {alias} names,"
    if champion.status != "READY":
        return None, f"{which} is {champion.status}"
    good = _revision(spec, champion, defaults, now)
    if good.revision in status.aborted:
        return None, f"{which} was given up"
    coming = None if status.canary is None else status.canary.version
    if coming not in (None, champion.version) and version in (None, coming):
        # It may have requests already, and they would have nowhere to go.
        return None, ""
    return good, f"it serves first, as alias {alias} names it"


def _revision(spec: ModelReleaseSpec, found: ModelVersion, defaults: ServingDefaults, now: datetime) -> RevisionStatus:
    return candidate(spec, Registered(found.version, found.run_id, found.tags), defaults, now)


def _asked_for(spec: ModelReleaseSpec, namespace: str, ports: Ports) -> tuple[str | None, str]:
    """Return the version that the spec asks for; or None, and why."""
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

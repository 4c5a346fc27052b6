"""Observes what became of the releases that a GitSource brought, for it to write back to git."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import MODELRELEASE
from modelops.api.labels import GITSOURCE as GITSOURCE_LABEL
from modelops.api.v1alpha1.gitsource import GitSourceSpec, GitSourceStatus
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus, ReleaseRecord
from modelops.domain.gitsync.outcomes import Observed
from modelops.errors import Forbidden
from modelops.reconcile.bundle import Ports

_SAME: Final = ("revision", "outcome", "finishedAt")


def has_news(source: Mapping[str, Any], release: Mapping[str, Any]) -> bool:
    """Return whether a release has ended since the GitSource that brought it wrote what had become of it.

    A label can be given by anybody; the inventory is the operator's.
    """
    meta, history = release["metadata"], (release.get("status") or {}).get("history")
    ours = (meta.get("labels") or {}).get(GITSOURCE_LABEL) == source["metadata"]["name"]
    if source["spec"].get("outcomes") is None or not history or not ours:
        return False
    status = source.get("status") or {}
    written = (status.get("outcomes") or {}).get("written") or ()
    known = next((one for one in written if one["release"] == meta["name"]), None)
    if known is not None and all(known[key] == history[-1][key] for key in _SAME):
        return False
    kind = MODELRELEASE.resource.kind
    return any(one["kind"] == kind and one["name"] == meta["name"] for one in status.get("inventory") or ())


def observe_outcomes(obj: Mapping[str, Any], account: ServiceAccount | None, ports: Ports) -> Observed:
    """Return what has ended since it was written; of releases that the account may read."""
    meta = obj["metadata"]
    spec, status = GitSourceSpec.model_validate(obj["spec"]), GitSourceStatus.model_validate(obj.get("status") or {})
    labels = {GITSOURCE_LABEL: meta["name"]}
    found = ports.cluster.list(MODELRELEASE.resource, meta["namespace"], labels) if spec.outcomes else ()
    news = [release["metadata"]["name"] for release in found if has_news(obj, release)]
    return Observed(
        namespace=meta["namespace"],
        spec=spec,
        status=status,
        releases=frozenset(release["metadata"]["name"] for release in found),
        histories={name: _history(meta["namespace"], name, account, ports) for name in news},
        now=ports.clock.now(),
    )


def _history(namespace: str, name: str, account: ServiceAccount | None, ports: Ports) -> Sequence[ReleaseRecord]:
    objects = ports.cluster if account is None else ports.cluster.acting_as(account)
    try:
        found = objects.get(MODELRELEASE.resource, namespace, name)
    except Forbidden:
        return ()
    return () if found is None else ModelReleaseStatus.model_validate(found.get("status") or {}).history

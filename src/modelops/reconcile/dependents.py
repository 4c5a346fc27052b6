"""Which objects look at which: when one changes, these are woken. Reading is theirs; this only wakes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from modelops.api.kinds import DATASET, GITSOURCE, KINDS, MODELRELEASE, TRAININGRUN, Kind, Resource
from modelops.api.labels import GITSOURCE as GITSOURCE_LABEL
from modelops.api.labels import OWNER_KIND, OWNER_NAME
from modelops.domain.release.address import in_common
from modelops.domain.release.objects import path_of
from modelops.reconcile.outcomes import has_news

_Obj = Mapping[str, Any]


class Wake(NamedTuple):
    """One object to look at again."""

    kind: Kind
    key: tuple[str | None, str]


def owner_of(child: Mapping[str, Any]) -> Wake | None:
    """Return the modelops object that a child belongs to, by its labels."""
    meta = child["metadata"]
    labels = meta.get("labels") or {}
    for kind in KINDS:
        if kind.resource.kind == labels.get(OWNER_KIND) and labels.get(OWNER_NAME):
            return Wake(kind, (meta.get("namespace"), labels[OWNER_NAME]))
    return None


def dependents_of(
    resource: Resource, obj: Mapping[str, Any], cached: Callable[[Resource], Iterable[Mapping[str, Any]]]
) -> Iterator[Wake]:
    """Yield the objects whose decisions read this one, whosoever it is."""
    for reader, reads in _READERS.get(resource.kind, ()):
        for other in cached(reader.resource):
            if other["metadata"].get("uid") != obj["metadata"].get("uid") and reads(other, obj):
                yield Wake(reader, (other["metadata"].get("namespace"), other["metadata"]["name"]))


def source_of(dataset: Mapping[str, Any]) -> str | None:
    """Return the name of the GitSource a Dataset's file comes from: the one named, else the one that delivered it."""
    git = (dataset["spec"].get("source") or {}).get("git") or {}
    return (git.get("sourceRef") or {}).get("name") or delivered_by(dataset)


def delivered_by(obj: Mapping[str, Any]) -> str | None:
    """Return the name of the GitSource that delivered an object; None if it was applied by hand."""
    label: str | None = (obj["metadata"].get("labels") or {}).get(GITSOURCE_LABEL)
    return label


def _reads_source(dataset: _Obj, source: _Obj) -> bool:
    return _together(dataset, source) and source_of(dataset) == source["metadata"]["name"]


def _runs_code_of(run: _Obj, source: _Obj) -> bool:
    git = (run["spec"].get("trainer") or {}).get("git")
    if git is None:
        return False
    named = (git.get("sourceRef") or {}).get("name") or delivered_by(run)
    return _together(run, source) and named == source["metadata"]["name"]


def _reads_dataset(run: _Obj, dataset: _Obj) -> bool:
    named = (run["spec"].get("datasetRef") or {}).get("name")
    return _together(run, dataset) and named == dataset["metadata"]["name"]


def _reads_run(release: _Obj, run: _Obj) -> bool:
    source = (release["spec"].get("model") or {}).get("from") or {}
    return _together(release, run) and source.get("trainingRun") == run["metadata"]["name"]


def _reads_pool(run: _Obj, _: _Obj) -> bool:
    return bool((run["spec"].get("compute") or {}).get("pool"))


def _asks_template(release: _Obj, template: _Obj) -> bool:
    metrics = (release["spec"].get("analysis") or {}).get("metrics") or ()
    named = {(metric.get("template") or {}).get("name") for metric in metrics}
    return _together(release, template) and template["metadata"]["name"] in named


def _shares_model(release: _Obj, other: _Obj) -> bool:
    return bool((release["spec"].get("model") or {}).get("name") == (other["spec"].get("model") or {}).get("name"))


def _shares_address(release: _Obj, route: _Obj) -> bool:
    """Return whether a route may take a release's requests: they name a host, or a path, in common."""
    hostnames = (release["spec"].get("traffic") or {}).get("hostnames") or ()
    hosts, paths = in_common(route, set(hostnames or ("",)), {path_of(release["metadata"]["name"], hostnames)})
    return bool(hosts and paths)


def _writes_outcome_of(source: _Obj, release: _Obj) -> bool:
    # What failed is tried again at a time of its own: a release changes every few seconds.
    failing = ((source.get("status") or {}).get("outcomes") or {}).get("retryAt")
    return _together(source, release) and not failing and has_news(source, release)


def _together(left: _Obj, right: _Obj) -> bool:
    return bool(left["metadata"].get("namespace") == right["metadata"].get("namespace"))


_READERS: Final[Mapping[str, tuple[tuple[Kind, Callable[[_Obj, _Obj], bool]], ...]]] = {
    "GitSource": ((DATASET, _reads_source), (TRAININGRUN, _runs_code_of)),
    "Dataset": ((TRAININGRUN, _reads_dataset),),
    "TrainingRun": ((MODELRELEASE, _reads_run),),
    "ComputePool": ((TRAININGRUN, _reads_pool),),
    "MetricTemplate": ((MODELRELEASE, _asks_template),),
    "ModelRelease": ((MODELRELEASE, _shares_model), (GITSOURCE, _writes_outcome_of)),
    "HTTPRoute": ((MODELRELEASE, _shares_address),),
}

"""From manifests to the objects that a GitSource wants, and what is refused. Pure.

A tenant stays in its namespace: an object of another namespace or of a kind that is not on the list is refused by
itself; the others are applied.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from pydantic import ValidationError

from modelops.api.kinds import CONFIGMAP, DATASET, KINDS, METRICTEMPLATE, MODELRELEASE, TRAININGRUN, Resource
from modelops.api.labels import APPLIED_COMMIT
from modelops.api.labels import GITSOURCE as GITSOURCE_LABEL
from modelops.api.manifest import Manifest, Problem
from modelops.api.v1alpha1.gitsource import InventoryEntry
from modelops.domain import attempts

ALLOWED: Final[Mapping[tuple[str, str], Resource]] = {
    (resource.api_version, resource.kind): resource
    for resource in (
        DATASET.resource,
        TRAININGRUN.resource,
        METRICTEMPLATE.resource,
        MODELRELEASE.resource,
        CONFIGMAP,
    )
}
"""What a repository may bring. Not ComputePool (the platform team's), not GitSource (it would widen its own reach)."""
_TOP: Final = ("apiVersion", "kind", "metadata", "spec", "status")
_ORDER: Final = ("ConfigMap", "Dataset", "TrainingRun", "MetricTemplate", "ModelRelease")


@dataclass(frozen=True)
class Wanted:
    """One object as git has it, ready to be applied; a commit's are kept, so what is asked at each poll is kept too."""

    resource: Resource
    obj: Mapping[str, Any]
    where: str
    """file:line, for messages."""

    @cached_property
    def entry(self) -> InventoryEntry:
        """The object in the inventory."""
        return InventoryEntry(
            api_version=self.resource.api_version, kind=self.resource.kind, name=self.obj["metadata"]["name"]
        )

    @cached_property
    def said(self) -> dict[str, Any]:
        """All that git says, the commit that it says it at aside."""
        meta = self.obj["metadata"]
        annotations = {key: value for key, value in meta["annotations"].items() if key != APPLIED_COMMIT}
        return {**self.obj, "metadata": {**meta, "annotations": annotations}}

    @cached_property
    def hash(self) -> str:
        """Of what git says, by which a field that git dropped is noticed."""
        meta = self.said["metadata"]
        body = {key: value for key, value in self.said.items() if key != "metadata"}
        return attempts.inputs_hash({**body, "labels": meta["labels"], "annotations": meta["annotations"]})


def desired(
    manifests: Iterable[Manifest], source: str, namespace: str, commit: str
) -> tuple[list[Wanted], list[Problem]]:
    """Return the objects a GitSource wants in order of dependence, and what is refused.

    Args:
        manifests: what the files hold.
        source: name of the GitSource.
        namespace: of the GitSource; every object lands here.
        commit: at which the files were read.
    """
    wanted: dict[tuple[str, str], Wanted] = {}
    problems: list[Problem] = []
    for manifest in manifests:
        obj = manifest.obj
        meta = obj["metadata"]
        resource = ALLOWED.get((obj["apiVersion"], obj["kind"]))
        if resource is None:
            kinds = ", ".join(kind for _, kind in ALLOWED)
            problems.append(
                manifest.problem(("kind",), f"a GitSource does not apply {obj['kind']}; it applies {kinds}")
            )
            continue
        if meta.get("namespace", namespace) != namespace:
            reason = f"namespace {meta['namespace']} is not the GitSource's; leave it out or write {namespace}"
            problems.append(manifest.problem(("metadata", "namespace"), reason))
            continue
        if wrong := list(_against_type(manifest)):
            problems += wrong
            continue
        key = (resource.kind, meta["name"])
        if key in wanted:
            reason = f"{manifest.about} stands at {wanted[key].where} too; remove one"
            problems.append(manifest.problem(("metadata", "name"), reason))
            continue
        wanted[key] = Wanted(
            resource, _dressed(obj, resource, source, namespace, commit), f"{manifest.path}:{manifest.line}"
        )
    ordered = sorted(wanted.values(), key=lambda item: (_ORDER.index(item.resource.kind), item.obj["metadata"]["name"]))
    return ordered, problems


def _against_type(manifest: Manifest) -> Iterator[Problem]:
    """Yield what is wrong with an object of ours, as far as its type says; the API server has the last word."""
    obj = manifest.obj
    kind = next((kind for kind in KINDS if kind.resource.kind == obj["kind"]), None)
    if kind is None:
        return
    for name in obj:
        if name not in _TOP:
            close = difflib.get_close_matches(name, _TOP, n=1)
            yield manifest.problem((name,), "unknown field" + (f"; did you mean {close[0]}?" if close else ""))
    try:
        kind.spec.model_validate(obj.get("spec") or {})
    except ValidationError as error:
        for one in error.errors(include_url=False, include_context=False, include_input=False):
            yield manifest.problem(("spec", *one["loc"]), one["msg"])


def _dressed(obj: Mapping[str, Any], resource: Resource, source: str, namespace: str, commit: str) -> dict[str, Any]:
    """Return the object with our label and commit; only what users may say of metadata is kept."""
    meta = obj["metadata"]
    body = {key: value for key, value in obj.items() if key not in ("metadata", "status", "apiVersion", "kind")}
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": meta["name"],
            "namespace": namespace,
            "labels": {**(meta.get("labels") or {}), GITSOURCE_LABEL: source},
            "annotations": {**(meta.get("annotations") or {}), APPLIED_COMMIT: commit},
        },
        **body,
    }


def says_the_same(live: Mapping[str, Any], wanted: Wanted) -> bool:
    """Return whether a live object already says everything that git says, the commit annotation aside."""
    return _within(wanted.said, live)


def _within(part: Any, whole: Any) -> bool:
    """Return whether every field of `part` stands in `whole`; lists must agree in length, defaults may be added."""
    if isinstance(part, dict):
        if not isinstance(whole, dict):
            return False
        # A poll compares every field of a thousand objects: plain loops, and a word for word in C.
        for key, value in part.items():
            if key not in whole:
                return False
            other = whole[key]
            if not (value == other if type(value) is str else _within(value, other)):
                return False
        return True
    if isinstance(part, list):
        return isinstance(whole, list) and len(part) == len(whole) and all(map(_within, part, whole))
    if isinstance(part, bool) or isinstance(whole, bool):
        return part is whole
    return bool(part == whole)

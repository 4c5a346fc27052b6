"""What a change of a GitSource, a ComputePool or a MetricTemplate leads to. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.cli.compare import Field
from modelops.cli.foresee.world import Obj, World, what
from modelops.domain.release.templates import named_templates


def source(before: Obj | None, after: Obj, fields: Sequence[Field]) -> Iterator[str]:
    """Yield what a GitSource does."""
    spec = after["spec"]
    ref = ", ".join(f"{kind} {name}" for kind, name in (spec.get("ref") or {}).items())
    where = f"{spec['url']} {ref} path {spec.get('path', '.')}"
    moved = [field for field in fields if field.path.startswith(("spec.url", "spec.ref", "spec.path"))]
    if before is None:
        yield f"fetches {where} and applies what is there"
        yield f"reads, applies and prunes as {_whom(spec)}"
    elif moved:
        pruned = "; what it applied before and is not there is pruned" if spec.get("prune", True) else ""
        yield f"fetches {where} and applies what is there{pruned}"
    elif fields:
        yield f"applies the same objects as before: only {what(fields)} changed"
    if before is not None and any(field.path.startswith("spec.serviceAccountName") for field in fields):
        yield f"from now on reads, applies and prunes as {_whom(spec)}"


def _whom(spec: Mapping[str, Any]) -> str:
    """Return as whom a GitSource acts, as far as it says so itself."""
    named = spec.get("serviceAccountName")
    return f"ServiceAccount {named}" if named else "the operator, or as the ServiceAccount that its settings name"


def pool(name: str, fields: Sequence[Field], world: World) -> Iterator[str]:
    """Yield what a ComputePool does."""
    if not fields:
        return
    users = sorted(
        f"{namespace}/{run}"
        for (kind, namespace, run), obj in world.after.items()
        if kind == "TrainingRun" and (obj["spec"].get("compute") or {}).get("pool") == name
    )
    if users:
        yield f"nothing is trained again; attempts that start from now on use it: {', '.join(users)}"
    else:
        yield "no TrainingRun here uses it"


def template(namespace: str, name: str, fields: Sequence[Field], world: World) -> Iterator[str]:
    """Yield what a MetricTemplate does."""
    if not fields:
        return
    users = sorted(
        release
        for (kind, where, release), obj in world.after.items()
        if kind == "ModelRelease"
        and where == namespace
        and name in named_templates(ModelReleaseSpec.model_validate(obj["spec"]))
    )
    if users:
        yield f"is asked so from the next look on by: {', '.join(users)}"
    else:
        yield "no ModelRelease here names it"

"""What a change would lead to, and why. Pure: asks the same functions of the domain by which the operator decides.

Called by `plan`. It knows the objects as they are and as they would be; what only the operator can see (git, MLflow,
the metrics) it does not guess at, and says so.
"""

from collections.abc import Sequence

from pydantic import ValidationError

from modelops.cli.compare import Field
from modelops.cli.foresee import release, sources, training
from modelops.cli.foresee.world import Key, Obj, World


def consequences(kind: str, namespace: str, name: str, fields: Sequence[Field], world: World) -> list[str]:
    """Return what follows for one object, in order; empty if nothing does.

    Args:
        kind: of the object.
        namespace: its, or nothing.
        name: its.
        fields: in which it differs; empty if it stays as it is, yet something it depends on may change.
        world: everything.
    """
    key = (kind, namespace, name)
    before, after = world.before.get(key), world.after[key]
    if (after.get("spec") or {}).get("suspend") is True:
        ended = [f"its Workflow {workflow} is ended"] if before and (workflow := training.running(before)) else []
        return [*ended, "is suspended: nothing happens until: modelops resume " + f"{kind.lower()} {name}"]
    found: list[str] = []
    if before is not None and (before.get("spec") or {}).get("suspend") is True:
        found = ["is reconciled again"]
    try:
        match kind:
            case "Dataset":
                found += training.dataset(before, after, fields)
            case "TrainingRun":
                found += training.run(before, after, fields, world)
            case "ModelRelease":
                found += release.release(before, after, fields, world)
            case "GitSource":
                found += sources.source(before, after, fields)
            case "ComputePool":
                found += sources.pool(name, fields, world)
            case "MetricTemplate":
                found += sources.template(namespace, name, fields, world)
            case _:
                pass
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return [f"Stalled: InvalidSpec: spec.{'.'.join(map(str, first['loc']))}: {first['msg']}"]
    return found


__all__ = ["Key", "Obj", "World", "consequences"]

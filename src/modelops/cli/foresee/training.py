"""What a change of a Dataset or a TrainingRun leads to. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from modelops.api.v1alpha1.dataset import DatasetSpec, DatasetStatus
from modelops.api.v1alpha1.trainingrun import TrainingRunSpec, TrainingRunStatus
from modelops.cli.compare import Field
from modelops.cli.foresee.world import Key, Obj, World, what
from modelops.domain import attempts
from modelops.domain.attempts import SUSPENDED
from modelops.domain.dataset.decide import inputs_of as dataset_inputs
from modelops.domain.training.admit import admit
from modelops.domain.training.inputs import Data, made_of
from modelops.domain.training.inputs import inputs_of as training_inputs

_SHOWN: Final = 3


def prepared_again(before: Obj | None, after: Obj) -> bool:
    """Return whether a Dataset's preparation depends on what changed (git may move its file at any time)."""
    if before is None:
        return True
    old, new = DatasetSpec.model_validate(before["spec"]), DatasetSpec.model_validate(after["spec"])
    # One blob for both: only what the contract says is compared.
    return dataset_inputs(old, "") != dataset_inputs(new, "") or old.source != new.source


def running(obj: Obj) -> str | None:
    """Return the name of the Workflow that runs for an object, if one does."""
    workflow = (obj.get("status") or {}).get("workflow") or {}
    return workflow.get("name") if workflow.get("phase") in ("Pending", "Running") else None


def dataset(before: Obj | None, after: Obj, fields: Sequence[Field]) -> Iterator[str]:
    """Yield what a Dataset does."""
    if before is None:
        yield "is prepared: checked, split and pinned by digest"
        return
    if not fields:
        return
    status = DatasetStatus.model_validate(before.get("status") or {})
    if _goes_on(fields) and (status.attempt is None or (status.workflow and status.workflow.phase == SUSPENDED)):
        yield "is prepared: it was not while it was suspended"
        return
    if not prepared_again(before, after):
        yield f"is not prepared again: only {what(fields)} changed"
        return
    old, new = DatasetSpec.model_validate(before["spec"]), DatasetSpec.model_validate(after["spec"])
    if dataset_inputs(old, "") == dataset_inputs(new, ""):
        yield "is prepared again if the file there has other bytes: spec.source changed"
    else:
        yield f"is prepared again: {what(fields)} changed"


def trains(before: Obj | None, after: Obj, world: World) -> bool:
    """Return whether a run starts an attempt because of the plan."""
    if before is None:
        return True
    if made_of(TrainingRunSpec.model_validate(before["spec"])) != made_of(
        TrainingRunSpec.model_validate(after["spec"])
    ):
        return True
    return before["spec"]["datasetRef"] != after["spec"]["datasetRef"] or _data_moves(after, world)


def _data_moves(run: Obj, world: World) -> bool:
    key = _dataset_of(run)
    before, after = world.before.get(key), world.after.get(key)
    return before is not None and after is not None and before is not after and prepared_again(before, after)


def _dataset_of(run: Obj) -> Key:
    return ("Dataset", run["metadata"]["namespace"], run["spec"]["datasetRef"]["name"])


def run(before: Obj | None, after: Obj, fields: Sequence[Field], world: World) -> Iterator[str]:
    """Yield what a TrainingRun does."""
    spec = TrainingRunSpec.model_validate(after["spec"])
    data = world.after.get(_dataset_of(after))
    if data is None:
        yield f"waits: there is no Dataset {spec.dataset_ref.name}, neither here nor in the plan"
        return
    if world.pools is not None:
        admission = admit(spec.compute, world.pools, after["metadata"]["namespace"], fallback=world.fallback)
        if not admission.admitted:
            yield f"Stalled: {admission.reason}: {admission.message}"
            return
    if before is None:
        yield f"an attempt starts once Dataset {spec.dataset_ref.name} is pinned"
    elif made_of(TrainingRunSpec.model_validate(before["spec"])) == made_of(spec):
        yield from _same_recipe(before, after, fields, world)
    else:
        yield from _other_recipe(before, spec, fields, data)


def _same_recipe(before: Obj, after: Obj, fields: Sequence[Field], world: World) -> Iterator[str]:
    name = after["spec"]["datasetRef"]["name"]
    if before["spec"]["datasetRef"] != after["spec"]["datasetRef"]:
        yield f"a new attempt starts if Dataset {name} holds other data: spec.datasetRef changed"
    elif _data_moves(after, world):
        yield f"a new attempt starts once Dataset {name} is pinned again: its data changes"
    elif _goes_on(fields) and _stopped(TrainingRunStatus.model_validate(before.get("status") or {})):
        yield "an attempt starts: none did, or it was ended, while it was suspended"
    elif fields:
        yield f"nothing is trained: only {what(fields)} changed, which no model is made of"


def _other_recipe(before: Obj, spec: TrainingRunSpec, fields: Sequence[Field], data: Obj) -> Iterator[str]:
    status = TrainingRunStatus.model_validate(before.get("status") or {})
    if (version := _registered(spec, status, data)) is not None:
        yield f"nothing is trained: version {version} was made of the same inputs and is used again"
        return
    relevant = [field.words() for field in fields if _is_input(field)]
    more = f"; and {len(relevant) - _SHOWN} more" if len(relevant) > _SHOWN else ""
    yield f"a new attempt starts: {'; '.join(relevant[:_SHOWN])}{more}"
    if status.attempt is not None and not _ended(status):
        yield f"attempt {status.attempt.id}, which is running, is ended"


def reused(before: Obj | None, after: Obj, world: World) -> str | None:
    """Return the version that a changed run gives without training, because its inputs were trained before."""
    data = world.after.get(_dataset_of(after))
    if before is None or data is None or _data_moves(after, world):
        return None
    spec, status = TrainingRunSpec.model_validate(after["spec"]), before.get("status") or {}
    if made_of(TrainingRunSpec.model_validate(before["spec"])) == made_of(spec):
        return None
    return _registered(spec, TrainingRunStatus.model_validate(status), data)


def _registered(spec: TrainingRunSpec, status: TrainingRunStatus, dataset: Obj) -> str | None:
    """Return the version that the same inputs gave before."""
    revision = DatasetStatus.model_validate(dataset.get("status") or {}).revision
    trainer = spec.trainer
    if revision is None or trainer.git or trainer.workflow_template:  # whose digest is known in git or the cluster only
        return None
    data = Data(DatasetSpec.model_validate(dataset["spec"]), revision)
    inputs = attempts.inputs_hash(training_inputs(spec, data, None))
    for record in reversed(status.history):
        if record.inputs_hash == inputs and record.outcome == "Registered":
            return record.model_version
    return None


def _ended(status: TrainingRunStatus) -> bool:
    attempt = status.attempt
    return attempt is None or any(
        record.id == attempt.id and record.outcome != "Superseded" for record in status.history
    )


def _goes_on(fields: Sequence[Field]) -> bool:
    return any(field.path == "spec.suspend" for field in fields)


def _stopped(status: TrainingRunStatus) -> bool:
    attempt, last = status.attempt, status.history[-1:]
    return attempt is None or any(record.id == attempt.id and record.outcome == SUSPENDED for record in last)


def _is_input(field: Field) -> bool:
    return not field.path.startswith(("spec.compute", "spec.suspend", "spec.datasetRef", "metadata."))

"""rows: brings the model, and the test rows without their target, to where the model is asked. Ours.

Called by `main` as an init container of evaluate. The target is never among what it brings.
"""

import io
import json
import shutil

from pyarrow import parquet

from modelops.adapters.mlflow_runs import MlflowRuns, Run
from modelops.steps.context import BadInputError, Context, TrainingInput, training_run
from modelops.steps.own import directory
from modelops.steps.own.places import Places


def bring(step: TrainingInput, context: Context) -> None:
    """Write the candidate, the champion if own code made it, and the rows.

    Raises:
        BadInputError: the model was changed since it was trained, or the data is gone.
    """
    mlflow, places = context.mlflow, Places.of(context.outputs)
    shutil.rmtree(places.root, ignore_errors=True)  # what an earlier try of this container left
    places.root.mkdir(parents=True)
    run = training_run(step, context)
    _write(mlflow, run, run.tags.get("modelops.artifactDigest", ""), places, "candidate")
    if any(criterion.against == "champion" for criterion in step.run.evaluate.criteria):
        version = mlflow.version_by_alias(step.run.model.name, step.promoted_alias)
        theirs = mlflow.run(version.run_id) if version is not None and version.run_id != run.run_id else None
        if version is not None and theirs is not None and mlflow.artifact(theirs, directory.MANIFEST) is not None:
            _write(mlflow, theirs, version.tags.get("modelops.artifactDigest", ""), places, "champion")
    data = mlflow.run(step.data.run_id)
    content = None if data is None else mlflow.artifact(data, "parts/test.parquet")
    if content is None:
        raise BadInputError(f"data: run {step.data.run_id} has no part test; reconcile the Dataset to prepare it again")
    table = parquet.read_table(io.BytesIO(content))
    parquet.write_table(table.drop_columns([step.dataset.target]), places.rows)


def _write(mlflow: MlflowRuns, run: Run, digest: str, places: Places, name: str) -> None:
    listed = mlflow.artifact(run, directory.MANIFEST)
    if listed is None:
        raise BadInputError(f"run {run.run_id} has no {directory.MANIFEST}; train again")
    files: dict[str, bytes] = {}
    for path in json.loads(listed):
        if not directory.stays_inside(str(path)):
            raise BadInputError(f"run {run.run_id}: {directory.MANIFEST} names {path!r}, which is no file of a model")
        content = mlflow.artifact(run, f"model/{path}")
        if content is None:
            raise BadInputError(f"run {run.run_id} has no model/{path}; train again")
        files[path] = content
    found = directory.digest_of(files, f"run {run.run_id}")
    if found != digest:
        raise BadInputError(
            f"the model of run {run.run_id} was changed: {found[:20]}… is not {digest[:20]}…; train again"
        )
    for path, content in files.items():
        target = places.models / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

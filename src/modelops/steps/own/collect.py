"""The main container of train for a team's own code: takes what it wrote into an MLflow run. Ours.

Called by `train`. It never loads the model.
"""

import json

from modelops.adapters.mlflow_runs import Metric, Run
from modelops.steps.context import BadInputError, Context, TrainingInput
from modelops.steps.own import curves, directory, lent
from modelops.steps.own.places import Places


def collect(step: TrainingInput, context: Context, run: Run) -> None:
    """Log the model, its metrics and its digest.

    Raises:
        BadInputError: what the code wrote is not as agreed. StepFailedError: it failed, another try may help.
    """
    mlflow, places, where = context.mlflow, Places.of(context.outputs), step.where
    places.raise_failure()
    if step.run.trainer.image is not None:
        lent.raise_end(step, places)
    files = directory.read(places.output / "model", where, allow_pickle=step.run.trainer.takes_pickles)
    _check_columns(step, directory.check_description(files, where), where)
    digest = directory.digest_of(files, where)
    metrics = curves.read(places, where)
    for path, content in files.items():
        mlflow.put_artifact(run, f"model/{path}", content)
    mlflow.put_artifact(run, directory.MANIFEST, json.dumps(sorted(files)).encode())
    mlflow.log(
        run,
        metrics=[Metric(name, value, at) for name, values in metrics.items() for at, value in enumerate(values)],
        params={key: json.dumps(value)[:6000] for key, value in step.run.hyperparameters.items()}
        | ({"code": where, "codeCommit": step.code.commit} if step.code else {"code": step.run.trainer.image or where}),
    )
    # The digest goes last: it says that everything else is there.
    mlflow.log(run, tags={"modelops.artifactDigest": digest})


def _check_columns(step: TrainingInput, wanted: list[str], where: str) -> None:
    known = {column.name for column in step.dataset.schema_.columns}
    for name in wanted:
        if name == step.dataset.target:
            raise BadInputError(f"{where}: the model's signature asks for {name!r}, which is the target; leave it out")
        if name not in known:
            raise BadInputError(
                f"{where}: the model's signature asks for column {name!r}, which the Dataset has not; correct it"
            )

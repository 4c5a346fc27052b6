"""train: from a dataset's training and validation parts to a model in an MLflow run.

Called by `main`. It never sees the test part and never registers anything.
"""

import numpy as np

from modelops.adapters.mlflow_runs import Metric, Run
from modelops.model import artifact, fit, training
from modelops.model.digest import artifact_digest
from modelops.steps import metrics, parts, plots
from modelops.steps.context import BadInputError, Context, StepFailedError, TrainingInput, give_up
from modelops.steps.own import collect


def train(step: TrainingInput, context: Context) -> None:
    """Train the model of an attempt, once: a run that already holds its model is only reported again.

    Raises:
        BadInputError: data and run do not fit each other, or the loss diverged.
    """
    metrics.check_criteria(step.run.evaluate, step.dataset.task)
    mlflow = context.mlflow
    experiment = mlflow.experiment(step.experiment)
    wanted = {"modelops.attempt": step.attempt, "modelops.inputsHash": step.inputs_hash}
    run = next(iter(mlflow.find_runs(experiment, wanted)), None)
    if run is None:
        run = mlflow.create_run(experiment, f"{step.name}-{step.attempt}", step.tags(), start_time=context.milliseconds)
    if "modelops.artifactDigest" not in run.tags:
        try:
            if step.run.trainer.own:
                collect.collect(step, context, run)
            else:
                _train(step, context, run)
        except (BadInputError, StepFailedError) as error:
            give_up(context, run, error)
            raise
        except (fit.FitError, training.DivergedError) as error:
            give_up(context, run, error)
            raise BadInputError(str(error)) from None
    context.outputs.write("run-id", run.run_id)


def _train(step: TrainingInput, context: Context, run: Run) -> None:
    mlflow = context.mlflow
    data = parts.read_parts(mlflow, step.data, ("train", "validation"))
    target = step.dataset.target
    preparation = fit.fit_preparation(data["train"], step.dataset, step.run.prepare)
    prepared = {
        name: training.Part(preparation.features(columns), fit.encode_target(columns[target], preparation.target))
        for name, columns in data.items()
    }
    hyperparameters = step.run.network()
    result = training.train_mlp(
        prepared["train"],
        prepared["validation"],
        hyperparameters,
        classes=len(preparation.target.classes),
        class_weights=step.run.training_rows.balance == "class-weights",
        gpus=step.gpus,
    )
    document = preparation.to_json()
    example = {column.name: data["train"][column.name][: artifact.EXAMPLE_ROWS] for column in preparation.columns}
    files = artifact.weight_files(document, result.tensors)
    files |= artifact.mlflow_files(preparation, example, run_id=run.run_id, now=context.now)
    for path, content in files.items():
        mlflow.put_artifact(run, f"model/{path}", content)
    losses = [epoch.train_loss for epoch in result.epochs], [epoch.validation_loss for epoch in result.epochs]
    mlflow.put_artifact(run, "curves/loss.png", plots.loss_curve(*losses, result.best_epoch))
    chosen = hyperparameters.model_dump(mode="json", by_alias=True) | step.run.prepare.model_dump(
        mode="json", by_alias=True, exclude={"drop"}
    )
    # The digest goes last: it says that everything else is there.
    mlflow.log(
        run,
        metrics=[
            point
            for number, epoch in enumerate(result.epochs)
            for point in (
                Metric("train_loss", epoch.train_loss, number),
                Metric("validation_loss", epoch.validation_loss, number),
            )
        ],
        params={key: str(value) for key, value in chosen.items()}
        | {"rows": str(len(prepared["train"].features)), "features": str(preparation.width)},
    )
    digest = artifact_digest(document, {name: np.asarray(tensor) for name, tensor in result.tensors.items()})
    mlflow.log(run, tags={"modelops.device": result.device, "modelops.artifactDigest": digest})

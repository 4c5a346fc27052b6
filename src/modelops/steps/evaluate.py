"""evaluate: the model of a run on the test part, against the team's criteria.

Called by `main`. It scores what lies in MLflow, not what train had in memory, and checks its digest: what is judged is
what would be served.
"""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load

from modelops.adapters.mlflow_runs import Metric, MlflowRuns, Run
from modelops.model import tabular
from modelops.model.digest import artifact_digest
from modelops.steps import criteria, metrics, parts, plots, report
from modelops.steps.context import BadInputError, Context, StepFailedError, TrainingInput, give_up, training_run
from modelops.steps.own import answers
from modelops.steps.own.directory import MANIFEST
from modelops.steps.own.places import Places
from modelops.steps.seen import why_seen


def evaluate(step: TrainingInput, context: Context) -> None:
    """Judge the model of an attempt and write `evaluation.json`.

    Raises:
        BadInputError: the model cannot answer the test part, or is not the one that was trained.
    """
    run = training_run(step, context)
    try:
        _evaluate(step, context, run)
    except (BadInputError, StepFailedError) as error:
        give_up(context, run, error)
        raise


def _evaluate(step: TrainingInput, context: Context, run: Run) -> None:
    mlflow = context.mlflow
    data = parts.read_parts(mlflow, step.data, ("train", "test"))
    target = step.dataset.target
    if step.run.trainer.own:
        places = Places.of(context.outputs)
        places.raise_failure()
        scored, classes = answers.scored(places, "candidate", step, data), answers.classes_of(step, data)
    else:
        scored, classes = _scored(mlflow, run, data["test"], target)
    champion = _champion(step, context, data, run)
    references = {"baseline": criteria.Reference(_baseline(classes, data, target)), "champion": champion}
    outcomes = criteria.judge(scored, step.run.evaluate.criteria, references)
    figures = metrics.all_metrics(scored)
    for criterion in step.run.evaluate.criteria:
        if criterion.metric == "within_percent":
            figures[f"within_percent_{criterion.percent:g}"] = scored.value(criterion.metric, criterion.percent)
    looks = _count_look(step, mlflow, run)
    evaluation = {
        "version": 1,
        "runId": run.run_id,
        "passed": all(outcome.passed for outcome in outcomes),
        "rows": len(scored.truth),
        "metrics": {name: round(value, 8) for name, value in figures.items()},
        "criteria": [_outcome(outcome) for outcome in outcomes],
        "testLooks": looks,
        "champion": champion.version,
    }
    content = json.dumps(evaluation, indent=1, ensure_ascii=False).encode()
    picture = _picture(scored, classes)
    mlflow.put_artifact(run, "evaluation.json", content)
    mlflow.put_artifact(run, "evaluation.png", picture)
    mlflow.put_artifact(run, "evaluation.html", _report(step, run, evaluation, outcomes, picture))
    mlflow.log(
        run,
        metrics=[Metric(f"test_{name}", value, 0) for name, value in figures.items()],
        tags={"modelops.passed": str(evaluation["passed"]).lower()},
    )
    context.outputs.write_json("evaluation.json", evaluation)


def _scored(mlflow: MlflowRuns, run: Run, test: parts.Columns, target: str) -> tuple[metrics.Scored, tuple[str, ...]]:
    model = load_model(mlflow, run, run.tags.get("modelops.artifactDigest"))
    try:
        scored = score(model, test, target)
    except tabular.InputError as error:
        raise BadInputError(f"test part: {error}") from None
    if not scored.prediction.is_finite():
        raise BadInputError("the model answers test rows with numbers that are not finite; scale or clip its inputs")
    return scored, model.classes


def load_model(mlflow: MlflowRuns, run: Run, digest: str | None) -> tabular.TabularModel:
    """Return the model among a run's artifacts.

    Raises:
        BadInputError: there is none of our format, or its digest is another.
    """
    files = {}
    for name in ("preparation.json", "weights.safetensors"):
        content = mlflow.artifact(run, f"model/{name}")
        if content is None:
            raise BadInputError(f"run {run.run_id} has no model/{name}; train again")
        files[name] = content
    tensors = load(files["weights.safetensors"])
    found = artifact_digest(json.loads(files["preparation.json"]), tensors)
    if digest and found != digest:
        raise BadInputError(
            f"the model of run {run.run_id} was changed: {found[:20]}… is not {digest[:20]}…; train again"
        )
    with tempfile.TemporaryDirectory() as directory:
        for name, content in files.items():
            (Path(directory) / name).write_bytes(content)
        return tabular.TabularModel.load(directory)


def score(model: tabular.TabularModel, test: parts.Columns, target: str) -> metrics.Scored:
    """Return the model's answers to a part beside the truth."""
    truth = metrics.truth_of(test[target], model.classes, tabular.category_text)
    return metrics.Scored(truth, model.predict_columns(test), len(model.classes))


def _baseline(classes: tuple[str, ...], data: dict[str, parts.Columns], target: str) -> metrics.Scored:
    """Return the mean, or the most frequent class, of the training part as the answer to every test row."""
    train = metrics.truth_of(data["train"][target], classes, tabular.category_text)
    truth = metrics.truth_of(data["test"][target], classes, tabular.category_text)
    if not classes:
        return metrics.Scored(truth, tabular.Prediction(np.full(len(truth), train.mean())), 0)
    shares = np.bincount(train, minlength=len(classes)) / len(train)
    prediction = tabular.Prediction(np.full(len(truth), int(shares.argmax())), None, np.tile(shares, (len(truth), 1)))
    return metrics.Scored(truth, prediction, len(classes))


def _champion(step: TrainingInput, context: Context, data: dict[str, parts.Columns], run: Run) -> criteria.Reference:
    mlflow = context.mlflow
    if all(criterion.against != "champion" for criterion in step.run.evaluate.criteria):
        return criteria.Reference(None, "nothing is compared with it", passes=True)
    version = mlflow.version_by_alias(step.run.model.name, step.promoted_alias)
    if version is None:
        return criteria.Reference(None, f"no version has the alias {step.promoted_alias} yet", passes=True)
    if version.run_id == run.run_id:
        return criteria.Reference(None, "this run is the champion itself", passes=True)
    theirs = mlflow.run(version.run_id)
    if theirs is None:
        return criteria.Reference(None, f"the run of {step.promoted_alias} (version {version.version}) is gone")
    if seen := why_seen(mlflow, theirs, step.dataset):
        return criteria.Reference(None, f"{step.promoted_alias} (version {version.version}) is no measure here: {seen}")
    try:
        if mlflow.artifact(theirs, MANIFEST) is not None:
            if not step.run.trainer.own:
                return criteria.Reference(
                    None,
                    f"{step.promoted_alias} (version {version.version}) is a team's own model, which only a run of "
                    "own code is compared with",
                )
            scored = answers.scored(Places.of(context.outputs), "champion", step, data)
        else:
            model = load_model(mlflow, theirs, version.tags.get("modelops.artifactDigest"))
            scored = score(model, data["test"], step.dataset.target)
        return criteria.Reference(scored, version=version.version)
    except (BadInputError, tabular.InputError) as error:
        return criteria.Reference(None, f"{step.promoted_alias} (version {version.version}) cannot be scored: {error}")


def _count_look(step: TrainingInput, mlflow: MlflowRuns, run: Run) -> int:
    """Count this run among those judged on this test part, once, and return how many there are."""
    tags = {"modelops.datasetDigest": step.data.digest, "modelops.judged": "true"}
    others = [other for other in mlflow.find_runs(run.experiment_id, tags, limit=1000) if other.run_id != run.run_id]
    looks = len(others) + 1
    mlflow.log(run, tags={"modelops.judged": "true", "modelops.testLooks": str(looks)})
    return looks


def _outcome(outcome: criteria.Outcome) -> dict[str, Any]:
    document = asdict(outcome)
    document["criterion"] = outcome.criterion[:256]
    for key in ("value", "bound"):
        if document[key] is not None:
            document[key] = round(document[key], 8)
    document["message"] = outcome.message[:300]
    return document


def _picture(scored: metrics.Scored, classes: tuple[str, ...]) -> bytes:
    if not classes:
        return plots.residuals(scored.truth, scored.prediction.prediction)
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    known = scored.truth >= 0
    np.add.at(matrix, (scored.truth[known], scored.prediction.prediction[known]), 1)
    return plots.confusion(matrix, classes)


def _report(
    step: TrainingInput, run: Run, evaluation: dict[str, Any], outcomes: list[criteria.Outcome], picture: bytes
) -> bytes:
    facts = [
        ("model", step.run.model.name),
        ("passed", "yes" if evaluation["passed"] else "no"),
        ("run", run.run_id),
        ("commit", step.commit),
        ("dataset digest", step.data.digest),
        ("test rows", evaluation["rows"]),
        ("looks at this test part", evaluation["testLooks"]),
    ]
    rows = [[o.criterion, _shown(o.value), _shown(o.bound), "yes" if o.passed else "no", o.message] for o in outcomes]
    tables = [
        report.Table("Criteria", ["criterion", "value", "bound", "passed", "remark"], rows),
        report.Table("Metrics", ["metric", "value"], [[n, _shown(v)] for n, v in evaluation["metrics"].items()]),
    ]
    title = "Confusion matrix" if step.dataset.task == "classification" else "Predicted and true values"
    name = f"TrainingRun {step.namespace}/{step.name}"
    return report.render_report(name, facts, tables, [report.Image(title, picture)])


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"

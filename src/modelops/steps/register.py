"""register: a judged model becomes a version, or is left as a run that did not meet its criteria.

Called by `main`. One run becomes one version, however often this step runs. It imports neither torch nor MLflow.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import yaml

from modelops.adapters.mlflow_runs import Run
from modelops.steps.context import BadInputError, Context, TrainingInput, training_run

_LONGEST_TAG: Final = 5000
"""Characters; what older servers of MLflow take."""


def register(step: TrainingInput, context: Context) -> None:
    """Register the model of an attempt if it met its criteria, and write the result of the Workflow.

    Raises:
        BadInputError: the evaluation or the model is not there.
    """
    run = training_run(step, context)
    evaluation = _evaluation(context, run)
    digest = run.tags.get("modelops.artifactDigest", "")
    if not digest:
        raise BadInputError(f"run {run.run_id} holds no finished model; train again")
    version, message = None, _unmet(evaluation)
    if evaluation["passed"]:
        version = _version(step, context, run, digest, evaluation)
        message = f"registered as version {version} of {step.run.model.name}"
    outcome = "Registered" if evaluation["passed"] else "CriteriaNotMet"
    context.mlflow.log(run, tags={"modelops.outcome": outcome, "modelops.message": message})
    if run.status != "FINISHED":
        context.mlflow.finish(run, end_time=context.milliseconds)
    context.outputs.write_json(
        "result.json",
        {
            "version": 1,
            "runId": run.run_id,
            "experimentId": run.experiment_id,
            "passed": evaluation["passed"],
            "modelVersion": version,
            "artifactDigest": digest,
            "metrics": evaluation["metrics"],
            "criteria": [
                {key: criterion[key] for key in ("criterion", "value", "bound", "passed")}
                for criterion in evaluation["criteria"]
            ],
            "testLooks": evaluation["testLooks"],
            "message": message,
        },
    )


def _version(step: TrainingInput, context: Context, run: Run, digest: str, evaluation: Mapping[str, Any]) -> str:
    name = step.run.model.name
    found = context.mlflow.version_of_run(name, run.run_id)
    if found is None:
        context.mlflow.ensure_model(name)
        tags = {**step.tags(), "modelops.artifactDigest": digest, "modelops.inputs": _inputs(context, run)}
        if champion := evaluation.get("champion"):
            tags["modelops.judgedAgainst"] = champion
        found = context.mlflow.create_version(name, run, "model", tags)
    return found.version


def _inputs(context: Context, run: Run) -> str:
    """Return what the model is asked with: name → MLflow's type, with a question mark where it may be left out."""
    described = yaml.safe_load(context.mlflow.artifact(run, "model/MLmodel") or b"") or {}
    columns = json.loads((described.get("signature") or {}).get("inputs") or "[]")
    inputs = {one["name"]: one["type"] + ("" if one.get("required", True) else "?") for one in columns}
    text = json.dumps(inputs, separators=(",", ":"))
    return text if inputs and len(text) <= _LONGEST_TAG else ""


def _evaluation(context: Context, run: Run) -> Mapping[str, Any]:
    # The artifact stands in when the parameter did not come: both hold the same document.
    text: str | bytes | None = context.evaluation or context.mlflow.artifact(run, "evaluation.json")
    try:
        document = json.loads(text or "")
        if document["runId"] == run.run_id:
            return document  # type: ignore[no-any-return]
    except (ValueError, KeyError, TypeError):
        pass
    raise BadInputError(f"MODELOPS_EVALUATION is not the evaluation of run {run.run_id}; evaluate again")


def _unmet(evaluation: Mapping[str, Any]) -> str:
    texts = []
    for criterion in evaluation["criteria"]:
        if not criterion["passed"]:
            value = "no value" if criterion["value"] is None else f"{criterion['value']:.6g}"
            texts.append(
                f"{criterion['criterion']}: {value}" + (f" ({criterion['message']})" if criterion["message"] else "")
            )
    return ("criteria not met: " + "; ".join(texts))[:1000] if texts else ""

"""Whether another run may have learnt from rows of this one's test part.

Called by evaluate before it compares with the champion: a model is good at rows that it has seen. A row finds its part
by a hash of its key alone, so whoever kept the same hashes for its test, or more, has not seen them.
"""

from pydantic import ValidationError

from modelops.adapters.mlflow_runs import MlflowRuns, Run
from modelops.api.v1alpha1.dataset import DatasetSpec


def why_seen(mlflow: MlflowRuns, theirs: Run, ours: DatasetSpec) -> str:
    """Return why a run may have learnt from rows of our test part, and what to do; nothing if it cannot have.

    Args:
        mlflow: where both are.
        theirs: run that trained the other model.
        ours: Dataset of this run.
    """
    prepared = theirs.tags.get("modelops.datasetRunId")
    data = mlflow.run(prepared) if prepared else None
    told = mlflow.artifact(data, "dataset.json") if data is not None else None
    try:
        spec = DatasetSpec.model_validate_json(told) if told is not None else None
    except ValidationError:
        spec = None
    if spec is None:
        return "nobody knows which rows it was trained on; leave out `against: champion` once, to begin anew"
    return overlap(spec, ours)


def overlap(theirs: DatasetSpec, ours: DatasetSpec) -> str:
    """Return why rows of our test part may have been in their other parts; nothing if they cannot have been."""
    if _key(theirs) != _key(ours):
        return (
            f"it was trained on rows split by {_key(theirs)}, and these are split by {_key(ours)}; leave out "
            "`against: champion` once, to begin anew"
        )
    before, now = theirs.split.percent.test, ours.split.percent.test
    if now > before:
        return (
            f"its test part was {before} % of the rows and is {now} % now: it was trained on some of these; set "
            f"split.percent.test to {before} or less, or leave out `against: champion` once, to begin anew"
        )
    return ""


def _key(spec: DatasetSpec) -> str:
    """Return what the hash of a row is taken over."""
    return spec.split.key or "all of " + ", ".join(sorted(column.name for column in spec.schema_.columns))

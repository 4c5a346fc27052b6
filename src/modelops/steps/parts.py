"""Reads a dataset's parts out of the MLflow run that prepared them.

Called by train and evaluate. It must never read the test part for train.
"""

import io
from collections.abc import Sequence

from pyarrow import parquet

from modelops.adapters.mlflow_runs import MlflowRuns
from modelops.steps.context import BadInputError, DataInput

Columns = dict[str, list[object]]
"""N raw cells per column; None is missing."""


def read_parts(mlflow: MlflowRuns, data: DataInput, names: Sequence[str]) -> dict[str, Columns]:
    """Return the named parts: train, validation or test.

    Raises:
        BadInputError: the run is gone, or it holds another revision than the one that was pinned.
    """
    run = mlflow.run(data.run_id)
    if run is None:
        raise BadInputError(f"data: MLflow has no run {data.run_id}; reconcile the Dataset to prepare it again")
    stored = run.tags.get("modelops.datasetDigest", "")
    if stored != data.digest:
        raise BadInputError(
            f"data: run {data.run_id} holds {stored[:20]}…, not {data.digest[:20]}…; reconcile the Dataset"
        )
    parts = {}
    for name in names:
        content = mlflow.artifact(run, f"parts/{name}.parquet")
        if content is None:
            raise BadInputError(
                f"data: run {data.run_id} has no part {name}; reconcile the Dataset to prepare it again"
            )
        table = parquet.read_table(io.BytesIO(content))
        parts[name] = {column: table.column(column).to_pylist() for column in table.column_names}
    return parts

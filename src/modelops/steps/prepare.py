"""prepare: from the bytes in git to checked, split and pinned parts in MLflow.

Called by `main`. It decides what a dataset revision is: `contentDigest` is the bytes, `digest` is the bytes and
everything that decides what becomes of them. It never changes a value: rows are kept, set aside or refused.
"""

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from modelops.adapters.mlflow_runs import Metric, Run
from modelops.api.v1alpha1 import dataset
from modelops.model.digest import canonical_json
from modelops.steps import contract, profile, split, table
from modelops.steps.context import BadInputError, Context, PrepareInput

_ARROW: dict[str, pa.DataType] = {"float": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_()}
MAX_PLOTS = 12


def prepare(step: PrepareInput, context: Context, fetch: Callable[[], bytes]) -> None:
    """Prepare a dataset and write the result; a preparation that was finished before is only reported again.

    Raises:
        BadInputError: the file or the spec is wrong; the message says what to do.
    """
    mlflow = context.mlflow
    experiment = mlflow.experiment(f"modelops-datasets/{step.namespace}/{step.name}")
    tags = {
        "modelops.attempt": step.attempt,
        "modelops.inputsHash": step.inputs_hash,
        "modelops.commit": step.git.commit,
        "modelops.namespace": step.namespace,
        "modelops.dataset": step.name,
    }
    wanted = {key: tags[key] for key in ("modelops.attempt", "modelops.inputsHash")}
    run = next(iter(mlflow.find_runs(experiment, wanted)), None)
    if run and run.status == "FINISHED" and (stored := mlflow.artifact(run, "result.json")):
        context.outputs.write("result.json", stored)
        return
    content = fetch()
    prepared = prepare_table(content, step.git.path, step.dataset)
    if run is None:
        run = mlflow.create_run(experiment, step.attempt, tags, start_time=context.milliseconds)
    result = {
        "version": 1,
        "contentDigest": prepared.content_digest,
        "digest": prepared.digest,
        "rows": prepared.rows,
        "bytes": len(content),
        "commit": step.git.commit,
        "runId": run.run_id,
        "splits": prepared.splits,
        "quarantined": prepared.profile["quarantined"],
        "profile": prepared.profile,
        "report": mlflow.artifact_url(run, "report.html"),
    }
    _upload(step, context, run, prepared, result)
    context.outputs.write_json("result.json", result)


class Prepared:
    """A dataset revision, before it is stored."""

    def __init__(
        self, content: bytes, spec: dataset.DatasetSpec, checked: contract.Checked, parts: Mapping[str, np.ndarray]
    ) -> None:
        self.content_digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.digest = dataset_digest(self.content_digest, spec)
        self.rows = len(checked.rows)
        self.splits = {name: len(rows) for name, rows in parts.items()}
        self.profile = profile.profile_table(
            checked.rows, spec, quarantined=len(checked.quarantine), duplicates=checked.duplicates
        )
        self.parts = {name: parquet_bytes(checked.rows.iloc[rows], spec) for name, rows in parts.items()}
        self.quarantine = parquet_bytes(checked.quarantine, None)
        self.checked = checked


def prepare_table(content: bytes, path: str, spec: dataset.DatasetSpec) -> Prepared:
    """Return the revision that a file's bytes make under a spec.

    Raises:
        BadInputError: the file or the spec is wrong.
    """
    raw = table.read_csv(content, path, spec.schema_)
    if spec.target not in raw.frame.columns:
        message = f"spec.target: {path} has no column {spec.target!r}; correct the name or add it to the schema"
        raise BadInputError(message)
    frame, typing = table.typed_columns(raw, spec.schema_)
    violations = contract.check_cells(frame, spec.schema_, typing)
    checked = contract.check_table(raw.frame, frame, spec, violations, path)
    return Prepared(content, spec, checked, split.split_rows(checked.rows, spec.split))


def dataset_digest(content_digest: str, spec: dataset.DatasetSpec) -> str:
    """Return `sha256:` over the content and everything that decides what becomes of it.

    Where the file lies and how a Dataset is named do not count.
    """
    document = spec.model_dump(
        mode="json", by_alias=True, include={"format", "task", "target", "schema_", "rows", "checks", "split"}
    )
    document |= {"contentDigest": content_digest, "reader": table.READER}
    return f"sha256:{hashlib.sha256(canonical_json(document)).hexdigest()}"


def parquet_bytes(rows: pd.DataFrame, spec: dataset.DatasetSpec | None) -> bytes:
    """Return rows as Parquet; equal rows give equal bytes. Without a spec all but whole numbers are text."""
    types = {column.name: column.type for column in spec.schema_.columns} if spec else {}
    arrays = {}
    for name in rows.columns:
        kind: pa.DataType = _ARROW.get(types.get(name, ""), pa.string())
        values = rows[name]
        if not types and values.dtype.kind in "iu":
            kind = pa.int64()
        cells: list[Any] = values.astype(object).where(values.notna(), None).tolist()
        arrays[name] = pa.array(cells, type=kind)
    buffer = io.BytesIO()
    parquet.write_table(pa.table(arrays), buffer, compression="zstd", version="2.6")
    return buffer.getvalue()


def _upload(step: PrepareInput, context: Context, run: Run, prepared: Prepared, result: Mapping[str, Any]) -> None:
    mlflow = context.mlflow
    spec = step.dataset.model_dump(mode="json", by_alias=True, exclude={"suspend"})
    files = {f"parts/{name}.parquet": content for name, content in prepared.parts.items()}
    files |= {
        "quarantine.parquet": prepared.quarantine,
        "profile.json": json.dumps(prepared.profile, indent=1, ensure_ascii=False).encode(),
        "dataset.json": json.dumps(spec, indent=1, ensure_ascii=False).encode(),
        "report.html": _report(step, prepared),
        # Last: it says that everything else is there.
        "result.json": canonical_json(result),
    }
    for path, content in files.items():
        mlflow.put_artifact(run, path, content)
    counts = {"rows": prepared.rows, "quarantined": len(prepared.checked.quarantine)} | prepared.splits
    mlflow.log(
        run,
        metrics=[Metric(key, float(value), 0) for key, value in counts.items()],
        tags={
            "modelops.contentDigest": prepared.content_digest,
            "modelops.datasetDigest": prepared.digest,
        },
    )
    mlflow.finish(run, end_time=context.milliseconds)


def _report(step: PrepareInput, prepared: Prepared) -> bytes:
    from modelops.steps import plots, report  # noqa: PLC0415  a dataset that is refused needs no plots

    shown = {}
    rows = prepared.checked.rows
    for name in [step.dataset.target, *(n for n in rows.columns if n != step.dataset.target)][:MAX_PLOTS]:
        values = rows[name].dropna()
        numeric = values.dtype.kind in "fi" or str(values.dtype) == "Int64"
        shown[name] = values.to_numpy(dtype="float64") if numeric else values.astype(str).to_numpy(dtype=object)
    quarantine = prepared.checked.quarantine
    facts = [
        ("file", step.git.path),
        ("commit", step.git.commit),
        ("contentDigest", prepared.content_digest),
        ("digest", prepared.digest),
        ("rows", prepared.rows),
        ("parts", ", ".join(f"{name} {count}" for name, count in prepared.splits.items())),
        ("duplicates dropped", prepared.checked.duplicates),
        ("quarantined", len(quarantine)),
    ]
    columns = prepared.profile["shown"]
    header = ["name", "type", "missing", "min", "mean", "max", "distinct"]
    tables = [report.Table("Columns", header, [[entry.get(key, "") for key in header] for entry in columns])]
    if len(quarantine):
        head = quarantine[["row", "reasons"]].head(50)
        lines = [[int(row) + 2, reasons] for row, reasons in head.itertuples(index=False)]
        tables.append(report.Table("Quarantine (first 50)", ["line", "reasons"], lines))
    title = f"Dataset {step.namespace}/{step.name}"
    return report.render_report(title, facts, tables, [report.Image("Distributions", plots.histograms(shown))])

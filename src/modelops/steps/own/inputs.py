"""inputs: brings data and code to where the team's code will find them. Ours; it holds the credentials.

Called by `main` as an init container of train, and as a step of its own before a team's WorkflowTemplate. The test part
is never among what it brings.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from modelops.adapters.mlflow_runs import MlflowRuns
from modelops.ports import Git, GitRemote, code_digest
from modelops.steps.context import BadInputError, CodeInput, Context, Outputs, TrainingInput
from modelops.steps.own import lent
from modelops.steps.own.places import Places

MAX_CODE = 64 << 20
"""Bytes of all files of the code."""
Opened = Callable[[Outputs], tuple[Git, GitRemote]]
"""Opens the repository of the code with its mirror below a root."""


def bring(step: TrainingInput, context: Context, opened: Opened) -> None:
    """Write code or what is lent to an image, parts, contract and hyperparameters to the shared scratch.

    Raises:
        BadInputError: the code is not there, or is not the one that the operator saw.
    """
    places = Places.of(context.outputs)
    shutil.rmtree(places.root, ignore_errors=True)  # what an earlier try of this container left
    places.input.mkdir(parents=True, exist_ok=True)
    places.output.mkdir(parents=True, exist_ok=True)
    if step.run.trainer.image is not None:
        lent.lend(step, places)  # first: without it the image could not even be told that this failed
    if step.code is not None:
        _bring_code(step.code, places, context, opened)
    for name, content in _parts(context.mlflow, step).items():
        (places.input / f"{name}.parquet").write_bytes(content)
    described: Mapping[str, object] = {
        "hyperparameters.json": step.run.hyperparameters,
        "dataset.json": step.dataset.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"suspend"}),
        "run.json": {
            "namespace": step.namespace,
            "name": step.name,
            "attempt": step.attempt,
            "commit": step.commit,
            "target": step.dataset.target,
            "task": step.dataset.task,
            "gpus": step.gpus,
        },
    }
    for name, document in described.items():
        (places.input / name).write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")


def entry(code: CodeInput, names: list[str]) -> str:
    """Return the file to run, relative to the code's directory.

    Raises:
        BadInputError: a directory has no main.py.
    """
    if code.path.endswith(".py") and names == [PurePosixPath(code.path).name]:
        return names[0]
    if "main.py" in names:
        return "main.py"
    raise BadInputError(f"{code.path}: a directory needs a main.py, a file must end in .py; correct trainer.git.path")


def _bring_code(code: CodeInput, places: Places, context: Context, opened: Opened) -> None:
    private = Outputs(context.outputs.path("/tmp/modelops-private"))  # noqa: S108 - below the step's own root
    try:
        _write_code(code, places, *opened(private))
    finally:
        # The mirror holds the whole repository: the rows of the test part, and what others keep there.
        shutil.rmtree(private.root, ignore_errors=True)


def _write_code(code: CodeInput, places: Places, git: Git, remote: GitRemote) -> None:
    commit = git.fetch(remote, branch=None, tag=None, commit=code.commit)
    blob = git.blob(remote, commit, code.path)
    blobs = [blob] if blob is not None else list(git.tree(remote, commit, code.path))
    if code_digest(blobs) != code.digest:
        raise BadInputError(f"{code.path}: is not the code that was seen at {code.commit[:10]}; start the run again")
    if (size := sum(one.size for one in blobs)) > MAX_CODE:
        raise BadInputError(f"{code.path}: {size >> 20} MiB of code, more than {MAX_CODE >> 20}; keep data elsewhere")
    base = str(PurePosixPath(code.path).parent) if blob is not None else code.path.rstrip("/")
    for one in blobs:
        relative = PurePosixPath(one.path).relative_to(base) if base != "." else PurePosixPath(one.path)
        target = places.code / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(git.read(remote, one, limit=MAX_CODE))
    entry(code, [str(path.relative_to(places.code)) for path in places.code.rglob("*") if path.is_file()])


def _parts(mlflow: MlflowRuns, step: TrainingInput) -> dict[str, bytes]:
    run = mlflow.run(step.data.run_id)
    found = {}
    for name in ("train", "validation"):
        content = None if run is None else mlflow.artifact(run, f"parts/{name}.parquet")
        if content is None:
            raise BadInputError(
                f"data: run {step.data.run_id} has no part {name}; reconcile the Dataset to prepare it again"
            )
        found[name] = content
    return found

"""A step's input, its files and how it fails.

Used by every step and by `main`. The environment is read by `main` alone and handed in as a mapping.
"""

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from modelops.adapters.mlflow_runs import MlflowRuns, Run
from modelops.api.v1alpha1 import dataset, trainingrun
from modelops.api.v1alpha1.common import Model

T = TypeVar("T", bound=Model)

BAD_INPUT = 64
"""Exit code: the input is wrong, a retry would fail the same way."""
UNAVAILABLE = 75
"""Exit code: something outside is away, a retry may succeed."""
MAX_MESSAGE = 1024
"""Bytes of the message file; what a pod's termination message is good for."""
MAX_RESULT = 8192
"""Bytes of a result; what a Workflow's output parameter is good for."""


class StepFailedError(Exception):
    """The step failed in a way that another try may not; the message is one line. Exit code 1."""


class BadInputError(Exception):
    """What a user wrote or committed is wrong; the message is one line: where, what, what to do."""


class GitInput(Model):
    """Where the data is."""

    url: str
    commit: str
    path: str
    blob: str = ""
    """The blob's object id as the operator saw it; empty when it was not known."""


class PrepareInput(Model):
    """`MODELOPS_STEP` of prepare."""

    api_version: str
    step: Literal["prepare"]
    namespace: str
    name: str
    attempt: str
    inputs_hash: str
    git: GitInput
    dataset: dataset.DatasetSpec


class DataInput(Model):
    """The preparation that a run trains on."""

    run_id: str
    content_digest: str
    digest: str
    commit: str


class CodeInput(Model):
    """A team's own training code."""

    url: str
    commit: str
    path: str
    digest: str
    """As the operator saw it, see `modelops.ports.code_digest`."""


class TrainingInput(Model):
    """`MODELOPS_STEP` of train, evaluate and register, and of the init containers around a team's own code."""

    api_version: str
    step: Literal["bring", "train", "evaluate", "register", "inputs", "code", "rows", "predict"]
    namespace: str
    name: str
    attempt: str
    inputs_hash: str
    commit: str
    data: DataInput
    dataset: dataset.DatasetSpec
    run: trainingrun.TrainingRunSpec
    code: CodeInput | None = None
    template_digest: str = ""
    """Of the WorkflowTemplate that trains, if one does."""
    promoted_alias: str = "champion"
    workflow_uid: str = ""
    gpus: int = 0

    @property
    def experiment(self) -> str:
        """Name of the MLflow experiment."""
        return f"modelops/{self.namespace}/{self.name}"

    @property
    def where(self) -> str:
        """What trains, as messages begin with it: the path of code, or the image without its digest."""
        if self.code is not None:
            return self.code.path
        trainer = self.run.trainer
        if trainer.workflow_template is not None:
            return f"WorkflowTemplate {trainer.workflow_template.name}"
        return (trainer.image or trainer.builtin or "").partition("@")[0]

    @property
    def code_digest(self) -> str:
        """Of a team's own code; empty for the builtin, and where only a tag names an image."""
        return self.code.digest if self.code is not None else self.template_digest or self.run.trainer.image_digest

    def tags(self) -> dict[str, str]:
        """Return the tags of the run, and of the version it may become."""
        return {
            "modelops.attempt": self.attempt,
            "modelops.inputsHash": self.inputs_hash,
            "modelops.commit": self.commit,
            "modelops.datasetCommit": self.data.commit,
            "modelops.contentDigest": self.data.content_digest,
            "modelops.datasetDigest": self.data.digest,
            "modelops.datasetRunId": self.data.run_id,
            "modelops.workflowUid": self.workflow_uid,
            "modelops.namespace": self.namespace,
            "modelops.trainingRun": self.name,
        } | ({"modelops.codeDigest": self.code_digest} if self.code_digest else {})


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files of a step, all below its root."""

    root: Path

    def path(self, absolute: str) -> Path:
        """Return where an absolute path lies for this step."""
        return self.root / absolute.lstrip("/")

    @property
    def _message(self) -> Path:
        """The file that the kubelet mounts; there is nothing else at its place in a pod's scratch."""
        path = self.path("/tmp/modelops-message")  # noqa: S108
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name: str, content: bytes | str) -> None:
        """Write `/tmp/modelops/<name>`."""
        path = self.path(f"/tmp/modelops/{name}")  # noqa: S108  the path is the contract; pods have their own /tmp
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def clear(self) -> None:
        """Remove what containers before this one left where ours writes."""
        directory = self.path("/tmp/modelops")  # noqa: S108
        if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
            directory.unlink()
        for path in directory.iterdir() if directory.is_dir() else ():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        # In a pod it is a mount; elsewhere a container before this one may have left anything there.
        if self._message.is_symlink():
            self._message.unlink()
        elif self._message.is_dir():
            shutil.rmtree(self._message)

    def reserve_message(self) -> None:
        """Take the room that a message needs, so that a step can say that the disk is full when it is."""
        with suppress(OSError):
            self._message.write_bytes(b"\n" * MAX_MESSAGE)

    def write_message(self, line: str) -> None:
        """Write the message, in the room that was reserved for it; without room nothing is written."""
        path = self._message
        with suppress(OSError), path.open("r+b" if path.exists() else "wb") as file:
            file.write(line.encode())
            file.truncate()

    def write_json(self, name: str, document: Mapping[str, Any]) -> None:
        """Write a small JSON document that becomes an output parameter.

        Raises:
            BadInputError: it is larger than a parameter may be.
        """
        content = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
        if len(content) > MAX_RESULT:
            raise BadInputError(
                f"{name}: the result is {len(content)} bytes, more than {MAX_RESULT}; use fewer criteria or columns"
            )
        self.write(name, content)


@dataclass(frozen=True, slots=True)
class Context:
    """What a step works with."""

    mlflow: MlflowRuns
    outputs: Outputs
    now: datetime
    run_id: str = ""
    """`MODELOPS_RUN_ID`: the run that train made."""
    evaluation: str = ""
    """`MODELOPS_EVALUATION`: what evaluate found, JSON."""

    @property
    def milliseconds(self) -> int:
        """The time as MLflow has it: milliseconds since 1970."""
        return int(self.now.timestamp() * 1000)


def parse_prepare(text: str) -> PrepareInput:
    """Return the input of prepare.

    Raises:
        BadInputError: it is not what this version understands.
    """
    return _parse(PrepareInput, text)


def parse_training(text: str, workflow_uid: str = "") -> TrainingInput:
    """Return the input of train, evaluate and register.

    Args:
        text: MODELOPS_STEP.
        workflow_uid: MODELOPS_WORKFLOW_UID, which is known only once the Workflow exists.

    Raises:
        BadInputError: it is not what this version understands.
    """
    parsed = _parse(TrainingInput, text)
    return parsed.model_copy(update={"workflow_uid": workflow_uid}) if workflow_uid else parsed


def _parse(model: type[T], text: str) -> T:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise BadInputError(
            f"MODELOPS_STEP: {where}: {first['msg']} ({error.error_count()} problems); "
            "operator and step must be of the same version"
        ) from None


def give_up(context: Context, run: Run, error: Exception) -> None:
    """Say in the run why it ends without a version; another try of the step takes it up again."""
    context.mlflow.log(run, tags={"modelops.outcome": "Failed", "modelops.message": str(error)})
    context.mlflow.finish(run, end_time=context.milliseconds, status="FAILED")


def training_run(step: TrainingInput, context: Context) -> Run:
    """Return the MLflow run of this attempt, which train made.

    Raises:
        BadInputError: there is none.
    """
    found = context.mlflow.run(context.run_id) if context.run_id else None
    if found is None:
        experiment = context.mlflow.experiment(step.experiment)
        wanted = {"modelops.attempt": step.attempt, "modelops.inputsHash": step.inputs_hash}
        found = next(iter(context.mlflow.find_runs(experiment, wanted)), None)
    if found is None:
        raise BadInputError(f"MLflow has no run of attempt {step.attempt}; it was deleted: start the run again")
    return found

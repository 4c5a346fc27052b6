"""What a decision about a TrainingRun depends on, and what follows from it without deciding anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelops.api.v1alpha1.dataset import Attempt
from modelops.api.v1alpha1.trainingrun import AttemptRecord, TrainingRunSpec, TrainingRunStatus
from modelops.domain import attempts, preflight
from modelops.domain.training.admit import Admission
from modelops.domain.training.inputs import Code, Data, inputs_of
from modelops.domain.training.template import Template
from modelops.workflows.render import Owner, Runtime


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything the decision depends on."""

    owner: Owner
    spec: TrainingRunSpec
    status: TrainingRunStatus
    data: Data | None
    waiting: str
    """Why there is no data."""
    gone: bool
    """Whether the Dataset does not exist: nothing that runs can be of use. Else a wait may pass."""
    code: Code | None
    """Of trainer.git."""
    admission: Admission
    workflow: Mapping[str, Any] | None
    """The Workflow of the attempt in status."""
    strays: tuple[Mapping[str, Any], ...]
    """Its other Workflows: of attempts that were given up."""
    runtime: Runtime
    commit: str
    """Commit that delivered the manifest; empty if it was applied by hand."""
    command: str | None
    """Id of an unhandled `retry` command."""
    mlflow_url: str
    now: datetime
    template: Template | None = None
    """Of trainer.workflowTemplate."""
    place: preflight.Place | None = None
    """Its namespace, where a Workflow is about to be made."""


def inputs_hash(seen: Observed, data: Data) -> str:
    """Return the digest of all that training on this data depends on."""
    return attempts.inputs_hash(inputs_of(seen.spec, data, seen.code or seen.template))


def code_digest(seen: Observed) -> str:
    """Return the digest of what trains: code, WorkflowTemplate or image; empty if an image's is not known."""
    code = seen.code or seen.template
    return code.digest if code is not None else seen.spec.trainer.image_digest


def is_same_data(seen: Observed, data: Data) -> bool:
    """Return whether the last result is of this data, too."""
    lineage = seen.status.lineage
    return lineage is not None and lineage.dataset_digest == data.revision.digest


def record_of(seen: Observed, attempt: Attempt) -> AttemptRecord | None:
    """Return how an attempt ended; None while it runs, or if another took its place."""
    for record in reversed(seen.status.history):
        if record.id == attempt.id and record.outcome != "Superseded":
            return record
    return None


def is_running(seen: Observed) -> bool:
    """Return whether there is an attempt that has not ended."""
    attempt = seen.status.attempt
    return attempt is not None and record_of(seen, attempt) is None

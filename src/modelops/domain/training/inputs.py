"""What a model is made of: the part of an attempt that decides whether it was made before. Pure."""

from dataclasses import dataclass
from typing import Any

from modelops.api.v1alpha1.dataset import DatasetRevision, DatasetSpec
from modelops.api.v1alpha1.trainingrun import TrainingRunSpec
from modelops.domain.training.template import Template


@dataclass(frozen=True, slots=True)
class Data:
    """The pinned data a run trains on."""

    spec: DatasetSpec
    revision: DatasetRevision


@dataclass(frozen=True, slots=True)
class Code:
    """One's own training code at one commit."""

    url: str
    commit: str
    path: str
    digest: str
    """`sha256:` over the names and object ids of its files."""
    secret: str | None
    """The Secret with git credentials."""


def inputs_of(spec: TrainingRunSpec, data: Data, code: Code | Template | None = None) -> dict[str, Any]:
    """Return what a model is made of: the spec's part, the data and one's own code."""
    own = {} if code is None else {"code": code.digest}
    return made_of(spec) | {"data": data.revision.digest, "trainerVersion": 1} | own


def made_of(spec: TrainingRunSpec) -> dict[str, Any]:
    """Return the part of a spec that a model is made of; compute, suspend and names of objects are not part of it."""
    left_out = {"suspend", "compute", "dataset_ref"}
    if spec.trainer.own:  # which prepares its columns by itself
        left_out |= {"prepare", "training_rows"}
    dumped: dict[str, Any] = spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=left_out)
    return dumped

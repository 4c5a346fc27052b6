"""Who trains: the builtin, or a team's own code from git, in an image, or as an Argo WorkflowTemplate."""

from typing import Annotated, Literal

from pydantic import Field

from modelops.api.v1alpha1.common import LocalRef, Model, Name, RepositoryPath, rule, rules


class TrainerGit(Model):
    """Your own code, from git; its contract is in docs/training.md."""

    path: RepositoryPath
    """A Python file, or a directory with a `main.py`, in the repository of the GitSource that delivered the run."""
    source_ref: LocalRef | None = None
    """A GitSource in this namespace; by default the one that delivered this object."""
    allow_pickle: bool = False
    """Take a model that is a pickle, which runs its author's code in whoever loads it."""


class TrainerTemplate(Model):
    """Your own training as an Argo WorkflowTemplate; its contract is in docs/training.md."""

    name: Name
    """In this namespace. Its entrypoint is run, with the parameters `input` and `output`."""


class Trainer(Model):
    """Who trains: exactly one of builtin, git, image and workflowTemplate."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "[has(self.builtin), has(self.git), has(self.image), has(self.workflowTemplate)]"
                ".filter(x, x).size() == 1",
                "set exactly one of builtin, git, image and workflowTemplate",
            ),
            rule("has(self.image) == has(self.command)", "image and command go together"),
            rule(
                "!has(self.allowPickle) || has(self.image) || has(self.workflowTemplate)",
                "allowPickle goes with image and workflowTemplate; of git it stands in git",
            ),
        )
    }

    builtin: Literal["torch-mlp"] | None = None
    git: TrainerGit | None = None
    image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$")] | None = None
    """Your own code, in an image of yours; best by digest (`…@sha256:…`), because a tag may come to mean another."""
    command: (
        Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], Field(min_length=1, max_length=64)] | None
    ) = None
    """What is run in the image: program and arguments. No shell takes part."""
    workflow_template: TrainerTemplate | None = None
    allow_pickle: bool | None = None
    """Take a model that is a pickle, which runs its author's code in whoever loads it."""

    @property
    def own(self) -> bool:
        """Whether a team's own code trains."""
        return self.builtin is None

    @property
    def takes_pickles(self) -> bool:
        """Whether a model may be a pickle."""
        return self.git.allow_pickle if self.git is not None else bool(self.allow_pickle)

    @property
    def image_digest(self) -> str:
        """`sha256:…` of the image; empty if it is named by a tag, or none is."""
        return (self.image or "").partition("@")[2]

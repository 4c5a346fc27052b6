"""Dataset: data under contract."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, WithJsonSchema

from modelops.api.v1alpha1.common import (
    ColumnName,
    LocalRef,
    Model,
    RepositoryPath,
    Spec,
    Status,
    StatusModel,
    rule,
    rules,
)

Percent = Annotated[float, Field(ge=0, le=100)]


class GitFile(Model):
    """A file in the repository of the GitSource that delivered the Dataset, or of the one named."""

    path: RepositoryPath
    source_ref: LocalRef | None = None
    """A GitSource in this namespace; by default the one that delivered this object."""


class DatasetSource(Model):
    """Where the bytes are."""

    git: GitFile


class Column(Model):
    """One column's contract."""

    model_config = {
        "json_schema_extra": rules(
            rule("!has(self.values) || self.type == 'category'", "values is for columns of type category"),
            rule("self.type != 'category' || has(self.values)", "a category column needs values"),
            rule(
                "!(has(self.min) || has(self.max)) || self.type in ['float', 'integer']",
                "min and max are for columns of type float or integer",
            ),
            rule("!(has(self.min) && has(self.max)) || self.min <= self.max", "min must not exceed max"),
        )
    }

    name: ColumnName
    type: Literal["string", "float", "integer", "boolean", "category"]
    min: float | None = None
    max: float | None = None
    nullable: bool = False
    values: (
        Annotated[tuple[Annotated[str, Field(max_length=256)], ...], Field(min_length=1, max_length=1000)] | None
    ) = None


class TableSchema(Model):
    """The columns, and what to do with others."""

    strict: Annotated[
        bool | Literal["filter"],
        WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True, "enum": [True, False, "filter"]}),
    ] = True
    """Unknown columns: true refuses, false keeps, filter drops."""
    columns: Annotated[
        tuple[Column, ...],
        Field(
            min_length=1,
            max_length=2000,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ]


class Rows(Model):
    """What happens to whole rows."""

    deduplicate: bool = False
    """Drop rows whose every cell equals an earlier row's."""
    max_invalid_percent: Percent = 0
    """Rows that break the schema go to quarantine, counted; a larger share fails the Dataset. Percent, 0–100."""


class Checks(Model):
    """What must hold for the whole table."""

    min_rows: Annotated[int, Field(ge=1)] = 1
    max_missing_percent: Percent = 100
    """Of any one column. Percent, 0–100."""
    unique: Annotated[tuple[ColumnName, ...], Field(max_length=32)] = ()
    """Columns that together identify a row."""


class SplitPercent(Model):
    """The share of each part, in percent; together 100."""

    model_config = {
        "json_schema_extra": rules(
            rule("self.train + self.validation + self.test == 100", "train, validation and test must sum to 100")
        )
    }

    train: Annotated[int, Field(ge=1, le=98)] = 70
    validation: Annotated[int, Field(ge=1, le=98)] = 15
    test: Annotated[int, Field(ge=1, le=98)] = 15


class Split(Model):
    """How a row finds its part: by a hash of its key, so that rows added later never move old ones."""

    by: Literal["hash"] = "hash"
    key: ColumnName | None = None
    """The column that identifies a row; by default the whole row."""
    percent: SplitPercent = SplitPercent()


class DatasetSpec(Spec):
    """A table, its contract and its split."""

    source: DatasetSource
    format: Literal["csv"] = "csv"
    task: Literal["regression", "classification"]
    target: ColumnName
    schema_: Annotated[TableSchema, Field(alias="schema")]
    rows: Rows = Rows()
    checks: Checks = Checks()
    split: Split = Split()


class DatasetRevision(StatusModel):
    """The data that is pinned."""

    content_digest: Annotated[str, Field(max_length=80)]
    """`sha256:` of the bytes; for one file what sha256sum prints."""
    digest: Annotated[str, Field(max_length=80)]
    """`sha256:` over content, schema, checks, split and reader version."""
    rows: int
    bytes: int
    commit: Annotated[str, Field(max_length=40)]
    """The commit at which the file was read."""
    run_id: Annotated[str, Field(max_length=64)]
    """The MLflow run that holds the Parquet parts, the profile, the quarantine and the report."""


class Attempt(StatusModel):
    """One try, written to status before its Workflow is created."""

    id: Annotated[str, Field(max_length=32)]
    trigger: Annotated[str, Field(max_length=64)]
    """Why it was started: Created, DataChanged, CodeChanged, SpecChanged, Command, Resumed, WorkflowLost, Reused."""
    inputs_hash: Annotated[str, Field(max_length=80)]
    started_at: AwareDatetime
    lost: int = 0
    """How many Workflows vanished in a row before this one."""


class WorkflowRef(StatusModel):
    """The Workflow of the current attempt."""

    name: Annotated[str, Field(max_length=253)]
    uid: Annotated[str, Field(max_length=64)] = ""
    phase: Annotated[str, Field(max_length=32)] = ""
    progress: Annotated[str, Field(max_length=32)] = ""
    """Finished steps of all steps, such as `2/3`."""


class DatasetStatus(Status):
    """The pinned revision, a bounded profile and where the report is."""

    attempt: Attempt | None = None
    workflow: WorkflowRef | None = None
    revision: DatasetRevision | None = None
    profile: Annotated[
        dict[str, Any] | None, Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
    ] = None
    """Counts, and per column type, missing, min, mean, max or distinct; at most 50 columns."""
    splits: dict[str, int] | None = None
    """Rows of each part."""
    quarantined: int | None = None
    """Rows that broke the schema and were set aside."""
    report: Annotated[str, Field(max_length=2048)] | None = None
    """A link to the HTML report."""

"""TrainingRun: from data to a registered, judged model."""

import difflib
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, JsonValue, ValidationError, ValidationInfo, field_validator

from modelops.api.v1alpha1.common import (
    ColumnName,
    Duration,
    LocalRef,
    Model,
    ModelName,
    Name,
    Spec,
    Status,
    StatusModel,
    rule,
    rules,
)
from modelops.api.v1alpha1.dataset import Attempt, WorkflowRef
from modelops.api.v1alpha1.trainer import Trainer

MetricName = Literal[
    "mean_absolute_error",
    "root_mean_squared_error",
    "mean_absolute_percentage_error",
    "r2_score",
    "within_percent",
    "accuracy_score",
    "balanced_accuracy_score",
    "precision_score",
    "recall_score",
    "f1_score",
    "log_loss",
    "roc_auc",
]
"""Names of MLflow and scikit-learn, and `within_percent`."""


class ModelRef(Model):
    """A registered model in MLflow."""

    name: ModelName


class Impute(Model):
    """What stands in for a missing value; each imputed column gets a missing-value indicator."""

    numeric: Literal["median", "mean"] = "median"
    categorical: Literal["most-frequent", "missing"] = "most-frequent"


class Clip(Model):
    """Numeric inputs are held between two percentiles of the training part."""

    percentiles: Annotated[tuple[Annotated[float, Field(ge=0, le=100)], ...], Field(min_length=2, max_length=2)]


class Prepare(Model):
    """Transforms of columns: fitted on the training part only, saved inside the model."""

    drop: Annotated[tuple[ColumnName, ...], Field(max_length=1000)] = ()
    impute: Impute = Impute()
    encode: Literal["one-hot", "ordinal"] = "one-hot"
    """Unseen values have a bucket of their own."""
    scale: Literal["min-max", "standard", "none"] = "standard"
    clip: Clip | None = None
    target: Literal["none", "log", "standard"] = "none"
    """Transform of a regression target; predictions are in the target's own unit again."""


class TrainingRows(Model):
    """What touches the rows of the training part only."""

    balance: Literal["none", "class-weights"] = "none"


class Hyperparameters(Model):
    """Of the multi-layer perceptron."""

    hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=8192)], ...], Field(min_length=1, max_length=16)] = (64, 64)
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.003
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 200
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 64
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    patience: Annotated[int, Field(ge=1, le=100_000)] = 20
    """Epochs without a better validation loss before training stops early."""
    seed: Annotated[int, Field(ge=0, le=2_147_483_647)] = 0


class Criterion(Model):
    """One bound on one metric of the test part."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "has(self.min) || has(self.max) || has(self.against)",
                "a criterion needs min, max or against",
            ),
            rule("self.metric != 'within_percent' || has(self.percent)", "within_percent needs percent"),
            rule("!has(self.percent) || self.metric == 'within_percent'", "percent is for within_percent"),
            rule("!has(self.maxRelativeRegression) || has(self.against)", "maxRelativeRegression needs against"),
            rule(
                "!has(self.confidence) || self.metric in ['within_percent', 'accuracy_score']",
                "confidence is for within_percent and accuracy_score",
            ),
        )
    }

    metric: MetricName
    min: float | None = None
    max: float | None = None
    percent: Annotated[float, Field(gt=0, le=1000)] | None = None
    """For within_percent: the width of the band around the true value. Percent."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] | None = None
    """Compare the lower confidence bound (Wilson, one-sided) instead of the point value."""
    against: Literal["champion", "baseline"] | None = None
    """champion: the version with the promoted alias, on the same test part; baseline: mean or majority."""
    max_relative_regression: Annotated[float, Field(ge=0, le=10)] | None = None
    """How much worse than `against` is still accepted, as a share of its value; default 0 means better or equal."""


class Evaluate(Model):
    """The team's own bar."""

    criteria: Annotated[tuple[Criterion, ...], Field(max_length=32)] = ()


class Compute(Model):
    """What one run needs."""

    pool: Name | None = None
    """A ComputePool; without one the cluster's default scheduling applies."""
    gpus: Annotated[int, Field(ge=0, le=1024)] = 0
    timeout: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(hours=2)
    retries: Annotated[int, Field(ge=0, le=100)] = 2


class TrainingRunSpec(Spec):
    """Data, preparation, trainer, bar and compute."""

    dataset_ref: LocalRef
    model: ModelRef
    prepare: Prepare = Prepare()
    training_rows: TrainingRows = TrainingRows()
    trainer: Trainer
    hyperparameters: Annotated[
        dict[str, JsonValue],
        Field(validate_default=True, max_length=100, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
    ] = {}
    """Of the builtin trainer, see Hyperparameters; or whatever your own code reads, handed to it as JSON."""
    evaluate: Evaluate = Evaluate()
    compute: Compute = Compute()

    @field_validator("hyperparameters", mode="after")
    @classmethod
    def _known(cls, value: dict[str, JsonValue], info: ValidationInfo) -> dict[str, JsonValue]:
        """Hold them against the builtin trainer and fill in its defaults; one's own code knows its own."""
        trainer = info.data.get("trainer")
        if trainer is None or trainer.builtin is None:
            return value
        names = {field.alias or name for name, field in Hyperparameters.model_fields.items()}
        for name in value:
            if name not in names:
                close = difflib.get_close_matches(name, names, n=1)
                hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(sorted(names))}"
                raise ValueError(f"{name}: {trainer.builtin} has no such hyperparameter{hint}")
        try:
            filled: dict[str, JsonValue] = Hyperparameters.model_validate(value).model_dump(mode="json", by_alias=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        return filled

    def network(self) -> Hyperparameters:
        """Return the hyperparameters of the builtin trainer."""
        return Hyperparameters.model_validate(self.hyperparameters)


class MlflowRun(StatusModel):
    """The tracked run."""

    experiment_id: Annotated[str, Field(max_length=64)] = ""
    run_id: Annotated[str, Field(max_length=64)] = ""
    url: Annotated[str, Field(max_length=2048)] = ""


class CriterionResult(StatusModel):
    """One criterion's outcome on the test part."""

    criterion: Annotated[str, Field(max_length=256)]
    """The criterion in words, such as `accuracy_score ≥ 0.95`."""
    value: float | None = None
    bound: float | None = None
    passed: bool


class TrainingLineage(StatusModel):
    """What the model was made of."""

    commit: Annotated[str, Field(max_length=40)] = ""
    """Commit that delivered the TrainingRun's manifest."""
    dataset_commit: Annotated[str, Field(max_length=40)] = ""
    content_digest: Annotated[str, Field(max_length=80)] = ""
    dataset_digest: Annotated[str, Field(max_length=80)] = ""
    code_digest: Annotated[str, Field(max_length=80)] = ""
    """Of your own training code: its files in git, or its image; empty for a builtin trainer, and for a tag."""
    workflow_uid: Annotated[str, Field(max_length=64)] = ""
    run_id: Annotated[str, Field(max_length=64)] = ""


class AttemptRecord(StatusModel):
    """An attempt that ended."""

    id: Annotated[str, Field(max_length=32)]
    trigger: Annotated[str, Field(max_length=64)]
    inputs_hash: Annotated[str, Field(max_length=80)]
    outcome: Annotated[str, Field(max_length=64)]
    """Registered, CriteriaNotMet, Failed, Lost, Suspended or Superseded."""
    model_version: Annotated[str, Field(max_length=32)] | None = None
    message: Annotated[str, Field(max_length=1024)] = ""
    started_at: AwareDatetime
    finished_at: AwareDatetime


class TrainingRunStatus(Status):
    """The current attempt, the model it gave and the attempts before it."""

    attempt: Attempt | None = None
    workflow: WorkflowRef | None = None
    mlflow: MlflowRun | None = None
    model_version: Annotated[str, Field(max_length=32)] | None = None
    """The last version that this run registered."""
    artifact_digest: Annotated[str, Field(max_length=80)] | None = None
    """`sha256:` over weights and preparation of that version."""
    metrics: Annotated[dict[str, float], Field(max_length=64)] | None = None
    criteria: Annotated[tuple[CriterionResult, ...], Field(max_length=32)] = ()
    test_looks: int = 0
    """How often a model of this run was judged on this dataset digest's test part."""
    lineage: TrainingLineage | None = None
    history: Annotated[tuple[AttemptRecord, ...], Field(max_length=10)] = ()

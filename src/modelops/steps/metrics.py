"""The figures of a model on a test part, under scikit-learn's names, and the bounds that criteria set on them.

Called by evaluate; train asks `check_criteria` before it spends anything. Pure: arrays in, numbers out.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from modelops.api.v1alpha1 import trainingrun
from modelops.model.tabular import Prediction
from modelops.steps.context import BadInputError

REGRESSION = (
    "mean_absolute_error",
    "root_mean_squared_error",
    "mean_absolute_percentage_error",
    "r2_score",
)
CLASSIFICATION = (
    "accuracy_score",
    "balanced_accuracy_score",
    "precision_score",
    "recall_score",
    "f1_score",
    "log_loss",
    "roc_auc",
)
LOWER_IS_BETTER = frozenset(
    {"mean_absolute_error", "root_mean_squared_error", "mean_absolute_percentage_error", "log_loss"}
)


def check_criteria(evaluate: trainingrun.Evaluate, task: str) -> None:
    """Refuse criteria that the task cannot answer.

    Raises:
        BadInputError: a metric is for the other task, or a criterion sets no bound.
    """
    allowed = CLASSIFICATION if task == "classification" else (*REGRESSION, "within_percent")
    for position, criterion in enumerate(evaluate.criteria):
        where = f"evaluate.criteria[{position}]"
        if criterion.metric not in allowed:
            raise BadInputError(f"{where}: {criterion.metric} is not for {task}; use one of {', '.join(allowed)}")
        if criterion.min is None and criterion.max is None and criterion.against is None:
            raise BadInputError(f"{where}: {criterion.metric} has no bound; set min, max or against")
        if criterion.metric == "within_percent" and criterion.percent is None:
            raise BadInputError(f"{where}: within_percent needs percent")


@dataclass(frozen=True, slots=True)
class Scored:
    """True values and a model's answers for the same N rows."""

    truth: np.ndarray
    """float64 values, or int64 indices into the model's classes (-1: a class the model does not know)."""
    prediction: Prediction
    classes: int

    def value(self, metric: str, percent: float | None = None) -> float:
        """Return one metric; NaN where it is not defined on these rows."""
        if metric == "within_percent":
            assert percent is not None
            return float(self.hits(metric, percent).mean())
        return _CLASSIFICATION[metric](self) if self.classes else _REGRESSION[metric](self)

    def hits(self, metric: str, percent: float | None) -> np.ndarray:
        """Return per row whether it counts as right; bool, shape [N]. For within_percent and accuracy_score."""
        if metric == "within_percent":
            assert percent is not None
            return np.asarray(np.abs(self.prediction.prediction - self.truth) <= percent / 100 * np.abs(self.truth))
        return np.asarray(self.prediction.prediction == self.truth)


def all_metrics(scored: Scored) -> dict[str, float]:
    """Return every metric of the task that is defined on these rows."""
    names = CLASSIFICATION if scored.classes else REGRESSION
    values = {name: scored.value(name) for name in names}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def wilson_lower(hits: np.ndarray, confidence: float) -> float:
    """Return the one-sided Wilson lower bound of a share, 0 to 1.

    Args:
        hits: Whether each of N rows counts, bool.
        confidence: Above 0.5, below 1.
    """
    n, share = len(hits), float(hits.mean())
    z = NormalDist().inv_cdf(confidence)
    centre = share + z * z / (2 * n)
    margin = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, (centre - margin) / (1 + z * z / n))


def _macro(name: str) -> Callable[[Scored], float]:
    def score(scored: Scored) -> float:
        from sklearn import metrics  # noqa: PLC0415  train asks this module for names only

        return float(
            getattr(metrics, name)(scored.truth, scored.prediction.prediction, average="macro", zero_division=0)
        )

    return score


def _plain(name: str) -> Callable[[Scored], float]:
    def score(scored: Scored) -> float:
        from sklearn import metrics  # noqa: PLC0415

        return float(getattr(metrics, name)(scored.truth, scored.prediction.prediction))

    return score


def _balanced_accuracy(scored: Scored) -> float:
    from sklearn import metrics  # noqa: PLC0415

    labels = np.unique(scored.truth)
    return float(
        metrics.recall_score(
            scored.truth, scored.prediction.prediction, labels=labels, average="macro", zero_division=0
        )
    )


def _log_loss(scored: Scored) -> float:
    from sklearn import metrics  # noqa: PLC0415

    if (scored.truth < 0).any() or scored.prediction.probabilities is None:
        return math.nan
    return float(metrics.log_loss(scored.truth, scored.prediction.probabilities, labels=list(range(scored.classes))))


def _roc_auc(scored: Scored) -> float:
    from sklearn import metrics  # noqa: PLC0415

    probabilities = scored.prediction.probabilities
    if probabilities is None:  # a model that answers classes only
        return math.nan
    # One class against the rest, over the classes that these rows hold: without both sides there is no curve.
    present = [label for label in range(scored.classes) if 0 < (scored.truth == label).sum() < len(scored.truth)]
    if not present:
        return math.nan
    if scored.classes == 2:
        present = [1]
    return float(np.mean([metrics.roc_auc_score(scored.truth == label, probabilities[:, label]) for label in present]))


_CLASSIFICATION: Mapping[str, Callable[[Scored], float]] = {
    "accuracy_score": _plain("accuracy_score"),
    "balanced_accuracy_score": _balanced_accuracy,
    "precision_score": _macro("precision_score"),
    "recall_score": _macro("recall_score"),
    "f1_score": _macro("f1_score"),
    "log_loss": _log_loss,
    "roc_auc": _roc_auc,
}
_REGRESSION: Mapping[str, Callable[[Scored], float]] = {
    "mean_absolute_error": _plain("mean_absolute_error"),
    "root_mean_squared_error": _plain("root_mean_squared_error"),
    "mean_absolute_percentage_error": _plain("mean_absolute_percentage_error"),
    "r2_score": _plain("r2_score"),
}


def truth_of(cells: list[Any], classes: tuple[str, ...], category_text: Callable[[object], str]) -> np.ndarray:
    """Return true values as numbers: float64, or indices into the classes with -1 for an unknown class."""
    if not classes:
        return np.array(cells, dtype=np.float64)
    index = {name: position for position, name in enumerate(classes)}
    return np.array([index.get(category_text(cell), -1) for cell in cells], dtype=np.int64)

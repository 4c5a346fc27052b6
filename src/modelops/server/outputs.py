"""What the answers to a request look like: in which bins they lie, and what the first one is.

Bins are the same for every model and every server, so that two revisions can be compared bin by bin without knowing of
each other. A model has a few dozen of them and never a thousand, and no text of an answer is among them.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final
from zlib import crc32

import numpy as np

from modelops.server.predictor import Outputs

MOST_CLASSES: Final = 100
OTHER: Final = "other"
"""The bin of all further classes."""
_WHOLE: Final = 100
"""Whole numbers below it, of a model that answers whole numbers, are mostly classes: each is a bin."""
_NUMBERS: Final = "biuf"
_POSITIVE: Final = np.exp2(np.arange(-160, 321) / 8)
"""Bounds: eight to a doubling, a tenth more each, from a millionth to a million million."""
_BOUNDS: Final = np.concatenate([-_POSITIVE[::-1], _POSITIVE])
_NAMES: Final = tuple(f"{bound:.4g}" for bound in (*-_POSITIVE[::-1], 0.0, *_POSITIVE))
"""A bin is named by its bound that is nearer to 0; what is smaller than any is 0."""


def known_bins(classes: Sequence[str]) -> frozenset[str]:
    """Return the bins of a classifier's answers; none where its classes are not known."""
    return frozenset(classes[:MOST_CLASSES]) | ({OTHER} if len(classes) > MOST_CLASSES else set())


def shares_of(outputs: Outputs, known: frozenset[str]) -> Iterator[tuple[str, float]]:
    """Yield the bins in which the answers of one request lie, and how many of them do, 0-1.

    Args:
        outputs: finite.
        known: bins of the classes, see `known_bins`.
    """
    rows = len(outputs.prediction)
    for name, count in Counter(_names(outputs, known)).items():
        yield name, count / rows


def _names(outputs: Outputs, known: frozenset[str]) -> Iterator[str]:
    if outputs.label is not None:
        return (label if label in known else OTHER for label in outputs.label.tolist())
    prediction = outputs.prediction
    kind = prediction.dtype.kind
    if kind not in _NUMBERS:
        return (f"text-{crc32(str(value).encode(errors='replace')) % 100:02}" for value in prediction.tolist())
    bins = (_NAMES[at] for at in _BOUNDS.searchsorted(prediction, side="right").tolist())
    if kind == "f":
        return bins
    return (
        str(value) if -_WHOLE < value < _WHOLE else name
        for value, name in zip(prediction.astype(object).tolist(), bins, strict=True)
    )


def first_answer(outputs: Outputs) -> tuple[Any, bytes]:
    """Return all that was answered to the first row."""
    probabilities = b"" if outputs.probabilities is None else outputs.probabilities[0].tobytes()
    value = outputs.prediction[0]
    # A foreign model may answer anything, also what cannot be compared.
    return value if outputs.prediction.dtype.kind in _NUMBERS else str(value), probabilities

"""Draws the few plots of a run, as PNG bytes, without a display.

Called by prepare, train and evaluate. Every text may be hostile: none is read as a formula.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_INK = "#2f5d8a"


def histograms(columns: Mapping[str, np.ndarray]) -> bytes:
    """Return one histogram per column: of numbers, or of the most frequent texts."""
    count = max(1, len(columns))
    across = min(4, count)
    down = -(-count // across)
    figure = Figure(figsize=(3 * across, 2 * down), layout="tight")
    axes = np.atleast_1d(figure.subplots(down, across, squeeze=False)).ravel()
    for axis, (name, values) in zip(axes, columns.items(), strict=False):
        _histogram(axis, values)
        _label(axis.set_title, name, size=8)
        axis.tick_params(labelsize=6)
    for axis in axes[len(columns) :]:
        axis.set_visible(False)
    return _png(figure)


def _histogram(axis: Any, values: np.ndarray) -> None:
    if values.dtype.kind == "f":
        axis.hist(values, bins=24, color=_INK)
        return
    texts, counts = np.unique(values.astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:8]
    axis.bar(range(len(order)), counts[order], color=_INK)
    axis.set_xticks(range(len(order)))
    for tick, text in zip(axis.set_xticklabels([""] * len(order)), texts[order], strict=True):
        _label(tick.set_text, text)


def loss_curve(train: Sequence[float], validation: Sequence[float], best: int) -> bytes:
    """Return the losses by epoch, with the epoch whose weights were kept."""
    figure = Figure(figsize=(7, 4), layout="tight")
    axis = figure.subplots()
    epochs = np.arange(1, len(train) + 1)
    axis.plot(epochs, train, label="training part", color=_INK)
    axis.plot(epochs, validation, label="validation part", color="#c1672a")
    axis.axvline(best + 1, linestyle=":", color="grey", label=f"kept: epoch {best + 1}")
    if min([*train, *validation]) > 0:
        axis.set_yscale("log")
    axis.set_xlabel("epoch")
    axis.set_ylabel("loss")
    axis.legend()
    return _png(figure)


def confusion(matrix: np.ndarray, classes: Sequence[str]) -> bytes:
    """Return a confusion matrix, shape [classes, classes], rows true and columns predicted."""
    figure = Figure(figsize=(6, 5), layout="tight")
    axis = figure.subplots()
    image = axis.imshow(matrix, cmap="Blues")
    figure.colorbar(image)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    if len(classes) <= 20:
        axis.set_xticks(range(len(classes)))
        axis.set_yticks(range(len(classes)))
        for ticks in (axis.set_xticklabels([""] * len(classes)), axis.set_yticklabels([""] * len(classes))):
            for tick, name in zip(ticks, classes, strict=True):
                _label(tick.set_text, name)
        for (row, column), count in np.ndenumerate(matrix):
            axis.text(column, row, str(count), ha="center", va="center", size=7, color="black")
    return _png(figure)


def residuals(truth: np.ndarray, predicted: np.ndarray) -> bytes:
    """Return predictions over true values, one dot per row."""
    figure = Figure(figsize=(6, 5), layout="tight")
    axis = figure.subplots()
    axis.scatter(truth, predicted, s=8, alpha=0.5, color=_INK)
    ends = [float(truth.min()), float(truth.max())]
    axis.plot(ends, ends, color="grey", linestyle=":")
    axis.set_xlabel("true")
    axis.set_ylabel("predicted")
    return _png(figure)


def _label(setter: Any, text: str, **style: Any) -> None:
    """Set a text that a user chose: short, on one line, and with every dollar sign meant as one."""
    shown = "".join(c if c.isprintable() and ord(c) < 0x3000 else "?" for c in str(text)[:28])
    setter(shown.replace("$", r"\$"), **style)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()

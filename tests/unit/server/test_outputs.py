"""Bins of answers: the same for every model, few, and without a word of what was answered."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.server.metrics import ServerMetrics
from modelops.server.outputs import MOST_CLASSES, known_bins, shares_of
from modelops.server.predictor import Outputs
from modelops.server.protocol import Request

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def shares(*prediction: object, dtype: str = "f8", label: list[str] | None = None) -> dict[str, float]:
    known = known_bins(("cat", "dog"))
    names = None if label is None else np.array(label, dtype=object)
    return dict(shares_of(Outputs(np.array(prediction, dtype=dtype), names), known))


def bin_of(number: float) -> str:
    (name,) = shares(number)
    return name


@pytest.mark.parametrize(
    ("number", "name"),
    [
        pytest.param(0.0, "0", id="zero"),
        pytest.param(-1e-9, "0", id="as good as zero"),
        pytest.param(1.0, "1", id="a bound belongs to the bin above it"),
        pytest.param(1.08, "1", id="below the next bound"),
        pytest.param(1.1, "1.091", id="a tenth more is another bin"),
        pytest.param(-1.1, "-1.091", id="as far below zero"),
        pytest.param(300.0, "279.2", id="in between"),
        pytest.param(1e300, "1.1e+12", id="huge"),
        pytest.param(-1e300, "-1.1e+12", id="hugely negative"),
    ],
)
def test_bin_is_named_by_its_bound_that_is_nearer_to_zero(number: float, name: str) -> None:
    """Eight bins to a doubling, on either side of zero."""
    assert bin_of(number) == name


@given(NUMBERS, NUMBERS)
def test_bins_keep_the_order_of_numbers(one: float, other: float) -> None:
    """So that neighbouring bins can be joined."""
    low, high = sorted((one, other))
    assert float(bin_of(low)) <= float(bin_of(high))


@given(st.lists(NUMBERS, min_size=1, max_size=50))
def test_request_counts_once(prediction: list[float]) -> None:
    """However many rows it has: rows that come together are no independent answers."""
    assert sum(shares(*prediction).values()) == pytest.approx(1)


def test_there_are_never_many_bins() -> None:
    """Whatever a model answers, Prometheus keeps fewer than a thousand series of it."""
    anything = np.random.default_rng(1).normal(size=200_000) * np.exp2(np.linspace(-40, 60, 200_000))
    assert 800 < len(shares(*anything)) < 1000


def test_classes_are_bins_and_those_that_nobody_knows_are_one() -> None:
    """The share of each; more than a hundred classes are not told apart."""
    assert shares(0, 1, 1, 2, dtype="i8", label=["cat", "dog", "dog", "bird"]) == {
        "cat": 0.25,
        "dog": 0.5,
        "other": 0.25,
    }
    assert len(known_bins([str(number) for number in range(1000)])) == MOST_CLASSES + 1
    assert known_bins(()) == frozenset()


def test_whole_numbers_are_bins_and_text_is_not_told() -> None:
    """A foreign model's classes are mostly small whole numbers; its text might be anybody's name."""
    assert shares(0, 3, -3, 3, dtype="i8") == {"0": 0.25, "3": 0.5, "-3": 0.25}
    assert shares(1, 0, dtype="?") == {"True": 0.5, "False": 0.5}
    assert shares(1000, dtype="i8") == shares(1000.0)
    (name,) = shares("Ada Lovelace", dtype="O")
    assert name.startswith("text-")
    assert shares("Ada Lovelace", dtype="U") == {name: 1.0}


def told(metrics: ServerMetrics, x: float, answer: float) -> None:
    metrics.told(Request({"x": [x]}, 1), Outputs(np.array([answer])))


def test_answers_that_stay_while_rows_change_are_counted() -> None:
    """Two of three changed rows were answered as the row before; a row that is asked about again says nothing."""
    metrics = ServerMetrics("price", "abc")
    for x, answer in ((1, 7), (1, 7), (2, 7), (3, 7), (4, 8)):
        told(metrics, x, answer)
    text = metrics.render().decode()
    assert 'modelops_server_changed_rows_total{release="price",revision="abc"} 3.0' in text
    assert 'modelops_server_repeated_answers_total{release="price",revision="abc"} 2.0' in text


def test_same_class_with_other_probabilities_is_another_answer() -> None:
    """A classifier answers few classes; that it answers one again is no sign of anything."""
    metrics = ServerMetrics("price", "abc")
    label = np.array(["cat"], dtype=object)
    for x, share in ((1, 0.8), (2, 0.7), (3, 0.7)):
        metrics.told(Request({"x": [x]}, 1), Outputs(np.array([0]), label, np.array([[share, 1 - share]])))
    text = metrics.render().decode()
    assert 'modelops_server_repeated_answers_total{release="price",revision="abc"} 1.0' in text


def test_answers_that_nobody_can_compare_break_nothing() -> None:
    """A foreign model may answer lists, arrays, or text that is no text."""
    metrics = ServerMetrics("price", "abc")
    for x, answer in enumerate(([1, 2], np.arange(3), {"a": None}, "\ud800", None)):
        answers = np.empty(1, dtype=object)
        answers[0] = answer
        metrics.told(Request({"x": [x]}, 1), Outputs(answers))
    assert 'changed_rows_total{release="price",revision="abc"} 4.0' in metrics.render().decode()


def test_classes_have_series_from_the_beginning() -> None:
    """So that none of a class is a figure, and a class that does not exist is none."""
    metrics = ServerMetrics("price", "abc")
    metrics.expect(("cat", 'a "dog"'))
    text = metrics.render().decode()
    assert 'modelops_server_predictions_total{bin="cat",release="price",revision="abc"} 0.0' in text
    assert 'modelops_server_predictions_total{bin="a \\"dog\\"",release="price",revision="abc"} 0.0' in text

"""Evidence of a larger mean: on average it never grows while the mean is no larger, whatever the values are."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from bench.labels import BAD, GOOD, Labels, play
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from modelops.api.v1alpha1.analysis_status import EvidenceStatus
from modelops.domain.analysis.evidence import Allowance, Tick, advanced, better, worse
from modelops.domain.analysis.means import Moments, Pair, compared_means, moments

_VALUES = st.lists(st.tuples(st.floats(0, 100), st.floats(0.01, 1)), min_size=2, max_size=3)
Law = Sequence[tuple[float, float]]
"""Values and their probabilities."""


def of(*values: float) -> Moments:
    """Return what values come to."""
    return Moments(len(values), sum(values), sum(value * value for value in values))


def law_of(weighted: Sequence[tuple[float, float]], mean: float | None = None) -> Law:
    """Return values with probabilities, scaled to a mean."""
    whole = sum(weight for _, weight in weighted)
    found = sum(value * weight for value, weight in weighted) / whole
    scale = 1.0 if mean is None else mean / found
    return [(value * scale, weight / whole) for value, weight in weighted]


def mean_of(law: Law) -> float:
    return sum(value * probability for value, probability in law)


def variance_of(law: Law) -> float:
    return sum(value * value * probability for value, probability in law) - mean_of(law) ** 2


def known(variance: float, capital: float = 1.0) -> EvidenceStatus:
    """Return evidence that is certain of a variance and that nothing clusters, with next to no capital to come."""
    spread = (0.0, 1e-9, 1e9, 1e9, variance * 1e9, 1e9, variance * 1e9, 1e9)
    return EvidenceStatus(ticks=10**9, worse=(capital,) * 5, better=(capital,) * 2, spread=spread)


def outcomes(laws: Sequence[Law]) -> Iterator[tuple[float, tuple[float, ...]]]:
    """Yield every outcome of independent values: probability, values."""
    for chosen in itertools.product(*laws):
        yield math.prod(probability for _, probability in chosen), tuple(value for value, _ in chosen)


@settings(deadline=None, max_examples=60)
@given(
    _VALUES,
    _VALUES,
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([(1.0, 0.0), (1.3, 0.0), (1.0, 0.4), (1.2, 0.1)]),
    st.sampled_from([worse, better]),
)
def test_evidence_never_grows_on_average_at_the_edge_of_what_is_allowed(
    values: Law, others: Law, size: int, other_size: int, allowed: tuple[float, float], side: Callable[..., float]
) -> None:
    """Of any two distributions with a variance that is known, for any number of values: enumerated, not simulated."""
    times, plus = allowed
    assume(sum(value for value, _ in values) > 0.1)
    stable = law_of(others)
    mine = law_of(values, times * mean_of(stable) + plus)
    variance = max(variance_of(mine), variance_of(stable))
    assume(variance > 1e-3)
    before = known(variance)
    total = 0.0
    for probability, drawn in outcomes([mine] * size + [stable] * other_size):
        pair = Pair(of(*drawn[:size]), of(*drawn[size:]))
        total += probability * side(compared_means(before, [(pair, Allowance(times, plus))]))
    assert total <= side(before) * (1 + 1e-6)


@pytest.mark.parametrize("name", ["lognormal, σ 1.5", "0/1, 1 % wrong", "lognormal, σ 1, low, weight 80"])
def test_looking_often_at_an_equal_error_is_no_alarm(name: str) -> None:
    """100 releases of 60 looks, an allowance of 5 in 100: by the means of single looks all would be rolled back."""
    runs = [play(GOOD[name], np.random.default_rng((7, n)), times=1.05, budget=0.1) for n in range(100)]
    assert sum(run.sequential is not None for run in runs) <= 5
    assert sum(run.each is not None for run in runs) >= 95


@pytest.mark.parametrize("labels", [Labels(clusters=20), Labels(bursts=(1, 80)), Labels(wrong=0.1, clusters=20)])
def test_labels_that_come_together_are_no_alarm(labels: Labels) -> None:
    """On one side alone: 100 releases, an allowance of 5 in 100."""
    runs = [play(labels, np.random.default_rng((11, n)), allowed=0, budget=0.1) for n in range(100)]
    assert sum(run.sequential is not None for run in runs) <= 5


@pytest.mark.parametrize(
    ("name", "within"),
    [("normal: 15 % larger", 60), ("normal: ten times", 6), ("lognormal, σ 1.5: twice", 30)],
)
def test_larger_error_is_found(name: str, within: int) -> None:
    """In every release of 20."""
    found = [play(BAD[name], np.random.default_rng((5, n))).sequential for n in range(20)]
    assert all(look is not None and look <= within for look in found), found


def test_smaller_error_is_evidence_of_nothing_bad() -> None:
    """And soon evidence of the contrary."""
    dice, evidence = np.random.default_rng(3), EvidenceStatus()
    for _ in range(40):
        mine, other = np.abs(dice.normal(size=120)) * 0.8, np.abs(dice.normal(size=480))
        evidence = compared_means(evidence, [(Pair(of(*mine), of(*other)), Allowance(1.05))])
    assert worse(evidence) < 1
    assert better(evidence) > 100


def test_errors_without_any_variance_are_compared() -> None:
    """All right on one side, all wrong on the other: found; equal ones are nothing."""
    bad = same = EvidenceStatus()
    for _ in range(8):
        bad = compared_means(bad, [(Pair(of(*[1.0] * 50), of(*[0.0] * 200)), Allowance(1.1))])
        same = compared_means(same, [(Pair(of(*[1.0] * 50), of(*[1.0] * 200)), Allowance(1.1))])
    assert worse(bad) > 200
    assert worse(same) <= 1


def test_no_tick_is_an_alarm_by_itself() -> None:
    """One file of labels that went wrong as a whole multiplies a bet by 7.4, however large its errors are."""
    pair = Pair(of(*[1e9, 2e9] * 500), of(*[1.0, 2.0] * 2000))
    evidence, ticks = EvidenceStatus(), 0
    while worse(evidence) < 200:
        evidence, ticks = compared_means(evidence, [(pair, Allowance(1.1))]), ticks + 1
    assert 3 <= ticks <= 5


def test_too_small_a_mean_is_found_too() -> None:
    """Where a decrease is limited: stable has too much more."""
    evidence, pair = EvidenceStatus(), Pair(of(*[0.5, 1.5] * 60), of(*[1.0, 2.0] * 240))
    for _ in range(15):
        evidence = compared_means(evidence, [(pair, Allowance(plus=0.1)), (pair.swapped(), Allowance(plus=0.1))])
    assert worse(evidence) > 200


def test_one_side_alone_says_nothing() -> None:
    """Labels of the canary that stable has none beside, or the other way round."""
    for pair in (Pair(of(1, 2), Moments()), Pair(Moments(), of(1, 2)), Pair(Moments(), Moments())):
        assert compared_means(known(1.0), [(pair, Allowance())]) == known(1.0)


def test_metric_that_was_a_share_may_become_a_mean_and_back() -> None:
    """The running sums of the other kind are left out."""
    share = advanced(EvidenceStatus(), [(Tick(3, 100, 9, 400), Allowance(1.1))], contrary=True)
    mean = compared_means(share, [(Pair(of(1, 2), of(1, 3)), Allowance(1.1))])
    assert (len(share.spread), len(mean.spread), mean.ticks) == (4, 8, 2)
    back = advanced(mean, [(Tick(3, 100, 9, 400), Allowance(1.1))], contrary=True)
    assert (len(back.spread), back.ticks) == (4, 3)


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        pytest.param((10, -1, 5), "the sum of errors is -1, and errors are 0 or more", id="signed errors"),
        pytest.param((10, 8, math.nan), "the sum of squares is nan", id="NaN"),
        pytest.param((math.inf, 8, 9), "the number of errors is inf", id="infinite"),
        pytest.param((10, 8, 0), "cannot have squares that add up to 0", id="nobody counts squares"),
    ],
)
def test_figures_that_cannot_be_are_refused(figures: tuple[float, float, float], said: str) -> None:
    """They must not look like certainty."""
    with pytest.raises(ValueError, match=said):
        moments(*figures)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_figures_of_any_errors_are_taken(values: list[float]) -> None:
    """Rounding makes none impossible, and no variance negative."""
    found = moments(len(values), sum(values), sum(value * value for value in values))
    assert found.within >= 0
    assert found.mean == pytest.approx(sum(values) / len(values))

"""Drift of the answers: chance alone is none at any number of samples, what is there is found, whatever is counted."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.domain.analysis.drift import drift

COUNTS = st.dictionaries(
    st.one_of(st.integers(-50, 50).map(str), st.sampled_from(["cat", "dog", "text-07"])),
    st.one_of(st.just(0.0), st.floats(1 / 65_536, 1e6)),
    min_size=1,
    max_size=60,
).filter(lambda counts: sum(counts.values()) > 0)


@given(COUNTS, COUNTS)
def test_any_counts_are_a_distance(mine: dict[str, float], others: dict[str, float]) -> None:
    """From 0 to 4, and the same from either side."""
    found = drift(mine, others)
    assert 0 <= found <= 4
    assert found == pytest.approx(drift(others, mine))


@given(COUNTS)
def test_equal_answers_are_no_drift(counts: dict[str, float]) -> None:
    """However many there are."""
    assert drift(counts, {name: 7 * count for name, count in counts.items()}) == 0


def test_more_answers_make_it_surer() -> None:
    """The same shares: nothing is sure of ten answers, and in the end it is the distance itself."""
    mine, others = {"a": 0.7, "b": 0.3}, {"a": 0.5, "b": 0.5}
    distance = 2 * (0.04 / 1.2 + 0.04 / 0.8)
    found = [drift(*({name: share * n for name, share in side.items()} for side in (mine, others))) for n in
             (10, 1000, 10_000, 1_000_000, 10**12)]  # fmt: skip
    assert found[0] == 0
    assert found == sorted(found)
    assert 0 < found[1] < found[2] < distance
    assert found[-1] == pytest.approx(distance, rel=1e-3)


def test_near_distributions_are_as_far_apart_as_their_population_stability_index() -> None:
    """0.1 and 0.25, as teams know it, mean what they mean there."""
    for shift in (0.1, 0.3, 0.5):
        places = np.arange(-40, 41) / 10
        p, q = (np.exp(-((places - at) ** 2) / 2) for at in (0, shift))
        p, q = p / p.sum(), q / q.sum()
        index = float(((p - q) * np.log(p / q)).sum())
        sides = ({f"{place:g}": share * 1e12 for place, share in zip(places, side, strict=True)} for side in (p, q))
        assert drift(*sides) == pytest.approx(index, rel=0.08)


def test_bins_that_nothing_in_common_are_four_apart() -> None:
    """A bin that one side lacks needs no smoothing."""
    assert drift({"a": 1e9}, {"b": 1e9}) == pytest.approx(4, rel=1e-3)


@pytest.mark.parametrize(("mine", "others"), [(20, 2000), (200, 800), (5000, 20_000)])
def test_chance_alone_is_no_drift(mine: int, others: int) -> None:
    """300 pairs of equal models with 60 bins, most of them rare: 1 % of alarms would be 3, and there are far fewer."""
    dice = np.random.default_rng(mine)
    shares = dice.dirichlet(np.full(60, 0.3))
    names = [str(number) for number in range(60)]
    sides = ((dice.multinomial(mine, shares), dice.multinomial(others, shares)) for _ in range(300))
    alarms = sum(drift(*(dict(zip(names, side.tolist(), strict=True)) for side in pair)) > 0 for pair in sides)
    assert alarms <= 2


def test_numbers_are_joined_with_their_neighbours() -> None:
    """A thousand answers in a thousand bins, shifted by a tenth of them: seen, although no bin has two of one side."""
    assert drift({f"{n}": 1.0 for n in range(1000)}, {f"{n + 100.5}": 1.0 for n in range(1000)}) > 0.1
    assert math.isclose(drift({f"{n}": 1.0 for n in range(1000)}, {f"{n + 0.5}": 1.0 for n in range(1000)}), 0)

"""The evidence itself: on average it never grows while the canary is no worse, and it finds what is worse."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from modelops.api.v1alpha1.analysis_status import EvidenceStatus
from modelops.domain.analysis.evidence import Allowance, Tick, advanced, better, dispersion, worse

_SIZE = st.integers(1, 9)
_SHARE = st.floats(0.001, 0.999)


def known(factor: float, capital: float = 1.0, size: int = 5) -> EvidenceStatus:
    """Return evidence that is certain of a dispersion, with as much capital in each bet, and next to none to come."""
    spread = (1.0, 1.0, factor * 10_002 - 4, 10_000.0)
    return EvidenceStatus(ticks=10**9, worse=(capital,) * size, better=(capital,) * 2, spread=spread)


def split(samples: int, others: int, share: float, other_share: float) -> Iterator[tuple[float, int, int]]:
    """Yield every outcome of two independent binomial counts: probability, events, other events."""
    for events in range(samples + 1):
        for other in range(others + 1):
            yield (
                math.comb(samples, events) * share**events * (1 - share) ** (samples - events)
                * math.comb(others, other) * other_share**other * (1 - other_share) ** (others - other),
                events,
                other,
            )  # fmt: skip


def mean(
    evidence: EvidenceStatus,
    allowed: Allowance,
    samples: int,
    others: int,
    share: float,
    other: float,
    at_once: int = 1,
) -> tuple[float, float]:
    """Return what the evidence for worse and for better is on average after one tick, exactly."""
    found = [0.0, 0.0]
    for probability, events, other_events in split(samples, others, share, other):
        tick = Tick(events * at_once, samples * at_once, other_events * at_once, others * at_once)
        after = advanced(evidence, [(tick, allowed)], contrary=True)
        found[0] += probability * worse(after)
        found[1] += probability * better(after)
    return found[0], found[1]


@settings(deadline=None, max_examples=150)
@given(_SIZE, _SIZE, _SHARE, st.floats(1, 3), st.sampled_from([0, 0.01, 0.3]))
def test_evidence_of_worse_never_grows_on_average_while_it_is_not(
    samples: int, others: int, stable: float, times: float, plus: float
) -> None:
    """At the very edge of what is allowed, for any traffic, share and split: enumerated, not simulated."""
    edge = min(1.0, times * stable + plus)
    found, _ = mean(known(1), Allowance(times, plus), samples, others, edge, stable)
    assert found <= 1 + 1e-6


@settings(deadline=None, max_examples=150)
@given(_SIZE, _SIZE, _SHARE, st.floats(1, 3), st.sampled_from([0, 0.01, 0.3]))
def test_evidence_of_no_worse_never_grows_on_average_while_it_is_worse(
    samples: int, others: int, stable: float, times: float, plus: float
) -> None:
    """The contrary: what is at the edge or beyond gathers no evidence of being within."""
    edge = times * stable + plus
    assume(edge <= 1)
    _, found = mean(known(1), Allowance(times, plus), samples, others, edge, stable)
    assert found <= 1 + 1e-6


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 12), _SIZE, _SIZE, _SHARE, st.sampled_from([0, 0.1]))
def test_clusters_are_no_evidence_once_the_dispersion_is_known(
    size: int, samples: int, others: int, stable: float, plus: float
) -> None:
    """What fails in clusters of so many counts so many times less."""
    edge = min(1.0, stable + plus)
    found, _ = mean(known(size), Allowance(1, plus), samples, others, edge, stable, at_once=size)
    assert found <= 1 + 1e-6
    assert mean(known(1), Allowance(1, 0), 9, 9, 0.2, 0.2, at_once=size)[0] > 1 + 1e-6


def test_evidence_grows_when_it_is_worse() -> None:
    """And the other way round: these are the means of a test that finds something."""
    assert mean(known(1), Allowance(), 9, 9, 0.6, 0.1)[0] > 1.3
    assert mean(known(1), Allowance(1, 0.5), 9, 9, 0.1, 0.1)[1] > 1.3


def test_nothing_of_one_side_says_nothing() -> None:
    """No samples of canary or stable: the evidence stays as it is."""
    for tick in (Tick(0, 0, 5, 100), Tick(5, 100, 0, 0)):
        assert advanced(known(1), [(tick, Allowance())]) == known(1)


@pytest.mark.parametrize("failures", [100, 10_000])
def test_one_tick_is_no_alarm(failures: int) -> None:
    """However many fail at once: one burst is not enough, three ticks of the kind are."""
    found = EvidenceStatus()
    seen = []
    for _ in range(4):
        found = advanced(found, [(Tick(failures, failures, 0, 4 * failures), Allowance())])
        seen.append(worse(found))
    assert seen[0] < 10
    assert seen[1] < 100
    assert seen[3] > 200


def test_dispersion_is_that_of_the_ticks_and_not_of_a_lasting_difference() -> None:
    """About 1 of independent failures, also three times as many; about 5 where both sides vary five times as much."""
    dice = np.random.default_rng(1)

    def after(share: float, factor: float) -> float:
        found, means = EvidenceStatus(), (120 * share, 480 * 0.05)
        for _ in range(300):
            if factor > 1:
                one, other = (int(dice.poisson(dice.gamma(mean / (factor - 1), factor - 1))) for mean in means)
            else:
                one, other = (int(dice.poisson(mean)) for mean in means)
            found = advanced(found, [(Tick(one, 120, other, 480), Allowance())])
        return dispersion(found)

    assert after(0.05, 1) < 1.5
    assert after(0.15, 1) < 1.5
    assert 3 < after(0.05, 5) < 8


def test_surprise_pays_for_itself() -> None:
    """The same tick is less evidence after looks that did not foresee it than after looks of the kind."""
    tick = Tick(12, 120, 8, 480)

    def found(recent: float) -> EvidenceStatus:
        before = EvidenceStatus(ticks=50, worse=(1.0,) * 5, spread=(recent, 6.0, 30.0, 30.0))
        return advanced(before, [(tick, Allowance())])

    assert dispersion(found(36.0)) < 1.1
    assert dispersion(found(6.0)) > 1.3
    assert found(6.0).worse[0] < 0.8 * found(36.0).worse[0]


def test_long_good_history_hides_nothing() -> None:
    """A canary that turns bad after 5000 good ticks is found in a few, as one that is bad at once."""
    found = EvidenceStatus()
    for _ in range(5000):
        found = advanced(found, [(Tick(1, 120, 5, 480), Allowance(1.1))], contrary=True)
    assert worse(found) < 1
    ticks = 0
    while worse(found) < 200:
        found = advanced(found, [(Tick(12, 120, 5, 480), Allowance(1.1))], contrary=True)
        ticks += 1
    assert ticks <= 15
    assert better(found) < 200

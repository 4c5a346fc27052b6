"""How long a share of the requests took, by the buckets of a histogram."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from modelops.api.v1alpha1.analysis import Metric
from modelops.domain.analysis.latency import quantile_of
from modelops.domain.analysis.queries import EnvoyFigures, Subject
from modelops.domain.analysis.verdicts import judge_of
from modelops.errors import Transient
from modelops.ports import Series
from modelops.reconcile.readings import read_metric
from tests.support.fakes import FakeMetrics
from tests.unit.release.world import NAME, NAMESPACE, World

BUCKETS = {"10": 50.0, "20": 90.0, "100": 98.0, "+Inf": 100.0}
"""Milliseconds: half in the first bucket, two beyond the last bound."""
MINUTE = timedelta(minutes=1)
CANARY, STABLE = Subject(NAMESPACE, NAME, "r2"), Subject(NAMESPACE, NAME, "r1")


@pytest.mark.parametrize(
    ("share", "seconds"),
    [
        pytest.param(0.25, 0.005, id="in the first bucket, from 0 on"),
        pytest.param(0.5, 0.01, id="at a bound, exactly"),
        pytest.param(0.7, 0.015, id="between two bounds, as if spread evenly"),
        pytest.param(0.94, 0.06, id="in a wide bucket"),
        pytest.param(0.98, 0.1, id="at the last bound"),
        pytest.param(0.99, math.inf, id="beyond it: nobody knows"),
    ],
)
def test_quantile(share: float, seconds: float) -> None:
    """As Prometheus' histogram_quantile, but for what no bound holds."""
    assert quantile_of(BUCKETS, share) == pytest.approx(seconds)
    in_seconds = {text if text == "+Inf" else str(float(text) / 1000): count for text, count in BUCKETS.items()}
    assert quantile_of(in_seconds, share, 1) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("buckets", "expected"),
    [
        pytest.param({}, None, id="no histogram"),
        pytest.param({"10": 0.0, "+Inf": 0.0}, None, id="no requests"),
        pytest.param({"+Inf": 20.0}, math.inf, id="nothing was ever answered"),
        pytest.param({"10": 50.0, "20": 49.0, "+Inf": 49.0}, 0.005, id="buckets that were read one after the other"),
    ],
)
def test_edges(buckets: Mapping[str, float], expected: float | None) -> None:
    """Want of data is none; a hang is no want of data."""
    assert quantile_of(buckets, 0.5) == expected


def test_bounds_in_two_spellings_are_an_error() -> None:
    """A half of the requests each: neither is a quantile of all."""
    with pytest.raises(ValueError, match="spelt in two ways"):
        quantile_of({"10": 5.0, "10.0": 5.0, "+Inf": 10.0}, 0.5)


class Gateway(FakeMetrics):
    """Envoy's buckets of two revisions, in milliseconds."""

    def __init__(self, of: Mapping[str, Mapping[str, float]]) -> None:
        super().__init__()
        self.of = of

    def query(self, promql: str, at: datetime) -> list[Series]:
        """Answer what is asked of a revision."""
        self.queries.append(promql)
        buckets = next((found for revision, found in self.of.items() if f"-{revision}" in promql), {})
        if promql == EnvoyFigures(CANARY).slow_samples(MINUTE) or promql == EnvoyFigures(STABLE).slow_samples(MINUTE):
            return [Series({}, buckets.get("+Inf", 0.0))]
        return [Series({"le": text}, count) for text, count in buckets.items()]


def verdict(gateway: FakeMetrics, **bound: object) -> tuple[str, float | None]:
    metric = Metric.model_validate({"name": "p90", "builtin": "latency", "quantile": 0.9, **bound})
    ports = World(metrics=gateway).ports
    reading = read_metric(metric, CANARY, ports, stable=STABLE, interval=MINUTE, step=MINUTE, now=World().clock.now())
    found = judge_of(metric).judge(reading)
    return found.verdict, found.value


@pytest.mark.parametrize(("most", "expected"), [(0.02, "Pass"), (0.019, "Fail")])
def test_bound_is_in_seconds(most: float, expected: str) -> None:
    assert verdict(Gateway({"r2": BUCKETS}), thresholdRange={"max": most}) == (expected, pytest.approx(0.02))


def test_slower_than_stable_fails() -> None:
    """20 ms are twice of 10; a tenth more is allowed, then all of it."""
    gateway = Gateway({"r2": BUCKETS, "r1": {"10": 90.0, "+Inf": 100.0}})
    assert verdict(gateway, compareTo={"stable": {"maxRelativeIncrease": 0.1}})[0] == "Fail"
    assert verdict(gateway, compareTo={"stable": {"maxRelativeIncrease": 1}})[0] == "Pass"


def test_too_few_requests_and_no_answer_are_told_apart() -> None:
    """20 samples unless given."""
    few = Gateway({"r2": {"10": 19.0, "+Inf": 19.0}})
    assert verdict(few, thresholdRange={"max": 1}) == ("NoData", None)
    away = FakeMetrics({"envoy": Transient("MetricsUnavailable", "503")})
    assert verdict(away, thresholdRange={"max": 1}) == ("Error", None)

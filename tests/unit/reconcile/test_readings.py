"""How far back a look reaches: one interval, and where that holds too few samples, all the time at this weight."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from modelops.api.v1alpha1.analysis import Metric
from modelops.domain.analysis.queries import Subject
from modelops.domain.analysis.verdicts import Reading
from modelops.ports import Series
from modelops.reconcile.readings import read_metric
from tests.unit.release.world import NAME, NAMESPACE, World

INTERVAL, STEP = timedelta(minutes=1), timedelta(minutes=30)
NOW: Final = datetime(2026, 3, 2, 10, tzinfo=UTC)
ASKED: Final = 'sum(increase(asked{r="{{ .revision }}"}[{{ .window }}]))'
SOLD: Final = 'sum(increase(sold{r="{{ .revision }}"}[{{ .window }}]))'
PAID: Final = 'sum(increase(paid{r="{{ .revision }}"}[{{ .window }}]))'
RATIO: Final = {"query": f"{SOLD} / {ASKED}", "samplesQuery": ASKED}
BOUND: Final = {"minSamples": 2000, "thresholdRange": {"min": 0}}
COMPARED: Final = {"minSamples": 2000, "compareTo": {"stable": {"maxAbsoluteDecrease": 0.1}}}


@dataclass
class Shop:
    """A shop that counts what it was asked, sold and paid: so many a minute of each revision."""

    asked: Mapping[str, float]
    queries: list[str] = field(default_factory=list)

    def query(self, promql: str, at: datetime) -> Sequence[Series]:
        """Answer a question about a window of so many milliseconds; half of the asked is sold, for 3 each."""
        self.queries.append(promql)
        minutes = max(int(found) for found in re.findall(r"\[(\d+)ms\]", promql)) / 60_000
        revision = "r2" if '"r2"' in promql else "r1"
        if "/" in promql:
            return [Series({}, 0.5)]
        each = 1.5 if "paid" in promql else 0.5 if "sold" in promql else 1
        return [Series({}, self.asked[revision] * minutes * each)]


def read(
    shop: Shop, queries: Mapping[str, str], judged: Mapping[str, Any] = BOUND, *, step: timedelta = STEP
) -> Reading:
    """Return what one look says of a metric."""
    metric = Metric.model_validate({"name": "sold", "prometheus": queries, **judged})
    canary, stable = (Subject(NAMESPACE, NAME, revision) for revision in ("r2", "r1"))
    ports = World(metrics=shop).ports  # type: ignore[arg-type]
    return read_metric(metric, canary, ports, stable=stable, interval=INTERVAL, step=step, now=NOW)


@pytest.mark.parametrize(
    ("queries", "value"),
    [
        pytest.param(RATIO, 0.5, id="query"),
        pytest.param({"eventsQuery": SOLD, "samplesQuery": ASKED}, 0.5, id="events"),
        pytest.param({"sumQuery": PAID, "samplesQuery": ASKED}, 1.5, id="sum"),
    ],
)
def test_own_query_reaches_back_as_far_as_it_needs(queries: dict[str, str], value: float) -> None:
    """100 samples a minute are 3000 in half an hour; with 2500 a minute one interval is enough."""
    few, enough = read(Shop({"r2": 100}), queries), read(Shop({"r2": 2500}), queries)
    assert (few.values, few.samples) == ((value,), 3000)
    assert (enough.values, enough.samples) == ((value,), 2500)
    assert "[1800000ms]" in few.query
    assert "[60000ms]" in enough.query


@pytest.mark.parametrize(
    "queries",
    [
        pytest.param({**RATIO, "query": RATIO["query"].replace("{{ .window }}", "300000ms")}, id="of the query"),
        pytest.param({**RATIO, "samplesQuery": ASKED.replace("{{ .window }}", "300000ms")}, id="of the samples"),
        pytest.param({"eventsQuery": SOLD.replace("{{ .window }}", "300000ms"), "samplesQuery": ASKED}, id="of events"),
    ],
)
def test_window_of_its_own_is_kept(queries: dict[str, str]) -> None:
    """Samples of a longer time would not be those behind the value."""
    shop = Shop({"r2": 100})
    assert (read(shop, queries).samples or 0) < 2000
    assert not any("[1800000ms]" in query for query in shop.queries)


def test_own_query_without_samples_is_asked_once() -> None:
    """Nobody knows whether the interval holds enough."""
    shop = Shop({"r2": 1})
    reading = read(shop, {"query": SOLD}, {"thresholdRange": {"min": 0}})
    assert (reading.values, reading.samples) == ((0.5,), None)
    assert len(shop.queries) == 1


@pytest.mark.parametrize("few", ["r1", "r2"])
def test_both_sides_are_compared_over_the_same_time(few: str) -> None:
    """Where one side needs the longer window, the other one's last minute would be of another time of day."""
    reading = read(Shop({"r1": 2500, "r2": 2500, few: 100}), RATIO, COMPARED)
    assert reading.stable is not None
    assert {reading.samples, reading.stable.samples} == {3000, 75_000}
    assert "[1800000ms]" in reading.query
    assert "[1800000ms]" in reading.stable.query


def test_first_interval_at_a_weight_is_all_there_is() -> None:
    shop = Shop({"r2": 100})
    assert read(shop, RATIO, step=INTERVAL).samples == 100
    assert len(shop.queries) == 2

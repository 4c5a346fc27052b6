"""A/B tests on a local home that a team's own business metric decides: what customers bought, as the shop counts it."""

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, start_http_server

from modelops.localhome.children import free_port
from tests.local.test_strategies import TINY, House
from tests.support import gateway
from tests.support.load import Load

pytestmark = [
    pytest.mark.slow,
    pytest.mark.local,
    pytest.mark.timeout(240),
    pytest.mark.skipif(gateway.missing() is not None, reason=gateway.missing() or ""),
]
NEEDED = 400
ONE_IN = {"1": 2, "2": 2, "3": 4}
"""One customer in so many buys after an answer of this version: of the third half as many do."""
SHOWN = 'sum(increase(shop_answers_total{version="{{ .version }}"}[{{ .window }}]))'
BOUGHT = 'sum(increase(shop_orders_total{version="{{ .version }}"}[{{ .window }}]))'
CONVERSION = {
    "name": "conversion",
    "prometheus": {"query": f"{BOUGHT} / {SHOWN}", "samplesQuery": SHOWN},
    "compareTo": {"stable": {"maxAbsoluteDecrease": 0.1}},
}
STRATEGY = {"abTest": {"match": [{"cookie": {"name": "group", "exact": "b"}}], "duration": "4s", "minSamples": NEEDED}}


class Shop:
    """The team's own page of figures: how many answers customers were shown, and how many of them bought.

    Args:
        loads: who is shown the answers.
        targets: where Prometheus is told whom to scrape.
    """

    def __init__(self, loads: list[Load], targets: Path) -> None:
        registry = CollectorRegistry()
        self._answers = Counter("shop_answers", "Answers that were shown.", ["version"], registry=registry)
        self._orders = Counter("shop_orders", "Answers after which was bought.", ["version"], registry=registry)
        for version in ONE_IN:
            self._answers.labels(version)
            self._orders.labels(version)
        self._loads, self._seen = loads, dict.fromkeys(ONE_IN, 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shop", daemon=True)
        port = free_port()
        self._server, _ = start_http_server(port, "127.0.0.1", registry)
        (targets / "shop.json").write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"]}]))
        self._thread.start()

    def close(self) -> None:
        """Count and serve no longer."""
        self._stop.set()
        self._thread.join(timeout=10)
        self._server.shutdown()

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            for version, one_in in ONE_IN.items():
                shown, before = sum(load.answers[200, version] for load in self._loads), self._seen[version]
                self._answers.labels(version).inc(shown - before)
                self._orders.labels(version).inc(shown // one_in - before // one_in)
                self._seen[version] = shown


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("ab-test")) as found:
        yield found


def test_business_metric_that_needs_many_intervals_decides(house: House) -> None:
    """An interval has a quarter of the samples that are asked for: they add up, and then there is a verdict."""
    container: dict[str, Any] = {"name": "server", "image": "tiny", "command": [sys.executable, str(TINY)]}
    container["readinessProbe"] = {"httpGet": {"path": "/v2/health/ready", "port": "http"}, "periodSeconds": 1}
    house.release(
        "shop",
        STRATEGY,
        serving={"runtime": "custom", "podTemplate": {"spec": {"containers": [container]}}},
        analysis={"interval": "2s", "warmUp": "1s", "metrics": [CONVERSION]},
    )
    url = f"{house.program.endpoints()['gateway']}/infer"
    loads = [Load(url, "shop.example.com", 1, headers) for headers in ({}, {"Cookie": "group=b"})]
    for load in loads:
        load.start()
    shop = Shop(loads, house.program.state_dir / "prometheus" / "targets")
    try:
        house.want("shop", "2")
        record = house.until("shop", "2")
        assert record["outcome"] == "Promoted", record
        (found,) = house.status("shop")["analysis"]
        looks = found["measurements"]
        assert {looks[0]["verdict"], looks[-1]["verdict"]} == {"NoData", "Pass"}, looks
        assert looks[0]["message"].endswith(f"of {NEEDED} samples")
        assert looks[-1]["samples"] >= NEEDED > 2 * looks[0]["samples"]
        assert looks[-1]["value"] == pytest.approx(0.5, abs=0.05)
        assert looks[-1]["stable"] == pytest.approx(0.5, abs=0.05)

        house.want("shop", "3")
        record = house.until("shop", "3")
        assert record["outcome"] == "RolledBack", record
        assert record["message"].startswith("conversion is 0.2"), record
    finally:
        shop.close()
        for load in loads:
            load.stop()
    assert {version for _, version in loads[0].answers} == {"1", "2"}
    assert not [error for load in loads for error in load.errors]

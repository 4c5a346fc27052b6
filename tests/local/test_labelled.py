"""A labelled error on a local home: customers' answers are joined with labels that come late, and a real Prometheus
reads what the joining pipeline counts, as docs/analysis.md says."""

import heapq
import json
import random
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from examples.demo.traffic import Customers
from prometheus_client import CollectorRegistry, Counter, Summary, start_http_server

from modelops.localhome.children import free_port
from tests.local.test_strategies import TINY, House

pytestmark = [pytest.mark.slow, pytest.mark.local, pytest.mark.timeout(240)]
STEPS = [{"setWeight": 50}, {"bake": {"duration": "20s"}}]
ERROR = {
    "name": "error",
    "builtin": "labelled-error",
    "compareTo": {"stable": {"maxRelativeIncrease": 0.05, "test": "sequential"}},
}
MEANS = {"1": 10.0, "2": 10.0, "3": 11.5}
"""Mean absolute error of each version: the third one's is 15 % larger."""
AGES = (2, 5)


class Joining:
    """A team's pipeline: it keeps which version answered, and counts the error when the label comes.

    Args:
        customers: who got the answers.
        release: of which release.
        targets: where Prometheus is told whom to scrape.
    """

    def __init__(self, customers: Customers, release: str, targets: Path) -> None:
        registry, names = CollectorRegistry(), ("namespace", "release", "version", "age")
        self._errors = Summary("modelops_labelled_error", "Absolute error.", names, registry=registry)
        self._squares = Counter("modelops_labelled_error_squares", "Its squares.", names, registry=registry)
        self._customers, self._release = customers, release
        self._stop, self._dice = threading.Event(), random.Random(6)
        self._thread = threading.Thread(target=self._run, name="joining", daemon=True)
        port = free_port()
        self._server, _ = start_http_server(port, "127.0.0.1", registry)
        (targets / f"{release}-labels.json").write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"]}]))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=10)
        self._server.shutdown()

    def _run(self) -> None:
        seen: dict[str, int] = {}
        coming: list[tuple[float, float, str]] = []
        while not self._stop.wait(0.05):
            now = time.monotonic()
            for (status, version), count in list(self._customers.answers.items()):
                for _ in range(count - seen.get(version, 0) if status == 200 else 0):
                    heapq.heappush(coming, (now + self._dice.uniform(0.5, 4.5), now, version))
                seen[version] = count if status == 200 else 0
            while coming and coming[0][0] <= now:
                _, predicted, version = heapq.heappop(coming)
                self._count(version, now - predicted)

    def _count(self, version: str, age: float) -> None:
        error = abs(self._dice.gauss(MEANS[version], 1.0))
        bound = next((str(one) for one in AGES if age <= one), "+Inf")
        self._errors.labels("default", self._release, version, bound).observe(error)
        self._squares.labels("default", self._release, version, bound).inc(error * error)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("labelled")) as found:
        yield found


def test_larger_labelled_error_is_rolled_back_in_the_bake_and_an_equal_one_promoted(house: House) -> None:
    """Labels come up to 4.5 s after the answers; neither version fails a request."""
    container: dict[str, Any] = {"name": "server", "image": "tiny", "command": [sys.executable, str(TINY)]}
    container["readinessProbe"] = {"httpGet": {"path": "/v2/health/ready", "port": "http"}, "periodSeconds": 1}
    customers = house.release(
        "labelled",
        {"canary": {"steps": STEPS}},
        serving={"runtime": "custom", "podTemplate": {"spec": {"containers": [container]}}},
        analysis={"interval": "2s", "warmUp": "1s", "metrics": [ERROR]},
    )
    with customers, Joining(customers, "labelled", house.program.state_dir / "prometheus" / "targets"):
        house.want("labelled", "2")
        house.until("labelled", "2", "Baking")
        record = house.until("labelled", "2")
        assert record["outcome"] == "Promoted", record
        (judged,) = house.status("labelled")["analysis"]
        assert judged["outcome"] == "Successful"
        assert judged["measurements"][-1]["samples"] > 100
        assert judged["measurements"][-1]["value"] == pytest.approx(10, rel=0.1)

        house.want("labelled", "3")
        house.until("labelled", "3", "Baking")
        begun = time.monotonic()
        record = house.until("labelled", "3")
        assert record["outcome"] == "RolledBack", record
        assert record["message"].startswith("error is mean 11."), record
        assert time.monotonic() - begun < 20
    assert {status for status, _ in customers.answers} == {200}
    assert house.status("labelled")["stable"]["version"] == "2"

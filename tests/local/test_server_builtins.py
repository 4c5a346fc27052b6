"""The built-in metrics of our own servers: the real server's figures, read by a real Prometheus."""

import asyncio
import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import urllib3
from aiohttp import web

from modelops.adapters.prometheus import Prometheus
from modelops.api.v1alpha1.analysis import Metric
from modelops.domain.analysis.queries import Subject
from modelops.domain.analysis.verdicts import Judgement, judge_of
from modelops.localhome.children import free_port
from modelops.reconcile.bundle import Ports, Settings
from modelops.reconcile.readings import read_metric
from modelops.server.http import ModelServer
from modelops.server.metrics import ServerMetrics
from modelops.server.predictor import Column, Outputs
from tests.support import gateway
from tests.support.fakes import FakeClock, FakeCluster, FakeRegistry
from tests.support.gateway import RealGateway, running_gateway

pytestmark = [pytest.mark.local, pytest.mark.skipif(gateway.missing() is not None, reason=gateway.missing() or "")]
RELEASE, REVISION = "price", "abc123"
FIRST = 40
"""Requests that are as they should be."""


class Model:
    """Answers what it is asked; infinite when asked so, after half a second when told to be slow."""

    classes: tuple[str, ...] = ()
    platform = "test"
    inputs = (
        Column("x", "FP64"),
        Column("size", "FP64", required=False),
        Column("kind", "BYTES", known=frozenset({"a"})),
    )

    def example(self) -> Mapping[str, list[Any]]:
        return {"x": [1.0], "size": [1.0], "kind": ["a"]}

    def predict(self, columns: Mapping[str, list[Any]], rows: int) -> Outputs:
        del rows
        time.sleep(0.5 if "slow" in columns["kind"] else 0.0)
        return Outputs(np.array([math.inf if value == 13 else value for value in columns["x"]]))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Run the real server in a thread of its own; return host and port."""
    port, started, stop = free_port(), threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        server = ModelServer(Model(), name=RELEASE, version="1", metrics=ServerMetrics(RELEASE, REVISION))
        await server.warm_up()
        runner = web.AppRunner(server.application())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        started.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    assert started.wait(20)
    yield f"127.0.0.1:{port}"
    loops[0].call_soon_threadsafe(stop.set)
    thread.join(20)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, address: str) -> Iterator[RealGateway]:
    """A Prometheus that scrapes the server as the local home's does, with the namespace as a label."""
    with running_gateway(tmp_path_factory.mktemp("gateway")) as found:
        found.scripted.write_text(json.dumps([{"targets": [address], "labels": {"namespace": "test"}}]))
        wait_until(lambda: series(found, "modelops_server_ready") == 1)
        yield found


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for something to be true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def series(real: RealGateway, query: str) -> float:
    """Return what a query answers; 0 for nothing."""
    found = Prometheus(real.prometheus_url).query(query, datetime.now(UTC))
    return found[0].value if found else 0.0


def ask(address: str, times: int, *, x: float = 1, size: float | None = 1, kind: str = "a") -> None:
    """Ask the server about one row, so many times."""
    row = {"x": x, "size": size, "kind": kind}
    for _ in range(times):
        urllib3.request("POST", f"http://{address}/invocations", json={"dataframe_records": [row]}, retries=False)


def scraped(real: RealGateway, address: str) -> None:
    """Wait until Prometheus has what the server says now."""
    text = urllib3.request("GET", f"http://{address}/metrics").data.decode()
    line = next(one for one in text.splitlines() if one.startswith("modelops_server_request_duration_seconds_count"))
    wait_until(lambda: series(real, "modelops_server_request_duration_seconds_count") == float(line.rpartition(" ")[2]))


def judged(real: RealGateway, builtin: str, *, revision: str = REVISION, window: float = 60) -> Judgement:
    """Ask Prometheus as the reconciler does, and judge."""
    metric = Metric.model_validate({"name": "m", "builtin": builtin, "thresholdRange": {"max": 0.05}})
    ports = Ports(FakeCluster(), None, FakeRegistry(), Prometheus(real.prometheus_url), FakeClock(), Settings())  # type: ignore[arg-type]
    span = timedelta(seconds=window)
    subject = Subject("test", RELEASE, revision)
    reading = read_metric(metric, subject, ports, interval=span, step=span, now=datetime.now(UTC))
    return judge_of(metric).judge(reading)


def test_shares_are_those_that_were_sent(real: RealGateway, address: str) -> None:
    """Good at first; then 10 of 50 answers are infinite, 10 of 150 values missing and 10 of 50 categories unknown."""
    for builtin in ("nonfinite-share", "missing-input-share", "unknown-category-share"):
        assert judged(real, builtin).verdict == "NoData"
    ask(address, FIRST)
    scraped(real, address)
    for builtin, samples in (("nonfinite-share", 40), ("missing-input-share", 120), ("unknown-category-share", 40)):
        found = judged(real, builtin)
        assert (found.verdict, found.value, found.samples) == ("Pass", 0.0, samples)

    ask(address, 10, x=13, size=None, kind="b")
    scraped(real, address)

    for builtin, share in (
        ("nonfinite-share", 0.2),
        ("missing-input-share", 10 / 150),
        ("unknown-category-share", 0.2),
    ):
        found = judged(real, builtin)
        assert (found.verdict, found.value) == ("Fail", pytest.approx(share))


def test_saturation_is_the_share_of_time_that_models_work(real: RealGateway, address: str) -> None:
    """Two and a half seconds of work within ten."""
    ask(address, 20)
    ask(address, 5, kind="slow")
    scraped(real, address)

    found = judged(real, "saturation", window=10)

    assert (found.verdict, found.value) == ("Fail", pytest.approx(0.25, abs=0.05))


def test_another_revision_has_no_data(real: RealGateway) -> None:
    """Figures are a revision's."""
    for builtin in ("nonfinite-share", "missing-input-share", "unknown-category-share", "saturation"):
        assert judged(real, builtin, revision="other").verdict == "NoData"

"""The built-in metrics of our own servers: the real server's figures, read by a real Prometheus."""

import asyncio
import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
from modelops.reconcile.bundle import Ports
from modelops.reconcile.readings import read_metric
from modelops.server.http import ModelServer
from modelops.server.metrics import ServerMetrics
from modelops.server.predictor import Column, Outputs
from tests.support import gateway
from tests.support.fakes import FakeClock, FakeCluster, FakeRegistry, FakeServers
from tests.support.gateway import RealGateway, running_gateway

pytestmark = [pytest.mark.local, pytest.mark.skipif(gateway.missing() is not None, reason=gateway.missing() or "")]
RELEASE = "price"
SHARES = {"nonfinite-share": 0.2, "missing-input-share": 10 / 150, "unknown-category-share": 0.2}


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


@contextmanager
def serving(real: RealGateway, revision: str) -> Iterator[str]:
    """Run the real server in a thread of its own, scraped with the namespace as a label; yield host and port."""
    port, started, stop = free_port(), threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        server = ModelServer(Model(), name=RELEASE, version="1", metrics=ServerMetrics(RELEASE, revision))
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
    address = f"127.0.0.1:{port}"
    real.scripted.write_text(json.dumps([{"targets": [address], "labels": {"namespace": "test"}}]))
    wait_until(lambda: series(real, f'modelops_server_ready{{revision="{revision}"}}') == {1})
    try:
        yield address
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(20)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    """Each Prometheus scrapes what it is told to."""
    with running_gateway(tmp_path_factory.mktemp("gateway")) as found:
        yield found


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for something to be true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def series(real: RealGateway, query: str) -> set[float]:
    """Return what each Prometheus answers; 0 for nothing."""
    found = [Prometheus(url).query(query, datetime.now(UTC)) for url in real.prometheus_urls]
    return {one[0].value if one else 0.0 for one in found}


def ask(address: str, times: int, *, x: float = 1, size: float | None = 1, kind: str = "a") -> None:
    """Ask the server about one row, so many times."""
    row = {"x": x, "size": size, "kind": kind}
    for _ in range(times):
        urllib3.request("POST", f"http://{address}/invocations", json={"dataframe_records": [row]}, retries=False)


def scraped(real: RealGateway, address: str, revision: str) -> None:
    """Wait until each Prometheus has what the server says now."""
    name = "modelops_server_request_duration_seconds_count"
    text = urllib3.request("GET", f"http://{address}/metrics").data.decode()
    line = next(one for one in text.splitlines() if one.startswith(name))
    wait_until(lambda: series(real, f'{name}{{revision="{revision}"}}') == {float(line.rpartition(" ")[2])})


def judged(real: RealGateway, builtin: str, revision: str, *, window: float = 60) -> Judgement:
    """Ask each Prometheus as the reconciler does, and judge; they must not differ."""
    metric = Metric.model_validate({"name": "m", "builtin": builtin, "thresholdRange": {"max": 0.05}})
    span, now = timedelta(seconds=window), datetime.now(UTC)
    subject = Subject("test", RELEASE, revision)
    found = []
    for url in real.prometheus_urls:
        ports = Ports(FakeCluster(), None, FakeRegistry(), Prometheus(url), FakeClock(), FakeServers())  # type: ignore[arg-type]
        found.append(judge_of(metric).judge(read_metric(metric, subject, ports, interval=span, step=span, now=now)))
    assert len(set(found)) == 1, found
    return found[0]


def test_shares_are_those_that_were_sent(real: RealGateway) -> None:
    """Good at first; then 10 of 50 answers are infinite, 10 of 150 values missing and 10 of 50 categories unknown."""
    with serving(real, "shares") as address:
        assert {judged(real, builtin, "shares").verdict for builtin in SHARES} == {"NoData"}
        ask(address, 40)
        scraped(real, address, "shares")
        for builtin, samples in (("nonfinite-share", 40), ("missing-input-share", 120), ("unknown-category-share", 40)):
            found = judged(real, builtin, "shares")
            assert (found.verdict, found.value, found.samples) == ("Pass", 0.0, samples)

        ask(address, 10, x=13, size=None, kind="b")
        scraped(real, address, "shares")

        for builtin, share in SHARES.items():
            found = judged(real, builtin, "shares")
            assert (found.verdict, found.value) == ("Fail", pytest.approx(share))


def test_saturation_is_the_share_of_time_that_models_work(real: RealGateway) -> None:
    """Two and a half seconds of work within twenty; another revision's is no part of it."""
    with serving(real, "busy") as address:
        assert judged(real, "saturation", "busy").verdict == "NoData"
        ask(address, 20)
        ask(address, 5, kind="slow")
        scraped(real, address, "busy")

        found = judged(real, "saturation", "busy", window=20)

        assert (found.verdict, found.value) == ("Fail", pytest.approx(0.125, abs=0.02))
        assert judged(real, "saturation", "other").verdict == "NoData"

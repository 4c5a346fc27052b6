"""The built-in metrics of our own servers: the real server's figures, read by a real Prometheus."""

import asyncio
import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from modelops.server.predictor import Column, Outputs, Predictor
from tests.support import gateway
from tests.support.fakes import FakeClock, FakeCluster, FakeRegistry, FakeServers
from tests.support.gateway import RealGateway, running_gateway

pytestmark = [pytest.mark.local, pytest.mark.skipif(gateway.missing() is not None, reason=gateway.missing() or "")]
RELEASE = "price"
GOOD, BAD = 'a "good" one', r"\d äußerst schlecht"
"""Classes are named by whoever trained the model."""
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


class Classifier:
    """Answers by the sign of x."""

    classes: tuple[str, ...] = (GOOD, BAD, "none")
    platform = "test"
    inputs = (Column("x", "FP64"),)

    def example(self) -> Mapping[str, list[Any]]:
        return {"x": [1.0]}

    def predict(self, columns: Mapping[str, list[Any]], rows: int) -> Outputs:
        index = np.array([int(value < 0) for value in columns["x"]])
        return Outputs(index, np.array(self.classes, dtype=object)[index], np.full((rows, 3), 1 / 3))


@contextmanager
def serving(
    real: RealGateway, revision: str, model: Predictor | None = None, also: Sequence[str] = ()
) -> Iterator[str]:
    """Run the real server in a thread of its own, scraped with the namespace as a label; yield host and port.

    Args:
        real: with the Prometheus that scrapes it.
        revision: that it serves.
        model: of it.
        also: what is scraped beside it.
    """
    port, started, stop = free_port(), threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        server = ModelServer(model or Model(), name=RELEASE, version="1", metrics=ServerMetrics(RELEASE, revision))
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
    real.scripted.write_text(json.dumps([{"targets": [address, *also], "labels": {"namespace": "test"}}]))
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


def rows(address: str, *x: float) -> None:
    """Ask the server about several rows at once."""
    records = [{"x": value} for value in x]
    urllib3.request("POST", f"http://{address}/invocations", json={"dataframe_records": records}, retries=False)


def scraped(real: RealGateway, address: str, revision: str) -> None:
    """Wait until each Prometheus has what the server says now."""
    name = "modelops_server_request_duration_seconds_count"
    text = urllib3.request("GET", f"http://{address}/metrics").data.decode()
    line = next(one for one in text.splitlines() if one.startswith(name))
    wait_until(lambda: series(real, f'{name}{{revision="{revision}"}}') == {float(line.rpartition(" ")[2])})


def judged(
    real: RealGateway, builtin: str, revision: str, *, window: float = 60, stable: str = "", **more: Any
) -> Judgement:
    """Ask each Prometheus as the reconciler does, and judge; they must not differ."""
    metric = Metric.model_validate({"name": "m", "builtin": builtin, "thresholdRange": {"max": 0.05}, **more})
    span, now = timedelta(seconds=window), datetime.now(UTC)
    subject, other = Subject("test", RELEASE, revision), Subject("test", RELEASE, stable) if stable else None
    found = []
    for url in real.prometheus_urls:
        ports = Ports(FakeCluster(), None, FakeRegistry(), Prometheus(url), FakeClock(), FakeServers())  # type: ignore[arg-type]
        reading = read_metric(metric, subject, ports, stable=other, interval=span, step=span, now=now)
        found.append(judge_of(metric).judge(reading))
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


def test_constant_answers_and_class_shares_are_counted(real: RealGateway) -> None:
    """Rows change all the time: first the answers do, too, then they do not."""
    with serving(real, "constant") as address:
        assert judged(real, "constant-share", "constant").verdict == "NoData"
        for x in range(40):
            ask(address, 1, x=100 + x)
        scraped(real, address, "constant")
        found = judged(real, "constant-share", "constant")
        assert (found.verdict, found.value, found.samples) == ("Pass", 0.0, 39)

        for size in range(20):
            ask(address, 1, x=7, size=size)
        scraped(real, address, "constant")

        found = judged(real, "constant-share", "constant")
        assert (found.verdict, found.value, found.samples) == ("Fail", pytest.approx(19 / 59), 59)


def test_shares_of_classes_are_those_that_were_answered(real: RealGateway) -> None:
    """One of four requests is half of one class and half of the other; a class that was never answered is 0."""
    with serving(real, "classes", Classifier()) as address:
        for _ in range(30):
            rows(address, 1)
            rows(address, -1)
            rows(address, -1)
            rows(address, 1, 1, -1, -1)
        scraped(real, address, "classes")
        for name, share in ((GOOD, 0.375), (BAD, 0.625), ("none", 0.0)):
            found = judged(real, "class-share", "classes", **{"class": name})
            assert (found.value, found.samples) == (pytest.approx(share), 120)
        misspelt = judged(real, "class-share", "classes", **{"class": "god"})
        assert (misspelt.verdict, misspelt.message) == ("NoData", "no series")


def test_drift_is_how_far_the_answers_of_two_servers_are_apart(real: RealGateway) -> None:
    """Equal models are none apart, though no two answers are equal; the next one answers a third more."""
    dice = np.random.default_rng(1)
    with serving(real, "before") as stable, serving(real, "after", also=[stable]) as canary:
        for _ in range(300):
            ask(stable, 1, x=dice.lognormal(3, 0.3))
            ask(canary, 1, x=dice.lognormal(3, 0.3))
        scraped(real, stable, "before")
        scraped(real, canary, "after")
        found = judged(real, "prediction-drift", "after", stable="before")
        assert (found.verdict, found.value, found.samples) == ("Pass", 0.0, 300)
        assert found.message == "0 against ≤ 0.05, of 300 answers (stable 300)"

    with serving(real, "before-2") as stable, serving(real, "worse", also=[stable]) as canary:
        for _ in range(300):
            ask(stable, 1, x=dice.lognormal(3, 0.3))
            ask(canary, 1, x=1.3 * dice.lognormal(3, 0.3))
        scraped(real, stable, "before-2")
        scraped(real, canary, "worse")
        found = judged(real, "prediction-drift", "worse", stable="before-2")
        assert found.verdict == "Fail"
        # The population stability index of such a shift is (ln 1.3 / 0.3)² = 0.76.
        assert found.value is not None
        assert 0.2 < found.value < 0.76

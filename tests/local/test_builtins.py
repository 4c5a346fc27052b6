"""The built-in metrics on a real Envoy and a real Prometheus, in every situation where naive counting lies."""

import http.server
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import urllib3

from modelops.adapters.prometheus import Prometheus
from modelops.api.v1alpha1.analysis import Metric
from modelops.domain.analysis.queries import EnvoyFigures, Subject
from modelops.domain.analysis.verdicts import Judgement, judge_of
from modelops.reconcile.bundle import Ports, Settings
from modelops.reconcile.readings import read_metric
from tests.support import gateway, prometheus
from tests.support.fakes import FakeClock, FakeCluster, FakeRegistry, FakeServers
from tests.support.gateway import RealGateway, running_gateway

pytestmark = [pytest.mark.local, pytest.mark.skipif(gateway.missing() is not None, reason=gateway.missing() or "")]
RELEASE = "price"


class Behaviour(http.server.BaseHTTPRequestHandler):
    """Answers as its server was told: a list of (status, seconds) taken in turn, the last one for ever."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        status, seconds = server.script.pop(0) if len(server.script) > 1 else server.script[0]
        time.sleep(seconds)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    """One backend."""

    daemon_threads = True
    script: list[tuple[int, float]]

    def handle_error(self, *_: object) -> None:
        """A client that went away is what some tests are about."""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway")) as found:
        yield found


def backend(real: RealGateway, revision: str, *script: tuple[int, float], timeout: str = "2s") -> str:
    """Start a backend with a script behind the gateway; return its Service."""
    server = Server(("127.0.0.1", 0), Behaviour)
    server.script = list(script) or [(200, 0)]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    service = f"{RELEASE}-{revision}"
    real.add(service, server.server_address[1], timeout)
    return service


def judged(
    real: RealGateway,
    revision: str,
    builtin: str,
    *,
    window: float = 30,
    samples: int = 1,
    slo: float = 0.25,
    quantile: float = 0.99,
) -> Judgement:
    """Ask each Prometheus as the reconciler does, and judge; they must not differ."""
    bound = {"thresholdRange": {"min": 0.99}} if builtin == "success-rate" else {"thresholdRange": {"max": 0.01}}
    more = {"slow-share": {"slo": slo}, "latency": {"quantile": quantile}}.get(builtin, {})
    metric = Metric.model_validate({"name": builtin, "builtin": builtin, "minSamples": samples, **bound, **more})
    span, now = timedelta(seconds=window), datetime.now(UTC)
    subject = Subject("test", RELEASE, revision)
    found = []
    for url in real.prometheus_urls:
        outside = (FakeRegistry(), Prometheus(url), FakeClock(), FakeServers())
        ports = Ports(FakeCluster(), None, *outside, Settings())  # type: ignore[arg-type]
        found.append(judge_of(metric).judge(read_metric(metric, subject, ports, interval=span, step=span, now=now)))
    # Another may have seen more of what is still going on.
    assert len({(one.verdict, one.value) for one in found}) == 1, found
    return found[0]


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for something to be true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def test_prometheus_3_is_asked_beside_this_machines(real: RealGateway) -> None:
    """Every verdict here is of both; bounds of whole numbers and the beginning of a range are what they differ in."""
    if (why := prometheus.missing()) is not None:
        pytest.skip(why)
    told = [urllib3.request("GET", f"{url}/api/v1/status/buildinfo").json() for url in real.prometheus_urls]
    assert told[-1]["data"]["version"] == prometheus.VERSION
    backend(real, "spelt")
    real.ask(f"{RELEASE}-spelt", 1)
    real.scraped()
    query = EnvoyFigures(Subject("test", RELEASE, "spelt")).buckets(timedelta(seconds=5))
    spelt = [
        {one.labels["le"] for one in Prometheus(url).query(query, datetime.now(UTC))} for url in real.prometheus_urls
    ]
    assert "50.0" in spelt[-1]
    assert {float(one) for one in spelt[0]} == {float(one) for one in spelt[-1]}


def test_fresh_cluster_has_no_data_and_then_counts_from_the_first_request(real: RealGateway) -> None:
    """Before any request NoData; the first 80 requests are 80, not the 47 that increase() makes of them."""
    service = backend(real, "fresh")
    real.scraped()
    for builtin in ("success-rate", "slow-share", "latency"):
        assert judged(real, "fresh", builtin).verdict == "NoData"
    assert real.ask(service, 80) == [200] * 80
    real.scraped()
    success, slow = judged(real, "fresh", "success-rate"), judged(real, "fresh", "slow-share")
    assert (success.verdict, success.samples, success.value) == ("Pass", 80, 1.0)
    assert (slow.verdict, slow.samples, slow.value) == ("Pass", 80, 0.0)


def test_first_failures_ever_are_counted(real: RealGateway) -> None:
    """3 failures in 33 requests are 30 of 33, although the series of failures is born with the first of them."""
    service = backend(real, "firstfail", *[(200, 0)] * 30, *[(500, 0)] * 3, (200, 0))
    real.ask(service, 30)
    real.scraped()
    real.ask(service, 3)
    real.scraped()
    found = judged(real, "firstfail", "success-rate")
    assert found.verdict == "Fail"
    assert found.samples == 33
    assert found.value == pytest.approx(30 / 33)


def test_refusals_are_no_failures_and_have_a_share_of_their_own(real: RealGateway) -> None:
    """3 refused of 30: the first 4xx ever are counted, and the success rate does not mind them."""
    service = backend(real, "strict", *[(422, 0.0)] * 3, (200, 0.0))
    real.ask(service, 30)
    real.scraped()
    refused, success = judged(real, "strict", "client-error-share"), judged(real, "strict", "success-rate")
    assert (refused.verdict, refused.value, refused.samples) == ("Fail", pytest.approx(0.1), 30)
    assert (success.verdict, success.value) == ("Pass", 1)


def test_nothing_but_failures_is_zero(real: RealGateway) -> None:
    """Without a single success there is no series of successes: the share is 0, not missing."""
    service = backend(real, "allfail", (500, 0))
    assert real.ask(service, 25) == [500] * 25
    real.scraped()
    found = judged(real, "allfail", "success-rate")
    assert (found.verdict, found.samples, found.value) == ("Fail", 25, 0.0)


def test_refused_connections_are_failures(real: RealGateway) -> None:
    """A server that is not there fails every request; Envoy answers 503 in its name."""
    real.add(f"{RELEASE}-refused", 1)
    assert real.ask(f"{RELEASE}-refused", 20) == [503] * 20
    real.scraped()
    found = judged(real, "refused", "success-rate")
    assert (found.verdict, found.value) == ("Fail", 0.0)


def test_failures_while_there_is_no_server_are_counted_once_there_is_one(real: RealGateway) -> None:
    """A server that crashes and comes back: its endpoint goes and comes, and nothing counted goes with it."""
    service = backend(real, "crashed")
    port, _ = real.backends[service]
    assert real.ask(service, 20) == [200] * 20
    real.without_server(service)
    assert real.ask(service, 12) == [503] * 12
    real.scraped()
    real.add(service, port)
    assert real.ask(service, 8) == [200] * 8
    real.scraped()
    found = judged(real, "crashed", "success-rate")
    assert (found.verdict, found.samples, found.value) == ("Fail", 40, 28 / 40)


def test_all_requests_hanging_are_failed_and_slow(real: RealGateway) -> None:
    """No answer ever: each request ends at the route's timeout, outside of the histogram, and counts as both."""
    service = backend(real, "hanging", (200, 600), timeout="500ms")
    threads = [threading.Thread(target=real.ask, args=(service, 2)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    real.scraped()
    success, slow = judged(real, "hanging", "success-rate"), judged(real, "hanging", "slow-share")
    assert (success.verdict, success.samples, success.value) == ("Fail", 20, 0.0)
    assert (slow.verdict, slow.samples, slow.value) == ("Fail", 20, 1.0)
    found = judged(real, "hanging", "latency", quantile=0.5)
    assert (found.verdict, found.samples, found.value) == ("Fail", 20, math.inf)


def test_requests_abandoned_by_clients_are_failed_and_slow(real: RealGateway) -> None:
    """Clients that give up before the timeout leave no code and no latency, but they were there."""
    service = backend(real, "abandoned", (200, 600), timeout="60s")
    assert real.ask(service, 5, timeout=0.2) == [0] * 5
    for _ in range(4):  # What was abandoned is believed a reading later, of a new cluster three readings later.
        real.scraped()
    success, slow = (judged(real, "abandoned", builtin, window=8) for builtin in ("success-rate", "slow-share"))
    assert (success.verdict, success.samples, success.value) == ("Fail", 5, 0.0)
    assert (slow.verdict, slow.samples, slow.value) == ("Fail", 5, 1.0)


class Skewed(http.server.BaseHTTPRequestHandler):
    """Envoy's figures of a good server; every sixth time that a Prometheus asks, a request ended after the first."""

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Figures)
        who = self.headers["User-Agent"]
        server.scrapes += 1
        server.scrapes_of[who] += 1
        done, active = 80 * server.scrapes, 2 if server.scrapes_of[who] % 6 else 1
        cluster = f'envoy_cluster_name="test_{RELEASE}-skewed"'
        figures = {
            f"envoy_cluster_upstream_rq_total{{{cluster}}}": done + 2,
            f"envoy_cluster_upstream_rq_completed{{{cluster}}}": done,
            f"envoy_cluster_upstream_rq_active{{{cluster}}}": active,
            f'envoy_cluster_upstream_rq_xx{{{cluster},envoy_response_code_class="2"}}': done + 2 - active,
        }
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write("".join(f"{name} {value}\n" for name, value in figures.items()).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Figures(http.server.ThreadingHTTPServer):
    """What each Prometheus scrapes instead of an Envoy."""

    scrapes = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Skewed)
        self.scrapes_of: Counter[str] = Counter()


def test_request_that_ends_while_figures_are_written_is_not_abandoned(real: RealGateway) -> None:
    """Envoy writes one family after the other: what is in some of them only was neither abandoned nor failed."""
    server = Figures()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    real.scripted.write_text(json.dumps([{"targets": [f"127.0.0.1:{server.server_address[1]}"]}]))
    wait_until(lambda: server.scrapes >= 8)
    found = []
    while server.scrapes < 22:
        found.append(judged(real, "skewed", "success-rate", window=2).value)
        time.sleep(0.2)
    server.shutdown()
    assert set(found) == {1.0}, found


def test_requests_in_flight_are_no_failures_yet(real: RealGateway) -> None:
    """A slow server under way is neither good nor bad until it answered."""
    service = backend(real, "inflight", *[(200, 0)] * 20, (200, 6), timeout="20s")
    real.ask(service, 20)
    thread = threading.Thread(target=real.ask, args=(service, 1))
    thread.start()
    real.scraped()
    found = judged(real, "inflight", "success-rate")
    thread.join()
    assert (found.verdict, found.samples, found.value) == ("Pass", 20, 1.0)


def test_slow_answers_are_told_apart_finely(real: RealGateway) -> None:
    """Servers at 10 and 60 ms differ at an objective of 30 ms."""
    service = backend(real, "slow", *[(200, 0.01)] * 15, (200, 0.06))
    real.ask(service, 20)
    real.scraped()
    found = judged(real, "slow", "slow-share", slo=0.03)
    assert (found.verdict, found.samples) == ("Fail", 20)
    assert found.value == pytest.approx(5 / 20, abs=0.06)


def test_latency_is_within_the_bucket_of_the_quantile(real: RealGateway) -> None:
    """15 of 20 take 12 ms, five 60: half are within the bucket to 20 ms, and 99 of 100 within that to 75."""
    service = backend(real, "lasting", *[(200, 0.012)] * 15, (200, 0.06))
    real.ask(service, 20)
    real.scraped()
    half, most = judged(real, "lasting", "latency", quantile=0.5), judged(real, "lasting", "latency")
    assert (half.samples, most.samples) == (20, 20)
    assert half.value is not None
    assert most.value is not None
    assert 0.01 <= half.value <= 0.025
    assert 0.05 <= most.value <= 0.1


def test_latency_of_a_few_that_hang_is_told_at_their_quantile_only(real: RealGateway) -> None:
    """One of 20 is never answered: 90 of 100 do not know of it, 99 of 100 take for ever."""
    service = backend(real, "stuck", *[(200, 0.0)] * 19, (200, 600), timeout="500ms")
    real.ask(service, 20)
    real.scraped()
    fast, stuck = judged(real, "stuck", "latency", quantile=0.9), judged(real, "stuck", "latency")
    assert fast.value is not None
    assert fast.value < 0.1
    assert (stuck.verdict, stuck.value, stuck.message) == ("Fail", math.inf, "inf against ≤ 0.01")


def test_no_traffic_is_no_data_although_there_was_some_before(real: RealGateway) -> None:
    """Counters that stand still are no requests: too few samples, neither Pass nor Fail."""
    service = backend(real, "quiet")
    real.ask(service, 30)
    time.sleep(6)
    for builtin in ("success-rate", "slow-share", "latency"):
        found = judged(real, "quiet", builtin, window=3, samples=20)
        assert (found.verdict, found.message) == ("NoData", "0 of 20 samples")


def test_counter_reset_loses_no_failure_and_invents_no_request(real: RealGateway) -> None:
    """Envoy dies and starts again with counters at 0: what was counted since is what counts."""
    service = backend(real, "reset")
    real.ask(service, 50)
    real.scraped()
    real.kill_envoy()
    real.start_envoy()
    real.scraped()
    assert judged(real, "reset", "success-rate", window=2, samples=1).verdict == "NoData"
    real.ask(service, 20)
    real.scraped()
    found = judged(real, "reset", "success-rate", window=12)
    assert found.samples == 20
    assert (found.verdict, found.value) == ("Pass", 1.0)

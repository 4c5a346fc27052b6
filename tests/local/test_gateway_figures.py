"""The built-ins of Istio and NGINX on a real Prometheus, over series as their exporters write them.

No proxy of theirs runs here: what is shown is that the queries are right about such series.
"""

import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from modelops.adapters.prometheus import Prometheus
from modelops.api.v1alpha1.analysis import Metric
from modelops.domain.analysis.queries import Subject
from modelops.domain.analysis.verdicts import Judgement, judge_of
from modelops.reconcile.bundle import Ports
from modelops.reconcile.readings import read_metric
from tests.local.test_builtins import wait_until
from tests.support import gateway
from tests.support.exporters import Istio, Nginx, Request, Series
from tests.support.fakes import FakeClock, FakeCluster, FakeRegistry, FakeServers
from tests.support.gateway import RealGateway, running_gateway

pytestmark = [pytest.mark.local, pytest.mark.skipif(gateway.missing() is not None, reason=gateway.missing() or "")]
RELEASE: Final = "price"
GOOD: Final = Request(times=30)
BEFORE_THE_LOOK: Final = timedelta(seconds=60)
"""The window: everything that these tests do lies in it."""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway")) as found:
        yield found


@pytest.fixture(scope="module")
def series(real: RealGateway) -> Iterator[Series]:
    """Return series that are scraped; whoever adds to them waits with `real.scraped`."""
    found = Series()
    real.scripted.write_text(json.dumps([{"targets": [found.target]}]))
    up = f'up{{instance="{found.target}"}}'
    wait_until(lambda: all(Prometheus(url).query(up, datetime.now(UTC)) for url in real.prometheus_urls))
    yield found
    found.stop()


@pytest.fixture(scope="module")
def istio(series: Series) -> Istio:
    return Istio(series, "test")


@pytest.fixture(scope="module")
def nginx(series: Series) -> Nginx:
    return Nginx(series, "test")


Judge = Callable[..., Judgement]


@pytest.fixture
def judged(real: RealGateway) -> Judge:
    """Return what asks each Prometheus as the reconciler does, and judges; they must not differ."""

    def ask(
        builtin: str, revision: str, flavour: str, *, mirrored: bool = False, slo: float = 0.25, quantile: float = 0.99
    ) -> Judgement:
        bound = {"thresholdRange": {"min": 0.99}} if builtin == "success-rate" else {"thresholdRange": {"max": 0.01}}
        more = {"slow-share": {"slo": slo}, "latency": {"quantile": quantile}}.get(builtin, {})
        metric = Metric.model_validate({"name": builtin, "builtin": builtin, "minSamples": 1, **bound, **more})
        subject, now, found = Subject("test", RELEASE, revision, flavour, mirrored=mirrored), datetime.now(UTC), []
        for url in real.prometheus_urls:
            outside = (FakeRegistry(), Prometheus(url), FakeClock(), FakeServers())
            ports = Ports(FakeCluster(), None, *outside)  # type: ignore[arg-type]
            span = BEFORE_THE_LOOK
            found.append(judge_of(metric).judge(read_metric(metric, subject, ports, interval=span, step=span, now=now)))
        assert len(set(found)) == 1, found
        return found[0]

    return ask


def test_istio_counts_what_ended_whatever_became_of_it(real: RealGateway, istio: Istio, judged: Judge) -> None:
    """The first failures ever, refused connections, no endpoints, and a client that gave up, beside 30 good ones."""
    assert judged("success-rate", "mixed", "istio").verdict == "NoData"
    istio.ended("price-mixed", [GOOD])
    real.scraped()
    found = judged("success-rate", "mixed", "istio")
    assert (found.verdict, found.value, found.samples) == ("Pass", 1, 30)

    istio.ended("price-mixed", [Request(500), Request(503, "UF,URX"), Request(503, "UH"), Request(0, "DC")])
    real.scraped()

    found = judged("success-rate", "mixed", "istio")
    assert (found.verdict, found.samples) == ("Fail", 34)
    assert found.value == pytest.approx(30 / 34)


def test_istio_does_not_take_for_fast_what_never_was_answered(real: RealGateway, istio: Istio, judged: Judge) -> None:
    """Of 20: 10 fast, 4 slow, 3 timed out, 3 given up after 20 ms; a refused connection is neither slow nor fast."""
    istio.ended("price-slow", [Request(times=10), Request(took=900, times=4), Request(504, "UT", 200, times=3)])
    istio.ended("price-slow", [Request(0, "DC", 20, times=3), Request(503, "UF", 1, times=7)])
    real.scraped()

    found = judged("slow-share", "slow", "istio")
    assert (found.verdict, found.samples, found.value) == ("Fail", 20, pytest.approx(0.5))
    assert judged("slow-share", "slow", "istio", slo=0.0001).message.endswith("no bucket at or below 0.0001 s")

    # Half are done at the bound of 10 ms; of the next four, two lie in the lower half between 500 ms and a second.
    assert judged("latency", "slow", "istio", quantile=0.5).value == pytest.approx(0.01)
    assert judged("latency", "slow", "istio", quantile=0.6).value == pytest.approx(0.75)
    found = judged("latency", "slow", "istio")
    assert (found.verdict, found.samples, found.value) == ("Fail", 20, math.inf)


def test_istio_keeps_a_retried_request_once(real: RealGateway, istio: Istio, judged: Judge) -> None:
    """A 503 of the model itself, tried again until the limit, is one failure and one answer."""
    istio.ended("price-retried", [Request(times=9), Request(503, "URX")])
    real.scraped()

    assert judged("success-rate", "retried", "istio").value == pytest.approx(0.9)
    assert judged("slow-share", "retried", "istio").samples == 10


def test_istio_tells_services_apart(real: RealGateway, series: Series, istio: Istio, judged: Judge) -> None:
    """Neither what the servers' proxies report again, nor other revisions, releases and namespaces are counted."""
    bad = [Request(500, times=50)]
    istio.ended("price-own", [GOOD])
    istio.ended("price-own", bad, reporter="destination")
    for other in ("price-own2", "other-price-own", "priceXown"):
        istio.ended(other, bad)
    Istio(series, "test2").ended("price-own", bad)
    real.scraped()

    found = judged("success-rate", "own", "istio")
    assert (found.verdict, found.value, found.samples) == ("Pass", 1, 30)


def test_istio_has_copies_from_the_servers_proxies(real: RealGateway, istio: Istio, judged: Judge) -> None:
    """The gateway reports a copied request once, as stable's; the canary's own proxy saw the copy."""
    istio.ended("price-copied", [Request(times=18), Request(500, times=2)], reporter="destination")
    real.scraped()

    assert judged("success-rate", "copied", "istio").verdict == "NoData"
    found = judged("success-rate", "copied", "istio", mirrored=True)
    assert (found.verdict, found.value, found.samples) == ("Fail", 0.9, 20)


@pytest.mark.parametrize("flavour", ["istio", "nginx"])
def test_refusals_have_a_share_of_their_own(
    real: RealGateway, istio: Istio, nginx: Nginx, judged: Judge, flavour: str
) -> None:
    """3 refused of 30: they are no failures."""
    requests = [Request(times=27), Request(422, times=3)]
    if flavour == "nginx":
        nginx.sent("price-strict", 30)
    (istio if flavour == "istio" else nginx).ended("price-strict", requests)
    real.scraped()

    refused, success = (judged(builtin, "strict", flavour) for builtin in ("client-error-share", "success-rate"))
    assert (refused.verdict, refused.value, refused.samples) == ("Fail", pytest.approx(0.1), 30)
    assert (success.verdict, success.value) == ("Pass", 1)


@pytest.mark.parametrize("flavour", ["istio", "nginx"])
def test_restarted_proxy_loses_no_failure_and_invents_no_request(
    real: RealGateway, series: Series, istio: Istio, nginx: Nginx, judged: Judge, flavour: str
) -> None:
    """30 good requests and 5 under way, a restart, then 8 good and 2 bad: what is known of after it counts."""
    service = "price-restarted"
    proxy = istio if flavour == "istio" else nginx
    if flavour == "nginx":
        nginx.sent(service, 35)
    proxy.ended(service, [GOOD])
    real.scraped()
    series.forget(service)
    if flavour == "nginx":
        nginx.sent(service, 10)
    proxy.ended(service, [Request(times=8), Request(500, times=2)])
    real.scraped()

    found = judged("success-rate", "restarted", flavour)
    assert (found.verdict, found.value, found.samples) == ("Fail", pytest.approx(0.8), 10)


def test_nginx_counts_what_ended_without_an_answer(real: RealGateway, nginx: Nginx, judged: Judge) -> None:
    """30 good, 2 bad, 3 that time out and 1 given up; 4 under way are neither, until they end."""
    assert judged("success-rate", "mixed", "nginx").verdict == "NoData"
    nginx.sent("price-mixed", 40)
    nginx.ended("price-mixed", [GOOD, Request(502, times=2), Request(0, times=4)])
    real.scraped()
    found = judged("success-rate", "mixed", "nginx")
    assert (found.verdict, found.samples) == ("Fail", 36)
    assert found.value == pytest.approx(30 / 36)

    nginx.ended("price-mixed", [Request(times=4)])
    real.scraped()
    assert judged("success-rate", "mixed", "nginx").value == pytest.approx(34 / 40)


def test_nginx_adds_up_peers_and_tells_upstreams_apart(real: RealGateway, nginx: Nginx, judged: Judge) -> None:
    """Two servers of one revision; another revision fails all."""
    for service, code in (("price-two", 200), ("price-two2", 500)):
        for peer in ("10.0.0.1:8080", "10.0.0.2:8080"):
            nginx.sent(service, 10, peer=peer)
            nginx.ended(service, [Request(code, times=10)], peer=peer)
    real.scraped()

    found = judged("success-rate", "two", "nginx")
    assert (found.verdict, found.value, found.samples) == ("Pass", 1, 20)


def test_nginx_says_that_it_has_no_latency(judged: Judge) -> None:
    """An average says nothing of a share: an Error with the remedy, never a number."""
    for builtin in ("slow-share", "latency"):
        found = judged(builtin, "mixed", "nginx")
        assert (found.verdict, found.value) == ("Error", None)
        assert found.message == "NGINX has no histogram of latency; write a query over the servers' own in its place"

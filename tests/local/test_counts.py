"""What a test sequential counts on a real Envoy and a real Prometheus: everything once, nothing twice."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from modelops.adapters.prometheus import Prometheus
from modelops.api.v1alpha1.analysis import Metric
from modelops.api.v1alpha1.analysis_status import ComparisonStatus
from modelops.domain.analysis.queries import Subject
from modelops.domain.analysis.sequential import compared, counted
from modelops.domain.analysis.verdicts import Counts
from modelops.reconcile.bundle import Ports, Settings
from modelops.reconcile.readings import read_metric
from tests.local.test_builtins import RELEASE, backend, real
from tests.support import gateway
from tests.support.fakes import FakeClock, FakeCluster, FakeRegistry, FakeServers
from tests.support.gateway import RealGateway

pytestmark = [pytest.mark.local, pytest.mark.skipif(gateway.missing() is not None, reason=gateway.missing() or "")]
__all__ = ["real"]
INTERVAL: Final = timedelta(seconds=5)


class Looks:
    """Looks at one metric by one Prometheus, each from where the last one ended."""

    def __init__(self, url: str, canary: str, stable: str, builtin: str, **more: float) -> None:
        self.metric = Metric.model_validate(
            {
                "name": builtin,
                "builtin": builtin,
                "compareTo": {"stable": {"maxRelativeIncrease": 0, "test": "sequential"}},
                **more,
            }
        )
        self._ports = Ports(
            FakeCluster(),
            None,  # type: ignore[arg-type]
            FakeRegistry(),
            Prometheus(url),
            FakeClock(),
            FakeServers(),
            Settings(),
        )
        self._subjects = Subject("test", RELEASE, canary), Subject("test", RELEASE, stable)
        self._since = datetime.now(UTC)
        self.total = [0.0] * 4
        """The canary's events and samples, and stable's, of all looks."""

    def look(self) -> Counts:
        """Ask as the operator does."""
        now = datetime.now(UTC)
        canary, stable = self._subjects
        reading = read_metric(
            self.metric,
            canary,
            self._ports,
            stable=stable,
            interval=INTERVAL,
            step=INTERVAL,
            now=now,
            since=self._since,
        )
        assert reading.error is None
        counts = reading.counts
        assert counts is not None
        assert (counts.since, counts.until) == (self._since, now)
        self._since = now
        seen = (counts.events, counts.samples, counts.stable_events, counts.stable_samples)
        self.total = [sum(pair) for pair in zip(self.total, seen, strict=True)]
        return counts


def test_looks_add_up_to_what_was_sent(real: RealGateway) -> None:
    """Looks come at any moment of a scrape, while requests go on; failures begin late, 4xx and slow ones are there."""
    canary = backend(
        real, "adds", *[(200, 0.0)] * 40, *[(500, 0.0)] * 7, *[(404, 0.0)] * 5, *[(200, 1.2)] * 3, (200, 0)
    )
    stable = backend(real, "adds-stable", *[(200, 0.0)] * 100, (500, 0.0), (200, 0))
    real.scraped()
    found = [
        Looks(url, "adds", "adds-stable", builtin, **more)
        for url in real.prometheus_urls
        for builtin, more in (("success-rate", {}), ("client-error-share", {}), ("slow-share", {"slo": 1.0}))
    ]
    asking = [threading.Thread(target=real.ask, args=(to, count)) for to, count in ((canary, 90), (stable, 150))]
    for thread in asking:
        thread.start()
    while any(thread.is_alive() for thread in asking):
        time.sleep(1)
        for one in found:
            one.look()
    for _ in range(2):
        real.scraped()
    for one in found:
        one.look()
    each = [[7, 90, 1, 150], [5, 90, 0, 150], [3, 90, 0, 150]]
    assert [one.total for one in found] == each * len(real.prometheus_urls)
    time.sleep(1)
    assert {one.look().samples for one in found} == {0}


def test_counter_reset_counts_what_came_after_it(real: RealGateway) -> None:
    """Envoy starts anew between two looks: no negative number, and its new requests once."""
    canary, stable = backend(real, "again", (500, 0.0)), backend(real, "again-stable")
    real.scraped()
    looks = [Looks(url, "again", "again-stable", "success-rate") for url in real.prometheus_urls]
    real.ask(canary, 30)
    real.ask(stable, 60)
    real.scraped()
    for one in looks:
        one.look()
    real.kill_envoy()
    real.start_envoy()
    real.ask(canary, 4)
    real.ask(stable, 8)
    real.scraped()
    for one in looks:
        one.look()
        assert one.total == [34, 34, 0, 68]


def test_evidence_of_real_requests(real: RealGateway) -> None:
    """Each third request of the canary fails, none of stable's: a few looks are an alarm."""
    canary, stable = backend(real, "third", *[(200, 0.0), (200, 0.0), (500, 0.0)] * 200), backend(real, "third-stable")
    real.scraped()
    looks = [Looks(url, "third", "third-stable", "success-rate") for url in real.prometheus_urls]
    evidence: list[ComparisonStatus | None] = [None for _ in looks]
    verdicts: list[set[str]] = []
    while not verdicts or (verdicts[-1] != {"Fail"} and len(verdicts) < 8):
        real.ask(canary, 30)
        real.ask(stable, 120)
        real.scraped()
        evidence = [counted(old, one.metric, one.look()) for old, one in zip(evidence, looks, strict=True)]
        verdicts.append({compared(one.metric, new, 0.005).verdict for new, one in zip(evidence, looks, strict=True)})
    assert verdicts[-1] == {"Fail"}, verdicts
    assert len(verdicts) >= 3

"""Prometheus 2 is replaced by Prometheus 3 while a canary is judged: a real one over the other's data."""

import pytest

from tests.local.test_builtins import RELEASE, backend, judged, real, wait_until
from tests.support import gateway, prometheus
from tests.support.gateway import RealGateway

_WHY = gateway.missing() or prometheus.missing() or prometheus.no_earlier()
pytestmark = [pytest.mark.local, pytest.mark.skipif(_WHY is not None, reason=_WHY or "")]
__all__ = ["real"]


def test_good_canary_is_held_until_its_histogram_is_whole(real: RealGateway) -> None:
    """Its bounds are spelt anew, so that nothing seems to be fast for a while, or everything: neither is believed."""
    backend(real, "upgraded")
    real.ask(f"{RELEASE}-upgraded", 30)
    real.scraped()
    assert judged(real, "upgraded", "slow-share", slo=0.05).verdict == "Pass"

    real.upgrade_prometheus()
    wait_until(lambda: real.ask(f"{RELEASE}-upgraded", 1) == [200] and _seen(real) > 30)

    success, slow = judged(real, "upgraded", "success-rate"), judged(real, "upgraded", "slow-share", slo=0.05)
    assert (success.verdict, success.value) == ("Pass", 1)
    assert slow.verdict == "Error"
    assert "spelt in two ways" in slow.message
    assert "spelt in two ways" in judged(real, "upgraded", "latency").message


def _seen(real: RealGateway) -> float:
    return judged(real, "upgraded", "success-rate", window=60).samples or 0

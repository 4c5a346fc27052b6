"""MLflow, Prometheus and the gateway are away for a while each: a release holds, goes on, and is never misjudged.

MODELOPS_STORY_AWAY says for how many seconds, 15 by default.
"""

import os
import time
from typing import Any

import pytest

from tests.e2e.stories.away import frozen, without_gateway
from tests.e2e.stories.estate import Estate
from tests.e2e.stories.shop import Shop
from tests.support.operators import until

AWAY = float(os.environ.get("MODELOPS_STORY_AWAY", "15"))
STRATEGY: dict[str, Any] = {
    "canary": {"steps": [{"setWeight": 30}, {"analyze": {"duration": "4s"}}, {"setWeight": 60}]}
}


@pytest.mark.parametrize("program", ["mlflow", "prometheus"])
def test_what_judges_and_records_is_away(routes: Estate, program: str) -> None:
    """Given a canary, when MLflow or Prometheus hangs, then it is promoted afterwards, not before."""
    shop = Shop(routes, f"story-without-{program}")
    _, second = shop.register(2)
    shop.open(STRATEGY)

    with shop.customers() as customers:
        shop.release(second, STRATEGY)
        shop.until("Analyzing", second, weight=30)
        with frozen(routes, program):
            weights = _through(shop, second)
        shop.settled(second, "Promoted")
        # Without MLflow figures go on; it is the alias that the promotion waits for.
        assert weights <= ({30} if program == "prometheus" else {30, 60, 100})
        assert customers.failed() == []


def test_gateway_is_away(routes: Estate) -> None:
    """Given a canary, when gateway and proxy are gone, then no weight is believed until they are back."""
    shop = Shop(routes, "story-without-gateway")
    _, second = shop.register(2)
    shop.open(STRATEGY)
    shop.release(second, STRATEGY)
    with shop.customers():
        shop.until("Analyzing", second, weight=30)
        with without_gateway(routes):
            assert _through(shop, second) == {30}
    with shop.customers("returning"):
        shop.settled(second, "Promoted", 180)


def _through(shop: Shop, version: str) -> set[int]:
    """Look at the release until the time is over, and return its weights; its canary stays."""
    until_when = time.monotonic() + AWAY
    seen: list[dict[str, Any]] = []

    def judged() -> bool:
        seen.append(shop.status())
        return time.monotonic() > until_when

    until(judged, AWAY + 30, shop.status, 0.3)
    assert all((one.get("canary") or {}).get("version") == version for one in seen), seen[-1]
    return {one["weight"] for one in seen}

"""A pool of GPUs that stable has whole: with `surge: none` a canary gets its servers one by one, from stable's."""

from typing import Any

from modelops.api.kinds import DEPLOYMENT
from modelops.api.labels import RELEASE
from tests.e2e.cluster.gpus import GPU
from tests.e2e.stories.estate import Estate
from tests.e2e.stories.shop import Shop
from tests.e2e.stories.test_pool import GPUS
from tests.e2e.stories.test_trained import GPU_POOL
from tests.support.operators import until

NAMESPACE = "story-lent"
STRATEGY: dict[str, Any] = {"canary": {"steps": [{"setWeight": 50}, {"analyze": {"duration": "4s"}}, {"approve": {}}]}}


def test_canary_is_lent_the_gpus_that_stable_has(routes: Estate) -> None:
    """Given a full pool, when versions come, then one is promoted and one rolled back, and no request fails by it."""
    shop = Shop(routes, NAMESPACE, replicas=GPUS)
    first, second, third = shop.register(3)
    shop.faults["BAD"] = third
    _release(shop, first)
    shop.settled(first, "Promoted", 180)

    with shop.customers() as customers:
        _release(shop, second)
        shop.until("Paused", second, seconds=180, weight=50)
        assert _asked(routes) == [GPUS // 2, GPUS // 2]
        shop.say("promote")
        shop.settled(second, "Promoted", 240)
        until(lambda: _asked(routes) == [GPUS], 120, lambda: routes.pods(NAMESPACE), 0.2)
        _release(shop, third)
        shop.settled(third, "RolledBack", 180)
        until(lambda: _asked(routes) == [GPUS], 120, lambda: routes.pods(NAMESPACE), 0.2)
        assert customers.failed(bad=[third]) == []


def _release(shop: Shop, version: str) -> None:
    """Ask for a version whose every server has a GPU of its own."""
    serving: dict[str, Any] = shop.manifest(version, STRATEGY)["spec"]["serving"]
    spec = serving["podTemplate"]["spec"]
    spec |= {key: GPU_POOL[key] for key in ("tolerations", "nodeSelector")}
    # It ends at once at SIGTERM, while proxies still know it.
    spec["containers"][0] |= {
        "resources": {"limits": {GPU: "1"}},
        "lifecycle": {"preStop": {"sleep": {"seconds": 3}}},
    }
    shop.release(version, STRATEGY, serving={**serving, "surge": "none"})


def _asked(estate: Estate) -> list[int]:
    """Return how many servers each revision has, and asks for; empty while some come or go."""
    found = [one for one in estate.client.list(DEPLOYMENT, NAMESPACE) if one["spec"]["replicas"]]
    ready = [int((one.get("status") or {}).get("readyReplicas") or 0) for one in found]
    whole = len(estate.pods(NAMESPACE, {RELEASE: "price"})) == sum(ready) <= GPUS
    return sorted(ready) if whole and ready == [one["spec"]["replicas"] for one in found] else []

"""A full pool of GPUs: a canary waits for room, or gets its servers one by one from stable's with `surge: none`."""

from contextlib import closing
from typing import Any

from modelops.api.kinds import DEPLOYMENT, MODELRELEASE
from modelops.api.labels import RELEASE
from tests.e2e.cluster.gpus import GPU
from tests.e2e.stories.estate import Estate
from tests.e2e.stories.shop import Shop
from tests.e2e.stories.test_pool import GPUS, occupied
from tests.e2e.stories.test_trained import GPU_POOL
from tests.support.operators import until

NAMESPACE = "story-lent"
STRATEGY: dict[str, Any] = {"canary": {"steps": [{"setWeight": 50}, {"analyze": {"duration": "4s"}}, {"approve": {}}]}}


def test_canary_is_lent_the_gpus_that_stable_has(routes: Estate) -> None:
    """Given a full pool, when versions come, then one is promoted and one rolled back, and no request fails by it."""
    with closing(Shop(routes, NAMESPACE, replicas=GPUS)) as shop:
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


def test_canary_waits_for_room(routes: Estate) -> None:
    """Given a pool with no GPU left, when a version comes, then it waits and says so; once there is room it goes on."""
    with closing(Shop(routes, "story-full")) as shop:
        first, second = shop.register(2)
        _release(shop, first, surge="full")
        shop.settled(first, "Promoted", 180)

        with shop.customers() as customers:
            with occupied(routes, shop.namespace, GPUS - 1):
                _release(shop, second, surge="full")
                status = routes.until(MODELRELEASE, shop.namespace, shop.name, _waits_for_room, 120)
                assert (status["weight"], status["canary"]["version"]) == (0, second)
                assert GPU in status["waitingFor"]
            shop.until("Paused", second, seconds=180, weight=50)
            shop.say("promote")
            shop.settled(second, "Promoted", 240)
            assert customers.failed() == []


def _waits_for_room(status: dict[str, Any]) -> bool:
    conditions = {one["type"]: one["reason"] for one in status.get("conditions") or ()}
    return conditions.get("Progressing") == "WaitingForCapacity"


def _release(shop: Shop, version: str, surge: str = "none") -> None:
    """Ask for a version whose every server has a GPU of its own."""
    serving: dict[str, Any] = shop.manifest(version, STRATEGY)["spec"]["serving"]
    spec = serving["podTemplate"]["spec"]
    spec |= {key: GPU_POOL[key] for key in ("tolerations", "nodeSelector")}
    # It ends at once at SIGTERM, while proxies still know it.
    spec["containers"][0] |= {
        "resources": {"limits": {GPU: "1"}},
        "lifecycle": {"preStop": {"sleep": {"seconds": 3}}},
    }
    shop.release(version, STRATEGY, serving={**serving, "surge": surge})


def _asked(estate: Estate) -> list[int]:
    """Return how many servers each revision has, and asks for; empty while some come or go."""
    found = [one for one in estate.client.list(DEPLOYMENT, NAMESPACE) if one["spec"]["replicas"]]
    ready = [int((one.get("status") or {}).get("readyReplicas") or 0) for one in found]
    whole = len(estate.pods(NAMESPACE, {RELEASE: "price"})) == sum(ready) <= GPUS
    return sorted(ready) if whole and ready == [one["spec"]["replicas"] for one in found] else []

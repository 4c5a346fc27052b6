"""Every strategy and every kind of step, once, on the real Envoy Gateway; who answered is counted by requests."""

from collections import Counter
from typing import Any

import pytest

from modelops.api.kinds import HTTPROUTE
from modelops.cli.whoami import user_of
from tests.e2e.stories.estate import Estate
from tests.e2e.stories.shop import LAG, Customers, Shop
from tests.support.operators import until

GOLDEN = {"requests": [{"name": "ready", "path": "/infer", "body": {}, "expect": "body.model_version != ''"}]}
DIRECT: dict[str, Any] = {"direct": {}}
GROUP = [{"cookie": {"name": "group", "exact": "b"}}]
TESTERS = [{"header": "X-Tester", "exact": "1"}]


def test_canary_goes_through_every_kind_of_step(routes: Estate) -> None:
    """Given steps of every kind, when a version comes, then each does what it says, and no customer notices."""
    shop = Shop(routes, "story-steps", replicas=2)
    _, second = shop.register(2)
    steps: list[dict[str, Any]] = [
        {"setCanaryScale": {"replicas": 1}},
        {"smokeTest": {}},
        {"setMirror": {"percent": 100}},
        {"bake": {"duration": "3s"}},
        {"setMirror": {"percent": 0}},
        {"setHeaderRoute": {"name": "testers", "match": TESTERS}},
        {"setWeight": 20},
        {"analyze": {"duration": "3s"}},
        {"approve": {}},
        {"setHeaderRoute": {"name": "testers"}},
        {"setCanaryScale": {"matchTrafficWeight": True}},
        {"setWeight": 50},
        {"bake": {"duration": "3s"}},
        {"pause": {"duration": "2s"}},
        {"pause": {}},
    ]
    shop.open(DIRECT)

    with shop.customers() as everybody, shop.customers("testers", 1, **{"X-Tester": "1"}) as testers:
        shop.release(second, {"canary": {"steps": steps}}, smokeTest=GOLDEN)
        shop.until("Baking", second, weight=0, step=3)
        until(lambda: (shop.status().get("routing") or {}).get("mirrorPercent") == 100, LAG, shop.status, 0.1)
        status = shop.status()
        assert status["smokeTest"]["outcome"] == "Passed", status["smokeTest"]
        assert second not in {version for _, version in everybody.counts()}
        status = shop.until("Paused", second, weight=20)
        assert status["step"] == 8
        assert status["routing"]["headerRoutes"] == ["testers"]
        assert len(shop.servers(second)) == 1
        until(lambda: _answered_only_by(testers, second), LAG, "testers get the canary", 0.1)
        assert 0.12 < _share(everybody, second, 200) < 0.28
        me = user_of(routes.client)
        shop.say("promote", by=me)
        shop.until("Baking", second, weight=50)
        shop.until("Paused", second, weight=50, step=14)
        assert 0.4 < _share(everybody, second, 200) < 0.6
        assert not shop.status().get("routing")
        until(lambda: _share(testers, second, 40) < 1, LAG, "testers are customers like others", 0.1)
        shop.say("promote")
        shop.settled(second, "Promoted")
        until(lambda: _answered_only_by(everybody, second), LAG, "the second version alone answers", 0.1)
        assert everybody.failed() + testers.failed() == []

    assert [one["step"] for one in shop.status()["approvals"]] == [8, 14]
    assert f"step 9 approved by {me}" in shop.status()["history"][-1]["message"]


def test_linear_climbs(routes: Estate) -> None:
    """Given a linear ramp, when a good version comes it has every weight; a bad one goes at the first that shows it."""
    shop = Shop(routes, "story-linear")
    _, second, third = shop.register(3)
    shop.faults["BAD"] = third
    strategy = {"linear": {"stepWeight": 30, "every": "2s", "maxWeight": 60}}
    shop.open(strategy)
    weights: Counter[int] = Counter()

    with shop.customers() as customers:
        shop.release(second, strategy)
        until(lambda: _climbed(shop, weights, second), 90, shop.status, 0.05)
        shop.release(third, strategy)
        record = shop.settled(third, "RolledBack")
        assert customers.failed(bad=[third]) == []

    assert {30, 60} <= weights.keys()
    assert "success-rate" in record["message"]
    assert shop.status()["stable"]["version"] == second


def test_blue_green_switches_at_once_and_back(routes: Estate) -> None:
    """Given blue-green, when a good version comes all get it at once; a bad one is taken back."""
    shop = Shop(routes, "story-blue-green")
    _, second, third = shop.register(3)
    shop.faults["BAD"] = third
    strategy = {"blueGreen": {"prePromotion": {"duration": "2s"}, "postPromotion": {"duration": "3s"}}}
    shop.open(strategy)

    with shop.customers() as customers:
        shop.release(second, strategy)
        assert shop.until("Baking", second)["weight"] == 0
        assert second not in {version for _, version in customers.counts()}
        shop.until("Analyzing", second, weight=100)
        shop.settled(second, "Promoted")
        shop.release(third, strategy)
        shop.settled(third, "RolledBack")
        until(lambda: _answered_only_by(customers, second), LAG, "the second version alone answers", 0.1)
        assert customers.failed(bad=[third]) == []


def test_direct_gives_all_at_once(routes: Estate) -> None:
    """Given `direct`, when a version is ready, then it has all of the traffic, and nobody was refused."""
    shop = Shop(routes, "story-direct")
    _, second = shop.register(2)
    shop.open(DIRECT)

    with shop.customers() as customers:
        shop.release(second, DIRECT)
        shop.settled(second, "Promoted")
        until(lambda: _answered_only_by(customers, second), LAG, "the second version alone answers", 0.1)
        assert customers.failed() == []


def test_ab_test_is_for_its_group_only(routes: Estate) -> None:
    """Given an A/B test by cookie, when versions are tried, then the group alone meets them; a bad one ends at once."""
    shop = Shop(routes, "story-ab")
    _, second, third = shop.register(3)
    shop.faults["BAD"] = third
    shop.open(DIRECT)

    with shop.customers() as others, shop.customers("group", 2, Cookie="s=1; group=b") as group:
        shop.release(second, {"abTest": {"match": GROUP, "duration": "4s"}})
        shop.until("Analyzing", second)
        until(lambda: _answered_only_by(group, second), LAG, "the group gets the canary", 0.1)
        # Those who do not match, until all of the traffic is its own.
        before = others.counts()
        status = shop.status()
        assert status["desiredWeight"] == 100 or (200, second) not in before
        shop.settled(second, "Promoted")
        shop.release(third, {"abTest": {"match": GROUP, "duration": "60s"}})
        shop.settled(third, "RolledBack")
        until(lambda: _answered_only_by(group, second), LAG, "the group is back", 0.1)
        assert group.failed(bad=[third]) == []
        assert others.failed() == []
        assert third not in {version for _, version in others.counts()}


@pytest.mark.parametrize("percent", [100, 50])
def test_shadow_is_seen_by_nobody(routes: Estate, percent: int) -> None:
    """Given copies of requests, when a version is good it is promoted; a bad one is judged by the copies alone."""
    shop = Shop(routes, f"story-shadow-{percent}")
    _, second, third = shop.register(3)
    shop.faults["BAD"] = third
    shop.open(DIRECT)

    with shop.customers() as customers:
        shop.release(second, {"shadow": {"percent": percent, "duration": "6s"}})
        status = shop.until("Paused", second)
        assert status["routing"]["mirrorPercent"] == percent
        mirror = routes.client.get(HTTPROUTE, shop.namespace, shop.name)["spec"]["rules"][0]["filters"][0]
        assert mirror["requestMirror"].get("percent", 100) == percent
        assert second not in {version for _, version in customers.counts()}
        shop.say("promote")
        shop.settled(second, "Promoted")
        shop.release(third, {"shadow": {"percent": percent, "duration": "60s"}})
        record = shop.settled(third, "RolledBack")
        assert customers.failed() == []
        assert third not in {version for _, version in customers.counts()}

    assert "success-rate" in record["message"]


def _answered_only_by(customers: Customers, version: str) -> bool:
    return _share(customers, version, 20) == 1


def _share(customers: Customers, version: str, requests: int) -> float:
    """Return the share of a version in the next so many answers, or a few more."""
    before = customers.counts()
    counted: Counter[tuple[int, str]] = until(
        lambda: (now := customers.since(before)).total() >= requests and now, 60, f"{requests} answers", 0.1
    )
    return sum(count for (_, who), count in counted.items() if who == version) / counted.total()


def _climbed(shop: Shop, weights: Counter[int], version: str) -> bool:
    status = shop.status()
    if (status.get("canary") or {}).get("version") == version:
        weights[status.get("weight", 0)] += 1
    last = (status.get("history") or [{}])[-1]
    return bool(last.get("version") == version and last["outcome"] == "Promoted")

"""From HTTPRoutes to Envoy: weights and errors as the Gateway API has them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.localhome.gateway.translate import World, cluster_name, translate


def world(*backends: dict[str, Any], services: tuple[str, ...] = ("a", "b"), **rule: Any) -> World:
    made = {("ns", name): {"metadata": {}, "spec": {"selector": {"app": name}}} for name in services}
    deployments = {
        ("ns", name): {
            "metadata": {"annotations": {"local.modelops.dev/endpoints": "127.0.0.1:1000"}},
            "spec": {"template": {"metadata": {"labels": {"app": name}}}},
        }
        for name in services
    }
    route = {"metadata": {}, "spec": {"hostnames": ["x.example.com"], "rules": [{"backendRefs": backends, **rule}]}}
    return World({("ns", "r"): route}, made, deployments)


def routed(found: World) -> list[dict[str, Any]]:
    hosts = {host["domains"][0]: host["routes"] for host in translate(found).route_configuration["virtual_hosts"]}
    return list(hosts["x.example.com"])


def action(found: World) -> dict[str, Any]:
    return dict(routed(found)[0])


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=5))
def test_weights_stay_as_they_are(weights: list[int]) -> None:
    """A share is weight over sum; 0 is no traffic at all; nothing but zeros answers 500."""
    names = tuple(f"s{index}" for index in range(len(weights)))
    found = action(world(*({"name": n, "weight": w} for n, w in zip(names, weights, strict=True)), services=names))
    if not any(weights):
        assert found["direct_response"]["status"] == 500
        return
    clusters = {c["name"]: c["weight"] for c in found["route"]["weighted_clusters"]["clusters"]}
    assert clusters == {cluster_name("ns", n): w for n, w in zip(names, weights, strict=True) if w}


def test_backend_that_does_not_resolve_answers_500_for_its_share() -> None:
    """And the route says so."""
    found = world({"name": "a", "weight": 90}, {"name": "gone", "weight": 10})
    verdict = translate(found).verdicts["ns", "r"]
    assert (verdict.accepted, verdict.resolved) == (True, False)
    assert "ns/gone" in verdict.message
    assert {c["weight"] for c in action(found)["route"]["weighted_clusters"]["clusters"]} == {90, 10}


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param({"filters": [{"type": "RequestRedirect", "requestRedirect": {}}]}, id="another filter"),
        pytest.param({"filters": [{"type": "RequestMirror"}]}, id="mirror to nowhere"),
        pytest.param(
            {"matches": [{"headers": [{"name": "X-A", "type": "RegularExpression", "value": "a(?!b)"}]}]},
            id="an expression that Envoy does not take",
        ),
        pytest.param({"matches": [{"headers": [{"name": "X-A", "type": "Prefix", "value": "a"}]}]}, id="type of match"),
        pytest.param({"matches": [{"path": {"type": "RegularExpression", "value": ".*"}}]}, id="regular expression"),
        pytest.param({"matches": [{"queryParams": []}]}, id="query parameters"),
        pytest.param({"timeouts": {"request": "soon"}}, id="timeout that is none"),
    ],
)
def test_what_is_not_done_is_refused_by_name(rule: dict[str, Any]) -> None:
    """A route never does less than it says without a word."""
    verdict = translate(world({"name": "a"}, **rule)).verdicts["ns", "r"]
    assert not verdict.accepted
    assert verdict.message.startswith("rules[0]")


def test_longer_paths_come_first() -> None:
    """The Gateway API's precedence."""
    matches = [{"path": {"type": "PathPrefix", "value": value}} for value in ("/", "/v2/models/a", "/v2")]
    found = routed(world({"name": "a"}, matches=matches))
    assert [m["match"].get("path_separated_prefix", "/") for m in found] == ["/v2/models/a", "/v2", "/"]


def test_more_headers_come_first() -> None:
    """Of two rules with one path the one that asks for more, as the Gateway API has it."""
    plain, asking = ({"headers": headers} for headers in ([], [{"name": "X-A", "value": "b"}]))
    found = routed(world({"name": "a"}, matches=[plain, asking]))
    assert [len(one["match"].get("headers", ())) for one in found] == [1, 0]


@pytest.mark.parametrize(
    ("share", "parts"),
    [
        pytest.param({}, 1_000_000, id="all by default"),
        pytest.param({"percent": 7}, 70_000, id="percent"),
        pytest.param({"fraction": {"numerator": 1, "denominator": 8}}, 125_000, id="fraction"),
        pytest.param({"fraction": {"numerator": 3}}, 30_000, id="fraction of 100 by default"),
        pytest.param({"percent": 0}, None, id="none"),
    ],
)
def test_mirror_copies_its_share(share: dict[str, Any], parts: int | None) -> None:
    """As the Gateway API's `percent` and `fraction` have it."""
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "b", "port": 80}, **share}}
    policies = action(world({"name": "a"}, filters=[mirror]))["route"].get("request_mirror_policies", [])
    told = [(one["cluster"], one["runtime_fraction"]["default_value"]["numerator"]) for one in policies]
    assert told == ([] if parts is None else [(cluster_name("ns", "b"), parts)])


def test_mirror_that_does_not_resolve_is_dropped_and_said() -> None:
    """Users' requests are answered all the same."""
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "gone", "port": 80}}}
    found = world({"name": "a"}, filters=[mirror])
    verdict = translate(found).verdicts["ns", "r"]
    assert (verdict.accepted, verdict.resolved) == (True, False)
    assert "request_mirror_policies" not in action(found)["route"]


def test_service_answers_to_its_name_in_the_cluster() -> None:
    """Without a route, over whatever its selector finds; like a cluster it knows no timeout."""
    service = {"metadata": {}, "spec": {"selector": {"release": "r"}}}
    deployments = {
        ("ns", name): {
            "metadata": {"annotations": {"local.modelops.dev/endpoints": f"127.0.0.1:{port}"}},
            "spec": {"template": {"metadata": {"labels": {"release": "r", "revision": name}}}},
        }
        for name, port in (("a", 1000), ("b", 2000))
    }
    found = translate(World({}, {("ns", "r"): service}, deployments))
    hosts = {host["domains"][0]: host["routes"][0]["route"] for host in found.route_configuration["virtual_hosts"]}
    assert hosts.keys() == {"r.ns.svc", "r.ns.svc.cluster.local"}
    assert hosts["r.ns.svc"]["weighted_clusters"]["clusters"] == [{"name": "ns_r", "weight": 1}]
    assert hosts["r.ns.svc"]["timeout"] == "0s"
    assert found.clusters["ns_r"]["lb_policy"] == "RANDOM"
    assert len(found.endpoints["ns_r"]["endpoints"][0]["lb_endpoints"]) == 2


def test_same_objects_give_the_same_files() -> None:
    """Nothing is written to Envoy that did not change."""
    one, other = (translate(world({"name": "b", "weight": 1}, {"name": "a", "weight": 2})) for _ in range(2))
    assert one == other

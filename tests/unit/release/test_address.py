"""A release whose requests another route takes: the gateway would call it accepted, and send it nothing."""

from typing import Any

import pytest

from modelops.api.kinds import HTTPROUTE, MODELRELEASE
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.domain.release.address import older_route, wanted
from modelops.domain.release.objects import Gateway
from modelops.reconcile.dependents import dependents_of
from tests.unit.release.world import NAME, NAMESPACE, World

GATEWAY = Gateway("public", "infra")
PARENT = {"name": "public", "namespace": "infra"}
STRATEGY = {"direct": {}}
HOST = "prices.example.com"


def spec(*hosts: str, **traffic: Any) -> ModelReleaseSpec:
    found = {"model": {"name": NAME, "version": "1"}, "strategy": STRATEGY}
    return ModelReleaseSpec.model_validate({**found, "traffic": {"hostnames": list(hosts), **traffic}})


def route(*hosts: str, path: str = "/", name: str = "other", at: int = 0, **more: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "shop", "creationTimestamp": f"2026-01-01T00:00:{at:02}Z"}
    rule = {"matches": [{"path": {"type": "PathPrefix", "value": path}}]}
    body = {"parentRefs": [PARENT], "rules": [rule], **({"hostnames": list(hosts)} if hosts else {})}
    return {"metadata": meta, "spec": {**body, **more}}


HOSTLESS = f"/v2/models/{NAME}"
OTHERS: list[tuple[str, tuple[str, ...], dict[str, Any], str]] = [
    ("same host", (HOST,), route(HOST), f"{HOST}/"),
    ("one host of several", (HOST, "b.example.com"), route("a.example.com", "b.example.com"), "b.example.com/"),
    ("no host, same path", (), route(path=HOSTLESS), HOSTLESS),
    ("a slash at the end is the same path", (), route(path=f"{HOSTLESS}/"), HOSTLESS),
    ("a route without rules takes everything", (HOST,), route(HOST, rules=[]), f"{HOST}/"),
    ("another host", (HOST,), route("b.example.com"), ""),
    ("a host beside none", (HOST,), route(), ""),
    ("none beside a host", (), route(HOST, path=HOSTLESS), ""),
    ("another model", (), route(path="/v2/models/other"), ""),
    ("a part of the host's paths", (HOST,), route(HOST, path="/admin"), ""),
    ("everything but models", (), route(path="/"), ""),
    ("another gateway", (HOST,), route(HOST, parentRefs=[{"name": "private", "namespace": "infra"}]), ""),
    ("a gateway of its own namespace", (HOST,), route(HOST, parentRefs=[{"name": "public"}]), ""),
    ("one listener, such as a redirect", (HOST,), route(HOST, parentRefs=[{**PARENT, "sectionName": "http"}]), ""),
    ("a mesh's Service", (HOST,), route(HOST, parentRefs=[{**PARENT, "kind": "Service"}]), ""),
    (
        "some requests only",
        (HOST,),
        route(HOST, rules=[{"matches": [{"path": {"value": "/"}, "headers": [{"name": "X", "value": "1"}]}]}]),
        "",
    ),
]


@pytest.mark.parametrize(("hosts", "other", "found"), [row[1:] for row in OTHERS], ids=[row[0] for row in OTHERS])
def test_what_another_route_takes(hosts: tuple[str, ...], other: dict[str, Any], found: str) -> None:
    """Only what it takes whole of the same host and path, at the same gateway."""
    said = older_route(wanted(NAME, spec(*hosts), GATEWAY), None, (NAMESPACE, NAME), [other])
    assert said == (f"HTTPRoute shop/other is older and takes {found} at gateway infra/public" if found else "")


@pytest.mark.parametrize(
    ("mine", "others", "who"),
    [
        pytest.param(None, [route(HOST, at=9)], "shop/other", id="before there is one every other is older"),
        pytest.param(5, [route(HOST, at=4)], "shop/other", id="older"),
        pytest.param(5, [route(HOST, at=6)], "", id="younger"),
        pytest.param(5, [route(HOST, at=5)], "shop/other", id="of the same second, by name"),
        pytest.param(5, [route(HOST, at=4), route(HOST, at=3, name="oldest")], "shop/oldest", id="the oldest wins"),
    ],
)
def test_oldest_route_gets_the_requests(mine: int | None, others: list[dict[str, Any]], who: str) -> None:
    """As the Gateway API has it: by creation, then by namespace and name."""
    own = None if mine is None else route(HOST, name=NAME, at=mine)
    if own is not None:
        own["metadata"]["namespace"] = "tenant"
    routes = [*others, *([own] if own else [])]
    said = older_route(wanted(NAME, spec(HOST), GATEWAY), own, ("tenant", NAME), routes)
    assert said.partition(" is older")[0] == (f"HTTPRoute {who}" if who else "")


def test_route_that_is_being_deleted_takes_nothing_for_long() -> None:
    """It is not waited for by a human."""
    leaving = route(HOST)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:01:00Z"
    assert older_route(wanted(NAME, spec(HOST), GATEWAY), None, (NAMESPACE, NAME), [leaving]) == ""


def test_mode_replicas_has_no_address() -> None:
    """Its Service is its own."""
    found = ModelReleaseSpec.model_validate(
        {"model": {"name": NAME, "version": "1"}, "strategy": STRATEGY, "traffic": {"mode": "replicas"}}
    )
    assert wanted(NAME, found, GATEWAY) == frozenset()


def test_release_without_requests_is_stalled_until_the_other_route_is_gone() -> None:
    """Not promoted unseen: it says whose route it is, and begins once that is away."""
    world = World()
    gateway = world.ports.settings.gateway_name, world.ports.settings.gateway_namespace
    host = world.spec["traffic"]["hostnames"][0]
    other = route(host, parentRefs=[dict(zip(("name", "namespace"), gateway, strict=True))])
    world.cluster.put(HTTPROUTE, other)
    world.train("1")
    world.settle(seconds=60)
    words = f"HTTPRoute shop/other is older and takes {host}/ at gateway {gateway[1]}/{gateway[0]}; set spec.traffic"
    assert world.reason("Stalled").startswith(f"RouteTaken: {words}")
    assert world.deployments() == set()

    world.cluster.delete(HTTPROUTE, "shop", "other")
    world.settle(seconds=60)
    assert world.status["phase"] == "Promoted"


def test_releases_of_one_address_are_woken_by_each_others_routes() -> None:
    """Also by a stranger's; nobody else is."""

    def asking(name: str, *hosts: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "namespace": "a", "uid": name}, "spec": {"traffic": {"hostnames": hosts}}}

    releases = [asking("price"), asking("hosted", HOST), asking("bystander", "b.example.com")]
    changes = (route(path="/v2/models/price"), route(HOST), route(path="/v2/models/none"))
    cached = {MODELRELEASE.resource: releases}
    woken = [list(dependents_of(HTTPROUTE, one, lambda resource: cached.get(resource, ()))) for one in changes]
    assert [[wake.key[1] for wake in some] for some in woken] == [["price"], ["hosted"], []]

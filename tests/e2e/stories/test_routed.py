"""A canary on the real Envoy Gateway: the share of each version, counted by its answers; and a shadow's, in pairs.

Envoy Gateway calls a route accepted before its proxy has it: what is in force shows in the answers, a little later.
"""

import json
from collections import Counter
from functools import partial
from typing import Any

from modelops.api.kinds import MODELRELEASE, SERVICE
from modelops.api.labels import COMMAND
from tests.e2e.stories import models
from tests.e2e.stories.estate import Estate
from tests.e2e.surroundings import gateway
from tests.e2e.surroundings.chart import NAME, SYSTEM
from tests.support.operators import until

NAMESPACE, RELEASE = "story-routed", "routed-price"
TAKEN = ("story-taken", "story-taken-too")
REQUESTS = 200
LAG = 10.0
"""Seconds from a status that the gateway confirmed to the answers."""


def test_canary_gets_its_share_and_then_everything(routes: Estate) -> None:
    """Given a promoted version, when a second is released, then both answer by weight; once promoted, it alone."""
    first = models.register(routes.mlflow, "routed-price", seed=1)
    second = models.register(routes.mlflow, "routed-price", seed=2)

    routes.client.apply(MODELRELEASE.resource, _release(first))
    routes.until(MODELRELEASE, NAMESPACE, RELEASE, lambda status: status.get("phase") == "Promoted", 180)
    until(lambda: _answers(routes, 20) == {first: 20}, LAG, "the first version answers", 0.1)

    routes.client.apply(MODELRELEASE.resource, _release(second))
    paused = routes.until(MODELRELEASE, NAMESPACE, RELEASE, lambda status: status.get("phase") == "Paused", 180)
    until(lambda: second in _answers(routes, 20), LAG, "the canary answers", 0.1)
    counted = _answers(routes, REQUESTS)
    assert counted.keys() == {first, second}
    assert 10 <= counted[second] <= 75, counted  # a fifth of 200, within six standard deviations

    promote = json.dumps({"verb": "promote", "id": second, "revision": paused["canary"]["revision"]})
    annotated = {"metadata": {"annotations": {COMMAND: promote}}}
    routes.client.merge_patch(MODELRELEASE.resource, NAMESPACE, RELEASE, annotated)
    routes.until(MODELRELEASE, NAMESPACE, RELEASE, lambda status: _stable(status) == second, 180)
    until(lambda: _answers(routes, 20) == {second: 20}, LAG, "the second version alone answers", 0.1)
    assert _answers(routes, REQUESTS) == {second: REQUESTS}

    # Copies have the id of their request, so the answers of a third version are held against the second's.
    third = models.register(routes.mlflow, "routed-price", seed=3)
    routes.client.apply(MODELRELEASE.resource, _shadow(third, bound=1))
    status = routes.until(MODELRELEASE, NAMESPACE, RELEASE, partial(_is_paused_by_pairs, routes), 180)
    found = status["analysis"][0]["measurements"][-1]
    assert (found["verdict"], found["value"]) == ("Pass", 1)
    assert found["samples"] >= 20
    routes.client.apply(MODELRELEASE.resource, _shadow(third, bound=0.1))
    status = routes.until(
        MODELRELEASE, NAMESPACE, RELEASE, lambda status: status["history"][-1]["version"] == third, 60
    )
    assert status["history"][-1]["outcome"] == "RolledBack"
    assert "pairs is 1 against ≤ 0.1, of " in status["history"][-1]["message"]
    assert _answers(routes, 20) == {second: 20}


def test_second_release_of_one_address_begins_once_the_first_is_gone(routes: Estate) -> None:
    """Given a release that serves, when another team's has its name and no host, then it says so, and waits."""
    version = models.register(routes.mlflow, "taken-price")
    first, second = TAKEN
    for namespace in TAKEN:
        model = {"name": "taken-price", "version": version, "promotedAlias": namespace}
        spec = {"model": model, "serving": {"replicas": 1}, "strategy": {"direct": {}}}
        routes.client.apply(
            MODELRELEASE.resource, {"metadata": {"name": "taken-price", "namespace": namespace}, "spec": spec}
        )
        reason = "RouteTaken" if namespace == second else "Serving"
        routes.until(MODELRELEASE, namespace, "taken-price", partial(_is_ready_by, reason), 180)
    assert routes.pods(second) == []

    routes.client.delete(MODELRELEASE.resource, first, "taken-price")
    routes.until(MODELRELEASE, second, "taken-price", lambda status: status.get("phase") == "Promoted", 180)


def _is_paused_by_pairs(estate: Estate, status: dict[str, Any]) -> bool:
    """Send requests; return whether the shadow waits for a human, having passed."""
    _answers(estate, 10)
    return status.get("phase") == "Paused" and status["routing"]["mirrorPercent"] == 100


def _is_ready_by(reason: str, status: dict[str, Any]) -> bool:
    return any(one["type"] == "Ready" and one["reason"] == reason for one in status.get("conditions") or ())


def _stable(status: dict[str, Any]) -> str:
    return str((status.get("stable") or {}).get("version")) if status.get("phase") == "Promoted" else ""


def _release(version: str) -> dict[str, Any]:
    return _with(version, {"strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}}})


def _shadow(version: str, bound: float) -> dict[str, Any]:
    """Return the release with another version in the shadow, so many of whose answers may differ."""
    metric = {"name": "pairs", "builtin": "answer-difference", "thresholdRange": {"max": bound}}
    analysis = {"interval": "1s", "warmUp": "2s", "metrics": [metric]}
    return _with(version, {"strategy": {"shadow": {"duration": "2s"}}, "analysis": analysis})


def _with(version: str, more: dict[str, Any]) -> dict[str, Any]:
    spec = {"model": {"name": "routed-price", "version": version}, "serving": {"replicas": 1}, **more}
    return {"metadata": {"name": RELEASE, "namespace": NAMESPACE}, "spec": spec}


def _answers(estate: Estate, requests: int) -> Counter[str]:
    """Send requests through the gateway and count which versions answered."""
    labels = {
        "gateway.envoyproxy.io/owning-gateway-name": NAME,
        "gateway.envoyproxy.io/owning-gateway-namespace": SYSTEM,
    }
    services = estate.client.list(SERVICE, gateway.NAMESPACE)
    wanted = (s for s in services if labels.items() <= (s["metadata"].get("labels") or {}).items())
    name = next(wanted)["metadata"]["name"]
    path = f"/api/v1/namespaces/{gateway.NAMESPACE}/services/{name}:80/proxy/v2/models/{RELEASE}/infer"
    counted: Counter[str] = Counter()
    for _ in range(requests):
        answer = estate.client.request("POST", path, body=models.ROW)
        assert answer is not None
        counted[answer["model_version"]] += 1
    return counted

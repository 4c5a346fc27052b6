"""A canary without a gateway: the share of each version is that of its pods, and its servers' figures judge it."""

import json
from collections import Counter
from typing import Any

from modelops.api.kinds import HTTPROUTE, MODELRELEASE
from modelops.api.labels import COMMAND
from tests.e2e.stories import models
from tests.e2e.stories.estate import Estate
from tests.e2e.stories.shop import METRIC
from tests.support.operators import until

NAMESPACE, RELEASE = "story-placed", "price"
REQUESTS = 200
LAG = 10.0
"""Seconds from pods that are ready to endpoints, and to the answers."""


def test_share_is_that_of_the_pods(estate: Estate) -> None:
    """Given two pods that serve, when one of three is a canary's, it answers a third; aborted, it answers none."""
    first, second = (models.register(estate.mlflow, "placed-price", seed=seed) for seed in (1, 2))

    estate.client.apply(MODELRELEASE.resource, _release(first))
    estate.until(MODELRELEASE, NAMESPACE, RELEASE, lambda status: status.get("phase") == "Promoted", 180)
    until(lambda: _answers(estate, 20) == {first: 20}, LAG, "the first version answers", 0.1)

    estate.client.apply(MODELRELEASE.resource, _release(second))
    until(lambda: _answers(estate, 20) and _paused(estate), 180, lambda: _status(estate), 0.1)
    paused = _status(estate)
    judged = {one["name"]: one["passes"] for one in paused["analysis"]}
    assert judged["success-rate"] > 0, paused["analysis"]
    assert (paused["desiredWeight"], paused["weight"]) == (30, 33)
    until(lambda: second in _answers(estate, 20), LAG, "the canary answers", 0.1)
    counted = _answers(estate, REQUESTS)
    assert counted.keys() == {first, second}
    assert 27 <= counted[second] <= 107, counted  # a third of 200, within six standard deviations

    abort = json.dumps({"verb": "abort", "id": second, "revision": paused["canary"]["revision"]})
    annotated = {"metadata": {"annotations": {COMMAND: abort}}}
    estate.client.merge_patch(MODELRELEASE.resource, NAMESPACE, RELEASE, annotated)
    estate.until(MODELRELEASE, NAMESPACE, RELEASE, lambda status: status.get("phase") == "Degraded", 60)
    until(lambda: _answers(estate, 20) == {first: 20}, LAG, "the first version alone answers", 0.1)
    assert _answers(estate, REQUESTS) == {first: REQUESTS}
    assert estate.client.get(HTTPROUTE, NAMESPACE, RELEASE) is None


def _status(estate: Estate) -> dict[str, Any]:
    return estate.status(MODELRELEASE, NAMESPACE, RELEASE)


def _paused(estate: Estate) -> bool:
    return bool(_status(estate).get("phase") == "Paused")


def _release(version: str) -> dict[str, Any]:
    spec = {
        "model": {"name": "placed-price", "version": version},
        "serving": {"replicas": 2},
        "traffic": {"mode": "replicas"},
        "strategy": {"canary": {"steps": [{"setWeight": 30}, {"analyze": {"duration": "3s"}}, {"pause": {}}]}},
        "analysis": {"interval": "1s", "warmUp": "1s", "metrics": [METRIC]},
    }
    return {"metadata": {"name": RELEASE, "namespace": NAMESPACE}, "spec": spec}


def _answers(estate: Estate, requests: int) -> Counter[str]:
    """Send requests to the Service, by way of the API server, and count which versions answered."""
    path = f"/api/v1/namespaces/{NAMESPACE}/services/{RELEASE}:http/proxy/v2/models/{RELEASE}/infer"
    counted: Counter[str] = Counter()
    for _ in range(requests):
        answer = estate.client.request("POST", path, body=models.ROW)
        assert answer is not None
        counted[answer["model_version"]] += 1
    return counted

"""A registered model, served by pods of our server image, which need MLflow once."""

from typing import Any

from modelops.api.kinds import DEPLOYMENT, MODELRELEASE, POD
from modelops.api.labels import RELEASE
from tests.e2e.stories import models
from tests.e2e.stories.away import frozen
from tests.e2e.stories.estate import Estate, is_ready
from tests.support.operators import until

NAMESPACE, RELEASED = "story-served", "served-price"


def test_registered_version_is_served_by_pods(estate: Estate) -> None:
    """Given a model in MLflow, when a release names it, then pods answer for it, and come back while MLflow is away."""
    version = models.register(estate.mlflow, "story-price")

    estate.client.apply(MODELRELEASE.resource, _release(version))
    status = estate.until(MODELRELEASE, NAMESPACE, RELEASED, lambda status: status.get("canary"), 60)
    name = f"{RELEASED}-{status['canary']['revision']}"
    until(lambda: _replicas(estate, name) == 2, 180, lambda: estate.pods(NAMESPACE), 0.2)
    answer = _ask(estate, name)

    assert status["canary"]["version"] == version
    assert [is_ready(pod) for pod in estate.pods(NAMESPACE, {RELEASE: RELEASED})] == [True, True]
    assert answer["model_name"] == RELEASED
    assert answer["model_version"] == version
    assert answer["outputs"][0]["shape"][0] == 1

    with frozen(estate, "mlflow"):
        pod = estate.pods(NAMESPACE, {RELEASE: RELEASED})[0]
        estate.kill(NAMESPACE, pod["metadata"]["name"])
        until(lambda: _restarted(estate, pod["metadata"]["name"]), 120, lambda: estate.pods(NAMESPACE), 0.2)
        assert _ask(estate, name)["outputs"] == answer["outputs"]


def _restarted(estate: Estate, name: str) -> bool:
    """Return whether a server that was killed is ready again, in the same pod."""
    pod = estate.client.get(POD, NAMESPACE, name) or {}
    containers = (pod.get("status") or {}).get("containerStatuses") or ()
    return is_ready(pod) and any(one["restartCount"] for one in containers)


def _replicas(estate: Estate, name: str) -> int:
    deployment = estate.client.get(DEPLOYMENT, NAMESPACE, name) or {}
    return int((deployment.get("status") or {}).get("readyReplicas") or 0)


def _release(version: str) -> dict[str, Any]:
    spec = {
        "model": {"name": "story-price", "version": version},
        "serving": {"replicas": 2},
        "strategy": {"canary": {"steps": [{"setWeight": 50}]}},
    }
    return {"metadata": {"name": RELEASED, "namespace": NAMESPACE}, "spec": spec}


def _ask(estate: Estate, service: str) -> dict[str, Any]:
    """Ask a Service for a prediction, by way of the API server."""
    path = f"/api/v1/namespaces/{NAMESPACE}/services/{service}:http/proxy/v2/models/{RELEASED}/infer"
    answer = estate.client.request("POST", path, body=models.ROW)
    assert answer is not None
    return answer

"""`modelops strip-finalizers`, as the chart's Job calls it before an uninstall."""

from collections.abc import Callable
from typing import Any

import pytest
from click import Context

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import DEPLOYMENT, GITSOURCE, WORKFLOW, Resource
from modelops.api.labels import MANAGED_BY, MANAGER
from modelops.cli.main import cli
from tests.unit.cli.conftest import Run

OURS, THEIRS = "modelops.dev/result", "example.com/keep"


@pytest.fixture
def held(client: KubeClient, namespace: str) -> Callable[..., dict[str, Any]]:
    """Return a function that makes a Workflow with finalizers."""

    def make(name: str, *finalizers: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
        meta = {"name": name, "namespace": namespace, "finalizers": list(finalizers), "labels": labels or {}}
        made = client.create(WORKFLOW, {"metadata": meta, "spec": {"entrypoint": "main", "templates": []}})
        assert made is not None
        return made

    return make


def finalizers(client: KubeClient, resource: Resource, namespace: str, name: str) -> list[str] | None:
    """Return what an object still waits for; None when it is gone."""
    found = client.get(resource, namespace, name)
    return None if found is None else found["metadata"].get("finalizers") or []


def test_ours_go_and_others_stay(
    modelops: Run, client: KubeClient, namespace: str, held: Callable[..., dict[str, Any]]
) -> None:
    """An object that was waiting for us only is gone; who waits for somebody else goes on waiting."""
    held("ours", OURS, labels={MANAGED_BY: MANAGER})
    held("both", OURS, THEIRS, labels={MANAGED_BY: MANAGER})
    client.delete(WORKFLOW, namespace, "ours")
    assert finalizers(client, WORKFLOW, namespace, "ours") == [OURS]

    done = modelops("strip-finalizers")

    assert done.code == 0, done
    assert done.lines[-1] == "2 finalizers taken off"
    assert f"Workflow {namespace}/both: {OURS} taken off" in done.lines
    assert finalizers(client, WORKFLOW, namespace, "ours") is None
    assert finalizers(client, WORKFLOW, namespace, "both") == [THEIRS]


def test_workflow_of_somebody_else_is_left_alone(
    modelops: Run, client: KubeClient, namespace: str, held: Callable[..., dict[str, Any]]
) -> None:
    """Without our label it is not ours, whatever its finalizer is called."""
    held("foreign", OURS)
    assert modelops("strip-finalizers").lines == ["0 finalizers taken off"]
    assert finalizers(client, WORKFLOW, namespace, "foreign") == [OURS]


def test_own_kinds_are_stripped_and_a_prefix_is_not_enough(modelops: Run, client: KubeClient, namespace: str) -> None:
    """`modelops.dev.example.com` is somebody else's domain."""
    other = "modelops.dev.example.com/x"
    meta = {"name": "pricing", "namespace": namespace, "finalizers": [OURS, other]}
    client.create(GITSOURCE.resource, {"metadata": meta, "spec": {"url": "https://git.example.com/p.git"}})
    assert modelops("strip-finalizers").lines[-1] == "1 finalizers taken off"
    assert finalizers(client, GITSOURCE.resource, namespace, "pricing") == [other]


def test_operator_that_does_not_stop_ends_it(modelops: Run, client: KubeClient, namespace: str) -> None:
    """Nothing is taken off while pods of the operator could put it back."""
    labels = {"app": "operator"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "operator", "image": "operator"}]}}
    meta = {"name": "operator", "namespace": namespace}
    client.create(
        DEPLOYMENT,
        {"metadata": meta, "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}},
    )
    done = modelops("strip-finalizers", f"--stop={namespace}/operator", "--timeout=200ms")
    assert done.code == 4
    assert done.err.startswith(f"modelops: Deployment {namespace}/operator still has pods after 0.2 s")
    found = client.get(DEPLOYMENT, namespace, "operator")
    assert found is not None
    assert found["spec"]["replicas"] == 0


def test_stop_wants_namespace_and_name(modelops: Run) -> None:
    """A bare name is a usage error that says what to write."""
    done = modelops("strip-finalizers", "--stop=operator")
    assert done.code == 2
    assert "NAMESPACE/NAME" in done.err


def test_verb_is_hidden() -> None:
    """People do not see it among the verbs."""
    assert "strip-finalizers" not in cli.list_commands(Context(cli))

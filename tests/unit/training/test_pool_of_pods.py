"""What a ComputePool says of pods stands in the training's Workflow, and only what it says."""

import json
from typing import Any

import pytest

from modelops.api.kinds import COMPUTEPOOL
from tests.unit.training.test_walk import World

QUEUE = "kueue.x-k8s.io/queue-name"


def workflow(pool: dict[str, Any] | None) -> dict[str, Any]:
    """Return the Workflow of a run in a pool; None for a run without one."""
    world = World()
    if pool is not None:
        world.cluster.put(COMPUTEPOOL.resource, {"metadata": {"name": "a100"}, "spec": pool})
        world.train(compute={"pool": "a100", "gpus": 1})
    world.pin()
    world.reconcile()
    return world.workflows("tr")[-1]


def test_queue_is_a_label_of_the_pods_and_not_of_the_workflow() -> None:
    """Kueue holds the pods back, one by one; a Workflow is no kind of its."""
    made = workflow({"queueName": "pricing"})

    assert made["spec"]["podMetadata"]["labels"][QUEUE] == "pricing"
    assert QUEUE not in made["metadata"]["labels"]


def test_runtime_class_is_a_patch_of_every_pod() -> None:
    """Argo has no field for it."""
    made = workflow({"runtimeClassName": "nvidia"})

    assert json.loads(made["spec"]["podSpecPatch"]) == {"runtimeClassName": "nvidia"}


@pytest.mark.parametrize("pool", [None, {}, {"queueName": "pricing"}, {"runtimeClassName": "nvidia"}], ids=repr)
def test_what_a_pool_does_not_say_is_not_there(pool: dict[str, Any] | None) -> None:
    """No empty label, which Kueue would look for a queue by, and no empty patch."""
    made, said = workflow(pool), pool or {}

    assert (QUEUE in made["spec"]["podMetadata"]["labels"]) == ("queueName" in said)
    assert ("podSpecPatch" in made["spec"]) == ("runtimeClassName" in said)

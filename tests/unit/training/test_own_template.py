"""A team's WorkflowTemplate as a trainer: it is run by reference; what would not fit is said before anything runs."""

import json
from typing import Any

import pytest

from modelops.api.kinds import RESOURCEQUOTA, WORKFLOWTEMPLATE
from modelops.domain.training.template import template_of
from modelops.errors import Stalled
from tests.unit.training.test_walk import NS, World

MOUNT = {"name": "modelops", "mountPath": "/modelops"}
PLACES = [{"name": "input"}, {"name": "output"}]


def train(**changes: Any) -> dict[str, Any]:
    """Return a template that fits."""
    command = ["boost", "{{inputs.parameters.input}}"]
    container = {"image": "pricing/boosted:3", "command": command, "volumeMounts": [MOUNT]}
    return {"name": "train", "inputs": {"parameters": PLACES}, "container": container, **changes}


def boosted(*templates: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """Return a WorkflowTemplate."""
    whole = {"entrypoint": "train", "templates": list(templates or [train()]), **spec}
    return {"metadata": {"name": "boosted", "namespace": NS}, "spec": whole}


@pytest.fixture
def world() -> World:
    made = World()
    made.cluster.put(WORKFLOWTEMPLATE, boosted())
    made.train(trainer={"workflowTemplate": {"name": "boosted"}}, hyperparameters={"trees": 5}, compute={"retries": 1})
    made.pin()
    return made


def test_train_step_is_a_reference(world: World) -> None:
    """Ours brings and collects; theirs gets the places; all three share one claim, which goes with the Workflow."""
    [workflow] = world.workflows("tr")
    spec = workflow["spec"]
    tasks = {task["name"]: task for task in spec["templates"][0]["dag"]["tasks"]}
    assert list(tasks) == ["bring", "code", "train", "evaluate", "register"]
    assert tasks["code"] == {
        "name": "code",
        "templateRef": {"name": "boosted", "template": "train"},
        "arguments": {
            "parameters": [
                {"name": "input", "value": "/modelops/input"},
                {"name": "output", "value": "/modelops/output"},
            ]
        },
        "dependencies": ["bring"],
    }
    containers = {one["name"]: one["container"] for one in spec["templates"] if "container" in one}
    assert set(containers) == {"bring", "train", "evaluate", "register"}
    shared = {"name": "modelops", "mountPath": "/tmp/own"}
    assert {name for name, one in containers.items() if shared in one["volumeMounts"]} == {"bring", "train"}
    assert spec["volumeClaimTemplates"][0]["metadata"]["name"] == "modelops"
    assert spec["volumeClaimGC"] == {"strategy": "OnWorkflowCompletion"}


def test_what_it_says_is_an_input(world: World) -> None:
    """A changed template trains anew, one that was only touched does not; the lineage has its digest."""
    world.registered()
    digest = template_of(boosted()).digest
    assert world.status()["lineage"]["codeDigest"] == digest
    touched = boosted()
    touched["metadata"]["annotations"] = {"touched": "today"}
    world.cluster.put(WORKFLOWTEMPLATE, touched)
    outcome = world.runs.reconcile((NS, "price"))
    assert outcome.requeue_after is not None  # nothing watches it
    assert len(world.workflows("tr")) == 1
    newer = {**train()["container"], "image": "pricing/boosted:4"}
    world.cluster.put(WORKFLOWTEMPLATE, boosted(train(container=newer)))
    world.reconcile()
    assert world.status()["attempt"]["trigger"] == "CodeChanged"
    container = next(t for t in world.workflows("tr")[-1]["spec"]["templates"] if t["name"] == "train")["container"]
    step = json.loads(next(e["value"] for e in container["env"] if e["name"] == "MODELOPS_STEP"))
    assert step["templateDigest"] not in ("", digest)


def test_template_that_is_not_there_is_waited_for(world: World) -> None:
    """Nothing runs; once it is there the run goes on by itself."""
    world.cluster.delete(WORKFLOWTEMPLATE, NS, "boosted")
    world.train(trainer={"workflowTemplate": {"name": "boosted"}}, hyperparameters={"trees": 6})
    outcome = world.runs.reconcile((NS, "price"))
    assert world.condition("Stalled")["reason"] == "WorkflowTemplateNotFound"
    assert "there is no WorkflowTemplate boosted in namespace pricing" in world.condition("Stalled")["message"]
    assert outcome.requeue_after is not None
    world.cluster.put(WORKFLOWTEMPLATE, boosted())
    world.reconcile()
    assert len(world.workflows("tr")) == 1
    assert world.condition("Stalled") == {}


def test_quota_counts_its_claim() -> None:
    """Before anything is made."""
    world = World()
    world.cluster.put(WORKFLOWTEMPLATE, boosted())
    world.train(trainer={"workflowTemplate": {"name": "boosted"}})
    world.cluster.put(RESOURCEQUOTA, {"metadata": {"name": "team", "namespace": NS}, "spec": {}})
    room = {"hard": {"requests.storage": "10Gi"}, "used": {"requests.storage": "4Gi"}}
    world.cluster.set_status(RESOURCEQUOTA, NS, "team", room)
    world.pin()
    assert "requests.storage: 8Gi asked, 4Gi of 10Gi used" in world.condition("Admitted")["message"]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        pytest.param(boosted(entrypoint=None), "spec.entrypoint names none of its templates", id="no entrypoint"),
        pytest.param(boosted(train(name="other")), "spec.entrypoint names none", id="an unknown entrypoint"),
        pytest.param(boosted(train(inputs={})), "has no input parameter input and no output", id="no parameters"),
        pytest.param(
            boosted(train(inputs={"parameters": [*PLACES, {"name": "trees"}]})),
            "wants parameter trees, which modelops does not give; give it a default",
            id="one without a default",
        ),
        pytest.param(
            boosted(train(inputs={"parameters": PLACES, "artifacts": [{"name": "rows", "path": "/rows"}]})),
            "wants artifact rows; files come by the volume modelops",
            id="an artifact",
        ),
        pytest.param(
            boosted(train(container={"args": ["{{workflow.parameters.trees}}"], "volumeMounts": [MOUNT]})),
            "it uses workflow.parameters",
            id="parameters of the Workflow",
        ),
        pytest.param(boosted(train(container={})), "no template mounts the volume modelops at", id="no mount"),
        pytest.param(
            boosted(train(container={"volumeMounts": [{"name": "modelops", "mountPath": "/data"}]})),
            "no template mounts the volume modelops at /modelops",
            id="mounted elsewhere",
        ),
        pytest.param(
            boosted(train(container={"volumeMounts": [MOUNT, {"name": "cache", "mountPath": "/cache"}]})),
            "template train mounts cache, which is not among the template's own volumes",
            id="a volume of the WorkflowTemplate",
        ),
    ],
)
def test_template_that_does_not_fit_is_said(template: dict[str, Any], said: str) -> None:
    """In one line, before Argo fails in words of its own."""
    with pytest.raises(Stalled) as raised:
        template_of(template)
    assert raised.value.reason == "WorkflowTemplateUnfit"
    assert said in raised.value.message


@pytest.mark.parametrize(
    "template",
    [
        pytest.param(
            boosted(
                train(inputs={"parameters": [*PLACES, {"name": "trees", "default": "5"}]}, volumes=[{"name": "cache"}])
            ),
            id="a default, a volume of its own",
        ),
        pytest.param(
            boosted(
                {
                    "name": "train",
                    "inputs": {"parameters": PLACES},
                    "dag": {"tasks": [{"template": "fit"}]},
                },
                train(name="fit"),
            ),
            id="a graph",
        ),
        pytest.param(
            boosted(train(container=None, script={"image": "a", "source": "b", "volumeMounts": [MOUNT]})), id="a script"
        ),
        pytest.param(
            boosted(train(container=None, containerSet={"volumeMounts": [MOUNT], "containers": [{"name": "main"}]})),
            id="a set of containers",
        ),
    ],
)
def test_template_of_any_shape_fits(template: dict[str, Any]) -> None:
    """What Argo can run, a run can train with."""
    assert template_of(template).entrypoint == "train"

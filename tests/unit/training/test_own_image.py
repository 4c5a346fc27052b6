"""A team's own image as a trainer: what is asked of it, where it runs, and what of it is an input of the attempt."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from modelops.cli.main import cli
from modelops.localhome.engine.parse import UnsupportedLocallyError, parse
from tests.unit.training.test_walk import RUN_SPEC, World

DIGEST = f"sha256:{'1' * 64}"
IMAGE = f"registry.example.com/pricing/trainer@{DIGEST}"
COMMAND = ["python", "-m", "pricing.train"]


def trained(image: str = IMAGE, **compute: Any) -> World:
    """Return the walk with a run that trains in an image, and its Workflow made."""
    world = World()
    world.train(trainer={"image": image, "command": COMMAND}, hyperparameters={"trees": 5}, compute=compute)
    world.pin()
    return world


def code_of(world: World) -> dict[str, Any]:
    """Return the container that runs the team's command."""
    template = next(t for t in world.workflows("tr")[-1]["spec"]["templates"] if t["name"] == "train")
    found: dict[str, Any] = next(one for one in template["initContainers"] if one["name"] == "code")
    return found


def test_image_runs_behind_the_walls_of_own_code() -> None:
    """In the team's image, with the GPUs, and with nothing of ours in its environment."""
    container = code_of(trained(gpus=2))
    assert container["image"] == IMAGE
    assert container["env"] == []
    assert container["resources"] == {"limits": {"nvidia.com/gpu": 2}}
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert {"name": "nothing", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True} in (
        container["volumeMounts"]
    )


def test_image_is_an_input_and_a_link_of_the_lineage() -> None:
    """Another image trains anew."""
    world = trained()
    world.registered()
    assert world.status()["lineage"]["codeDigest"] == DIGEST
    assert "by digest" not in world.condition("Admitted")["message"]
    other = IMAGE.replace("1", "2")
    world.train(trainer={"image": other, "command": COMMAND}, hyperparameters={"trees": 5})
    world.reconcile()
    assert code_of(world)["image"] == other
    assert world.status()["attempt"]["trigger"] == "SpecChanged"


def test_tag_is_taken_and_told() -> None:
    """What a tag names may change without anybody seeing it."""
    world = trained("pricing/trainer:1.4")
    assert world.condition("Admitted")["status"] == "True"
    assert "image pricing/trainer:1.4 is named by a tag" in world.condition("Admitted")["message"]
    world.registered()
    assert not world.status()["lineage"]["codeDigest"]
    assert "name it by digest" in world.condition("Admitted")["message"]


def test_one_machine_runs_no_images() -> None:
    """The engine says so in one line, and what to do instead."""
    [workflow] = trained().workflows("tr")
    with pytest.raises(UnsupportedLocallyError, match=f"image {IMAGE} is not run on one machine; train from git here"):
        parse(workflow)


@pytest.mark.parametrize(
    ("trainer", "words"),
    [
        pytest.param({"image": IMAGE, "command": COMMAND}, "", id="whole"),
        pytest.param({"image": IMAGE, "command": COMMAND, "allowPickle": True}, "", id="with pickles"),
        pytest.param({}, "set exactly one of builtin, git", id="none"),
        pytest.param({"image": IMAGE, "command": COMMAND, "builtin": "torch-mlp"}, "set exactly one of", id="two"),
        pytest.param({"image": IMAGE}, "image and command go together", id="no command"),
        pytest.param({"git": {"path": "a.py"}, "command": COMMAND}, "image and command go together", id="no image"),
        pytest.param({"git": {"path": "a.py"}, "allowPickle": True}, "it stands in git", id="pickles of git"),
        pytest.param({"image": IMAGE, "command": []}, "command", id="an empty command"),
        pytest.param({"image": "{{workflow.name}}", "command": COMMAND}, "image", id="a template"),
        pytest.param({"image": "a b", "command": COMMAND}, "image", id="two words"),
    ],
)
def test_trainer_that_makes_no_sense_is_refused(tmp_path: Path, trainer: dict[str, Any], words: str) -> None:
    """By the schema, so by `kubectl apply` too."""
    head = {"apiVersion": "modelops.dev/v1alpha1", "kind": "TrainingRun", "metadata": {"name": "price"}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**head, "spec": {**RUN_SPEC, "trainer": trainer}}))
    found = CliRunner().invoke(cli, ["validate", str(tmp_path)])
    assert bool(found.exit_code) is bool(words), found.output
    assert words in found.output

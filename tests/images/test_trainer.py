"""The trainer's image takes a model from data to a registered version, against a real MLflow.

Its build fetches 3 GB, so nothing here builds it: MODELOPS_TEST_TRAINER_IMAGE names one that is in buildah's store.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelops.workflows import render
from tests.images import containers
from tests.images.containers import Image
from tests.support import tables
from tests.support.git_server import Repository, serving
from tests.support.mlflow_server import mlflow_url

__all__ = ["mlflow_url"]
NAME = os.environ.get("MODELOPS_TEST_TRAINER_IMAGE", "")
pytestmark = [pytest.mark.images, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def trainer() -> Iterator[Image]:
    if not NAME:
        pytest.skip("set MODELOPS_TEST_TRAINER_IMAGE to a built image (make images TARGETS=trainer)")
    if lacking := containers.missing():
        pytest.skip(lacking)
    image = Image.open(NAME)
    yield image
    image.close()


def test_every_step_of_a_workflow_exists(trainer: Image) -> None:
    """Each command line of both Workflows runs, and asks for its input."""
    owner = render.Owner("modelops.dev/v1alpha1", "TrainingRun", "price", "pricing", "0")
    runtime = render.Runtime("trainer", "http://mlflow")
    prepare = render.prepare_workflow(owner, "ds", "a", "h", {}, runtime, None)
    flows = [prepare, *(render.training_workflow(owner, "tr", "a", "h", {}, runtime, own=own) for own in (False, True))]
    templates = [one for flow in flows for one in flow["spec"]["templates"] if "container" in one]
    found = [one for template in templates for one in (template["container"], *template.get("initContainers", ()))]
    commands = {tuple(one["command"]) for one in found}
    assert len(commands) == 8
    assert {one[0] for one in commands} == set(trainer.config["Entrypoint"])
    for command in commands:
        done = trainer.run(list(command))
        init = command[1] in {"inputs", "code", "rows", "predict"}
        assert (done.returncode, "MODELOPS_STEP is not set" in done.stdout) == (0 if init else 64, True), done.stdout


def test_trains_evaluates_and_registers(trainer: Image, mlflow_url: str, tmp_path: Path) -> None:
    """prepare from git, train with torch, evaluate without, register: each in a container of its own, read-only."""
    repo = Repository.make(tmp_path / "repo")
    commit = repo.commit({"data/houses.csv": tables.houses(300).decode()})

    def step(text: str, **more: str) -> dict[str, str]:
        name, out = json.loads(text)["step"], tmp_path / f"out-{json.loads(text)['step']}"
        out.mkdir()
        env = {"MODELOPS_STEP": text, "MLFLOW_TRACKING_URI": mlflow_url, "MODELOPS_ROOT": "/out", **more}
        done = trainer.run(["modelops-step", name], env=env, writable={"/out": out})
        assert done.returncode == 0, done.stdout
        return {path.name: path.read_text() for path in (out / "tmp/modelops").iterdir() if path.is_file()}

    with serving(tmp_path) as remote:
        text = tables.prepare_step(tables.houses_spec(), url=remote.url("repo"), commit=commit)
        pinned = json.loads(step(text)["result.json"])
    given = (pinned, tables.houses_spec(), tables.price_run())
    run_id = step(tables.training_step("train", *given, attempt="a0"))["run-id"]
    evaluation = step(tables.training_step("evaluate", *given, attempt="a0"), MODELOPS_RUN_ID=run_id)["evaluation.json"]
    more = {"MODELOPS_RUN_ID": run_id, "MODELOPS_EVALUATION": evaluation}
    result = json.loads(step(tables.training_step("register", *given, attempt="a0"), **more)["result.json"])
    assert result["passed"]
    assert result["modelVersion"] == "1"

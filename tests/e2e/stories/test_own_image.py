"""Training that a team brings as an image or as a WorkflowTemplate, in pods of the real Argo Workflows."""

import json
from pathlib import Path
from typing import Any

import yaml

from modelops.api.kinds import DATASET, RESOURCEQUOTA, TRAININGRUN, WORKFLOWTEMPLATE, Resource
from tests.chaos.house import git
from tests.e2e.stories.estate import Estate
from tests.e2e.stories.test_own_code import SETTLED, WALLS, fields
from tests.e2e.surroundings import built
from tests.local.test_own_trainer import HARVEST, LINEAR, REGRESSION, RUN, Farm
from tests.support.operators import until

VOLUME = Resource("", "v1", "PersistentVolume", "persistentvolumes", namespaced=False)
# The trainer's image has what a program that trains needs; the model's code goes beside it, in what may be written.
PROGRAM = f"import os\nos.chdir(os.environ['HOME'])\nopen('model.py', 'w').write({LINEAR!r})\n{HARVEST}"


def test_image_trains_behind_walls(trains: Estate, tmp_path: Path) -> None:
    """Given an image whose program looks for tokens, when it finds none and trains, then its model has a version."""
    trainer = {"image": built.name_of(built.TRAINER), "command": ["python", "-c", WALLS + PROGRAM]}
    status = _trained(trains, tmp_path, "story-image", trainer)

    assert status["metrics"]["r2_score"] > 0.99
    assert "is named by a tag" in _condition(status, "Admitted")["message"]


def test_image_that_fails_is_told_in_its_last_word(trains: Estate, tmp_path: Path) -> None:
    """Given a program that says its input is bad, when it ends, then the condition has its code and its last line."""
    command = ["sh", "-c", "echo the column rain is empty; exit 64"]
    status = _trained(
        trains, tmp_path, "story-image-fails", {"image": built.name_of(built.TRAINER), "command": command}
    )

    told = _condition(status, "Ready")
    assert told["reason"] == "Failed"
    assert told["message"].endswith("exited with 64: the column rain is empty"), told


def test_workflowtemplate_trains(trains: Estate, tmp_path: Path) -> None:
    """Given a WorkflowTemplate and a volume, when a run refers to it, then its model has a version."""
    namespace, place = "story-template", tmp_path / "volume"
    place.mkdir()
    place.chmod(0o777)
    spec = {"capacity": {"storage": "8Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": str(place)}}
    trains.client.delete(VOLUME, None, "story-template")
    until(lambda: trains.client.get(VOLUME, None, "story-template") is None, 60, "the volume of an earlier try is gone")
    trains.client.apply(VOLUME, {"metadata": {"name": "story-template"}, "spec": spec})
    places = {f"MODELOPS_{name.upper()}": f"{{{{inputs.parameters.{name}}}}}" for name in ("input", "output")}
    environment = [{"name": name, "value": value} for name, value in {**places, "HOME": "/modelops/output"}.items()]
    template = {
        "name": "fit",
        "inputs": {"parameters": [{"name": "input"}, {"name": "output"}]},
        "container": {
            "image": built.name_of(built.TRAINER),
            "command": ["python", "-c", PROGRAM],
            "env": environment,
            "volumeMounts": [{"name": "modelops", "mountPath": "/modelops"}],
        },
    }
    meta = {"name": "linear", "namespace": namespace}
    trains.client.apply(WORKFLOWTEMPLATE, {"metadata": meta, "spec": {"entrypoint": "fit", "templates": [template]}})

    status = _trained(trains, tmp_path, namespace, {"workflowTemplate": {"name": "linear"}})

    assert status["metrics"]["r2_score"] > 0.99
    assert status["lineage"]["codeDigest"].startswith("sha256:")


def test_full_quota_is_told_and_waited_for(trains: Estate, tmp_path: Path) -> None:
    """Given a quota without room, when data is committed, then nothing is begun; once there is room, it is prepared."""
    namespace = "story-quota"
    quota = {"metadata": {"name": "team", "namespace": namespace}, "spec": {"hard": {"pods": "0"}}}
    trains.client.apply(RESOURCEQUOTA, quota)
    farm = _farm(tmp_path, {"git": {"path": "train.py"}})
    try:
        with trains.repository(tmp_path, farm, namespace, url=f"{farm}/.git"):
            status = trains.until(DATASET, namespace, "fields", _has_no_room, 60)
            assert "pods: 1 asked, 0 of 0 used" in _condition(status, "Ready")["message"]
            assert "attempt" not in status
            trains.client.apply(RESOURCEQUOTA, {**quota, "spec": {"hard": {"pods": "20"}}})
            trains.until_ready(DATASET, namespace, "fields", 240)
    finally:
        trains.client.delete(RESOURCEQUOTA, namespace, "team")


def _has_no_room(status: dict[str, Any]) -> bool:
    return bool(_condition(status, "Ready")["reason"] == "QuotaExceeded")


def _trained(estate: Estate, directory: Path, namespace: str, trainer: dict[str, Any]) -> dict[str, Any]:
    """Return the status of a run that trains so, once it has ended."""
    name = _farm(directory, trainer)
    with estate.repository(directory, name, namespace, url=f"{name}/.git"):
        estate.until_ready(DATASET, namespace, "fields", 240)
        return estate.until(
            TRAININGRUN, namespace, "harvest", lambda status: _condition(status, "Ready")["reason"] in SETTLED, 300
        )


def _farm(directory: Path, trainer: dict[str, Any]) -> str:
    """Make a repository with data and a run; return its name."""
    farm = Farm(directory)
    farm.write("data/fields.csv", fields())
    numbers = REGRESSION.replace("TASK", "regression").replace("TARGET", "harvest")
    farm.write("deploy/fields.yaml", numbers.replace("COLUMN", "{name: harvest, type: float}"))
    run = RUN.replace("NAME", "harvest").replace("DATASET", "fields").replace("TIMEOUT", "10m")
    made = yaml.safe_load(run.replace("CRITERIA", "{metric: r2_score, min: 0.99}"))
    made["spec"]["trainer"] = trainer
    farm.write("deploy/harvest.yaml", json.dumps(made))
    git(directory, "init", "-q", "-b", "main", str(farm.repo))
    farm.commit("A farm")
    return farm.repo.name


def _condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    nothing = {"reason": "", "message": ""}
    return next((one for one in status.get("conditions") or () if one["type"] == kind), nothing)

"""A run that trains in a team's image, step by step against a real MLflow; the image is played by this machine."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.local.test_own_trainer import MODEL, SAVE
from tests.local.test_steps import mlflow_url, prepared, step
from tests.support import tables
from tests.unit.steps.test_own_image import stand_in

__all__ = ["mlflow_url", "prepared", "step"]
pytestmark = pytest.mark.local
IMAGE = f"registry.example.com/houses@sha256:{'2' * 64}"
PROGRAM = (
    SAVE
    + """
per_area = float((train["area"] * train["price"]).sum() / (train["area"] ** 2).sum())
(out / "metrics.json").write_text(json.dumps({"loss": [3, 2, 1]}))
save(per_area, ["area"], numpy.array([1.0]))
"""
)
PREDICT = MODEL.replace("PREDICT", "return model_input['area'].to_numpy() * self.weights")


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the command of an image that holds a program which trains."""
    stand_in(tmp_path, monkeypatch)
    (tmp_path / "image").mkdir()
    (tmp_path / "image/main.py").write_text(PROGRAM)
    (tmp_path / "image/model.py").write_text(PREDICT)
    return [sys.executable, "main.py"]


def taken(
    step: Any, prepared: dict[str, Any], tmp_path: Path, command: list[str], attempt: str
) -> tuple[int, str, Path]:
    """Run every container of the Workflow until a step fails; return its exit code, its message and its files."""
    trainer = {"image": IMAGE, "command": command}
    run = {**tables.price_run(), "trainer": trainer, "hyperparameters": {}}
    run["evaluate"] = {"criteria": [{"metric": "r2_score", "min": 0.5}]}
    code, files = 0, tmp_path
    for name in ("inputs", "code", "train", "rows", "predict", "evaluate", "register"):
        if name == "code":
            subprocess.run(["sh", str(tmp_path / "tmp/own/lent/run")], cwd=tmp_path / "image", check=True)
            continue
        text = tables.training_step(name, prepared, tables.houses_spec(), run, attempt=attempt, name="imaged")
        code, files = step(text)
        if code:
            break
    return code, (files.parent / "modelops-message").read_text(), files


def test_image_becomes_a_version(step: Any, prepared: dict[str, Any], tmp_path: Path, image: list[str]) -> None:
    """Brought, trained, collected, judged and registered."""
    code, message, files = taken(step, prepared, tmp_path, image, "1a2b3c4d")
    assert (code, message) == (0, "")
    result = json.loads((files / "result.json").read_bytes())
    assert result["passed"]
    assert result["modelVersion"] == "1"


def test_image_that_fails_fails_the_step_that_collects(
    step: Any, prepared: dict[str, Any], tmp_path: Path, image: list[str]
) -> None:
    """With the command's own exit code and last line."""
    failing = [*image[:1], "-c", "import sys\nprint('there are no rows')\nsys.exit(64)"]
    code, message, _ = taken(step, prepared, tmp_path, failing, "5e6f7a8b")
    assert code == 64
    assert message == "train: registry.example.com/houses: exited with 64: there are no rows"

"""The four steps against a real MLflow: from CSV bytes to a version that plain MLflow loads."""

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from modelops.adapters.mlflow_runs import MlflowRuns
from modelops.steps import context as contexts
from modelops.steps import main, prepare
from tests.support import tables
from tests.support.mlflow_server import mlflow_url

__all__ = ["mlflow_url"]
pytestmark = pytest.mark.local

HOUSES = tables.houses(300)


@pytest.fixture
def step(mlflow_url: str, tmp_path: Path):
    """Run one training step as its container would, and give its exit code and files."""

    def run(text: str, **environment: str) -> tuple[int, Path]:
        name = json.loads(text)["step"]
        given = {"MODELOPS_ROOT": str(tmp_path), "MODELOPS_STEP": text, "MLFLOW_TRACKING_URI": mlflow_url}
        return main.run([name], {**given, **environment}), tmp_path / "tmp/modelops"

    return run


@pytest.fixture(scope="session")
def prepared(mlflow_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give the result of prepare for the houses."""
    outputs = contexts.Outputs(tmp_path_factory.mktemp("prepare"))
    context = contexts.Context(MlflowRuns(mlflow_url), outputs, datetime.now(UTC))
    text = tables.prepare_step(tables.houses_spec())
    prepare.prepare(contexts.parse_prepare(text), context, lambda: HOUSES)
    return json.loads(outputs.path("/tmp/modelops/result.json").read_bytes())


def trained(step, prepared, *, attempt, run=None, dataset=None) -> dict[str, Any]:
    """Take one attempt through train, evaluate and register, and return the Workflow's result."""
    run, dataset = run or tables.price_run(), dataset or tables.houses_spec()
    for name in ("train", "evaluate", "register"):
        code, files = step(tables.training_step(name, prepared, dataset, run, attempt=attempt))
        assert code == 0, (files.parent / "modelops-message").read_text()
    return json.loads((files / "result.json").read_bytes())


def test_prepare_reports_what_sha256sum_prints_and_the_parts_add_up(prepared):
    """The content digest is that of the bytes, and every row is in one part."""
    assert prepared["contentDigest"] == f"sha256:{hashlib.sha256(HOUSES).hexdigest()}"
    assert sum(prepared["splits"].values()) == prepared["rows"] == 300


def test_prepare_that_finished_is_only_reported_again(prepared, mlflow_url, tmp_path):
    """A second prepare of the same attempt fetches nothing and makes no second run."""

    def never() -> bytes:
        raise AssertionError("fetched again")

    outputs = contexts.Outputs(tmp_path)
    context = contexts.Context(MlflowRuns(mlflow_url), outputs, datetime.now(UTC))
    prepare.prepare(contexts.parse_prepare(tables.prepare_step(tables.houses_spec())), context, never)

    assert json.loads((tmp_path / "tmp/modelops/result.json").read_bytes()) == prepared


def test_attempt_becomes_a_version_that_plain_mlflow_serves(step, prepared, mlflow_url, tmp_path):
    """The registered version loads with mlflow.pyfunc in a process without modelops, and predicts raw rows."""
    result = trained(step, prepared, attempt="aaaa0001")

    assert result["passed"], result
    program = f"""
import sys, mlflow, pandas as pd
mlflow.set_tracking_uri({mlflow_url!r})
model = mlflow.pyfunc.load_model("models:/price/{result["modelVersion"]}")
rows = pd.DataFrame({{"area": [100.0, 100.0, 50.0], "rooms": [4.0, None, 2.0], "kind": ["house", "flat", "castle"]}})
assert model.metadata.signature is not None and model.input_example is not None
assert not any(name.startswith("modelops.") for name in sys.modules), "the artifact must stand alone"
print(model.predict(rows)["prediction"].tolist())
"""
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path, env=clean
    )
    assert done.returncode == 0, done.stderr
    house, flat, _ = json.loads(done.stdout.splitlines()[-1])
    assert house == pytest.approx(130_000, rel=0.25)
    assert flat == pytest.approx(100_000, rel=0.25)


def test_steps_that_run_again_make_no_second_run_and_no_second_version(step, prepared, mlflow_url):
    """Every step may be killed and repeated: one attempt is one run and one version."""
    first = trained(step, prepared, attempt="aaaa0002")
    second = trained(step, prepared, attempt="aaaa0002")

    assert (second["runId"], second["modelVersion"]) == (first["runId"], first["modelVersion"])
    mlflow = MlflowRuns(mlflow_url)
    experiment = mlflow.experiment("modelops/pricing/price")
    assert len(mlflow.find_runs(experiment, {"modelops.attempt": "aaaa0002"})) == 1
    assert mlflow.version_of_run("price", first["runId"]).tags["modelops.artifactDigest"] == first["artifactDigest"]


def test_same_inputs_give_the_same_artifact_digest(step, prepared):
    """Training is seeded: another attempt on the same data makes the same model."""
    first = trained(step, prepared, attempt="aaaa0003")
    second = trained(step, prepared, attempt="aaaa0004")

    assert first["artifactDigest"] == second["artifactDigest"]
    assert first["runId"] != second["runId"]


def test_run_that_misses_its_criteria_is_tagged_and_not_registered(step, prepared, mlflow_url):
    """A model below the bar stays a run: no version, and the result says which bound it missed."""
    run = tables.price_run(evaluate={"criteria": [{"metric": "within_percent", "percent": 0.001, "min": 0.9}]})

    result = trained(step, prepared, attempt="aaaa0005", run=run)

    assert not result["passed"]
    assert result["modelVersion"] is None
    assert "within_percent 0.001 ≥ 0.9" in result["message"]
    mlflow = MlflowRuns(mlflow_url)
    assert mlflow.run(result["runId"]).tags["modelops.outcome"] == "CriteriaNotMet"
    assert mlflow.version_of_run("price", result["runId"]) is None


@pytest.mark.parametrize(
    ("run", "said"),
    [
        pytest.param(
            {
                "hyperparameters": {"hidden": [64] * 12, "epochs": 20, "learningRate": 10.0},
                "prepare": {"drop": ["id"], "scale": "none"},
            },
            "the loss is not a number",
            id="a loss that diverges",
        ),
        pytest.param(
            {"evaluate": {"criteria": [{"metric": "accuracy_score", "min": 0.9}]}},
            "accuracy_score is not for regression",
            id="a criterion for the other task",
        ),
        pytest.param(
            {"prepare": {"drop": ["nothing"]}}, "no column 'nothing'", id="a dropped column that is not there"
        ),
    ],
)
def test_bad_run_ends_with_64_and_one_line(step, prepared, run, said, request):
    """What a user wrote wrongly is said in one line, and nobody retries it."""
    attempt = hashlib.sha256(request.node.name.encode()).hexdigest()[:8]
    text = tables.training_step("train", prepared, tables.houses_spec(), tables.price_run(**run), attempt=attempt)

    code, files = step(text)

    assert code == 64
    message = (files.parent / "modelops-message").read_text()
    assert said in message
    assert "\n" not in message


def test_mlflow_that_is_away_ends_with_75(step, prepared):
    """Something outside that is away may be retried."""
    text = tables.training_step("train", prepared, tables.houses_spec(), tables.price_run(), attempt="aaaa0006")

    code, files = step(text, MLFLOW_TRACKING_URI="http://127.0.0.1:9")

    assert code == 75
    assert "does not answer" in (files.parent / "modelops-message").read_text()

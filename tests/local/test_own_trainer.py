"""Training code of one's own in a whole local home: a regression, a classification, and every way it can go wrong."""

import json
import random
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from examples.demo.program import Program

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import MODELRELEASE, TRAININGRUN
from tests.chaos.house import git, until

pytestmark = [pytest.mark.slow, pytest.mark.local, pytest.mark.timeout(420)]

SAVE = """
import json, os, pathlib
import numpy, pandas
import mlflow.pyfunc
from mlflow.models import infer_signature

given, out = (pathlib.Path(os.environ[name]) for name in ("MODELOPS_INPUT", "MODELOPS_OUTPUT"))
parameters = json.loads((given / "hyperparameters.json").read_text())
run = json.loads((given / "run.json").read_text())
train = pandas.read_parquet(given / "train.parquet")
assert sorted(path.name for path in given.iterdir()) == [
    "dataset.json", "hyperparameters.json", "run.json", "train.parquet", "validation.parquet"]
assert not [name for name in os.environ if name.startswith(("MLFLOW_TRACKING", "MODELOPS_GIT", "MODELOPS_STEP"))]


def save(weights, columns, answer):
    (out / "weights.json").write_text(json.dumps(weights))
    mlflow.pyfunc.save_model(
        out / "model", python_model="model.py", artifacts={"weights": str(out / "weights.json")},
        signature=infer_signature(train[columns][:5], answer), pip_requirements=[])
"""
MODEL = """
import json
import mlflow.pyfunc
import numpy
from mlflow.models import set_model


class Model(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.weights = json.load(open(context.artifacts["weights"]))

    def predict(self, context, model_input, params=None):
        PREDICT


set_model(Model())
"""
HARVEST = (
    SAVE
    + """
x = numpy.column_stack([train["rain"], train["sun"], numpy.ones(len(train))])
w = numpy.linalg.solve(x.T @ x + parameters["ridge"] * numpy.eye(3), x.T @ train["harvest"])
(out / "metrics.json").write_text(json.dumps({"train_loss": float(numpy.abs(x @ w - train["harvest"]).mean())}))
save(list(w), ["rain", "sun"], numpy.array([1.0]))
print("done")
"""
)
LINEAR = MODEL.replace(
    "PREDICT",
    "a, b, c = self.weights\n        return a * model_input['rain'].to_numpy() + b * model_input['sun'].to_numpy() + c",
)
KIND = (
    SAVE
    + """
middle = {str(kind): float(rows.mean()) for kind, rows in train.groupby("kind")["sun"]}
(out / "metrics.json").write_text(json.dumps({"train_loss": [3, 2, 1]}))
save(middle, ["sun"], numpy.array(["dry"]))
"""
)
NEAREST = MODEL.replace(
    "PREDICT",
    "kinds = sorted(self.weights)\n        away = numpy.abs(model_input['sun'].to_numpy()[:, None]"
    " - numpy.array([self.weights[k] for k in kinds]))\n"
    "        return numpy.array(kinds, dtype=object)[away.argmin(axis=1)]",
)
INTO = "import os, pathlib\nm = pathlib.Path(os.environ['MODELOPS_OUTPUT']) / 'model'\nm.mkdir()\n"
BAD = {
    "exits": (
        "import sys\nprint('reading rows')\nsys.exit('the column rain is empty')",
        "exited with 1: the column rain is empty",
    ),
    "refuses": ("import sys\nprint('ridge must be positive')\nsys.exit(64)", "exited with 64: ridge must be positive"),
    "hangs": (
        "import time\ntime.sleep(3600)",
        "exceeded its deadline (spec.compute.timeout is 25s; raise it, or train less)",
    ),
    "writesnothing": ("print('done')", "wrote no model; save one with MLflow to the directory $MODELOPS_OUTPUT/model"),
    "broken": (INTO + "(m / 'MLmodel').write_text('{')", "model/MLmodel is not YAML"),
    "pickles": (
        SAVE + "(out / 'model').mkdir()\nimport pickle\n(out / 'model' / 'model.bin').write_bytes(pickle.dumps({}))",
        "model/model.bin is a pickle",
    ),
    "links": (INTO + "(m / 'MLmodel').symlink_to('/etc/hostname')", "model/MLmodel is a symbolic link"),
    "diverges": (
        SAVE + "(out / 'metrics.json').write_text('{\"loss\": [1.0, NaN]}')\nsave([], ['rain'], numpy.array([1.0]))",
        "metrics.json: loss is not a finite number (value 2 of 2)",
    ),
    "cheats": (SAVE + "save([], ['harvest'], numpy.array([1.0]))", "asks for 'harvest', which is the target"),
    "invents": (
        SAVE + "train['wind'] = 1.0\nsave([1], ['wind'], numpy.array([1.0]))",
        "asks for column 'wind', which the Dataset has not",
    ),
    "unloadable": (
        SAVE + "(out / 'weights.json').write_text('')\nsave([1], ['rain'], numpy.array([1.0]))\n"
        "next((out / 'model').rglob('weights.json')).write_text('{')",
        "the model does not load or answer: ",
    ),
    "answersnan": (
        SAVE + "save([float('nan'), 0, 0], ['rain', 'sun'], numpy.array([1.0]))",
        "the model answers nan to ",
    ),
}  # fmt: skip
REGRESSION = """\
apiVersion: modelops.dev/v1alpha1
kind: Dataset
metadata: {name: fields}
spec:
  source: {git: {path: data/fields.csv}}
  task: TASK
  target: TARGET
  schema:
    strict: filter
    columns:
    - {name: field, type: string}
    - {name: rain, type: float}
    - {name: sun, type: float}
    - COLUMN
  checks: {minRows: 100}
  split: {by: hash, key: field, percent: {train: 60, validation: 20, test: 20}}
"""
RUN = """\
apiVersion: modelops.dev/v1alpha1
kind: TrainingRun
metadata: {name: NAME}
spec:
  datasetRef: {name: DATASET}
  model: {name: NAME}
  trainer: {git: {path: trainers/NAME}}
  hyperparameters: {ridge: 0.001, words: [a, b]}
  evaluate: {criteria: [CRITERIA]}
  compute: {timeout: TIMEOUT, retries: 0}
"""
RELEASE = """\
apiVersion: modelops.dev/v1alpha1
kind: ModelRelease
metadata: {name: NAME}
spec:
  model: {name: NAME, from: {trainingRun: NAME}}
  serving: {replicas: 1}
  traffic: {hostnames: [NAME.example.com]}
  strategy: {canary: {steps: [{setWeight: 100}]}}
"""


class Farm:
    """A team's repository and its home."""

    def __init__(self, directory: Path) -> None:
        self.repo, self.state = directory / "farm", directory / "state"
        self.program = Program(self.state)

    def write(self, path: str, text: str) -> None:
        (self.repo / path).parent.mkdir(parents=True, exist_ok=True)
        (self.repo / path).write_text(text)

    def commit(self, message: str) -> None:
        git(self.repo, "add", "-A")
        git(self.repo, "commit", "-q", "-m", message)

    def build(self) -> None:
        rng = random.Random(3)
        rows = [(f"f{i}", rng.uniform(0, 100), rng.uniform(0, 12)) for i in range(400)]
        lines = [f"{f},{r:.3f},{s:.3f},{2 * r + 30 * s + 5:.3f},{'dry' if s > 6 else 'wet'}" for f, r, s in rows]
        self.write("data/fields.csv", "\n".join(["field,rain,sun,harvest,kind", *lines, ""]))
        number, words = "{name: harvest, type: float}", "{name: kind, type: category, values: [dry, wet]}"
        regression = REGRESSION.replace("TASK", "regression").replace("TARGET", "harvest").replace("COLUMN", number)
        kinds = REGRESSION.replace("name: fields", "name: kinds").replace("TASK", "classification")
        self.write("deploy/fields.yaml", regression)
        self.write("deploy/kinds.yaml", kinds.replace("TARGET", "kind").replace("COLUMN", words))
        against = "{metric: mean_absolute_error, against: champion}, {metric: mean_absolute_error, against: baseline}"
        self.chain("harvest", "fields", HARVEST, LINEAR, "{metric: r2_score, min: 0.99}, " + against, release=True)
        accuracy = "{metric: accuracy_score, min: 0.8, confidence: 0.95}, {metric: accuracy_score, against: baseline}"
        self.chain("kind", "kinds", KIND, NEAREST, accuracy, release=True)
        for name, (code, _) in BAD.items():
            timeout = "25s" if name == "hangs" else "5m"
            self.chain(name, "fields", code, LINEAR, "", timeout=timeout)
        git(self.repo.parent, "init", "-q", "-b", "main", str(self.repo))
        self.commit("A farm")

    def chain(
        self, name: str, data: str, code: str, model: str, criteria: str, *, release: bool = False, timeout: str = "5m"
    ) -> None:
        self.write(f"trainers/{name}/main.py", code)
        self.write(f"trainers/{name}/model.py", model)
        run = RUN.replace("NAME", name).replace("DATASET", data).replace("CRITERIA", criteria)
        self.write(f"deploy/{name}.yaml", run.replace("TIMEOUT", timeout))
        if release:
            self.write(f"deploy/{name}-release.yaml", RELEASE.replace("NAME", name))

    def up(self) -> None:
        self.program.must("local", "up", "--repo", str(self.repo), "--detach", timeout=200)
        self.client = KubeClient.from_kubeconfig(str(self.state / "kubeconfig"), context="local")

    def run(self, name: str) -> dict[str, Any]:
        return (self.client.get(TRAININGRUN.resource, "default", name) or {}).get("status") or {}

    def ready(self, name: str) -> tuple[str, str, str]:
        """Return status, reason and message of a run's Ready."""
        found = next((c for c in self.run(name).get("conditions") or () if c["type"] == "Ready"), None)
        return ("", "", "") if found is None else (found["status"], found["reason"], found["message"])

    def settled(self, name: str) -> bool:
        return self.ready(name)[1] in ("Registered", "Failed", "CriteriaNotMet", "CodeNotFound")

    def served(self, name: str) -> str:
        found = self.client.get(MODELRELEASE.resource, "default", name) or {}
        return str(((found.get("status") or {}).get("stable") or {}).get("version") or "")

    def ask(self, name: str, **columns: float) -> Any:
        tensors = [{"name": k, "shape": [1], "datatype": "FP64", "data": [v]} for k, v in columns.items()]
        url = f"{self.program.endpoints()['gateway']}/v2/models/{name}/infer"
        headers = {"Host": f"{name}.example.com", "Content-Type": "application/json"}
        request = urllib.request.Request(url, json.dumps({"inputs": tensors}).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            outputs = {output["name"]: output["data"][0] for output in json.load(answer)["outputs"]}
        return outputs["prediction"]


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    found = Farm(tmp_path_factory.mktemp("own"))
    found.build()
    found.up()
    try:
        yield found
    finally:
        found.program.run("local", "down", timeout=90)


def test_regression_of_ones_own_is_judged_registered_and_serves(farm: Farm) -> None:
    """The coefficients that made the data come back through the gateway; every link names its code."""
    until(lambda: farm.served("harvest") == "1", 240, farm.ready("harvest"))
    assert farm.ask("harvest", rain=10.0, sun=4.0) == pytest.approx(145, abs=0.5)
    status = farm.run("harvest")
    assert status["lineage"]["codeDigest"].startswith("sha256:")
    assert status["lineage"]["codeDigest"] in farm.program.must("lineage", "harvest")
    assert all(criterion["passed"] for criterion in status["criteria"])
    assert status["metrics"]["r2_score"] > 0.99


def test_classification_of_ones_own_serves_its_labels(farm: Farm) -> None:
    """Labels are the model's own words."""
    until(lambda: farm.served("kind") == "1", 240, farm.ready("kind"))
    assert (farm.ask("kind", sun=11.0), farm.ask("kind", sun=1.0)) == ("dry", "wet")
    assert farm.run("kind")["metrics"]["accuracy_score"] > 0.8


@pytest.mark.parametrize("name", BAD)
def test_code_that_goes_wrong_fails_its_run_with_one_line(farm: Farm, name: str) -> None:
    """Where, what, what to do; nothing is registered; the good ones are not touched (see the tests above)."""
    until(lambda: farm.settled(name), 240, str(farm.ready(name)))
    status, reason, message = farm.ready(name)
    assert (status, reason) == ("False", "Failed")
    assert BAD[name][1] in message
    assert "Traceback" not in message
    assert "\n" not in message
    assert farm.run(name).get("modelVersion") is None


def test_changed_code_is_a_new_attempt_and_another_commit_is_not(farm: Farm) -> None:
    """The code's digest is an input: a comment trains again, a note beside it does not."""
    until(lambda: farm.settled("kind"), 240, str(farm.ready("kind")))
    before = farm.run("kind")["attempt"]
    farm.write("README.md", "Words.")
    farm.write("trainers/kind/main.py", KIND + "# a comment\n")
    farm.commit("A comment")
    until(lambda: farm.run("kind")["attempt"]["id"] != before["id"], 60, "no new attempt")
    until(lambda: farm.run("kind").get("modelVersion") == "2", 120, str(farm.ready("kind")))
    history = farm.run("harvest")["history"]
    assert len(history) == 1

    def release() -> str:
        return str(farm.client.get(MODELRELEASE.resource, "default", "kind"))

    until(lambda: "version 2 is the same artifact" in release(), 30, release())


def test_code_that_is_not_there_is_said(farm: Farm) -> None:
    """A wrong path stalls its run, and comes right with the next commit."""
    farm.write(
        "deploy/lost.yaml",
        RUN.replace("NAME", "lost").replace("DATASET", "fields").replace("CRITERIA", "").replace("TIMEOUT", "5m"),
    )
    farm.commit("A run without code")
    until(lambda: farm.ready("lost")[1] == "CodeNotFound", 60, str(farm.ready("lost")))
    assert "trainers/lost: neither a file nor a directory at commit" in farm.ready("lost")[2]
    (farm.repo / "deploy" / "lost.yaml").unlink()
    farm.commit("Without it")
    until(lambda: farm.client.get(TRAININGRUN.resource, "default", "lost") is None, 60, "not pruned")


def test_steps_left_no_process_and_no_secret(farm: Farm) -> None:
    """What hung was ended, with all its children."""
    until(lambda: all(farm.settled(name) for name in BAD), 240, "not settled")
    assert subprocess.run(["pgrep", "-f", "time.sleep.3600"], capture_output=True, check=False).stdout == b""

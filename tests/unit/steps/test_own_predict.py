"""Models of a team's own, saved by MLflow itself, asked for rows: what they answer, and every way they do not."""

import os
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature

from modelops.steps.context import BadInputError, TrainingInput
from modelops.steps.own import answers, predict, process
from modelops.steps.own.places import Places
from tests.support import tables

COUNT = 8
TRUTH = [10.0 * n for n in range(COUNT)]
CODE = """
import os, sys, time
import mlflow.pyfunc, numpy, pandas
from mlflow.models import set_model
LOADING

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        PREDICT

set_model(Model())
"""


def step_of(task: str) -> TrainingInput:
    """Return the input of evaluate for rows of one number each, or one of two words each."""
    regression = task == "regression"
    column = {"type": "float"} if regression else {"type": "category", "values": ["dry", "wet"]}
    target = {"name": "y", **column}
    spec = {
        **tables.houses_spec(target="y", task=task, split={}),
        "schema": {"columns": [{"name": "x", "type": "float"}, target]},
    }
    return TrainingInput.model_validate(
        {
            "apiVersion": "modelops.dev/v1alpha1",
            "step": "evaluate",
            "namespace": "farm",
            "name": "harvest",
            "attempt": "0a",
            "inputsHash": "sha256:0",
            "commit": "c",
            "data": {"runId": "r", "contentDigest": "", "digest": "", "commit": ""},
            "dataset": spec,
            "run": {**tables.price_run(), "trainer": {"git": {"path": "train.py"}}, "hyperparameters": {}},
            "code": {"url": "", "commit": "c", "path": "train.py", "digest": "sha256:0"},
        }
    )


def asked(directory: Path, body: str, *, loading: str = "", seconds: float = 60) -> Places:
    """Save a model with such a predict, and ask it by a process of its own."""
    places = Places(directory / "own")
    save(places, body, loading=loading)
    predict.ask(places, dict(os.environ), limits=process.Limits(size=50 << 20, seconds=seconds))
    return places


def answered(directory: Path, body: str) -> Places:
    """Save a model with such a predict, and ask it here, where MLflow is imported already."""
    places = Places(directory / "own")
    save(places, body)
    answers_file = directory / "answers.parquet"
    predict.answer(places.models / "candidate", places.rows, answers_file)
    places.leave_answers({"candidate": answers_file.read_bytes()}, {})
    return places


def save(places: Places, body: str, *, loading: str = "", name: str = "candidate") -> None:
    places.models.mkdir(parents=True, exist_ok=True)
    rows = pd.DataFrame({"x": np.arange(float(COUNT))})
    rows.to_parquet(places.rows)
    source = places.root.parent / f"{name}.py"
    # Loading is asked for only where the model is asked, not where it is saved.
    late = "\n".join(f"if 'own.predict' in ' '.join(sys.orig_argv): {line}" for line in loading.splitlines())
    source.write_text(CODE.replace("PREDICT", body).replace("LOADING", late))
    signature = infer_signature(rows, np.array([1.0]))
    mlflow.pyfunc.save_model(places.models / name, python_model=str(source), signature=signature, pip_requirements=[])


def data_of(task: str) -> dict[str, dict[str, list[object]]]:
    truth: list[object] = list(TRUTH) if task == "regression" else ["dry", "wet"] * (COUNT // 2)
    return {part: {"x": list(range(COUNT)), "y": truth} for part in ("train", "test")}


def test_numbers_are_scored_against_the_truth(tmp_path: Path) -> None:
    """One finite value per row, by whatever type it comes."""
    places = asked(tmp_path, "return (model_input['x'] * 10).tolist()")
    found = answers.scored(places, "candidate", step_of("regression"), data_of("regression"))
    assert found.value("mean_absolute_error") == 0


def test_labels_and_probabilities_are_scored_against_the_truth(tmp_path: Path) -> None:
    """A table with label and probability_<class> has both."""
    table = "{'label': ['dry', 'wet'] * 4, 'probability_dry': [0.9, 0.2] * 4, 'probability_wet': [0.1, 0.8] * 4}"
    places = answered(tmp_path, f"return pandas.DataFrame({table})")
    found = answers.scored(places, "candidate", step_of("classification"), data_of("classification"))
    assert (found.value("accuracy_score"), found.value("roc_auc")) == (1, 1)


@pytest.mark.parametrize(
    ("task", "body", "said"),
    [
        pytest.param("regression", "[float('nan')] * 8", "nan to 8 of 8 test rows, first to row 0; handle", id="NaN"),
        pytest.param("regression", "[1.0, float('inf')] * 4", "inf to 4 of 8 test rows, first to row 1", id="infinity"),
        pytest.param("regression", "[None] * 7 + [1.0]", "nan to 7 of 8 test rows, first to row 0", id="nothing"),
        pytest.param("regression", "[1.0] * 7", "7 values to 8 rows; it must answer one per row", id="too few"),
        pytest.param("regression", "[1.0] * 9", "9 values to 8 rows; it must answer one per row", id="too many"),
        pytest.param("regression", "1.0", "1 values to 8 rows; it must answer one per row", id="one number"),
        pytest.param("regression", "['many'] * 8", "'many', which is no number", id="words for numbers"),
        pytest.param("regression", "[[1.0]] * 8", "[1.0], which is no number", id="lists for numbers"),
        pytest.param(
            "regression",
            "pandas.DataFrame({'a': [1.] * 8, 'b': [1.] * 8})",
            "a, b; it must answer a column 'prediction'",
            id="columns of other names",
        ),
        pytest.param(
            "classification",
            "['wet'] * 7 + ['moist']",
            "'moist', which is none of the classes dry, wet",
            id="an unknown class",
        ),
        pytest.param("classification", "[[1]] * 8", "[1], which is none of the classes", id="lists for classes"),
    ],
)
def test_answer_that_is_none_is_told_in_one_line(tmp_path: Path, task: str, body: str, said: str) -> None:
    """Where, what, what to do."""
    places = answered(tmp_path, f"return {body}")
    with pytest.raises(BadInputError) as refused:
        answers.scored(places, "candidate", step_of(task), data_of(task))
    assert str(refused.value).startswith("train.py: the model answers ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("loading", "body", "said"),
    [
        pytest.param("import nothing_of_this_name", "", "No module named 'nothing_of_this_name'", id="load"),
        pytest.param(
            "time.sleep(600)", "", "did not end within 4 s and was ended; make it faster", id="answer in time"
        ),
        pytest.param("open('big', 'wb').write(b'x' * (60 << 20))", "", "File too large", id="stay within the disk"),
        pytest.param("", "os._exit(0)", "left no answers, though it ended well", id="stay to the end"),
        pytest.param("", "os.abort()", "does not load or answer: ", id="stay alive"),
    ],
)
def test_model_that_does_not_behave_is_told_in_one_line(tmp_path: Path, loading: str, body: str, said: str) -> None:
    """It is asked by a process of its own, with limits of its own."""
    seconds = 4 if "sleep" in loading else 60
    places = asked(tmp_path, body or "return [1.0] * 8", loading=loading, seconds=seconds)
    with pytest.raises(BadInputError) as refused:
        answers.scored(places, "candidate", step_of("regression"), data_of("regression"))
    assert str(refused.value).startswith("train.py: the model ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_model_cannot_answer_for_the_champion(tmp_path: Path) -> None:
    """What the candidate writes where answers lie, now or later, changes nothing."""
    places = Places(tmp_path / "own")
    save(places, "return (model_input['x'] * 10).tolist()", name="champion")
    forged = (
        "answers = os.path.join(os.path.dirname(os.environ['HOME']), 'answers')\n"
        "        os.makedirs(answers, exist_ok=True)\n"
        "        open(answers + '/champion.error', 'w').write('is bad')\n"
        "        open(answers + '/champion.parquet', 'w').write('x')\n"
        "        return [1.0] * 8"
    )
    save(places, forged)
    predict.ask(places, dict(os.environ))
    found = answers.scored(places, "champion", step_of("regression"), data_of("regression"))
    assert found.value("mean_absolute_error") == 0


def test_answers_behind_a_link_are_not_read(tmp_path: Path) -> None:
    """Nor is what is no table."""
    places = Places(tmp_path / "own")
    places.leave_answers({}, {})
    (places.answers / "candidate.parquet").symlink_to("/proc/self/environ")
    with pytest.raises(BadInputError, match="left no answers"):
        answers.scored(places, "candidate", step_of("regression"), data_of("regression"))
    places.leave_answers({"candidate": b"PAR1 and nothing PAR1"}, {})
    with pytest.raises(BadInputError, match="left no readable answers"):
        answers.scored(places, "candidate", step_of("regression"), data_of("regression"))

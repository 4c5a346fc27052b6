"""The model format: raw rows in, the same answers everywhere, and a clear word for rows that do not fit."""

import itertools
import subprocess
import sys
import warnings
from datetime import UTC, datetime

import numpy as np
import pytest
import torch

from modelops.api.v1alpha1 import dataset, trainingrun
from modelops.model import artifact, digest, fit, tabular, training
from modelops.server.tabular import TabularPredictor
from tests.support import tables

SPEC = dataset.DatasetSpec.model_validate(tables.houses_spec())
COLUMNS = {
    "id": ["a", "b", "c", "d"],
    "area": [10.0, 20.0, 30.0, 1000.0],
    "rooms": [1, None, 3, 4],
    "kind": ["flat", "house", "flat", "flat"],
    "price": [10.0, 20.0, 30.0, 40.0],
}


def prepared(**changes) -> tabular.Preparation:
    """Return a preparation fitted on COLUMNS."""
    return fit.fit_preparation(COLUMNS, SPEC, trainingrun.Prepare.model_validate({"drop": ["id"], **changes}))


def test_transforms_are_those_of_the_training_part():
    """Median, scale, indicator, one-hot and its bucket for unseen values, in the documented order."""
    preparation = prepared(scale="min-max")

    features = preparation.features({"area": [505.0], "rooms": [None], "kind": ["castle"]})

    # area, rooms (median 3 of 1..4), indicator of rooms, then flat, house, unseen
    assert features.tolist() == [[0.5, pytest.approx(2 / 3), 1.0, 0.0, 0.0, 1.0]]


def test_clip_holds_wild_inputs_and_without_it_they_overflow():
    """What keeps a stuck sensor from becoming a non-finite answer is clip, and nothing else."""
    row = {"area": [1.7976931348623157e308], "rooms": [1], "kind": ["flat"]}

    assert np.isfinite(prepared(clip={"percentiles": [0, 100]}).features(row)).all()
    assert not np.isfinite(prepared(scale="none").features(row)).all()


@pytest.mark.parametrize(
    ("row", "named"),
    [
        pytest.param({"rooms": [1], "kind": ["flat"]}, "'area' is required", id="a required column left out"),
        pytest.param({"area": [None], "kind": ["flat"]}, "'area' is required", id="a required cell that is null"),
        pytest.param({"area": ["big"], "kind": ["flat"]}, "'area' holds float", id="a word for a number"),
        pytest.param({"area": [1.0], "kind": [""]}, "'kind' is required", id="a required category that is empty"),
        pytest.param({"area": [1.0, 2.0], "kind": ["flat"]}, "same number of rows", id="columns of different lengths"),
    ],
)
def test_row_that_does_not_fit_names_the_column(row, named):
    """The message says which column and what it needs."""
    with pytest.raises(tabular.InputError, match=named):
        prepared().features(row)


def test_server_knows_the_categories_that_the_model_was_trained_on():
    """So that it can count those that it was not; numbers have none."""
    preparation = prepared()
    tensors = {
        "layer0.weight": np.zeros((1, preparation.width), np.float32),
        "layer0.bias": np.zeros(1, np.float32),
    }

    inputs = TabularPredictor(tabular.TabularModel(preparation, tensors), {}).inputs

    known = {column.name: column.known for column in inputs}
    assert known == {"area": None, "rooms": None, "kind": frozenset({"flat", "house"})}


@pytest.mark.parametrize("encode", ["one-hot", "ordinal"])
@pytest.mark.parametrize("categorical", ["most-frequent", "missing"])
def test_directory_gives_the_same_answers_as_the_model_that_was_saved(tmp_path, encode, categorical):
    """Everything that matters is in the two files, and their digest does not depend on how they are written."""
    preparation = prepared(encode=encode, impute={"categorical": categorical}, target="log")
    width = preparation.width
    chance = np.random.default_rng(1)
    tensors = {
        "layer0.weight": chance.normal(size=(4, width)).astype(np.float32),
        "layer0.bias": np.zeros(4, np.float32),
        "layer1.weight": chance.normal(size=(1, 4)).astype(np.float32),
        "layer1.bias": np.zeros(1, np.float32),
    }
    for name, content in artifact.weight_files(preparation.to_json(), tensors).items():
        (tmp_path / name).write_bytes(content)
    original = tabular.TabularModel(preparation, tensors)

    loaded = tabular.TabularModel.load(tmp_path)

    assert loaded.preparation.to_json() == preparation.to_json()
    assert np.array_equal(loaded.predict_columns(COLUMNS).prediction, original.predict_columns(COLUMNS).prediction)
    shuffled = dict(reversed(tensors.items()))
    assert digest.artifact_digest(preparation.to_json(), tensors) == digest.artifact_digest(
        loaded.preparation.to_json(), shuffled
    )


@pytest.mark.parametrize("widths", [(30, 1), (30, 64, 10), (30, 256, 128, 1)], ids=str)
@pytest.mark.parametrize("rows", [1, 7, 256])
def test_answers_are_those_of_the_network_that_torch_trained(widths, rows):
    """To the precision of float32, infinite and missing numbers included."""
    torch.manual_seed(0)
    linear = [torch.nn.Linear(size, following) for size, following in itertools.pairwise(widths)]
    network = torch.nn.Sequential(*(part for layer in linear for part in (layer, torch.nn.ReLU())))[:-1]
    features = np.random.default_rng(0).normal(size=(rows, widths[0])).astype(np.float32)
    features[0, :3] = np.inf, -np.inf, np.nan
    layers = [(layer.weight.detach().numpy().T, layer.bias.detach().numpy()) for layer in linear]

    ours = tabular.forward(features, layers)

    assert ours.dtype == np.float32
    with torch.inference_mode():
        theirs = network(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_overflowed_row_gets_no_number_and_harms_no_other():
    """A rectifier would turn an infinite input into a plausible one; and nothing is written to stderr."""
    preparation = prepared(scale="none")
    layers = {"layer0.weight": np.full((3, preparation.width), -1, np.float32), "layer0.bias": np.zeros(3, np.float32)}
    layers |= {"layer1.weight": np.ones((1, 3), np.float32), "layer1.bias": np.full(1, 5, np.float32)}
    model = tabular.TabularModel(preparation, layers)

    with warnings.catch_warnings(action="error"):
        answer = model.predict_columns({"area": [1e308, 1.0], "rooms": [1, 1], "kind": ["flat", "flat"]})

    assert not answer.is_finite()
    assert answer.prediction.tolist() == [pytest.approx(np.nan, nan_ok=True), 5.0]


def test_serving_and_judging_need_no_torch(tmp_path):
    """Neither the server, nor the evaluate step, nor a model's own code imports it; no model asks for it."""
    check = (
        "import sys, modelops.server.main, modelops.server.tabular, modelops.server.pyfunc, modelops.server.fetch,"
        " modelops.steps.evaluate\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0

    files = artifact.mlflow_files(prepared(), COLUMNS, run_id="r", now=datetime.now(UTC))
    (tmp_path / "modelops_tabular.py").write_bytes(files[artifact.CODE])
    check = "import sys, modelops_tabular\nsys.exit('torch' in sys.modules or 'modelops' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=tmp_path, check=False).returncode == 0
    assert b"torch" not in files["requirements.txt"]


def test_optimizer_steps_as_torch_does():
    """Our AdamW and torch.optim's give the same weights after fifty steps."""
    torch.manual_seed(0)
    ours, theirs = torch.nn.Linear(5, 3), torch.nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    inputs, targets = torch.randn(20, 5), torch.randn(20, 3)
    pairs = (
        (ours, training.AdamW(list(ours.parameters()), 0.01, 0.1)),
        (theirs, torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=0.1)),
    )
    for network, optimizer in pairs:
        for _ in range(50):
            network.zero_grad()
            torch.nn.functional.mse_loss(network(inputs), targets).backward()
            optimizer.step()

    assert torch.allclose(ours.weight, theirs.weight, atol=1e-6)

"""A server that starts again: the model is where it was brought to, and the registry is asked nothing."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from modelops.model import artifact
from modelops.model.digest import artifact_digest
from modelops.server import loading
from modelops.server.loading import ModelUnavailableError, load
from tests.unit.model.test_tabular import COLUMNS, prepared

URI = "models:/price/3"


class Registry:
    """Stands for MLflow: brings a model as `loading._fetch` does, until it is away."""

    def __init__(self, directory: Path) -> None:
        preparation = prepared()
        tensors = {"layer0.weight": np.ones((1, preparation.width), np.float32), "layer0.bias": np.zeros(1, np.float32)}
        files = artifact.weight_files(preparation.to_json(), tensors)
        files |= artifact.mlflow_files(preparation, COLUMNS, run_id="r", now=datetime.now(UTC))
        for name, content in files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes(content)
        self.directory, self.fetched, self.away = directory, 0, False
        self.digest = artifact_digest(preparation.to_json(), tensors)

    def fetch(self, _uri: str, _tracking: str | None, cache: Path | None) -> tuple[Path, str | None]:
        if self.away:
            raise ModelUnavailableError("MLflow does not answer")
        self.fetched += 1
        assert cache is not None
        place = cache / f"model-{self.fetched}"
        shutil.copytree(self.directory, place)
        return place, self.digest


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    (tmp_path / "registry").mkdir()
    registry = Registry(tmp_path / "registry")
    monkeypatch.setattr(loading, "_fetch", registry.fetch)
    return registry


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "models"


def test_second_start_asks_nobody(registry: Registry, cache: Path) -> None:
    """Nothing is fetched twice, and it serves while the registry is away."""
    first = load(URI, tracking_uri="http://mlflow", cache_dir=cache)
    registry.away = True
    again = load(URI, tracking_uri="http://mlflow", cache_dir=cache)
    assert registry.fetched == 1
    assert [column.name for column in again.inputs] == [column.name for column in first.inputs]


def test_another_model_is_fetched_and_the_old_one_goes(registry: Registry, cache: Path) -> None:
    """A directory holds one model."""
    load(URI, tracking_uri="http://mlflow", cache_dir=cache)
    load("models:/price/4", tracking_uri="http://mlflow", cache_dir=cache)
    assert [path.name for path in cache.glob("model-*")] == ["model-2"]


@pytest.mark.parametrize("spoilt", ["preparation.json", "weights.safetensors"])
def test_damaged_model_is_fetched_again(registry: Registry, cache: Path, spoilt: str) -> None:
    """What is kept is held against its digest at every start."""
    load(URI, tracking_uri="http://mlflow", cache_dir=cache)
    (cache / "model-1" / spoilt).write_bytes(b"{}")
    load(URI, tracking_uri="http://mlflow", cache_dir=cache)
    assert registry.fetched == 2
    (cache / "model-2" / spoilt).write_bytes(b"{}")
    registry.away = True
    with pytest.raises(ModelUnavailableError, match="MLflow does not answer"):
        load(URI, tracking_uri="http://mlflow", cache_dir=cache)


def test_model_that_was_never_whole_does_not_count(registry: Registry, cache: Path) -> None:
    """Killed while it fetched: no record, so it is fetched, and the half of it is removed."""
    (cache / "model-half").mkdir(parents=True)
    load(URI, tracking_uri="http://mlflow", cache_dir=cache)
    assert not (cache / "model-half").exists()
    record = json.loads((cache / "kept.json").read_text())
    assert record == {"uri": URI, "directory": "model-1", "digest": registry.digest}


def test_changed_after_registration_is_not_kept(registry: Registry, cache: Path) -> None:
    """What does not have its digest is refused, every time."""
    registry.digest = "sha256:" + "0" * 64
    for _ in range(2):
        with pytest.raises(ModelUnavailableError, match="was changed after its registration"):
            load(URI, tracking_uri="http://mlflow", cache_dir=cache)
    assert registry.fetched == 2


def test_alias_is_asked_for_every_time(registry: Registry, cache: Path) -> None:
    """It may have moved meanwhile."""
    for _ in range(2):
        load("models:/price@champion", tracking_uri="http://mlflow", cache_dir=cache)
    assert registry.fetched == 2

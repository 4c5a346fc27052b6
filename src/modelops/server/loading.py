"""Brings a model here and makes a `Predictor` of it.

Models that modelops trained are read as data (JSON and safetensors) by our own code: nothing in the artifact is
executed. Any other MLflow model is loaded by mlflow.pyfunc, which runs the model's own code, in this process only.
"""

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from modelops.model.digest import directory_digest
from modelops.server.kept import PREFIX, Kept
from modelops.server.predictor import Predictor

OUR_FORMAT: Final = "tabular-mlp/1"


class ModelUnavailableError(Exception):
    """The model cannot be had or read; one line says what to do."""


def load(model_uri: str, *, tracking_uri: str | None, cache_dir: Path | None = None) -> Predictor:
    """Return a predictor for a model.

    Args:
        model_uri: `models:/NAME/VERSION`, `runs:/…` or a local directory with an MLmodel file.
        tracking_uri: MLflow's address; needed unless the model is a local directory.
        cache_dir: of this server alone; keeps the model, so that the next start does without MLflow. By default it is
            brought to the system's temporary directory, and not kept.

    Raises:
        ModelUnavailableError: it cannot be fetched, its digest is wrong, or it cannot be loaded.
    """
    if Path(model_uri).is_dir():
        return _predictor(Path(model_uri), None, model_uri)
    if cache_dir is None:
        return _predictor(*_fetch(model_uri, tracking_uri, None), model_uri)
    kept = Kept(cache_dir, model_uri)
    found = kept.find()
    if found is not None:
        try:
            return _predictor(*found, model_uri)
        except ModelUnavailableError as error:
            logging.getLogger(__name__).warning("what was kept is of no use, it is fetched again: %s", error)
    kept.clear()
    directory, expected = _fetch(model_uri, tracking_uri, cache_dir)
    predictor = _predictor(directory, expected, model_uri)
    kept.keep(directory, expected)
    return predictor


def _predictor(directory: Path, expected: str | None, model_uri: str) -> Predictor:
    if _format(directory, model_uri) == OUR_FORMAT:
        from modelops.server.tabular import TabularPredictor  # noqa: PLC0415 - it needs this module's error

        return TabularPredictor.load(directory, expected_digest=expected)
    _check_digest(directory, model_uri, expected)
    from modelops.server.pyfunc import PyfuncPredictor  # noqa: PLC0415 - pandas and the model's own libraries

    return PyfuncPredictor.load(directory)


@contextmanager
def brought(model_uri: str, *, tracking_uri: str | None, parent: Path) -> Iterator[Path]:
    """Bring a model to a directory below `parent`, checked against the registry's digest; removed afterwards.

    Raises:
        ModelUnavailableError: it cannot be fetched, is no model, or its digest is wrong.
    """
    directory = Path(model_uri)
    if directory.is_dir():
        _format(directory, model_uri)
        yield directory
        return
    directory, expected = _fetch(model_uri, tracking_uri, parent)
    try:
        if _format(directory, model_uri) == OUR_FORMAT:
            from modelops.server.tabular import TabularPredictor  # noqa: PLC0415 - it needs this module's error

            TabularPredictor.load(directory, expected_digest=expected)
        else:
            _check_digest(directory, model_uri, expected)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _format(directory: Path, model_uri: str) -> str | None:
    """Return the format that the model's own description names, None for any other MLflow model."""
    described = directory / "MLmodel"
    if not described.is_file():
        raise ModelUnavailableError(f"{model_uri} has no MLmodel file; name a logged MLflow model")
    try:
        read = yaml.safe_load(described.read_text(encoding="utf-8"))
        found = ((read.get("metadata") or {}).get("modelops") or {}).get("format")
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError) as error:
        raise ModelUnavailableError(f"{model_uri} has a broken MLmodel file; log the model again") from error
    return str(found) if found else None


def _check_digest(directory: Path, model_uri: str, expected: str | None) -> None:
    """Hold a model's files against the digest it was registered with; None was registered by somebody else."""
    if expected is None:
        return
    files = {str(path.relative_to(directory)): path for path in directory.rglob("*") if path.is_file()}
    found = directory_digest({name: path.read_bytes() for name, path in files.items()})
    if found != expected:
        raise ModelUnavailableError(
            f"{model_uri} is not what was registered: its digest is {found[:20]}…, not {expected[:20]}…; train again"
        )


def _fetch(model_uri: str, tracking_uri: str | None, cache_dir: Path | None) -> tuple[Path, str | None]:
    from mlflow import MlflowClient  # noqa: PLC0415 - takes a second to import
    from mlflow.artifacts import download_artifacts  # noqa: PLC0415
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    if tracking_uri is None:
        raise ModelUnavailableError(f"{model_uri} is not a directory; set MLFLOW_TRACKING_URI to fetch it from MLflow")
    if cache_dir is not None:
        cache_dir.mkdir(parents=True, exist_ok=True)
    target = tempfile.mkdtemp(prefix=PREFIX, dir=cache_dir)
    try:
        expected = _expected_digest(MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri), model_uri)
        fetched = download_artifacts(
            artifact_uri=model_uri, dst_path=target, tracking_uri=tracking_uri, registry_uri=tracking_uri
        )
    except MlflowException as error:
        raise ModelUnavailableError(f"{model_uri} could not be fetched from {tracking_uri}: {error.message}") from error
    except OSError as error:
        raise ModelUnavailableError(f"{model_uri} could not be fetched from {tracking_uri}: {error}") from error
    return Path(fetched), expected


def _expected_digest(client: Any, model_uri: str) -> str | None:
    scheme, _, rest = model_uri.partition(":/")
    name, _, version = rest.strip("/").rpartition("/")
    if scheme != "models" or not name or not version.isdigit():
        return None
    digest: str | None = client.get_model_version(name, version).tags.get("modelops.artifactDigest")
    return digest

"""A model directory that came from elsewhere: what may be in it, and its digest. Read as data, never loaded here."""

import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any, Final

import yaml

from modelops.model.digest import directory_digest
from modelops.steps.context import BadInputError

MAX_MODEL: Final = 2 << 30
"""Bytes of all files of a model."""
MAX_FILES: Final = 2000
MANIFEST: Final = "model.files.json"
"""Artifact of a run that lists its model's files, because an artifact store may be large and cannot be searched."""


def read(directory: Path, where: str, *, allow_pickle: bool) -> dict[str, bytes]:
    """Return the files of a model: path → bytes.

    Args:
        directory: where the team's code left it.
        where: names it in messages.
        allow_pickle: whether files may be pickles.

    Raises:
        BadInputError: there is none, it is too large, leads elsewhere, is a pickle, or has no signature.
    """
    if not directory.is_dir():
        raise BadInputError(f"{where}: wrote no model; save one with MLflow to the directory $MODELOPS_OUTPUT/model")
    files: dict[str, bytes] = {}
    size = 0
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if path.is_symlink():
            raise BadInputError(f"{where}: model/{name} is a symbolic link; write files")
        if path.is_dir():
            continue
        if not path.is_file():
            raise BadInputError(f"{where}: model/{name} is no regular file; write files")
        size += path.stat().st_size
        if size > MAX_MODEL or len(files) >= MAX_FILES:
            raise BadInputError(
                f"{where}: the model has more than {MAX_MODEL >> 20} MiB or {MAX_FILES} files; write less"
            )
        files[name] = path.read_bytes()
    if not allow_pickle:
        for name, content in files.items():
            if is_pickle(content):
                raise BadInputError(
                    f"{where}: model/{name} is a pickle, which runs code in whoever loads it; save the model from code "
                    "with its weights as safetensors, ONNX or JSON, or set trainer.git.allowPickle"
                )
    check_description(files, where)
    return files


def is_pickle(content: bytes) -> bool:
    """Return whether a file is a pickle, or an archive with one in it, as torch writes."""
    if len(content) > 2 and content[0] == 0x80 and content[1] in range(2, 6):
        return True
    if not content.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return any(name.endswith(".pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def check_description(files: dict[str, bytes], where: str) -> list[str]:
    """Return the names of the columns that a model wants.

    Raises:
        BadInputError: MLmodel is missing or broken, or has no signature of named columns.
    """
    if "MLmodel" not in files:
        raise BadInputError(f"{where}: model/ has no MLmodel; save the model with MLflow's save_model")
    try:
        described: Any = yaml.safe_load(files["MLmodel"])
        inputs = json.loads(described["signature"]["inputs"])
        names = [column["name"] for column in inputs]
    except (yaml.YAMLError, UnicodeDecodeError):
        raise BadInputError(f"{where}: model/MLmodel is not YAML; save the model with MLflow's save_model") from None
    except (KeyError, TypeError, ValueError):
        raise BadInputError(
            f"{where}: model/MLmodel has no signature of named columns; give save_model a signature"
        ) from None
    if "python_function" not in (described.get("flavors") or {}):
        raise BadInputError(f"{where}: model/MLmodel has no python_function flavor, by which models are asked")
    return [str(name) for name in names]


def digest_of(files: dict[str, bytes]) -> str:
    """Return the artifact digest of a model's files."""
    return directory_digest(files)


def read_metrics(path: Path, where: str) -> dict[str, list[float]]:
    """Return the team's own training metrics: name → values, one per epoch.

    Raises:
        BadInputError: the file is not as agreed, or a number is not finite.
    """
    if not path.exists():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        raise BadInputError(
            f"{where}: metrics.json is not JSON; write an object of numbers, or lists of them"
        ) from None
    if not isinstance(document, dict) or len(document) > 100:
        raise BadInputError(f"{where}: metrics.json is no object of at most 100 names")
    found = {}
    for name, value in document.items():
        values = value if isinstance(value, list) else [value]
        if (
            not all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)
            or len(values) > 100_000
        ):
            raise BadInputError(f"{where}: metrics.json: {name[:60]} is neither a number nor a list of numbers")
        bad = next((number for number, one in enumerate(values) if not math.isfinite(one)), None)
        if bad is not None:
            raise BadInputError(
                f"{where}: metrics.json: {name[:60]} is not a finite number (value {bad + 1} of {len(values)}); "
                "training diverged, lower the learning rate or scale the inputs"
            )
        found[name[:200]] = [float(one) for one in values]
    return found

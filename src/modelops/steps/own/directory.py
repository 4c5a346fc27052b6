"""A model directory that came from elsewhere: what may be in it, and its digest. Read as data, never loaded here.

Called by `collect`, which takes it from a team's code, and by `rows`, which takes it from MLflow. Everything in it is
hostile: sizes, counts, links, names and nesting are bounded before anything is parsed.
"""

import json
import os
import re
import stat
from pathlib import Path
from typing import Any, Final

import yaml

from modelops.model.digest import directory_digest
from modelops.steps.context import BadInputError
from modelops.steps.own.pickles import is_pickle

MAX_MODEL: Final = 2 << 30
"""Bytes of all files of a model."""
MAX_FILES: Final = 2000
MAX_DESCRIPTION: Final = 1 << 20
"""Bytes of an MLmodel; its signature has a line per column."""
MANIFEST: Final = "model.files.json"
"""Artifact of a run that lists its model's files, because an artifact store may be large and cannot be searched."""
_NAME: Final = re.compile(r"^[A-Za-z0-9_+=.,@ -]{1,200}$")
_DEPTH: Final = 32
_OPENS: Final = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSES: Final = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
_SAVE: Final = "save the model with MLflow's save_model"


def read(directory: Path, where: str, *, allow_pickle: bool) -> dict[str, bytes]:
    """Return the files of a model: path → bytes.

    Args:
        directory: where the team's code left it.
        where: names it in messages.
        allow_pickle: whether files may be pickles.

    Raises:
        BadInputError: there is none, it is too large, leads elsewhere, is a pickle, or has no signature.
    """
    if directory.is_symlink() or directory.parent.is_symlink():
        raise BadInputError(f"{where}: model is a symbolic link; write a directory")
    if not directory.is_dir():
        raise BadInputError(f"{where}: wrote no model; save one with MLflow to the directory $MODELOPS_OUTPUT/model")
    files: dict[str, bytes] = {}
    left = MAX_MODEL
    for folder, folders, names in os.walk(directory, followlinks=False):
        folders.sort()
        for name in sorted((*folders, *names)):
            path = Path(folder, name)
            shown = str(path.relative_to(directory))
            _check_entry(path, shown, where)
            if name in folders:
                continue
            if len(files) >= MAX_FILES or path.stat().st_size > left:
                raise BadInputError(
                    f"{where}: the model has more than {MAX_MODEL >> 20} MiB or {MAX_FILES} files; write less"
                )
            files[shown] = path.read_bytes()
            left -= len(files[shown])
            if not allow_pickle and is_pickle(shown, files[shown]):
                raise BadInputError(
                    f"{where}: model/{shown} is a pickle, which runs code in whoever loads it; save the model from "
                    "code with its weights as safetensors, ONNX or JSON, or set allowPickle"
                )
    check_description(files, where)
    return files


def _check_entry(path: Path, shown: str, where: str) -> None:
    if not _NAME.match(path.name) or path.name in (".", ".."):
        raise BadInputError(
            f"{where}: model/{ascii(shown)[1:-1]} has a name that not every store keeps; use letters, digits and ._-"
        )
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        raise BadInputError(f"{where}: model/{shown} is a symbolic link; write files")
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise BadInputError(f"{where}: model/{shown} is no regular file; write files")


def stays_inside(path: str) -> bool:
    """Return whether a listed path names a file below a model's directory."""
    return all(_NAME.match(part) and part not in (".", "..") for part in path.split("/"))


def check_description(files: dict[str, bytes], where: str) -> list[str]:
    """Return the names of the columns that a model wants.

    Raises:
        BadInputError: MLmodel is missing or broken, or has no signature of named columns.
    """
    if "MLmodel" not in files:
        raise BadInputError(f"{where}: model/ has no MLmodel; {_SAVE}")
    content = files["MLmodel"]
    if len(content) > MAX_DESCRIPTION:
        raise BadInputError(f"{where}: model/MLmodel has more than {MAX_DESCRIPTION >> 20} MiB; {_SAVE}")
    try:
        if not _is_plain(content):
            raise BadInputError(f"{where}: model/MLmodel holds YAML aliases or is too deep; {_SAVE}")
        described: Any = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError):
        raise BadInputError(f"{where}: model/MLmodel is not YAML; {_SAVE}") from None
    try:
        names = [str(column["name"]) for column in json.loads(described["signature"]["inputs"])]
    except (KeyError, TypeError, ValueError, RecursionError):
        names = []
    if not names:
        raise BadInputError(f"{where}: model/MLmodel has no signature of named columns; give save_model a signature")
    flavors = described.get("flavors")
    if not isinstance(flavors, dict) or "python_function" not in flavors:
        raise BadInputError(f"{where}: model/MLmodel has no python_function flavor, by which models are asked; {_SAVE}")
    return names


def _is_plain(content: bytes) -> bool:
    """Return whether YAML is bounded: an alias makes a small file large, and PyYAML takes the square of the depth."""
    depth = 0
    for token in yaml.scan(content):
        if isinstance(token, yaml.AliasToken):
            return False
        depth += isinstance(token, _OPENS) - isinstance(token, _CLOSES)
        if depth > _DEPTH:
            return False
    return True


def digest_of(files: dict[str, bytes], where: str) -> str:
    """Return the artifact digest of a model's files.

    Raises:
        BadInputError: MLmodel holds what JSON cannot say.
    """
    try:
        return directory_digest(files)
    except (TypeError, ValueError, RecursionError, AttributeError):
        raise BadInputError(f"{where}: model/MLmodel holds values that are no text or number; {_SAVE}") from None

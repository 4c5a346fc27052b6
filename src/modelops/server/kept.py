"""A model that is kept where it was brought to, so that a server starts again without the registry.

A directory belongs to one server at a time. A version never changes what it is, so one that was fetched, checked and
loaded once needs no question the next time; its bytes are checked again. An alias may move: it is asked for every time.
"""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_VERSION: Final = re.compile(r"models:/+[^/@]+/\d+|runs:/.+")
_RECORD: Final = "kept.json"
PREFIX: Final = "model-"
"""Of the directories that models are fetched to."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a directory holds of one model.

    Args:
        parent: the directory.
        model_uri: the model's name.
    """

    parent: Path
    model_uri: str

    def find(self) -> tuple[Path, str | None] | None:
        """Return where the model lies and the digest it was registered with; None if it is not here."""
        if not _VERSION.fullmatch(self.model_uri):
            return None
        try:
            record = json.loads((self.parent / _RECORD).read_text(encoding="utf-8"))
            directory = self.parent / record["directory"]
            digest = record["digest"]
            held = record["uri"] == self.model_uri and directory.is_dir()
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return (directory, digest) if held else None

    def keep(self, directory: Path, digest: str | None) -> None:
        """Note where the model lies, once it is whole and was loaded.

        Args:
            directory: below the parent.
            digest: by which the registry knows the model, if it does.
        """
        place = directory.resolve().relative_to(self.parent.resolve())
        record = {"uri": self.model_uri, "directory": str(place), "digest": digest}
        written = self.parent / f".{_RECORD}"
        written.write_text(json.dumps(record), encoding="utf-8")
        written.replace(self.parent / _RECORD)

    def clear(self) -> None:
        """Remove what is here of any model, whole or not."""
        (self.parent / _RECORD).unlink(missing_ok=True)
        for directory in self.parent.glob(f"{PREFIX}*"):
            shutil.rmtree(directory, ignore_errors=True)

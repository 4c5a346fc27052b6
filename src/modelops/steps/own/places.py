"""Where the containers of one pod leave things for each other, and how one says that it failed.

An init container that fails would take its exit code and its message with it. So it never fails: it leaves
`failed.json`, the ones after it do nothing, and the main container, whose end Argo reports, fails in its stead.

A team's code can write all of it. So what comes after it reads regular files only, of bounded size, through no link,
and believes nothing.
"""

import json
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelops.steps import context as contexts
from modelops.steps.context import BadInputError, Outputs, StepFailedError

_SMALL: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Places:
    """The shared directories of a pod."""

    root: Path

    @classmethod
    def of(cls, outputs: Outputs) -> "Places":
        """Return the places of a step."""
        return cls(outputs.path("/tmp/own"))  # noqa: S108 - below the step's own root

    @property
    def scratch(self) -> Path:
        """All that the containers of the pod can write."""
        return self.root.parent

    @property
    def code(self) -> Path:
        """The team's files, as they lie in git."""
        return self.root / "code"

    @property
    def input(self) -> Path:
        """`$MODELOPS_INPUT` of the team's code."""
        return self.root / "input"

    @property
    def output(self) -> Path:
        """`$MODELOPS_OUTPUT` of the team's code."""
        return self.root / "output"

    @property
    def lent(self) -> Path:
        """What runs the command of a team's image."""
        return self.root / "lent"

    @property
    def end(self) -> Path:
        """How that command ended: `code`, its last word, and the limit that it exceeded, a file each."""
        return self.root / "end"

    @property
    def models(self) -> Path:
        """One directory per model that is to answer the test rows: `candidate`, and `champion` if it is own code's."""
        return self.root / "models"

    @property
    def rows(self) -> Path:
        """The test rows without their target, parquet."""
        return self.root / "rows.parquet"

    @property
    def answers(self) -> Path:
        """Per model its answers, `<name>.parquet`, or `<name>.error`, text."""
        return self.root / "answers"

    @property
    def failure(self) -> Path:
        """Why a container before this one failed."""
        return self.root / "failed.json"

    @property
    def failed(self) -> bool:
        """Whether a container before this one failed."""
        return os.path.lexists(self.failure)

    def leave_answers(self, answers: Mapping[str, bytes], errors: Mapping[str, str]) -> None:
        """Leave what models answered, and why others did not, in a directory that nobody has written to before."""
        if self.answers.is_symlink() or not self.answers.is_dir():
            self.answers.unlink(missing_ok=True)
        else:
            shutil.rmtree(self.answers)
        self.answers.mkdir(parents=True)
        for name, content in answers.items():
            (self.answers / f"{name}.parquet").write_bytes(content)
        for name, line in errors.items():
            (self.answers / f"{name}.error").write_text(line, encoding="utf-8")

    def read(self, path: Path, limit: int) -> bytes | None:
        """Return a file's bytes, or None if it is no regular file below here, or larger than `limit` bytes."""
        if any(parent.is_symlink() for parent in path.parents if parent.is_relative_to(self.root)):
            return None
        try:
            # Neither a link nor a pipe that nobody writes to.
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        with os.fdopen(file, "rb") as source:
            known = os.fstat(file)
            if not stat.S_ISREG(known.st_mode) or known.st_size > limit:
                return None
            return source.read(limit)

    def fail(self, code: int, message: str) -> None:
        """Leave a failure for the main container."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.failure.unlink(missing_ok=True)
        self.failure.write_text(json.dumps({"code": code, "message": message}), encoding="utf-8")

    def raise_failure(self) -> None:
        """Fail as the container before did.

        Raises:
            BadInputError: its input was bad. StepFailedError: another try may help.
        """
        if not self.failed:
            return
        try:
            read = json.loads(self.read(self.failure, _SMALL) or b"")
            code, message = int(read["code"]), str(read["message"])
        except (ValueError, TypeError, KeyError, RecursionError):
            raise StepFailedError(f"{self.failure.name} was written by somebody else than modelops") from None
        if code == contexts.BAD_INPUT:
            raise BadInputError(message)
        raise StepFailedError(message)

"""Where the containers of one pod leave things for each other, and how one says that it failed.

An init container that fails would take its exit code and its message with it. So it never fails: it leaves
`failed.json`, the ones after it do nothing, and the main container, whose end Argo reports, fails in its stead.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from modelops.steps import context as contexts
from modelops.steps.context import BadInputError, Outputs, StepFailedError


@dataclass(frozen=True, slots=True)
class Places:
    """The shared directories of a pod."""

    root: Path

    @classmethod
    def of(cls, outputs: Outputs) -> "Places":
        """Return the places of a step."""
        return cls(outputs.path("/tmp/own"))  # noqa: S108 - below the step's own root

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
    def models(self) -> Path:
        """One directory per model that is to answer the test rows: `candidate`, and `champion` if it is own code's."""
        return self.root / "models"

    @property
    def rows(self) -> Path:
        """The test rows without their target, parquet."""
        return self.root / "rows.parquet"

    @property
    def answers(self) -> Path:
        """Per model its answers, parquet, or `<name>.error`, text."""
        return self.root / "answers"

    @property
    def failure(self) -> Path:
        """Why a container before this one failed."""
        return self.root / "failed.json"

    def fail(self, code: int, message: str) -> None:
        """Leave a failure for the main container."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.failure.write_text(json.dumps({"code": code, "message": message}), encoding="utf-8")

    def raise_failure(self) -> None:
        """Fail as the container before did.

        Raises:
            BadInputError: its input was bad. StepFailedError: another try may help.
        """
        if not self.failure.exists():
            return
        read = json.loads(self.failure.read_text(encoding="utf-8"))
        if read["code"] == contexts.BAD_INPUT:
            raise BadInputError(read["message"])
        raise StepFailedError(read["message"])

"""A cluster that may fail in the middle of a pass."""

from typing import Any

from modelops.errors import ModelopsError
from tests.support.fakes import FakeCluster


class Killed(BaseException):
    """The process is gone; nothing of it may catch this."""


class Mortal(FakeCluster):
    """A cluster before one of whose next writes the process is killed, or is refused."""

    lives: int | None = None
    """Writes until then; None is for ever."""
    refusal: ModelopsError | None = None
    """What the write meets instead of a kill."""

    def _called(self, verb: str, resource: Any, name: str) -> None:
        if self.lives is not None:
            self.lives -= 1
            if self.lives < 0:
                self.lives = None
                raise self.refusal or Killed
        super()._called(verb, resource, name)

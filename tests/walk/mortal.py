"""A cluster that may fail in the middle of a pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelops.api.kinds import Resource
from modelops.errors import ModelopsError
from tests.support.fakes import FakeCluster, copied


class Killed(BaseException):
    """The process is gone; nothing of it may catch this."""


@dataclass
class Mortal(FakeCluster):
    """A cluster before one of whose next writes the process is killed, or is refused.

    Whoever reads an object that has not changed gets the same copy again, as from an informer's cache: half of a walk's
    time went into copies.
    """

    lives: int | None = None
    """Writes until then; None is for ever."""
    refusal: ModelopsError | None = None
    """What the write meets instead of a kill."""
    _copies: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By uid."""

    def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        found = self.look(resource, namespace, name)
        return None if found is None else self._copy(found)

    def list(
        self, resource: Resource, namespace: str | None, labels: Mapping[str, str] | None = None
    ) -> Sequence[dict[str, Any]]:
        return [self._copy(found) for found in self.stored(resource, namespace, labels)]

    def _copy(self, found: Mapping[str, Any]) -> dict[str, Any]:
        uid, version = found["metadata"]["uid"], found["metadata"]["resourceVersion"]
        copy = self._copies.get(uid)
        if copy is None or copy["metadata"]["resourceVersion"] != version:
            copy = self._copies[uid] = copied(found)
        return copy

    def _called(self, verb: str, resource: Any, name: str) -> None:
        if self.lives is not None:
            self.lives -= 1
            if self.lives < 0:
                self.lives = None
                raise self.refusal.with_traceback(None) if self.refusal else Killed
        super()._called(verb, resource, name)

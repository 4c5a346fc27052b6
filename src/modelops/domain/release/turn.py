"""What one decision about a release has come to so far. Pure."""

from dataclasses import dataclass, replace
from typing import Any

from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.domain.plan import Action, EventSpec


@dataclass(frozen=True, slots=True)
class Turn:
    """The status, what is to be done, and what is to be said."""

    status: ModelReleaseStatus
    actions: tuple[Action, ...] = ()
    events: tuple[EventSpec, ...] = ()
    decisive: bool = False
    """A verdict was reached: it is written down before it is acted on, so that no crash can lose it."""

    def with_status(self, **update: Any) -> "Turn":
        """Return the turn with fields of the status replaced."""
        return replace(self, status=self.status.model_copy(update=update))

    def saying(self, reason: str, message: str, *, warning: bool = False) -> "Turn":
        """Return the turn with one more Event."""
        return replace(self, events=(*self.events, EventSpec(reason, message, "Warning" if warning else "Normal")))

"""The checks of `modelops doctor`: each yields findings, changes nothing, and never raises for what it looks at."""

from dataclasses import dataclass
from typing import Any, Literal

State = Literal["ok", "warn", "missing"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    subject: str
    state: State
    """`missing` is needed; `warn` costs a feature or may not be meant."""
    detail: str
    advice: str = ""
    """How to get it."""

    def wire(self) -> dict[str, Any]:
        """Return the finding for JSON."""
        found = {"subject": self.subject, "state": self.state, "detail": self.detail, "advice": self.advice}
        return {name: value for name, value in found.items() if value}

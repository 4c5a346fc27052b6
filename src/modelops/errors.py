"""The errors that cross layers, and what each asks the reconcile loop to do.

    ModelopsError
    ├── Transient   try again soon, with capped exponential back-off
    ├── Waiting     a dependency is not there yet; look again after a fixed delay
    ├── Stalled     a human must change something; no retry until the object changes
    │   └── Forbidden   an account may not do it; somebody has to grant it, where no watch looks
    └── Conflict    somebody else wrote first; observe again at once

Adapters translate foreign errors into these exactly once. A message is one line, says where, what and
what to do, and never holds a secret.
"""

from datetime import timedelta


class ModelopsError(Exception):
    """A failure with a stable, PascalCase reason that may stand in a condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class Transient(ModelopsError):
    """Something outside is away or slow; the same call may succeed later."""

    def __init__(self, reason: str, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(reason, message)
        self.retry_after = retry_after


class Waiting(ModelopsError):
    """A dependency exists but is not ready; look again after `delay`."""

    def __init__(self, reason: str, message: str, *, delay: timedelta = timedelta(seconds=30)) -> None:
        super().__init__(reason, message)
        self.delay = delay


class Stalled(ModelopsError):
    """The input is wrong; nothing changes until a human changes it.

    Args:
        retry_after: look again after this, where the change may happen out of our sight (in git, say).
    """

    def __init__(self, reason: str, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(reason, message)
        self.retry_after = retry_after


class Forbidden(Stalled):
    """The account that acts may not do this. Others may: whoever asked has to be granted it.

    Args:
        remedy: how to grant it, said once however much was refused.
    """

    def __init__(self, reason: str, message: str, *, remedy: str) -> None:
        super().__init__(reason, message)
        self.remedy = remedy


class Conflict(ModelopsError):
    """The object changed since it was read; observe again and decide anew."""

"""The Clock port: the machine's own time; and a clock that nobody can set, for measuring how long something lasts."""

import time
from datetime import UTC, datetime
from typing import Final

_BOOT: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)
"""Goes on while the machine is suspended, which CLOCK_MONOTONIC does not; only Linux has it."""


class SystemClock:
    """Implements `ports.Clock`."""

    def now(self) -> datetime:
        """Return the current time, aware, UTC."""
        return datetime.now(UTC)


def steady() -> float:
    """Return seconds since some moment; never set back or forward, and not stopped by a suspended machine."""
    return time.monotonic() if _BOOT is None else time.clock_gettime(_BOOT)

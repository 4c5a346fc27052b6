"""What the fault proxy can do to requests, and to which: see `fault_proxy`."""

import re
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delay:
    """The request reaches the server later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Drop:
    """Nothing comes back any more, and no FIN either: a black hole. The connection stays dead afterwards."""


@dataclass(frozen=True, slots=True)
class HalfClose:
    """A FIN comes instead of the (rest of the) answer; what the client sends is still taken."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset (RST)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The proxy answers in the server's stead, with a metav1.Status."""

    code: int
    retry_after: int | None = None
    """Seconds."""


@dataclass(frozen=True, slots=True)
class InStream:
    """A running watch gets an ERROR event with this code, and ends."""

    code: int


Fault = Delay | Drop | HalfClose | Reset | Answer | InStream


@dataclass(eq=False, slots=True)
class Rule:
    """What happens to which requests."""

    fault: Fault
    method: str = ".*"
    """A regular expression for the whole method."""
    path: str = ""
    """A regular expression found anywhere in path and query."""
    watch: bool | None = None
    """Only watches, only others, or (None) both."""
    times: int | None = None
    """How often it strikes; None for ever."""
    seconds: float | None = None
    """For how long after it was added; None for ever."""
    hits: int = 0
    """How often it struck so far."""
    until: float | None = None

    def strikes(self, seen: "Seen") -> bool:
        """Tell whether a request is broken by this rule; if so, count it and say so."""
        if self.until is not None and time.monotonic() > self.until:
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        if self.watch not in (None, seen.watch) or not re.fullmatch(self.method, seen.method):
            return False
        if not re.search(self.path, seen.path):
            return False
        self.hits += 1
        seen.fault = self.fault
        return True


@dataclass(slots=True)
class Seen:
    """One request."""

    method: str
    path: str
    """With the query."""
    watch: bool
    at: float
    """time.monotonic() when its head was read."""
    code: int | None = None
    """Of the answer; None while there is none."""
    fault: Fault | None = None
    """What was done to it."""

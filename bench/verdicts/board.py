"""What became of each canary, as the objects say: weights and outcomes, and when."""

import math
import time
from dataclasses import dataclass, field

from bench.verdicts.scenarios import HEALTHY, Figures, Moment, Outcome, Scenario

FIRST_WEIGHT = 22
"""Percent; Flagger comes there by 20 and 21, because it stays at no weight."""
_AFTERWARDS = 0.5


@dataclass
class Canary:
    """One contender's canary in one scenario. Times are time.monotonic()."""

    scenario: Scenario
    interval: float
    """Seconds between two looks."""
    stable: str = ""
    """The first version's revision, once it serves."""
    weight: int = 0
    highest: int = 0
    begun: float | None = None
    """When it first had traffic."""
    without: float | None = None
    """Since when it has none again."""
    look: int = 0
    looked_at: float = -math.inf
    """When its latest look began."""
    ended: Outcome | None = None
    ended_at: float = 0.0

    def weighs(self, weight: int, now: float) -> None:
        """Take the weight in the object that steers the traffic."""
        self.weight = weight
        if weight and self.ended is None:
            self.highest = max(self.highest, weight)
            self.begun = now if self.begun is None else self.begun
            self.without = None
        elif not weight and self.begun is not None and self.without is None:
            self.without = now

    def ends(self, outcome: Outcome, now: float) -> None:
        """Take an outcome; the first one that is not contradicted."""
        if self.ended is Outcome.PROMOTED and outcome is Outcome.ROLLED_BACK:
            outcome = Outcome.TAKEN_BACK
        if outcome is not self.ended and self.ended is not Outcome.TAKEN_BACK:
            self.ended, self.ended_at = outcome, now

    def figures(self, now: float) -> Figures:
        """Return what is true of it now, when somebody asks."""
        if self.begun is None:
            return HEALTHY
        after = self.scenario.after_promotion
        if after and self.ended and (now - self.ended_at) / self.interval >= _AFTERWARDS:
            return after
        # A look is several questions, and a broken connection may be tried again.
        if now - self.looked_at > self.interval / 2:
            self.look, self.looked_at = self.look + 1, now
        return self.scenario.figures(Moment(self.look, (now - self.begun) / self.interval, self.weight))

    def is_over(self, now: float) -> bool:
        """Whether nothing more is to come."""
        if self.ended is None or (self.scenario.after_promotion and self.ended is Outcome.PROMOTED):
            return False
        routed = self.ended is Outcome.PROMOTED or self.without is not None
        return routed and now - self.ended_at > self.interval / 2

    @property
    def outcome(self) -> Outcome:
        if self.ended is not None:
            return self.ended
        return Outcome.HELD if self.highest <= FIRST_WEIGHT else Outcome.RAISED

    @property
    def lasted(self) -> float | None:
        """Seconds from its first traffic to its end, if it has ended."""
        return None if self.begun is None or self.ended is None else self.ended_at - self.begun

    @property
    def reaction(self) -> float | None:
        """Seconds from when the figures became bad to weight 0, if it was rolled back for that."""
        bad = self.scenario.bad_from
        if bad is None or self.ended is not Outcome.ROLLED_BACK or self.begun is None or self.without is None:
            return None
        return self.without - (self.begun + bad * self.interval)


@dataclass
class Board:
    """All canaries, by contender and scenario."""

    canaries: dict[tuple[str, str], Canary] = field(default_factory=dict)

    def of(self, contender: str, name: str | None) -> Canary | None:
        """Return a canary by the names of its objects."""
        return self.canaries.get((contender, name or ""))

    def asked(self, contender: str, name: str) -> tuple[Canary, Figures]:
        """Return a canary and what is true of it now."""
        canary = self.canaries[contender, name]
        return canary, canary.figures(time.monotonic())

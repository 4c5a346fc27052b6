"""What walks came to: how often each thing happened, and in how many different places a release was."""

from collections import Counter
from dataclasses import dataclass, field

from modelops.domain.release.steps import effective_steps
from tests.walk.happenings import Happening
from tests.walk.release import Release

Place = tuple[str, str, str, str]
"""Phase, strategy, kind of the step that the canary stands at, and the reasons of all conditions."""


@dataclass
class Reached:
    """Of any number of walks."""

    happened: Counter[str] = field(default_factory=Counter)
    places: Counter[Place] = field(default_factory=Counter)

    @property
    def steps(self) -> int:
        return self.happened.total()

    def note(self, happening: Happening, release: Release) -> None:
        """Count one step."""
        self.happened[happening.name] += 1
        self.places[_place(release)] += 1

    def add(self, other: "Reached") -> None:
        self.happened += other.happened
        self.places += other.places

    def __str__(self) -> str:
        rows = [f"{count:9} {name}" for name, count in self.happened.most_common()]
        rows += [f"{count:9} {' '.join(place)}" for place, count in sorted(self.places.items())]
        return "\n".join([*rows, f"{len(self.places)} places"])


def _place(release: Release) -> Place:
    status = release.status
    (strategy,) = release.world.spec["strategy"]
    reasons = sorted({one["reason"] for one in status["conditions"]})
    kind = "-"
    if status.get("canary") is not None:
        steps, at = effective_steps(release.strategy), status.get("step", 0)
        kind = "end" if at >= len(steps) else next(iter(steps[at].model_fields_set))
    return str(status["phase"]), strategy, kind, "+".join(reasons)

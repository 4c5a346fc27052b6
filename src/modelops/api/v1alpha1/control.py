"""When a ModelRelease may move: windows, a freeze, newer versions on the way, the time after a promotion."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from modelops.api.v1alpha1.common import Duration, Model, rule, rules

Day = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
EVERY_DAY: tuple[Day, ...] = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
OnNewVersion = Literal["Supersede", "Queue", "Ignore"]


class Window(Model):
    """A part of the week in which rollouts begin and weights rise."""

    model_config = {"json_schema_extra": rules(rule("self.from != self.to", "from and to must differ"))}

    days: Annotated[tuple[Day, ...], Field(min_length=1, max_length=7)] = EVERY_DAY
    """On which it begins."""
    from_: Annotated[str, Field(alias="from", max_length=5, pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    """By the clocks of timeZone, such as `09:00`."""
    to: Annotated[str, Field(max_length=5, pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
    """On the next day where it is not later than from."""
    time_zone: Annotated[str, Field(max_length=64, pattern=r"^(UTC|[A-Za-z]+(/[A-Za-z0-9_+-]+)+)$")] = "UTC"
    """`UTC`, or an IANA name such as `Europe/Zurich`."""


class Freeze(Model):
    """Until it is over no rollout begins and no weight rises."""

    until: AwareDatetime | None = None
    """Without it, until the freeze is taken out."""
    reason: Annotated[str, Field(max_length=256)] = ""
    """For whoever asks why nothing moves."""


class RollbackWindow(Model):
    """After a promotion the metrics go on being asked, and the servers of the version before stay."""

    duration: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(days=7))]
    """For how long a Fail gives all of the traffic back at once."""

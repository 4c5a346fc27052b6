"""How a ModelRelease's traffic moves: what the steps beside setWeight say, and the strategies beside canary."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from modelops.api.v1alpha1.common import Duration, Model, rule, rules
from modelops.api.v1alpha1.routing import RequestMatch

_Second = Field(ge=timedelta(seconds=1))


class Approve(Model):
    """Wait for `modelops release promote`; who said it, and when, stands in status.approvals."""


class Bake(Model):
    """Stay at this weight for so long. No Pass is needed; a Fail rolls back, NoData or Error at the end holds."""

    duration: Annotated[Duration, _Second]


class CanaryScale(Model):
    """How many servers the canary has from here on; all of them before it takes all of the traffic."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "[has(self.replicas), has(self.percent), has(self.matchTrafficWeight)].filter(x, x).size() == 1",
                "set exactly one of replicas, percent and matchTrafficWeight",
            )
        )
    }

    replicas: Annotated[int, Field(ge=1, le=1000)] | None = None
    """So many."""
    percent: Annotated[int, Field(ge=1, le=100)] | None = None
    """So many percent of serving.replicas, rounded up."""
    match_traffic_weight: Literal[True] | None = None
    """As many percent of serving.replicas as it has of the traffic, or gets of it as copies, rounded up; at least one,
    and all of them with a header route."""


class Linear(Model):
    """The same increment again and again, judged at each weight: short for setWeight and analyze."""

    model_config = {
        "json_schema_extra": rules(
            rule("!has(self.maxWeight) || self.maxWeight >= self.stepWeight", "maxWeight must be at least stepWeight")
        )
    }

    step_weight: Annotated[int, Field(ge=1, le=99)]
    """Percent of the traffic that every step adds."""
    every: Annotated[Duration, _Second]
    """How long each weight is analyzed; longer where metrics have not passed."""
    max_weight: Annotated[int, Field(ge=1, le=99)] | None = None
    """The last weight before all of the traffic; without it, the highest multiple of stepWeight below 100."""


class PrePromotion(Model):
    """Before users are switched to the new revision."""

    model_config = {
        "json_schema_extra": rules(
            rule("!has(self.match) || !has(self.mirror)", "set match or mirror; together their figures are one")
        )
    }

    duration: Annotated[Duration, _Second]
    """How long all servers of the new revision must be ready without a break; with match or mirror, how long it is
    analyzed."""
    match: Annotated[tuple[RequestMatch, ...], Field(min_length=1, max_length=8)] | None = None
    """Requests that match all of it go to the new revision: those of testers, or of a load generator."""
    mirror: Annotated[int, Field(ge=1, le=100)] | None = None
    """Of so many percent of users' requests it gets copies; what it answers is dropped."""


class PostPromotion(Model):
    """With all of the traffic on the new revision, and the old one still warm."""

    duration: Annotated[Duration, _Second]
    """How long it is analyzed; a Fail gives all of the traffic back at once."""


class BlueGreen(Model):
    """All servers first, then all of the traffic at once; the old ones stay until the new revision is proven."""

    pre_promotion: PrePromotion | None = None
    post_promotion: PostPromotion | None = None
    """Without it nothing is analyzed after the switch."""
    auto_promote: bool = True
    """With false, `modelops release promote` switches the traffic."""
    scale_down_delay: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(days=7))] = timedelta(0)
    """How long the old revision's servers stay after the promotion; at least until what was in flight has ended."""


class Direct(Model):
    """All of the traffic once the servers are ready; nothing is analyzed."""

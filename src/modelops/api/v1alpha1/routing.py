"""Which requests a canary gets other than by weight: header routes, A/B tests, mirrored copies."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from modelops.api.v1alpha1.common import Duration, Model, Name, StatusModel, rule, rules

HeaderName = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$")]
CookieName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$")]
Exact = Annotated[str, Field(min_length=1, max_length=1024)]
CookieValue = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^;,\s]+$")]
Regex = Annotated[str, Field(min_length=1, max_length=256)]


class CookieMatch(Model):
    """A cookie with this value."""

    model_config = {
        "json_schema_extra": rules(
            rule("has(self.exact) != has(self.regex)", "a cookie needs exactly one of exact and regex")
        )
    }

    name: CookieName
    exact: CookieValue | None = None
    regex: Regex | None = None
    """RE2, of the whole value."""


class RequestMatch(Model):
    """A header or a cookie with this value."""

    model_config = {
        "json_schema_extra": rules(
            rule("has(self.header) != has(self.cookie)", "set exactly one of header and cookie"),
            rule(
                "!has(self.header) || has(self.exact) != has(self.regex)",
                "a header needs exactly one of exact and regex",
            ),
            rule(
                "!has(self.cookie) || !(has(self.exact) || has(self.regex))",
                "exact and regex of a cookie stand below cookie",
            ),
        )
    }

    header: HeaderName | None = None
    exact: Exact | None = None
    regex: Regex | None = None
    """RE2, of the whole value."""
    cookie: CookieMatch | None = None


Match = Annotated[tuple[RequestMatch, ...], Field(max_length=8)]


class HeaderRoute(Model):
    """Send requests that match to the canary only, whatever the weight."""

    name: Name
    """One of the same name takes the place of the one before."""
    match: Match = ()
    """All of them must hold. Empty: the route of this name is taken away again."""


class Mirror(Model):
    """Send copies of users' requests to the canary; what it answers is dropped."""

    percent: Annotated[int, Field(ge=0, le=100)]
    """Of the requests; 0 ends it."""


class AbTest(Model):
    """Requests that match go to the canary and all others to stable, for a fixed time; then one of them gets all."""

    match: Annotated[tuple[RequestMatch, ...], Field(min_length=1, max_length=8)]
    """All of them must hold."""
    duration: Annotated[Duration, Field(ge=timedelta(seconds=1))]
    """From when the gateway confirmed the route, plus warmUp."""
    min_samples: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """The least minSamples of every metric that counts samples."""


class Shadow(Model):
    """Copies of users' requests go to the canary for a while, and no user sees what it answers."""

    percent: Annotated[int, Field(ge=1, le=100)] = 100
    """Of the requests."""
    duration: Annotated[Duration, Field(ge=timedelta(seconds=1))]
    """From when the gateway confirmed the mirror, plus warmUp."""
    promote: bool = False
    """true: all of the traffic once every metric has passed. By default it then pauses for a human and goes on
    mirroring: that copies were answered in time says nothing of whether the answers are right."""


class RoutingStatus(StatusModel):
    """What the gateway confirmed besides the weight."""

    header_routes: Annotated[tuple[Name, ...], Field(max_length=8)] = ()
    mirror_percent: Annotated[int, Field(ge=0, le=100)] = 0
    digest: Annotated[str, Field(max_length=16)] = ""
    """Of the header routes with what they match."""

"""Golden requests that a new revision answers before it gets any of the users' requests."""

from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, Field

from modelops.api.v1alpha1.analysis import Expression
from modelops.api.v1alpha1.common import Duration, Model, Name, StatusModel, rule, rules

UrlPath = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^/[A-Za-z0-9._~%!$&'()*+,;=:@/?-]*$")]
Memory = Annotated[str, Field(max_length=16, pattern=r"^[1-9][0-9]{0,11}(k|M|G|T|Ki|Mi|Gi|Ti)?$")]
MOST_REQUESTS: Final = 10


class GoldenRequest(Model):
    """A request whose right answer is known."""

    model_config = {
        "json_schema_extra": rules(rule("has(self.path) || has(self.body)", "a golden request needs body or path"))
    }

    name: Name
    path: UrlPath | None = None
    """By default /v2/models/<release>/infer; for runtime mlflow /invocations."""
    body: Annotated[
        dict[str, Any] | None,
        Field(json_schema_extra={"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
    ] = None
    """JSON, at most 64 KiB, sent by POST. Without it the request is a GET."""
    expect: Expression = "status == 200"
    """CEL over `status` and `body`, the JSON of the answer: `status == 200 && body.outputs[0].data[0] > 0.5`."""


class SmokeTest(Model):
    """Golden requests to the new revision's own Service, sent when its servers are ready and before it has a route."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "!has(self.maxLatency) || !has(self.timeout) || duration(self.maxLatency) <= duration(self.timeout)",
                "maxLatency must not exceed timeout; nobody waits longer for an answer",
            )
        )
    }

    requests: Annotated[
        tuple[GoldenRequest, ...],
        Field(
            min_length=1,
            max_length=MOST_REQUESTS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ]
    repeat: Annotated[int, Field(ge=1, le=100)] = 1
    """How often each request is sent, one after the other; every answer must be as expected."""
    timeout: Annotated[Duration, Field(ge=timedelta(milliseconds=1), le=timedelta(seconds=30))] = timedelta(seconds=10)
    """Of one request. All of them together have a minute."""
    max_latency: Annotated[Duration, Field(ge=timedelta(milliseconds=1))] | None = None
    """Of the slowest answer to each request."""
    max_memory: Memory | None = None
    """Of a server after the requests: process_resident_memory_bytes at /metrics, as our server says it."""
    failure_limit: Annotated[int, Field(ge=0, le=10)] = 2
    """How many tests may fail by what could pass: no answer, 5xx, too slow, too large. What is wrong fails at once."""


class SmokeTestStep(Model):
    """Send the requests of spec.smokeTest here, and not already before the first step."""


class GoldenRequestStatus(StatusModel):
    """How one golden request was answered last."""

    name: Annotated[str, Field(max_length=63)]
    ok: bool
    latency: float | None = None
    """Seconds, of its slowest answer."""
    message: Annotated[str, Field(max_length=512)] = ""
    """What was wrong."""


class SmokeTestStatus(StatusModel):
    """How far the smoke test of a revision is."""

    digest: Annotated[str, Field(max_length=16)]
    """Of spec.smokeTest: when it changes before the revision has requests, it is tested anew."""
    outcome: Literal["Running", "Passed", "Failed"] = "Running"
    failures: int = 0
    """Held against failureLimit."""
    tested_at: AwareDatetime | None = None
    memory: Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})] | None = None
    """Bytes of the server that was asked, where maxMemory is set."""
    message: Annotated[str, Field(max_length=512)] = ""
    """What was wrong with the last test; empty once it has passed."""
    requests: Annotated[tuple[GoldenRequestStatus, ...], Field(max_length=MOST_REQUESTS)] = ()

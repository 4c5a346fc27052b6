"""What all kinds share: the base model, durations, references, conditions, the common status."""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

API_VERSION = "modelops.dev/v1alpha1"

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")


def parse_duration(text: str) -> timedelta:
    """Return the timedelta of a Go duration such as `90s`, `1h30m` or `250ms`.

    Raises:
        ValueError: the text is not a positive Go duration in h, m, s or ms.
    """
    if not _DURATION.match(text):
        msg = f"{text!r} is not a duration; write it as 30s, 5m or 1h30m"
        raise ValueError(msg)
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))


def format_duration(value: timedelta) -> str:
    """Return the Go spelling of a timedelta, whole units first (`1h30m`)."""
    milliseconds = round(value.total_seconds() * 1000)
    parts = []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


Duration = Annotated[
    timedelta,
    BeforeValidator(lambda value: parse_duration(value) if isinstance(value, str) else value),
    PlainSerializer(format_duration),
    WithJsonSchema({"type": "string", "maxLength": 32, "pattern": _DURATION.pattern}),
]
"""A Go duration: written as `5m`, read as a timedelta."""

Name = Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""A DNS label: the name of an object that other objects refer to."""
ServiceAccountName = Annotated[
    str,
    Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"),
]
"""A DNS subdomain, as Kubernetes names service accounts."""
ModelName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9]([A-Za-z0-9_. -]*[A-Za-z0-9])?$")]
"""The name of a registered model in MLflow."""
ColumnName = Annotated[str, Field(min_length=1, max_length=128)]
RepositoryPath = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^/].*$")]
"""Relative to the root of a repository."""


class Model(BaseModel):
    """Frozen, camelCase on the wire, unknown fields refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )


class StatusModel(Model):
    """Frozen and camelCase, but tolerant: a status may have been written by another version."""

    model_config = ConfigDict(extra="ignore")


class LocalRef(Model):
    """An object of a known kind in the same namespace."""

    name: Name


class Spec(Model):
    """What every spec has."""

    suspend: bool = False
    """Stop reconciling this object: a Workflow that runs for it is ended, and another begins when it goes on; all else
    that runs keeps running."""


class Condition(StatusModel):
    """A metav1.Condition."""

    type: Annotated[str, Field(max_length=64)]
    status: Literal["True", "False", "Unknown"]
    observed_generation: Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})] = 0
    last_transition_time: AwareDatetime
    reason: Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    message: Annotated[str, Field(max_length=4096)] = ""


class Status(StatusModel):
    """What every status has. `Ready` is always there; `Reconciling` and `Stalled` only while True."""

    observed_generation: Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})] = 0
    """The generation of the spec this status speaks of."""
    last_handled_reconcile_at: Annotated[str, Field(max_length=128)] | None = None
    """The last `modelops.dev/requestedAt` that was acted on."""
    last_handled_command: Annotated[str, Field(max_length=128)] | None = None
    """The id of the last `modelops.dev/command` that was acted on."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()


class ObjectMeta(BaseModel):
    """The part of metav1.ObjectMeta that modelops reads; everything else passes by."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    name: str
    namespace: str | None = None
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()
    deletion_timestamp: AwareDatetime | None = None
    creation_timestamp: AwareDatetime | None = None


def rule(expression: str, message: str) -> dict[str, str]:
    """Return one CEL rule for `x-kubernetes-validations`."""
    return {"rule": expression, "message": message}


def rules(*pairs: dict[str, str]) -> dict[str, Any]:
    """Return the schema extra that carries CEL rules for a model."""
    return {"x-kubernetes-validations": list(pairs)}

"""ComputePool: a name for hardware, given by the platform team (cluster-scoped)."""

from typing import Annotated, Literal

from pydantic import Field

from modelops.api.v1alpha1.common import Duration, Model, Name, Spec, Status

LabelKey = Annotated[str, Field(max_length=317)]
LabelValue = Annotated[str, Field(max_length=63)]


class Toleration(Model):
    """A core/v1 Toleration."""

    key: LabelKey | None = None
    operator: Literal["Exists", "Equal"] = "Equal"
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})] | None = None


class Ceilings(Model):
    """What one run may ask for at most; more is refused, not cut."""

    gpus: Annotated[int, Field(ge=0, le=1024)] | None = None
    timeout: Duration | None = None
    retries: Annotated[int, Field(ge=0, le=100)] | None = None


class ComputePoolSpec(Spec):
    """Where runs of this pool go and what they may use."""

    node_selector: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] = {}
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = ()
    resource_name: Annotated[str, Field(max_length=317)] = "nvidia.com/gpu"
    """The extended resource of one GPU or MIG slice."""
    runtime_class_name: Name | None = None
    priority_class_name: Annotated[str, Field(max_length=253)] | None = None
    queue_name: Name | None = None
    """Kueue LocalQueue: set as the label kueue.x-k8s.io/queue-name on the pods."""
    max_per_run: Ceilings = Ceilings()
    namespaces: Annotated[tuple[Name, ...], Field(max_length=1000)] = ()
    """Namespaces whose runs may use the pool; empty allows all."""


class ComputePoolStatus(Status):
    """A pool is Ready when its spec is accepted."""

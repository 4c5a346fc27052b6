"""What answers a ModelRelease's requests, and how they arrive."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from modelops.api.v1alpha1.common import Duration, Model, Name, rule, rules

Hostname = Annotated[str, Field(max_length=253, pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]


class Serving(Model):
    """What answers requests: our server, or your own pod template."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "(self.runtime == 'custom') == has(self.podTemplate)",
                "podTemplate is for runtime custom, which needs it",
            ),
            rule("self.runtime != 'custom' || !has(self.image)", "the image of runtime custom stands in podTemplate"),
            rule(
                "self.surge != 'none' || self.replicas >= 2",
                "surge none takes a canary's servers from stable, which keeps one: set replicas to 2 or more",
            ),
        )
    }

    runtime: Literal["modelops", "mlserver", "mlflow", "custom"] = "modelops"
    """modelops is our server; mlserver is Seldon's, mlflow is `mlflow models serve`, which has no `/v2`: it needs
    hostnames. Both get the model from an init container, so their image needs the libraries of the model only."""
    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Instead of the operator's image for this runtime, such as one with the libraries of your model."""
    pod_template: Annotated[
        dict[str, Any] | None,
        Field(json_schema_extra={"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
    ] = None
    """A core/v1 PodTemplateSpec. Its first container listens on $PORT; `$(MODEL_URI)` names the model."""
    replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """Servers of each revision; a canary starts with as many. This is the scale subresource: leave it out of git where
    `kubectl scale` sets it, or an autoscaler whose scaleTargetRef is the ModelRelease."""
    surge: Literal["full", "none"] = "full"
    """Where a canary's servers come from. full: they are added to stable's. none, for scarce GPUs: stable gives each of
    them up before, one after the other as the weight rises."""
    resources: Annotated[
        dict[str, Any] | None,
        Field(json_schema_extra={"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
    ] = None
    """core/v1 ResourceRequirements of the server's container; not for runtime custom."""


class GatewayRef(Model):
    """A Gateway; the one reference that may cross namespaces, because the Gateway must allow it."""

    name: Name
    namespace: Name


class Traffic(Model):
    """How requests arrive. modelops owns the whole HTTPRoute, or Service."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "self.mode != 'replicas' || "
                "(!has(self.gateway) && (!has(self.hostnames) || self.hostnames.size() == 0))",
                "mode replicas has no gateway: take gateway and hostnames out",
            ),
            rule(
                "self.mode == oldSelf.mode",
                "the mode of a release stays, because its address depends on it: make another release beside it",
            ),
        )
    }

    mode: Literal["gateway", "replicas"] = "gateway"
    """gateway: an HTTPRoute weighs the requests. replicas: without a gateway, one Service of the release's name selects
    the servers of stable and canary, and a weight is made of how many either has, as close as whole servers come."""
    gateway: GatewayRef | None = None
    """By default the gateway of the operator's configuration."""
    hostnames: Annotated[tuple[Hostname, ...], Field(max_length=16)] = ()
    """With hostnames every path on them is this release's; without, only /v2/models/<release>."""
    timeout: Annotated[Duration, Field(ge=timedelta(milliseconds=1))] = timedelta(seconds=15)
    """Of one request; a request that exceeds it counts as failed and as slow."""

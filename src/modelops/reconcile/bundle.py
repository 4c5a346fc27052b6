"""What reconcilers are given: the ports and the settings, in one frozen bundle."""

from dataclasses import dataclass, field
from typing import Literal

from modelops.api.v1alpha1.common import Model
from modelops.api.v1alpha1.control import Freeze
from modelops.ports import Clock, Cluster, Git, Metrics, ModelServers, Registry


class Settings(Model):
    """The part of the operator's configuration that decisions depend on; plain values."""

    mlflow_tracking_uri: str = "http://mlflow.modelops-system.svc:5000"
    """Address of MLflow as pods reach it."""
    mlflow_public_url: str = ""
    """Address of MLflow for links that people open; by default the tracking address."""
    trainer_image: str = "modelops-trainer:latest"
    server_image: str = "modelops-server:latest"
    mlserver_image: str = "seldonio/mlserver:1.7.1-mlflow"
    gateway_name: str = "modelops"
    gateway_namespace: str = "modelops-system"
    gateway_figures: str = "envoy"
    """How the gateway's figures are named: envoy, envoy-gateway, istio or nginx."""
    server_addresses: Literal["service", "annotation"] = "service"
    """Where a revision's servers are reached: at its Service, or where the local home notes it at its Deployment."""
    pool_fallback: str | None = None
    """A pool that stands in for unknown ones (the local home's `local`)."""
    workflow_service_account: str | None = None
    """Service account of the Workflows' pods; by default the namespace's own."""
    registry_secret: str | None = None
    """Name of the Secret with MLflow's login in each namespace; None where MLflow asks for none."""
    default_service_account: str | None = None
    """Account of GitSources that name none; None lets them act as the operator."""
    freeze: Freeze | None = None
    """Of all releases."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside, as reconcilers see it."""

    cluster: Cluster
    git: Git
    registry: Registry
    metrics: Metrics
    clock: Clock
    servers: ModelServers
    settings: Settings = field(default_factory=Settings)

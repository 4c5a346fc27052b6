"""The operator's configuration: one frozen model, read once from `MODELOPS_*`, in `modelops.app`.

A misspelt variable is an error, because a setting that silently does nothing is worse than one that is refused.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, Field, SecretStr, ValidationError, ValidationInfo
from pydantic.functional_validators import field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from modelops.api.v1alpha1.common import ServiceAccountName
from modelops.errors import Stalled

PREFIX: Final = "MODELOPS_"
_OTHERS: Final = frozenset({"MODELOPS_STATE_DIR", "MODELOPS_STEP", "MODELOPS_ROOT"})
_OTHER_PREFIXES: Final = ("MODELOPS_TEST_", "MODELOPS_GIT_")


class Config(BaseSettings):
    """Everything an operator can be told."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", use_attribute_docstrings=True, env_ignore_empty=True
    )

    namespace: str | None = None
    """Watch this namespace only; by default all."""
    mlflow_tracking_uri: str = "http://mlflow.modelops-system.svc:5000"
    """MLflow, as the operator and its pods reach it."""
    mlflow_tracking_username: str = ""
    """The operator's own login to MLflow, if it asks for one; or a token."""
    mlflow_tracking_password: SecretStr = SecretStr("")
    """Of that user."""
    mlflow_tracking_token: SecretStr = SecretStr("")
    """A bearer token, instead of user and password."""
    registry_secret: str | None = None
    """A Secret of this name in each namespace logs steps and our servers in to MLflow: username, password, token."""
    mlflow_public_url: str = ""
    """MLflow, as people reach it; by default the tracking address. Only for links."""
    prometheus_url: str = "http://prometheus.modelops-system.svc:9090"
    """Prometheus, which judges releases."""
    gateway_figures: Annotated[str, Field(pattern="^(envoy|envoy-gateway|istio|nginx)$")] = "envoy"
    """How the gateway names its figures per revision: envoy is the local home's, envoy-gateway Envoy Gateway with
    mergeBackends, istio Istio's gateway, nginx NGINX Gateway Fabric with NGINX Plus."""
    gateway_name: str = "modelops"
    """Gateway of releases that name none."""
    gateway_namespace: str = "modelops-system"
    """Its namespace."""
    trainer_image: str = "modelops-trainer:latest"
    """Image of Workflow steps."""
    server_image: str = "modelops-server:latest"
    """Image of the model server; it also brings models to other servers."""
    mlserver_image: str = "seldonio/mlserver:1.7.1-mlflow"
    """Image of runtime mlserver."""
    allowed_git_schemes: Annotated[tuple[str, ...], NoDecode] = ("https", "ssh")
    """Comma-separated. http and file are for machines of one person."""
    git_cache_dir: Path = Path("/var/cache/modelops/git")
    """Where mirrors of repositories are kept."""
    server_addresses: Literal["service", "annotation"] = "service"
    """How smoke tests reach servers: by their Service. The local home notes where they are in an annotation."""
    pool_fallback: str | None = None
    """A ComputePool that stands in for unknown ones; the local home's `local`."""
    workflow_service_account: str | None = None
    """Service account of Workflow pods."""
    leader_election: bool = True
    """Whether a Lease decides which of several operators works. Off for one that is alone by other means."""
    lease_name: str = "modelops"
    """Of the Lease; operators that share it share the work."""
    lease_namespace: str = "modelops-system"
    """Its namespace; in a pod, the pod's own."""
    pod_name: str = ""
    """Who this is, in the Lease; by default the host's name. A random part is added: no two processes share one."""
    lease_seconds: Annotated[int, Field(ge=1, le=3600)] = 15
    """How long a leader that fell silent is left alone."""
    lease_renew_seconds: Annotated[float, Field(gt=0)] = 10
    """A leader that could not renew the Lease for so long exits; less than lease_seconds."""
    lease_retry_seconds: Annotated[float, Field(gt=0)] = 2
    """Between two renewals, and between two looks of those who wait; less than lease_renew_seconds."""
    watch_silence_seconds: Annotated[float, Field(ge=1, le=280)] = 70
    """A watch that says nothing for so long is made anew. One that says nothing for twice as long is dead."""
    stop_seconds: Annotated[float, Field(ge=3, le=300)] = 10
    """The process has ended so long after SIGTERM, whatever its calls are waiting for."""
    default_service_account: ServiceAccountName | None = None
    """ServiceAccount, in each GitSource's namespace, of GitSources that name none; unset, they act as the operator."""
    freeze: str = ""
    """Why no release begins a rollout or raises a weight now; empty lets them. What rolls back is never held."""
    freeze_until: AwareDatetime | None = None
    """When `freeze` is over, with its offset from UTC; unset, once `freeze` is."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Prometheus reads the operator's own figures here, on every address unless `listen` says otherwise."""
    health_port: Annotated[int, Field(ge=0, le=65535)] = 8081
    """/healthz and /readyz."""
    listen: str = "0.0.0.0"  # noqa: S104 - a pod listens on its own address
    """Address of both ports."""
    log_format: Annotated[str, Field(pattern="^(text|json)$")] = "text"
    """text or json."""

    @field_validator("allowed_git_schemes", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("freeze_until")
    @classmethod
    def _of_a_freeze(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and not info.data.get("freeze"):
            raise ValueError(f"set {PREFIX}FREEZE to the reason, too")
        return value

    @field_validator("lease_renew_seconds", "lease_retry_seconds")
    @classmethod
    def _shorter(cls, value: float, info: ValidationInfo) -> float:
        longer = "lease_seconds" if info.field_name == "lease_renew_seconds" else "lease_renew_seconds"
        if longer in info.data and value >= info.data[longer]:
            raise ValueError(f"{value:g} is not less than {PREFIX}{longer.upper()} ({info.data[longer]:g})")
        return value


def load(environment: Mapping[str, str]) -> Config:
    """Return the configuration of an environment.

    Raises:
        Stalled: a MODELOPS_* variable is unknown or has a bad value; one line names it.
    """
    known = {PREFIX + name.upper() for name in Config.model_fields}
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in known | _OTHERS or name.startswith(_OTHER_PREFIXES):
            continue
        close = difflib.get_close_matches(name, known, n=1)
        raise Stalled("UnknownSetting", f"unknown variable {name}" + (f"; did you mean {close[0]}?" if close else ""))
    try:
        return Config()
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = PREFIX + str(first["loc"][0]).upper()
        raise Stalled("BadSetting", f"{name}: {first['msg']}") from error


def describe(config: Config) -> str:
    """Return the configuration in one line for the log. Nothing in it is secret; addresses lose their user part."""
    parts = []
    for name, value in config.model_dump(mode="json").items():
        shown = str(value)
        if "@" in shown and "://" in shown:
            scheme, _, rest = shown.partition("://")
            shown = f"{scheme}://…@{rest.rpartition('@')[2]}"
        parts.append(f"{name}={shown}")
    return " ".join(parts)

"""Which key of which Secret a container finds in which variable. Pure; used by Workflows and by model servers alike.

A value never passes through the operator: the kubelet puts it into the container.
"""

from collections.abc import Iterable
from typing import Any, Final

GIT_LOGIN: Final = (
    ("MODELOPS_GIT_USERNAME", "username"),
    ("MODELOPS_GIT_PASSWORD", "password"),
    ("MODELOPS_GIT_IDENTITY", "identity"),
    ("MODELOPS_GIT_KNOWN_HOSTS", "known_hosts"),
    ("MODELOPS_GIT_BEARER_TOKEN", "bearerToken"),
    ("MODELOPS_GIT_CA", "ca.crt"),
    ("MODELOPS_GIT_CA_FILE", "caFile"),
)
"""What a step needs to reach a repository."""
REGISTRY_LOGIN: Final = (
    ("MLFLOW_TRACKING_USERNAME", "username"),
    ("MLFLOW_TRACKING_PASSWORD", "password"),
    ("MLFLOW_TRACKING_TOKEN", "token"),
)
"""What logs in to MLflow, under the names that MLflow's own client reads."""


def from_secret(secret: str | None, login: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return core/v1 EnvVars that read a Secret; none without one. A key that it lacks is no variable.

    Args:
        secret: its name, in the container's namespace.
        login: pairs of variable and key.
    """
    if not secret:
        return []
    return [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key, "optional": True}}}
        for variable, key in login
    ]

"""Where a revision's servers are asked: at their Service, or at home where they are noted to be."""

from collections.abc import Mapping
from typing import Any

from modelops.api.labels import LOCAL_ENDPOINTS
from modelops.reconcile.bundle import Ports

Objects = Mapping[str, Mapping[str, Any]]
"""By name."""


def addresses_of(name: str, services: Objects, deployments: Objects, ports: Ports) -> tuple[str, ...]:
    """Return where the servers of a revision answer; empty if nobody knows. A Service leads to any of them.

    Args:
        name: of the revision's Service and Deployment.
        services: of the release.
        deployments: of the release.
        ports: their settings say how servers are reached.
    """
    if ports.settings.server_addresses == "annotation":
        return _noted(deployments.get(name))
    return _of_service(services.get(name))


def _of_service(service: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return a Service's address; none without one.

    Its name would lead wherever a tenant lets it, by an ExternalName, and is not known everywhere at once.
    """
    address = ((service or {}).get("spec") or {}).get("clusterIP") or "None"
    if address == "None":
        return ()
    return (f"[{address}]" if ":" in address else str(address),)


def _noted(deployment: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the ready servers' addresses as the local home notes them."""
    noted = ((deployment or {}).get("metadata") or {}).get("annotations") or {}
    return tuple(address for address in str(noted.get(LOCAL_ENDPOINTS, "")).split(",") if address)

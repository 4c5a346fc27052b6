"""Services whose endpoint is a process of this machine."""

from typing import Any, Final

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import SERVICE, Resource

SLICE: Final = Resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")


def serve(
    client: KubeClient,
    namespace: str,
    name: str,
    ports: list[dict[str, Any]],
    *,
    host: str,
    address: str | None = None,
) -> None:
    """Make a Service of what listens on this machine.

    Args:
        client: an administrator's.
        namespace: of the Service.
        name: of the Service.
        ports: as in an EndpointSlice: name, port, protocol.
        host: this machine, as pods reach it.
        address: the Service's own, if it matters.
    """
    spec = {"ports": ports} | ({"clusterIP": address} if address else {})
    client.apply(SERVICE, {"metadata": {"name": name, "namespace": namespace}, "spec": spec})
    client.apply(
        SLICE,
        {
            "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
            "ports": ports,
        },
    )

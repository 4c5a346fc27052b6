"""GPUs that a node only pretends to have: a capacity that the scheduler counts, and no device."""

from typing import Final

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import Resource

NODE: Final = Resource("", "v1", "Node", "nodes", namespaced=False)
GPU: Final = "nvidia.com/gpu"


def pretend(client: KubeClient, node: str, count: int) -> None:
    """Let a node have so many, as if a device plugin had told the kubelet."""
    told = {GPU: str(count)}
    client.merge_patch(NODE, None, node, {"status": {"capacity": told, "allocatable": told}}, subresource="status")

"""Kubernetes Events: what `kubectl describe` shows."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from modelops.api.kinds import Resource
from modelops.api.labels import MANAGER


def event(resource: Resource, about: Mapping[str, Any], reason: str, message: str, type_: str) -> dict[str, Any]:
    """Return an Event of now about an object.

    Args:
        resource: of the object.
        about: the object, or its metadata at least.
        reason: one word.
        message: cut after 1024 characters, as the API server would refuse more.
        type_: Normal or Warning.
    """
    meta = about["metadata"]
    now = datetime.now(UTC)
    namespace = meta.get("namespace") or "default"
    return {
        "metadata": {"name": f"{meta['name'][:200]}.{int(now.timestamp() * 1e6):x}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "name": meta["name"],
            "namespace": meta.get("namespace"),
            "uid": meta.get("uid"),
            "resourceVersion": meta.get("resourceVersion"),
        },
        "reason": reason,
        "message": message[:1024],
        "type": type_,
        "source": {"component": MANAGER},
        "reportingComponent": MANAGER,
        "reportingInstance": "",
        "firstTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lastTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "count": 1,
    }

"""Taking our finalizers off an object. Nobody else's is touched, and nothing is deleted."""

from collections.abc import Mapping
from typing import Any, Final

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import Resource
from modelops.api.labels import finalizers_of
from modelops.errors import Conflict, Transient

_TRIES: Final = 5


def take_off(client: KubeClient, resource: Resource, obj: Mapping[str, Any]) -> dict[str, Any] | None:
    """Take ours off, also off what the object has become meanwhile; others' stay, and those that come in between.

    Args:
        client: the API server.
        resource: of the object.
        obj: as it was seen.

    Returns:
        The object without them; None if there were none, or it is gone.

    Raises:
        Conflict: somebody else changes it all the time.
    """
    found: Mapping[str, Any] | None = obj
    for attempt in range(_TRIES):
        if found is None:
            return None
        meta, ours = found["metadata"], finalizers_of(found)
        if not ours:
            return None
        kept = [name for name in meta["finalizers"] if name not in ours]
        patch = {"metadata": {"finalizers": kept, "resourceVersion": meta["resourceVersion"], "uid": meta["uid"]}}
        try:
            return client.merge_patch(resource, meta.get("namespace"), meta["name"], patch)
        except Transient as error:
            if error.reason == "NotFound":
                return None
            raise
        except Conflict:
            if attempt == _TRIES - 1:
                raise
            found = client.get(resource, meta.get("namespace"), meta["name"])
    return None

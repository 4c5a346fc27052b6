"""Writes that go to the API server and come back into the cache, whoever makes them.

What the operator writes itself (`cached_cluster`) and what it writes as an account (`acting`) passes here: over what
was seen, read again after a conflict, and remembered or forgotten at once.
"""

from collections.abc import Mapping
from typing import Any

from modelops.adapters.cluster import KubeClient
from modelops.adapters.guarded import Cache, write_over_seen
from modelops.api.kinds import Resource


class WriteThrough:
    """The writing part of `ports.Objects`.

    Args:
        client: has the rights that a write needs.
        cache: is told what each write left.
    """

    def __init__(self, client: KubeClient, cache: Cache) -> None:
        self._client = client
        self._cache = cache

    def apply(
        self, resource: Resource, obj: Mapping[str, Any], *, seen: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Server-side apply with force."""
        return write_over_seen(
            resource,
            seen,
            lambda basis: self._cache.remember(resource, self._client.apply(resource, obj, seen=basis)),
            source=self._client,
            cache=self._cache,
        )

    def create(self, resource: Resource, obj: Mapping[str, Any]) -> dict[str, Any] | None:
        """Create; None if the name is taken."""
        created = self._client.create(resource, obj)
        return created if created is None else self._cache.remember(resource, created)

    def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        seen: Mapping[str, Any] | None = None,
    ) -> None:
        """Delete with background propagation."""
        write_over_seen(
            resource,
            seen,
            lambda basis: self._client.delete(resource, namespace, name, uid=uid, seen=basis),
            source=self._client,
            cache=self._cache,
        )
        self._cache.forget(resource, namespace, name)

"""Objects as a service account may see and change them, over the operator's cache.

What the operator's watches brought was read with the operator's rights. It is told to an account only while that may
list the kind in the namespace, which a list of one object asks of the API server; else every object is read live as the
account. So what decides about a tenant's objects knows no more than the tenant may.
"""

from collections.abc import Collection
from typing import Any

from modelops.adapters.cluster import KubeClient
from modelops.adapters.guarded import Cache
from modelops.adapters.write_through import WriteThrough
from modelops.api.kinds import Resource
from modelops.errors import Forbidden


class ActingCluster(WriteThrough):
    """Implements `ports.Objects`. For one pass: what the account may list is asked once per kind.

    Args:
        client: acts as the account.
        cache: the operator's.
        watched: plurals of the resources that the cache holds.
    """

    def __init__(self, client: KubeClient, cache: Cache, watched: Collection[str]) -> None:
        super().__init__(client, cache)
        self._watched = watched
        self._listable: dict[tuple[str, str | None], bool] = {}

    def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        """Return an object or None."""
        # Asked even if the object is not held, or the answer would tell whether it exists.
        told = resource.plural in self._watched and self._may_list(resource, namespace)
        held = self._cache.held(resource, namespace, name) if told else None
        return self._client.get(resource, namespace, name) if held is None else held

    def _may_list(self, resource: Resource, namespace: str | None) -> bool:
        key = (resource.plural, namespace)
        if key not in self._listable:
            try:
                self._client.list_page(resource, namespace, limit=1)
                self._listable[key] = True
            except Forbidden as error:
                if error.reason != "Forbidden":
                    raise  # the operator may not act as the account at all
                self._listable[key] = False
        return self._listable[key]

"""kopf's part: watching. Every event feeds the cache and wakes one reconcile; nothing else happens here.

There are no create, update, resume or daemon handlers, so kopf writes nothing: no annotation, no finalizer, no status.
Nothing is registered at import; `build_registry` returns a registry of its own.
"""

from typing import Any, Final

import kopf

from modelops.adapters.cached_cluster import CachedCluster
from modelops.api.kinds import DEPLOYMENT, HTTPROUTE, KINDS, WORKFLOW, Kind, Resource
from modelops.api.labels import MANAGED_BY, MANAGER
from modelops.reconcile.dependents import dependents_of, owner_of
from modelops.shell.workers import Workers

CHILDREN: Final[tuple[Resource, ...]] = (WORKFLOW, DEPLOYMENT, HTTPROUTE)
"""Watched children; only those that carry our label are asked of the server."""
CHILD_LABELS: Final = {MANAGED_BY: MANAGER}


def watched() -> tuple[Resource, ...]:
    """Return every resource that the shell watches."""
    return (*(kind.resource for kind in KINDS), *CHILDREN)


def build_registry(cluster: CachedCluster, workers: Workers) -> kopf.OperatorRegistry:
    """Return a registry whose handlers feed the cache and wake the workers."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry, id="login")
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.startup(registry=registry, id="settings")
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        settings.scanning.disabled = True
        settings.watching.server_timeout = 290
        settings.watching.client_timeout = 300
        settings.watching.connect_timeout = 10
        settings.watching.reconnect_backoff = 0.2
        # On the server's side, for lists and watches: strangers' children never cross the wire.
        ours = ",".join(f"{key}={value}" for key, value in CHILD_LABELS.items())
        for child in CHILDREN:
            settings.watching.label_selectors[child.group, child.version, child.plural] = ours
        # A stop waits for this: a Lease or a supervisor must not.
        settings.queueing.idle_timeout = 1.0
        settings.queueing.exit_timeout = 1.0
        settings.networking.connect_timeout = 10
        settings.networking.request_timeout = 60

    @kopf.on.cleanup(registry=registry, id="stop-workers")
    async def stop_workers(**_: Any) -> None:
        # kopf waits 5 seconds for tasks that it does not know; these are ended before it counts them.
        await workers.stop()

    for kind in KINDS:
        _watch_parent(registry, kind, cluster, workers)
    for child in CHILDREN:
        _watch_child(registry, child, cluster, workers)
    return registry


def _watch_parent(registry: kopf.OperatorRegistry, kind: Kind, cluster: CachedCluster, workers: Workers) -> None:
    resource = kind.resource

    @kopf.on.event(resource.group, resource.version, resource.plural, registry=registry, id=f"wake-{kind.singular}")
    async def wake(event: Any, **_: Any) -> None:
        _take(resource, event, cluster)
        obj = event["object"]
        workers.wake(kind, (obj["metadata"].get("namespace"), obj["metadata"]["name"]))
        for other in dependents_of(kind, obj, cluster.cached):
            workers.wake(other.kind, other.key)


def _watch_child(registry: kopf.OperatorRegistry, resource: Resource, cluster: CachedCluster, workers: Workers) -> None:
    @kopf.on.event(
        resource.group,
        resource.version,
        resource.plural,
        registry=registry,
        id=f"wake-owner-of-{resource.kind.lower()}",
        labels=CHILD_LABELS,
    )
    async def wake_owner(event: Any, **_: Any) -> None:
        _take(resource, event, cluster)
        owner = owner_of(event["object"])
        if owner is not None:
            workers.wake(owner.kind, owner.key)


def _take(resource: Resource, event: Any, cluster: CachedCluster) -> None:
    cluster.feed(resource, dict(event["object"]), deleted=event["type"] == "DELETED")

"""kopf's part: watching. Every event feeds the cache and wakes one reconcile; nothing else happens here.

kopf keeps the watches, and hears of every object that comes and goes. What merely changed is taken by the session as
soon as it is read (ADR 18): a pass through kopf's queues costs a millisecond, and there are as many changes as writes.

There are no create, update, resume or daemon handlers, so kopf writes nothing: no annotation, no finalizer, no status.
Nothing is registered at import; `build_registry` returns a registry of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import kopf

from modelops.adapters.cached_cluster import CachedCluster
from modelops.adapters.kubeconfig import Connection
from modelops.api.kinds import (
    CONTROLLERREVISION,
    DEPLOYMENT,
    DISRUPTIONBUDGET,
    HTTPROUTE,
    KINDS,
    SERVICE,
    WORKFLOW,
    Kind,
    Resource,
)
from modelops.api.labels import MANAGED_BY, MANAGER
from modelops.reconcile.dependents import dependents_of, owner_of
from modelops.reconcile.loop import Key
from modelops.shell.pulse import Pulse
from modelops.shell.session import Session, backoffs_for

CHILDREN: Final[tuple[Resource, ...]] = (
    WORKFLOW,
    DEPLOYMENT,
    HTTPROUTE,
    SERVICE,
    CONTROLLERREVISION,
    DISRUPTIONBUDGET,
)
"""Watched children; only those that carry our label are asked of the server, but for routes: see `labels_of`."""
CHILD_LABELS: Final = {MANAGED_BY: MANAGER}
_FOR_EVER: Final = 365 * 24 * 3600.0
Wake = Callable[[Kind, Key], None]


def labels_of(resource: Resource) -> Mapping[str, str] | None:
    """Return the labels by which a resource is asked for; None: all of it.

    Routes are asked for whoever made them: an older one of somebody else's may take the requests of a release.
    """
    return CHILD_LABELS if resource in CHILDREN and resource != HTTPROUTE else None


def watched() -> tuple[Resource, ...]:
    """Return every resource that the shell watches."""
    return (*(kind.resource for kind in KINDS), *CHILDREN)


class News:
    """What becomes of everything that lists and watches tell.

    Args:
        cluster: the cache that is fed.
        wake: called for every object that has to be looked at again; from any thread.
        on_list: told of every list that a watch begins with.
    """

    def __init__(
        self, cluster: CachedCluster, wake: Wake, on_list: Callable[[Resource], object] = lambda _: None
    ) -> None:
        self._cluster = cluster
        self._wake = wake
        self._on_list = on_list

    def event(self, resource: Resource, obj: Mapping[str, Any], *, deleted: bool) -> None:
        """Take what a watch or a list says of one object."""
        told = self._cluster.feed(resource, obj, deleted=deleted)
        self.about(resource, obj, itself=told)

    def listed(self, resource: Resource, items: Sequence[Mapping[str, Any]], version: str) -> None:
        """Let a list replace what is known; who looks at what vanished is woken."""
        self._on_list(resource)
        for obj in self._cluster.replace(resource, items, version):
            self.about(resource, obj)

    def prime(self, namespace: str | None) -> None:
        """List everything that is watched, by another way than the watches.

        Args:
            namespace: to list; None all.

        Raises:
            ModelopsError: something could not be listed.
        """
        for resource in watched():
            where = namespace if resource.namespaced else None
            for obj in self._cluster.prime(resource, where, labels_of(resource)) or ():
                self.about(resource, obj)

    def about(self, resource: Resource, obj: Mapping[str, Any], *, itself: bool = True) -> None:
        """Wake whoever looks at an object: itself and its readers, or the owner of a child.

        Args:
            resource: of the object.
            obj: the object.
            itself: whether it has news for itself, too.
        """
        kind = next((kind for kind in KINDS if kind.resource == resource), None)
        if kind is None:
            owner = owner_of(obj)
            if owner is not None:
                self._wake(owner.kind, owner.key)
        elif itself:
            self._wake(kind, (obj["metadata"].get("namespace"), obj["metadata"]["name"]))
        for other in dependents_of(resource, obj, self._cluster.cached):
            self._wake(other.kind, other.key)


def build_registry(
    news: News, connection: Connection, pulse: Pulse, *, silence: float, agent: str = MANAGER
) -> kopf.OperatorRegistry:
    """Return a registry that watches, and hands on what it hears.

    Args:
        news: told of everything.
        connection: the API server.
        pulse: told of every sign of life.
        silence: after so many seconds without a byte a watch is made anew.
        agent: User-Agent.
    """
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry, id="login")
    async def login(**_: Any) -> kopf.AiohttpSession:
        session = Session(connection, watched(), pulse, news.listed, news.event, silence=silence)
        return kopf.AiohttpSession(
            server=connection.host, default_namespace=connection.namespace, aiohttp_session=session.open(agent)
        )

    @kopf.on.startup(registry=registry, id="settings")
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        _configure(settings, silence)

    for resource in watched():
        _watch(registry, resource, news)
    return registry


def _configure(settings: kopf.OperatorSettings, silence: float) -> None:
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.server_timeout = 290
    settings.watching.client_timeout = 300
    settings.watching.connect_timeout = 10
    settings.watching.reconnect_backoff = 0.2
    # The session sees to silence itself: it counts bytes, and kopf events.
    settings.watching.inactivity_timeout = _FOR_EVER
    # On the server's side, for lists and watches: strangers' children never cross the wire.
    for child in CHILDREN:
        if labels := labels_of(child):
            ours = ",".join(f"{key}={value}" for key, value in labels.items())
            settings.watching.label_selectors[child.group, child.version, child.plural] = ours
    # A stop waits for this: a Lease or a supervisor must not.
    settings.queueing.idle_timeout = 1.0
    settings.queueing.exit_timeout = 1.0
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 60
    settings.networking.error_backoffs = backoffs_for(silence)
    settings.persistence.diffbase_storage = _NoDiffs()


class _NoDiffs(kopf.DiffBaseStorage):
    """kopf compares nothing for us: by default it copies every object of every event for that."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        """Store nothing: nothing is written to an object but by a reconcile."""


def _watch(registry: kopf.OperatorRegistry, resource: Resource, news: News) -> None:
    labels: Any = labels_of(resource)
    where = (resource.group, resource.version, resource.plural)

    @kopf.on.event(*where, registry=registry, id=f"heard-of-{resource.kind.lower()}", labels=labels)
    async def hear(event: Any, **_: Any) -> None:
        news.event(resource, event["object"], deleted=event["type"] == "DELETED")

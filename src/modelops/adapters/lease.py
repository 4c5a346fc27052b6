"""One Lease of the API server: read, write over what was read, watch.

It has a connection of its own with a deadline of its own: what holds up every other call must not hold up a renewal.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, Self

import urllib3

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import LEASE
from modelops.domain.leadership import Record, Sight, Timing, read, released, taken
from modelops.errors import Conflict, Transient

_WATCH_SECONDS: Final = 50


class LeaseClient:
    """Thread-safe.

    Args:
        client: the API server; not shared with anything else, and without a fence.
        namespace: of the Lease.
        name: of the Lease.
    """

    def __init__(self, client: KubeClient, namespace: str, name: str) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name

    @classmethod
    def connect(cls, namespace: str, name: str, *, timing: Timing, agent: str) -> Self:
        """Return a client whose every call ends in time for another try before the Lease is lost.

        Raises:
            Stalled: there is no usable kubeconfig.
        """
        deadline = urllib3.Timeout(connect=timing.renew / 4, read=timing.renew / 2)
        return cls(KubeClient.from_kubeconfig(deadline=deadline, agent=agent), namespace, name)

    def read(self) -> Record | None:
        """Return the Lease, or None.

        Raises:
            Transient: the API server does not answer or is busy.
        """
        found = self._client.get(LEASE, self._namespace, self._name)
        return None if found is None else read(found)

    def take(self, sight: Sight | None, me: str, timing: Timing) -> Record | None:
        """Write oneself into the Lease over what was seen; None: it is not as it was seen any more.

        Raises:
            Transient: the API server does not answer or is busy; it may have been written or not.
        """
        return self._write(sight, taken(sight, me, timing, datetime.now(UTC)))

    def release(self, sight: Sight) -> None:
        """Write that nobody holds the Lease; one that is not as it was seen is left alone.

        Raises:
            Transient: the API server does not answer or is busy; it may have been written or not.
        """
        self._write(sight, released(sight, datetime.now(UTC)))

    def changes(self) -> Iterator[None]:
        """Yield whenever the Lease may have changed, for a minute at most.

        Raises:
            Transient: the watch broke.
        """
        for _ in self._client.stream(LEASE, self._namespace, None, "", _WATCH_SECONDS, name=self._name):
            yield

    def _write(self, sight: Sight | None, spec: dict[str, Any]) -> Record | None:
        if sight is None or not sight.record.version:
            metadata = {"name": self._name, "namespace": self._namespace}
            written = self._client.create(LEASE, {"metadata": metadata, "spec": spec})
            return None if written is None else read(written)
        # A patch leaves alone what others have put on the Lease; with a resourceVersion it is as guarded as a PUT.
        patch = {"metadata": {"resourceVersion": sight.record.version}, "spec": spec}
        try:
            return read(self._client.merge_patch(LEASE, self._namespace, self._name, patch))
        except Conflict:
            return None
        except Transient as error:
            if error.reason == "NotFound":
                return None
            raise

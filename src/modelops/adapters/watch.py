"""Watches that survive: list, watch, reconnect, start over after 410. For controllers without kopf.

Called by the local home's controllers. Each event is level information ("this object is now like this"), never a
delta to be counted.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import Resource
from modelops.errors import Conflict, ModelopsError

_SECONDS: Final = 55
_RETRY: Final = 0.5


class Change(NamedTuple):
    """What is now true of one object."""

    type: Literal["present", "deleted", "synced"]
    """`synced` carries no object: everything that exists has been told."""
    obj: dict[str, Any]


def watch(
    client: KubeClient,
    resource: Resource,
    *,
    namespace: str | None = None,
    labels: Mapping[str, str] | None = None,
    selector: str = "",
    stopped: threading.Event,
    complain: Callable[[str], None] = lambda _: None,
) -> Iterator[Change]:
    """Yield what is and what changes, forever, until `stopped` is set.

    After a reconnect that may have missed something everything is listed anew; objects that vanished meanwhile are
    told as deleted.

    Args:
        client: the API server.
        resource: what to watch.
        namespace: where; None everywhere.
        labels: only objects that carry all of these.
        selector: instead of labels, a label selector as kubectl's -l.
        stopped: ends the iteration, at the latest when the current watch ends.
        complain: told one line when the API server is away.
    """
    known: dict[tuple[str, str], dict[str, Any]] = {}
    version = ""
    while not stopped.is_set():
        try:
            if not version:
                page = client.list_page(resource, namespace, labels, selector=selector) or {"items": [], "metadata": {}}
                version = str(page["metadata"].get("resourceVersion", "0"))
                yield from _relist(known, page["items"], resource)
                yield Change("synced", {})
            for event in client.stream(resource, namespace, labels, version, _SECONDS, selector=selector):
                obj = event["object"]
                if event["type"] == "ERROR":
                    version = ""
                    break
                version = obj["metadata"]["resourceVersion"]
                if event["type"] == "BOOKMARK":
                    continue
                key = _key(obj)
                if event["type"] == "DELETED":
                    known.pop(key, None)
                    yield Change("deleted", obj)
                else:
                    known[key] = obj
                    yield Change("present", obj)
                if stopped.is_set():
                    return
        except Conflict:
            version = ""
        except ModelopsError as error:
            complain(error.message)
            stopped.wait(_RETRY)


def _relist(
    known: dict[tuple[str, str], dict[str, Any]], items: list[dict[str, Any]], resource: Resource
) -> Iterator[Change]:
    fresh = {_key(item): {"apiVersion": resource.api_version, "kind": resource.kind} | item for item in items}
    for key in known.keys() - fresh.keys():
        yield Change("deleted", known.pop(key))
    for key, obj in fresh.items():
        known[key] = obj
        yield Change("present", obj)


def _key(obj: Mapping[str, Any]) -> tuple[str, str]:
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]


class Mirror:
    """A watched collection as a dictionary, kept by a thread; readers get the objects, waiters get woken.

    Args:
        client: the API server.
        resource: what to mirror.
        changed: set whenever something changed.
        labels: only objects that carry all of these.
    """

    def __init__(
        self,
        client: KubeClient,
        resource: Resource,
        changed: threading.Event,
        *,
        labels: Mapping[str, str] | None = None,
        complain: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._objects: dict[tuple[str, str], dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._changed = changed
        self._stopped = threading.Event()
        self._synced = threading.Event()
        self._events = watch(client, resource, labels=labels, stopped=self._stopped, complain=complain)
        self._thread = threading.Thread(target=self._run, name=f"watch-{resource.plural}", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; the thread ends with its current watch and does not hold up the process."""
        self._stopped.set()

    def wait_synced(self, seconds: float) -> bool:
        """Return whether everything that exists was seen within so many seconds."""
        return self._synced.wait(seconds)

    def objects(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the objects by (namespace, name). The objects are shared: do not change them."""
        with self._lock:
            return dict(self._objects)

    def _run(self) -> None:
        for change in self._events:
            if change.type == "synced":
                self._synced.set()
            else:
                with self._lock:
                    if change.type == "present":
                        self._objects[_key(change.obj)] = change.obj
                    else:
                        self._objects.pop(_key(change.obj), None)
            self._changed.set()


def wait_for_change(changed: threading.Event, *, seconds: float, stopped: threading.Event) -> bool:
    """Wait until something changed or the time is up, clear the flag; False once stopped."""
    deadline = time.monotonic() + seconds
    while not stopped.is_set():
        left = deadline - time.monotonic()
        if changed.wait(min(0.2, max(0.0, left))) or left <= 0:
            changed.clear()
            return True
    return False

"""Series that belong to objects: shown as a whole, so that what is not said any more is deleted."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

Owner = tuple[str, ...]
"""Values of the labels that name an object: namespace and name, in some families the kind before them."""
RELEASE = ("namespace", "name")
OBJECT = ("kind", "namespace", "name")


class Family:
    """A gauge of which every object has a few series.

    Args:
        name: of the metric.
        what: it says, one line.
        owner: labels that name the object.
        more: labels that tell an object's series apart.
        registry: where the series live.
    """

    def __init__(
        self, name: str, what: str, owner: tuple[str, ...], more: tuple[str, ...], registry: CollectorRegistry
    ) -> None:
        self._gauge = Gauge(name, what, (*owner, *more), registry=registry)
        self._shown: dict[Owner, frozenset[tuple[str, ...]]] = {}

    def show(self, owner: Owner, values: Mapping[tuple[str, ...], float]) -> None:
        """Show these series of an object, and no others.

        Args:
            owner: the object.
            values: value by the other labels' values.
        """
        for more, value in values.items():
            self._gauge.labels(*owner, *more).set(value)
        kept = frozenset(values)
        self._forget(owner, self._shown.get(owner, frozenset()) - kept)
        if kept:
            self._shown[owner] = kept
        else:
            self._shown.pop(owner, None)

    def say(self, owner: Owner, value: float | None) -> None:
        """Show the one series of an object; None shows none."""
        self.show(owner, {} if value is None else {(): value})

    def choose(self, owner: Owner, chosen: str | None, among: Iterable[str]) -> None:
        """Show 1 for what holds and 0 for the rest; None, the empty text: nothing is shown."""
        self.show(owner, one_of(chosen, among))

    def gone(self, owner: Owner) -> None:
        """Delete an object's series."""
        self._forget(owner, self._shown.pop(owner, frozenset()))

    def _forget(self, owner: Owner, series: Iterable[tuple[str, ...]]) -> None:
        for more in series:
            self._gauge.remove(*owner, *more)


def one_of(chosen: str | None, among: Iterable[str], *before: str) -> dict[tuple[str, ...], float]:
    """Return 1 for what holds and 0 for the rest; what newer statuses say is there too while it holds."""
    if not chosen:
        return {}
    return {(*before, one): float(one == chosen) for one in (*among, chosen)}


def seconds_since_1970(text: Any) -> float | None:
    """Return the time of an RFC 3339 text; None of nothing."""
    return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None


def fields(obj: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """Return the mapping along a path; an empty one where there is none."""
    found: Any = obj
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}

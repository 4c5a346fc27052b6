"""The cache between a list and a watch: whichever knows more is believed."""

from collections.abc import Callable
from typing import Any

from modelops.adapters.cached_cluster import CachedCluster
from modelops.api.kinds import COMPUTEPOOL, HTTPROUTE, WORKFLOW
from modelops.api.labels import OWNER_KIND, OWNER_NAME

POOL = COMPUTEPOOL.resource


def pool(name: str, version: int, uid: str = "") -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": uid or f"uid-of-{name}", "resourceVersion": str(version)}}


class Lister:
    """An API server that answers one list; something may happen after it was read and before it arrives."""

    def __init__(self, version: int, *items: dict[str, Any]) -> None:
        self._page = {"items": list(items), "metadata": {"resourceVersion": str(version)}}
        self.meanwhile: Callable[[], None] = lambda: None

    def list_page(self, *_: object) -> dict[str, Any]:
        self.meanwhile()
        return self._page

    def replace_status(self, _: object, obj: dict[str, Any]) -> dict[str, Any]:
        """Leave version 7."""
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": "7"}}


def cache_over(lister: Lister) -> CachedCluster:
    return CachedCluster(lister, [POOL])  # type: ignore[arg-type]


def feed(cluster: CachedCluster, obj: dict[str, Any], *, deleted: bool = False) -> None:
    cluster.feed(POOL, obj, deleted=deleted)


def names(cluster: CachedCluster) -> dict[str, str]:
    return {obj["metadata"]["name"]: obj["metadata"]["resourceVersion"] for obj in cluster.cached(POOL)}


def test_an_object_that_a_watch_told_while_the_list_was_under_way_stays() -> None:
    """It was created after the list was read, so the list cannot have it."""
    lister = Lister(10, pool("old", 5))
    cluster = cache_over(lister)
    lister.meanwhile = lambda: feed(cluster, pool("new", 11))

    assert cluster.prime(POOL, None, None) == []

    assert names(cluster) == {"old": "5", "new": "11"}


def test_a_deletion_that_a_watch_told_while_the_list_was_under_way_is_believed() -> None:
    """The list still has the object."""
    lister = Lister(10, pool("leaving", 5))
    cluster = cache_over(lister)
    cluster.feed(POOL, pool("leaving", 5))
    lister.meanwhile = lambda: feed(cluster, pool("leaving", 11), deleted=True)

    cluster.prime(POOL, None, None)

    assert names(cluster) == {}


def test_a_change_that_a_watch_told_while_the_list_was_under_way_is_kept() -> None:
    """The list has an older version of the object."""
    lister = Lister(10, pool("changing", 5))
    cluster = cache_over(lister)
    lister.meanwhile = lambda: feed(cluster, pool("changing", 12))

    cluster.prime(POOL, None, None)

    assert names(cluster) == {"changing": "12"}


def test_what_a_list_does_not_have_is_gone_and_told() -> None:
    """Its deletion was missed; a late event of its last change does not bring it back."""
    cluster = cache_over(Lister(10, pool("stays", 5)))
    cluster.feed(POOL, pool("stays", 5))
    cluster.feed(POOL, pool("missed", 6))

    gone = cluster.prime(POOL, None, None)
    cluster.feed(POOL, pool("missed", 6))

    assert gone is not None
    assert [obj["metadata"]["name"] for obj in gone] == ["missed"]
    assert names(cluster) == {"stays": "5"}


def test_an_object_made_anew_under_the_same_name_is_seen() -> None:
    """A deletion is remembered by its version, not by the name."""
    cluster = cache_over(Lister(10))
    cluster.feed(POOL, pool("again", 6))
    cluster.prime(POOL, None, None)

    cluster.feed(POOL, pool("again", 11, "another"))

    assert names(cluster) == {"again": "11"}


def test_of_a_resource_that_nobody_serves_there_is_nothing() -> None:
    """Its definition was deleted, and its objects with it."""
    lister = Lister(10)
    lister.list_page = lambda *_: None  # type: ignore[assignment, method-assign]
    cluster = cache_over(lister)
    cluster.feed(POOL, pool("orphan", 6))

    assert cluster.prime(POOL, None, None) is None

    assert names(cluster) == {}


def child(name: str, owner: str, version: int) -> dict[str, Any]:
    labels = {OWNER_KIND: "TrainingRun", OWNER_NAME: owner}
    return {"metadata": {"name": name, "namespace": "team", "labels": labels, "resourceVersion": str(version)}}


def children(cluster: CachedCluster, owner: str) -> list[str]:
    labels = {OWNER_KIND: "TrainingRun", OWNER_NAME: owner}
    return [obj["metadata"]["name"] for obj in cluster.list(WORKFLOW, "team", labels)]


def test_children_are_found_by_whose_they_are() -> None:
    """Whatever a list, a watch or a write does to them: new, another's, gone, forgotten."""
    cluster = CachedCluster(Lister(1), [WORKFLOW])  # type: ignore[arg-type]
    cluster.replace(WORKFLOW, [child("a", "one", 1), child("b", "one", 1), child("c", "two", 1)], "1")
    assert (children(cluster, "one"), children(cluster, "two")) == (["a", "b"], ["c"])
    cluster.feed(WORKFLOW, child("d", "two", 2))
    cluster.feed(WORKFLOW, child("b", "two", 3))
    cluster.feed(WORKFLOW, child("a", "one", 4), deleted=True)
    assert (children(cluster, "one"), children(cluster, "two")) == ([], ["c", "d", "b"])
    cluster.forget(WORKFLOW, "team", "c")
    cluster.replace(WORKFLOW, [child("d", "two", 2)], "9")
    assert children(cluster, "two") == ["d"]
    assert cluster.list(WORKFLOW, "other", {OWNER_KIND: "TrainingRun", OWNER_NAME: "two"}) == []


def test_the_event_of_our_own_status_write_is_no_news() -> None:
    """What came before it and what comes after it is, and so is a deletion; the cache believes all of them."""
    cluster = cache_over(Lister(5))

    assert cluster.feed(POOL, pool("said", 6))
    cluster.replace_status(POOL, pool("said", 6))
    assert not cluster.feed(POOL, pool("said", 7))
    assert cluster.feed(POOL, pool("said", 8))
    assert names(cluster) == {"said": "8"}
    assert cluster.feed(POOL, pool("said", 9), deleted=True)
    assert names(cluster) == {}


def test_what_we_applied_ourselves_is_news() -> None:
    """A GitSource brings a TrainingRun: whoever reconciles that has not seen it yet."""
    cluster = cache_over(Lister(5))
    cluster.remember(POOL, pool("applied", 6))

    assert cluster.feed(POOL, pool("applied", 6))


def test_who_manages_which_field_is_not_kept() -> None:
    """It is half of an object, and nothing is decided by it."""
    cluster = cache_over(Lister(5))
    told = pool("managed", 6)
    told["metadata"]["managedFields"] = [{"manager": "kubectl"}]

    cluster.feed(POOL, told)

    assert cluster.cached(POOL) == [pool("managed", 6)]
    assert "managedFields" in told["metadata"]


def test_what_somebody_else_made_is_read_live_every_time() -> None:
    """The watch of children tells of ours only: kept, it would stand there for ever, also when it is long gone."""
    theirs: list[dict[str, Any]] = [{"metadata": {"name": "price", "namespace": "a", "resourceVersion": "3"}}]
    lister = Lister(1)
    lister.get = lambda *_: theirs[0] if theirs else None  # type: ignore[attr-defined]
    cluster = CachedCluster(lister, [HTTPROUTE])  # type: ignore[arg-type]
    assert cluster.get(HTTPROUTE, "a", "price") == theirs[0]

    theirs.clear()

    assert cluster.get(HTTPROUTE, "a", "price") is None

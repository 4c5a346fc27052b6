"""Contract: list, pages, selectors, tables, watch."""

import pytest

from tests.contract.client import Api

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def names(api: Api, **query: str) -> list[str]:
    answer = api.call("GET", api.path("widgets"), **query)
    assert answer.code == 200, answer.body
    return [item["metadata"]["name"] for item in answer.body["items"]]


def test_list(api: Api) -> None:
    """A list has its kind, a resourceVersion, and the objects of the namespace by name."""
    for name in ("b", "a"):
        api.create(name)
    answer = api.call("GET", api.path("widgets")).body
    assert (answer["kind"], answer["apiVersion"]) == ("WidgetList", "test.modelops.dev/v1")
    assert int(answer["metadata"]["resourceVersion"]) > 0
    assert [item["metadata"]["name"] for item in answer["items"]] == ["a", "b"]


def test_list_across_namespaces(api: Api) -> None:
    """A list without a namespace has the objects of all."""
    api.create("mine")
    answer = api.call("GET", "/apis/test.modelops.dev/v1/widgets").body
    assert (api.namespace, "mine") in [
        (item["metadata"]["namespace"], item["metadata"]["name"]) for item in answer["items"]
    ]


def test_pages(api: Api) -> None:
    """limit and continue give every object once, the same resourceVersion on each page."""
    for name in "abcde":
        api.create(name)
    seen, token, versions = [], "", set()
    for _ in range(3):
        page = api.call("GET", api.path("widgets"), limit=2, **({"continue": token} if token else {})).body
        seen += [item["metadata"]["name"] for item in page["items"]]
        versions.add(page["metadata"]["resourceVersion"])
        token = page["metadata"].get("continue", "")
    assert (seen, token, len(versions)) == (list("abcde"), "", 1)
    assert api.call("GET", api.path("widgets"), limit=2).body["metadata"]["remainingItemCount"] == 3


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("tier=front", ["a"]),
        ("tier==front", ["a"]),
        ("tier!=front", ["b", "c"]),
        ("tier", ["a", "b"]),
        ("!tier", ["c"]),
        ("tier in (front, back)", ["a", "b"]),
        ("tier notin (front)", ["b", "c"]),
        ("tier in (front,back),env=x", ["b"]),
    ],
)
def test_label_selectors(api: Api, selector: str, expected: list[str]) -> None:
    """labelSelector knows equality, sets, existence and conjunction."""
    api.create("a", {"labels": {"tier": "front"}})
    api.create("b", {"labels": {"tier": "back", "env": "x"}})
    api.create("c")
    assert names(api, labelSelector=selector) == expected


def test_field_selectors(api: Api) -> None:
    """fieldSelector knows metadata.name and metadata.namespace; another field is a 400."""
    api.create("a")
    api.create("b")
    assert names(api, fieldSelector="metadata.name=a") == ["a"]
    assert names(api, fieldSelector="metadata.name!=a") == ["b"]
    assert names(api, fieldSelector=f"metadata.namespace={api.namespace},metadata.name=b") == ["b"]
    assert api.call("GET", api.path("widgets"), fieldSelector="spec.size=5").code == 400


def test_table(api: Api) -> None:
    """A client that asks for a Table gets rows with the printer columns, wide ones by priority."""
    api.create("a")
    api.patch(
        "a",
        {"status": {"conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]}},
        "status",
    )
    table = api.call("GET", api.path("widgets"), accept=TABLE).body
    assert table["kind"] == "Table"
    assert [(column["name"], column["priority"]) for column in table["columnDefinitions"]] == [
        ("Name", 0),
        ("Ready", 0),
        ("Size", 0),
        ("Mode", 1),
    ]
    assert table["rows"][0]["cells"] == ["a", "True", 5, "free"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    one = api.call("GET", api.path("widgets", "a"), accept=TABLE).body
    assert one["rows"][0]["cells"] == ["a", "True", 5, "free"]


def test_watch_from_list(api: Api) -> None:
    """A watch from a list's resourceVersion gets every later change once, in order, with the object."""
    api.create("before")
    version = api.call("GET", api.path("widgets")).body["metadata"]["resourceVersion"]
    with api.watch(resourceVersion=version) as events:
        api.create("a")
        api.patch("a", {"spec": {"size": 6}})
        api.call("DELETE", api.path("widgets", "a"))
        seen = events.until_count(3)
    assert [(e["type"], e["object"]["metadata"]["name"]) for e in seen] == [
        ("ADDED", "a"),
        ("MODIFIED", "a"),
        ("DELETED", "a"),
    ]
    assert [e["object"]["spec"]["size"] for e in seen] == [5, 6, 6]
    versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in seen]
    assert versions == sorted(set(versions))


def test_watch_without_version(api: Api) -> None:
    """A watch without resourceVersion begins with an ADDED for every object."""
    api.create("a")
    with api.watch() as events:
        events.until_count(1)
        api.create("b")
        events.until_count(2)
        assert events.told() == [("ADDED", "a"), ("ADDED", "b")]


def test_watch_initial_events(api: Api) -> None:
    """sendInitialEvents gives every object, then a bookmark that says so, then what follows."""
    api.create("a")
    with api.watch(sendInitialEvents="true", resourceVersionMatch="NotOlderThan", allowWatchBookmarks="true") as events:
        seen = events.until_count(2)
        assert [event["type"] for event in seen] == ["ADDED", "BOOKMARK"]
        assert seen[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert seen[1]["object"]["kind"] == "Widget"
        api.create("b")
        assert events.until_count(3)[2]["type"] == "ADDED"


def test_watch_selector(api: Api) -> None:
    """An object that comes to match a watch's selector is ADDED, one that ceases to is DELETED."""
    api.create("a")
    version = api.call("GET", api.path("widgets")).body["metadata"]["resourceVersion"]
    with api.watch(resourceVersion=version, labelSelector="on=yes") as events:
        api.patch("a", {"metadata": {"labels": {"on": "yes"}}})
        api.patch("a", {"spec": {"size": 6}})
        api.patch("a", {"metadata": {"labels": {"on": "no"}}})
        events.until_count(3)
        assert [kind for kind, _ in events.told()] == ["ADDED", "MODIFIED", "DELETED"]


def test_watch_one_object(api: Api) -> None:
    """A watch with fieldSelector metadata.name sees that object only."""
    version = api.call("GET", api.path("widgets")).body["metadata"]["resourceVersion"]
    with api.watch(resourceVersion=version, fieldSelector="metadata.name=b") as events:
        api.create("a")
        api.create("b")
        events.until_count(1)
        assert events.told() == [("ADDED", "b")]


def test_watch_timeout(api: Api) -> None:
    """A watch ends after timeoutSeconds."""
    with api.watch(timeoutSeconds="1") as events:
        events.until(lambda _: events.ended)


def test_watch_too_old(api: Api) -> None:
    """A watch from a version that is no longer known gets an ERROR event with code 410."""
    api.create("a")
    with api.watch(resourceVersion="1") as events:
        seen = events.until_count(1)
        assert seen[0]["type"] == "ERROR"
        assert (seen[0]["object"]["code"], seen[0]["object"]["reason"]) == (410, "Expired")
        assert seen[0]["object"]["message"].startswith("too old resource version: 1")

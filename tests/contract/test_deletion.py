"""Contract: delete, finalizers, preconditions, propagation, deletecollection."""

from tests.contract.client import Api


def test_delete(api: Api) -> None:
    """Delete answers a Success Status with name, kind and uid, and the object is gone."""
    made = api.create("w")
    answer = api.call("DELETE", api.path("widgets", "w"))
    assert (answer.code, answer.body["status"]) == (200, "Success")
    assert answer.body["details"] == {
        "name": "w",
        "group": "test.modelops.dev",
        "kind": "widgets",
        "uid": made["metadata"]["uid"],
    }
    assert api.get("w").code == 404
    assert api.call("DELETE", api.path("widgets", "w")).code == 404


def test_delete_preconditions(api: Api) -> None:
    """Delete with another uid or resourceVersion is 409."""
    made = api.create("w")
    for wrong in ({"uid": "other"}, {"resourceVersion": "1"}):
        answer = api.call("DELETE", api.path("widgets", "w"), {"preconditions": wrong})
        assert (answer.code, answer.body["reason"]) == (409, "Conflict")
    right = {"uid": made["metadata"]["uid"], "resourceVersion": made["metadata"]["resourceVersion"]}
    assert api.call("DELETE", api.path("widgets", "w"), {"preconditions": right}).code == 200


def test_finalizers(api: Api) -> None:
    """A finalizer keeps a deleted object, marked by deletionTimestamp and a new generation, until it is removed."""
    api.create("w", {"finalizers": ["test.dev/f"]})
    deleted = api.call("DELETE", api.path("widgets", "w"))
    assert deleted.code == 200
    assert deleted.body["metadata"]["deletionTimestamp"]
    assert deleted.body["metadata"]["deletionGracePeriodSeconds"] == 0
    assert deleted.body["metadata"]["generation"] == 2
    again = api.call("DELETE", api.path("widgets", "w"))
    assert again.body["metadata"]["deletionTimestamp"] == deleted.body["metadata"]["deletionTimestamp"]
    assert api.patch("w", {"metadata": {"finalizers": None}}).code == 200
    assert api.get("w").code == 404


def test_finalizers_while_deleting(api: Api) -> None:
    """No finalizer can be added to an object that is being deleted, and its deletion cannot be taken back."""
    api.create("w", {"finalizers": ["test.dev/f"]})
    api.call("DELETE", api.path("widgets", "w"))
    answer = api.patch("w", {"metadata": {"finalizers": ["test.dev/f", "test.dev/g"]}})
    assert answer.code == 422
    assert "no new finalizers can be added if the object is being deleted" in answer.message
    api.patch("w", {"metadata": {"deletionTimestamp": None}})
    assert api.get("w").body["metadata"]["deletionTimestamp"]
    api.patch("w", {"metadata": {"finalizers": None}})


def test_delete_events(api: Api) -> None:
    """A watch sees a held deletion as MODIFIED and the end as DELETED."""
    api.create("w", {"finalizers": ["test.dev/f"]})
    version = api.call("GET", api.path("widgets")).body["metadata"]["resourceVersion"]
    with api.watch(resourceVersion=version) as events:
        api.call("DELETE", api.path("widgets", "w"))
        api.patch("w", {"metadata": {"finalizers": None}})
        seen = events.until_count(2)
    assert [event["type"] for event in seen] == ["MODIFIED", "DELETED"]


def test_foreground_marks(api: Api) -> None:
    """Foreground deletion marks an owner with a finalizer of its own."""
    api.create("w")
    answer = api.call("DELETE", api.path("widgets", "w"), {"propagationPolicy": "Foreground"})
    assert answer.body["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert answer.body["metadata"]["deletionTimestamp"]


def test_delete_collection(api: Api) -> None:
    """Delete of a collection deletes what the selector matches, and nothing else."""
    api.create("a", {"labels": {"on": "yes"}})
    api.create("b")
    assert api.call("DELETE", api.path("widgets"), labelSelector="on=yes").code == 200
    assert (api.get("a").code, api.get("b").code) == (404, 200)

# ruff: noqa: E501 - wire data and sentences of the list stand in one line
"""Contract: server-side apply and the bookkeeping of field managers."""

from typing import Any

from tests.contract.client import APPLY, Api


def owned(obj: dict[str, Any], manager: str, operation: str = "Apply", sub: str = "") -> Any:
    """Return what a manager owns, None if nothing."""
    for entry in obj["metadata"].get("managedFields") or ():
        if (entry["manager"], entry["operation"], entry.get("subresource", "")) == (manager, operation, sub):
            return entry["fieldsV1"]
    return None


def test_apply_creates(api: Api) -> None:
    """Apply of what is not there creates it (201), with defaults, owned by the manager without them."""
    answer = api.apply("a", "w", spec={"size": 5, "parts": [{"name": "x"}], "tags": ["t"], "steps": [{"weight": 1}]})
    assert answer.code == 201
    assert answer.body["spec"]["mode"] == "free"
    assert owned(answer.body, "a") == {
        "f:spec": {
            "f:size": {},
            "f:parts": {'k:{"name":"x"}': {".": {}, "f:name": {}}},
            "f:tags": {'v:"t"': {}},
            "f:steps": {},
        }
    }


def test_apply_again(api: Api) -> None:
    """Apply of the same again changes nothing, not even resourceVersion."""
    first = api.apply("a", "w", spec={"size": 5}).body
    again = api.apply("a", "w", spec={"size": 5})
    assert again.code == 200
    assert again.body["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_apply_conflict(api: Api) -> None:
    """Another value for a field that another manager applied is 409 and names manager and field."""
    api.apply("a", "w", spec={"size": 5})
    answer = api.apply("b", "w", spec={"size": 6})
    assert (answer.code, answer.body["reason"]) == (409, "Conflict")
    assert answer.message == 'Apply failed with 1 conflict: conflict with "a": .spec.size'
    assert answer.causes == [("FieldManagerConflict", ".spec.size")]


def test_apply_shared(api: Api) -> None:
    """The same value is no conflict: both managers own the field, and it stays until both have left it."""
    api.apply("a", "w", spec={"size": 5, "low": 1})
    both = api.apply("b", "w", spec={"size": 5, "low": 1})
    assert both.code == 200
    assert api.apply("a", "w", spec={"size": 5}).body["spec"]["low"] == 1
    assert "low" not in api.apply("b", "w", spec={"size": 5}).body["spec"]


def test_apply_force(api: Api) -> None:
    """force=true takes the field: the other manager loses it."""
    api.apply("a", "w", spec={"size": 5, "low": 1})
    answer = api.apply("b", "w", force=True, spec={"size": 6})
    assert answer.body["spec"]["size"] == 6
    assert owned(answer.body, "a") == {"f:spec": {"f:low": {}}}
    assert owned(answer.body, "b") == {"f:spec": {"f:size": {}}}


def test_apply_removes(api: Api) -> None:
    """A field, map entry, set item or list item that its only manager leaves out is removed; defaults come back."""
    api.apply(
        "a", "w",
        spec={"size": 5, "mode": "fixed", "low": 1, "labels": {"a": "1", "b": "2"}, "tags": ["x", "y"], "parts": [{"name": "p"}, {"name": "q", "count": 3}]},
    )  # fmt: skip
    spec = api.apply("a", "w", spec={"size": 5, "labels": {"a": "1"}, "tags": ["y"], "parts": [{"name": "q"}]}).body[
        "spec"
    ]
    assert spec == {
        "size": 5,
        "mode": "free",
        "labels": {"a": "1"},
        "tags": ["y"],
        "parts": [{"name": "q", "kind": "small", "count": 1}],
        "nested": {"depth": 3},
    }


def test_apply_removes_defaults(api: Api) -> None:
    """An object of the schema that its only manager leaves out goes with the defaults in it, which nobody owns."""
    probe = {"path": "/", "pace": {"burst": 3}}
    assert api.apply("a", "w", spec={"size": 5, "probe": probe}).body["spec"]["probe"] == {
        "path": "/",
        "tries": 2,
        "pace": {"burst": 3, "seconds": 5},
    }
    paced = api.apply("a", "w", spec={"size": 5, "probe": {"path": "/"}})
    assert paced.body["spec"]["probe"] == {"path": "/", "tries": 2}
    api.apply("b", "w", spec={"size": 5, "probe": {"path": "/", "pace": {}}})
    without = api.apply("a", "w", spec={"size": 5})
    assert without.body["spec"]["probe"] == {"path": "/", "tries": 2, "pace": {"seconds": 5}}
    gone = api.apply("b", "w", spec={"size": 5})
    assert (gone.code, "probe" in gone.body["spec"]) == (200, False)


def test_apply_lists(api: Api) -> None:
    """Map lists merge by key and sets by value across managers; an atomic list has one owner."""
    api.apply(
        "a", "w", spec={"size": 5, "tags": ["x"], "parts": [{"name": "p", "kind": "k"}], "steps": [{"weight": 1}]}
    )
    spec = api.apply("b", "w", spec={"tags": ["y"], "parts": [{"name": "p", "count": 4}, {"name": "q"}]}).body["spec"]
    assert spec["tags"] == ["x", "y"]
    assert spec["parts"] == [{"name": "p", "kind": "k", "count": 4}, {"name": "q", "kind": "small", "count": 1}]
    assert api.apply("b", "w", spec={"steps": [{"weight": 2}]}).causes == [("FieldManagerConflict", ".spec.steps")]


def test_apply_conditions(api: Api) -> None:
    """Two managers may apply different conditions of one status, and not the same one."""
    api.create("w")
    ready, tested = {"type": "Ready", "status": "True"}, {"type": "Tested", "status": "True"}
    api.apply("a", "w", "status", status={"conditions": [ready], "phase": "x"})
    answer = api.apply("b", "w", "status", status={"conditions": [tested]})
    assert answer.body["status"] == {"conditions": [ready, tested], "phase": "x"}
    refused = api.apply("b", "w", "status", status={"conditions": [ready | {"status": "False"}]})
    assert refused.code == 409
    assert refused.causes == [("FieldManagerConflict", '.status.conditions[type="Ready"].status')]
    left = api.apply("a", "w", "status", status={"phase": "x"}).body["status"]
    assert left == {"conditions": [tested], "phase": "x"}


def test_apply_status_leaves_spec(api: Api) -> None:
    """Apply to /status takes only the status of a configuration, and apply to the object everything but it."""
    api.apply("a", "w", spec={"size": 5}, status={"phase": "Mine"})
    assert "status" not in api.get("w").body
    body = api.apply("a", "w", "status", spec={"size": 9}, status={"phase": "Done"}).body
    assert (body["spec"]["size"], body["status"]) == (5, {"phase": "Done"})
    assert owned(body, "a", sub="status") == {"f:status": {"f:phase": {}}}


def test_apply_metadata(api: Api) -> None:
    """Labels, annotations, finalizers and ownerReferences merge across managers."""
    api.create("w")
    owner = api.create("owner")["metadata"]
    reference = {"apiVersion": "test.modelops.dev/v1", "kind": "Widget", "name": "owner", "uid": owner["uid"]}
    api.apply("a", "w", metadata={"name": "w", "labels": {"a": "1"}, "finalizers": ["test.dev/a"]})
    meta = api.apply(
        "b",
        "w",
        metadata={"name": "w", "labels": {"b": "2"}, "finalizers": ["test.dev/b"], "ownerReferences": [reference]},
    ).body["metadata"]
    assert meta["labels"] == {"a": "1", "b": "2"}
    assert sorted(meta["finalizers"]) == ["test.dev/a", "test.dev/b"]
    assert meta["ownerReferences"] == [reference]
    meta = api.apply("b", "w", metadata={"name": "w"}).body["metadata"]
    assert (meta["labels"], meta["finalizers"]) == ({"a": "1"}, ["test.dev/a"])
    assert "ownerReferences" not in meta


def test_apply_after_update(api: Api) -> None:
    """A field that a plain write set belongs to that writer: apply of another value conflicts and names the version."""
    api.apply("a", "w", spec={"size": 5})
    patched = api.patch("w", {"spec": {"size": 6}}).body
    assert owned(patched, "test", "Update") == {"f:spec": {"f:size": {}}}
    answer = api.apply("a", "w", spec={"size": 5})
    assert answer.code == 409
    assert answer.message.startswith(
        'Apply failed with 1 conflict: conflict with "test" using test.modelops.dev/v1: .spec.size'
    )


def test_create_owns(api: Api) -> None:
    """A plain create owns what it set, defaults too, containers marked by a dot."""
    assert owned(api.create("w"), "test", "Update") == {
        "f:spec": {".": {}, "f:size": {}, "f:mode": {}, "f:nested": {".": {}, "f:depth": {}}}
    }


def test_apply_validates(api: Api) -> None:
    """Apply refuses what a create would refuse, unknown fields always."""
    assert api.apply("a", "w", spec={"size": 0}).code == 422
    answer = api.apply("a", "w", spec={"size": 5, "bogus": 1})
    assert answer.code == 500
    assert ".spec.bogus: field not declared in schema" in answer.message


def test_apply_needs_manager(api: Api) -> None:
    """Apply without fieldManager is a 422, without kind a 400, with managedFields a 400."""
    answer = api.call("PATCH", api.path("widgets", "w"), api.widget("w"), kind=APPLY)
    assert (answer.code, answer.causes) == (422, [("FieldValueRequired", "fieldManager")])
    assert api.call("PATCH", api.path("widgets", "w"), {"spec": {}}, kind=APPLY, fieldManager="a").code == 400
    body = api.widget("w", {"managedFields": [{"manager": "x", "operation": "Apply"}]})
    assert api.call("PATCH", api.path("widgets", "w"), body, kind=APPLY, fieldManager="a").code == 400


def test_apply_yaml(api: Api) -> None:
    """Apply takes YAML."""
    text = b"apiVersion: test.modelops.dev/v1\nkind: Widget\nmetadata:\n  name: w\nspec:\n  size: 5\n  low: 1e-4\n"
    answer = api.call("PATCH", api.path("widgets", "w"), text, kind=APPLY, fieldManager="a")
    assert answer.code == 201
    assert answer.body["spec"]["low"] == 1e-4


def test_apply_resource_version(api: Api) -> None:
    """Apply with an old resourceVersion is 409."""
    made = api.apply("a", "w", spec={"size": 5}).body["metadata"]["resourceVersion"]
    api.apply("a", "w", spec={"size": 6})
    assert api.apply("a", "w", metadata={"name": "w", "resourceVersion": made}, spec={"size": 7}).code == 409


def test_apply_over_what_is_gone(api: Api) -> None:
    """Apply with the uid of an object that is gone, or was made anew, does not make or change one: 409."""
    old = api.apply("a", "w", spec={"size": 5}).body["metadata"]
    api.call("DELETE", api.path("widgets", "w"))
    seen = {"name": "w", "uid": old["uid"], "resourceVersion": old["resourceVersion"]}
    assert api.apply("a", "w", metadata=seen, spec={"size": 7}, force=True).code == 409
    assert api.get("w").code == 404
    api.apply("a", "w", spec={"size": 6})
    assert api.apply("a", "w", metadata=seen, spec={"size": 7}, force=True).code == 409

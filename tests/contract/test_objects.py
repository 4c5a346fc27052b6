"""Contract: create, get, update, patch, status, generation, resourceVersion, dry runs."""

from typing import Any

import pytest

from tests.contract.client import JSON_PATCH, STRATEGIC, Api


def test_create_sets_metadata(api: Api) -> None:
    """Create sets uid, creationTimestamp, generation 1 and resourceVersion, and answers 201."""
    made = api.create("w", {"uid": "mine", "generation": 7, "creationTimestamp": "2001-01-01T00:00:00Z"})["metadata"]
    assert made["uid"] != "mine"
    assert made["generation"] == 1
    assert made["creationTimestamp"].startswith("20")
    assert not made["creationTimestamp"].startswith("2001")
    assert int(made["resourceVersion"]) > 0
    assert made["namespace"] == api.namespace


def test_create_taken(api: Api) -> None:
    """Create of a taken name is 409 AlreadyExists."""
    api.create("w")
    answer = api.call("POST", api.path("widgets"), api.widget("w"))
    assert (answer.code, answer.body["reason"]) == (409, "AlreadyExists")
    assert answer.message == 'widgets.test.modelops.dev "w" already exists'


def test_create_generate_name(api: Api) -> None:
    """generateName makes a name of it and five characters."""
    body = api.widget("x")
    body["metadata"] = {"generateName": "run-"}
    answer = api.call("POST", api.path("widgets"), body)
    assert answer.code == 201
    assert len(answer.body["metadata"]["name"]) == len("run-") + 5


def test_create_without_name(api: Api) -> None:
    """Create without a name is a 422 at metadata.name."""
    body = api.widget("x") | {"metadata": {}}
    answer = api.call("POST", api.path("widgets"), body)
    assert answer.code == 422
    assert ("FieldValueRequired", "metadata.name") in answer.causes


def test_create_in_missing_namespace(api: Api) -> None:
    """Create in a namespace that is not there is a 404 that names it."""
    answer = api.call("POST", "/apis/test.modelops.dev/v1/namespaces/nowhere/widgets", api.widget("w"))
    assert answer.code == 404
    assert answer.message == 'namespaces "nowhere" not found'


def test_create_drops_status(api: Api) -> None:
    """Create ignores a status where there is a status subresource."""
    answer = api.call("POST", api.path("widgets"), api.widget("w") | {"status": {"phase": "Mine"}})
    assert answer.code == 201
    assert "status" not in answer.body


def test_create_with_resource_version(api: Api) -> None:
    """Create with a resourceVersion is refused."""
    answer = api.call("POST", api.path("widgets"), api.widget("w", {"resourceVersion": "5"}))
    assert answer.code == 500
    assert answer.message == "resourceVersion should not be set on objects to be created"


def test_get_missing(api: Api) -> None:
    """Get of what is not there is a 404 Status with details."""
    answer = api.get("nope")
    assert answer.code == 404
    assert answer.body["details"] == {"name": "nope", "group": "test.modelops.dev", "kind": "widgets"}
    assert answer.message == 'widgets.test.modelops.dev "nope" not found'


def test_update_bumps_generation(api: Api) -> None:
    """An update of the spec raises generation and resourceVersion; metadata alone raises only the latter."""
    made = api.create("w")
    made["spec"]["size"] = 6
    updated = api.call("PUT", api.path("widgets", "w"), made).body
    assert updated["metadata"]["generation"] == 2
    assert updated["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]
    updated["metadata"]["labels"] = {"a": "b"}
    relabelled = api.call("PUT", api.path("widgets", "w"), updated).body
    assert relabelled["metadata"]["generation"] == 2


def test_update_unchanged(api: Api) -> None:
    """A write that changes nothing leaves resourceVersion as it was."""
    made = api.create("w")
    again = api.call("PUT", api.path("widgets", "w"), made, fieldManager="test").body
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    patched = api.patch("w", {"spec": {"size": 5}}).body
    assert patched["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_update_conflict(api: Api) -> None:
    """An update or patch with an old resourceVersion is 409 Conflict."""
    made = api.create("w")
    api.patch("w", {"spec": {"size": 6}})
    answer = api.call("PUT", api.path("widgets", "w"), made)
    assert (answer.code, answer.body["reason"]) == (409, "Conflict")
    assert answer.message.endswith(
        "the object has been modified; please apply your changes to the latest version and try again"
    )
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "spec": {"size": 7}}
    assert api.patch("w", stale).code == 409


def test_update_needs_resource_version(api: Api) -> None:
    """An update of a custom resource without resourceVersion is a 422."""
    api.create("w")
    answer = api.call("PUT", api.path("widgets", "w"), api.widget("w"))
    assert answer.code == 422
    assert "metadata.resourceVersion: Invalid value: 0: must be specified for an update" in answer.message


def test_update_other_uid(api: Api) -> None:
    """An update with another object's uid is 409."""
    made = api.create("w")
    made["metadata"]["uid"] = "other"
    answer = api.call("PUT", api.path("widgets", "w"), made)
    assert answer.code == 409
    assert "Precondition failed: UID in precondition: other" in answer.message


def test_update_missing(api: Api) -> None:
    """An update of what is not there is a 404."""
    assert api.call("PUT", api.path("widgets", "w"), api.widget("w", {"resourceVersion": "1"})).code == 404


def test_status_is_apart(api: Api) -> None:
    """Writes to the object leave status alone; writes to /status leave everything else alone and generation too."""
    api.create("w")
    assert "status" not in api.patch("w", {"status": {"phase": "Mine"}}).body
    answer = api.patch(
        "w", {"status": {"phase": "Done"}, "spec": {"size": 9}, "metadata": {"labels": {"a": "b"}}}, "status"
    )
    assert answer.body["status"] == {"phase": "Done"}
    assert answer.body["spec"]["size"] == 5
    assert "labels" not in answer.body["metadata"]
    assert answer.body["metadata"]["generation"] == 1


def test_status_put(api: Api) -> None:
    """A PUT of /status is guarded by resourceVersion."""
    made = api.create("w")
    made["status"] = {"phase": "One"}
    first = api.call("PUT", api.path("widgets", "w", "status"), made)
    assert first.code == 200
    assert first.body["status"] == {"phase": "One"}
    assert api.call("PUT", api.path("widgets", "w", "status"), made | {"status": {"phase": "Two"}}).code == 409
    assert api.call("GET", api.path("widgets", "w", "status")).body["status"] == {"phase": "One"}


def test_status_is_validated(api: Api) -> None:
    """A status outside its schema is refused."""
    api.create("w")
    answer = api.patch("w", {"status": {"conditions": [{"type": "Ready", "status": "Maybe"}]}}, "status")
    assert answer.code == 422
    assert ("FieldValueNotSupported", "status.conditions[0].status") in answer.causes


def test_merge_patch(api: Api) -> None:
    """A JSON merge patch sets, replaces lists as a whole and removes by null."""
    api.create("w", low=1, tags=["a", "b"], labels={"a": "1", "b": "2"})
    spec = api.patch("w", {"spec": {"low": None, "tags": ["c"], "labels": {"a": None, "c": "3"}}}).body["spec"]
    assert "low" not in spec
    assert spec["tags"] == ["c"]
    assert spec["labels"] == {"b": "2", "c": "3"}


def test_json_patch(api: Api) -> None:
    """A JSON patch adds, replaces, removes and tests; one that does not fit is a 422 and changes nothing."""
    api.create("w", tags=["a"])
    change = [
        {"op": "test", "path": "/spec/size", "value": 5},
        {"op": "add", "path": "/spec/tags/-", "value": "b"},
        {"op": "replace", "path": "/spec/size", "value": 8},
    ]
    spec = api.patch("w", change, kind=JSON_PATCH).body["spec"]
    assert (spec["size"], spec["tags"]) == (8, ["a", "b"])
    for misfit in ({"op": "test", "path": "/spec/size", "value": 5}, {"op": "remove", "path": "/spec/nope"}):
        assert api.patch("w", [misfit], kind=JSON_PATCH).code == 422
    assert api.get("w").body["spec"]["size"] == 8


def test_strategic_patch_of_custom_resource(api: Api) -> None:
    """A strategic merge patch of a custom resource is a 415 that lists what is taken."""
    api.create("w")
    answer = api.patch("w", {"spec": {"size": 6}}, kind=STRATEGIC)
    assert answer.code == 415
    assert "application/merge-patch+json" in answer.message


def test_patch_uid(api: Api) -> None:
    """A patch of the uid is a 422: the field is immutable."""
    api.create("w")
    answer = api.patch("w", {"metadata": {"uid": "other"}})
    assert answer.code == 422
    assert "field is immutable" in answer.message


@pytest.mark.parametrize("verb", ["create", "update", "patch", "apply", "delete"])
def test_dry_run(api: Api, verb: str) -> None:
    """dryRun=All answers as the write would, validates, and changes nothing."""
    made = api.create("w")
    calls: dict[str, Any] = {
        "create": lambda: api.call("POST", api.path("widgets"), api.widget("other"), dryRun="All"),
        "update": lambda: api.call("PUT", api.path("widgets", "w"), made | {"spec": {"size": 7}}, dryRun="All"),
        "patch": lambda: api.patch("w", {"spec": {"size": 7}}, dryRun="All"),
        "apply": lambda: api.call(
            "PATCH",
            api.path("widgets", "other"),
            api.widget("other"),
            kind="application/apply-patch+yaml",
            dryRun="All",
            fieldManager="m",
        ),
        "delete": lambda: api.call("DELETE", api.path("widgets", "w"), dryRun="All"),
    }
    assert calls[verb]().code in {200, 201}
    assert api.get("other").code == 404
    assert api.get("w").body["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_dry_run_unknown(api: Api) -> None:
    """Any other value of dryRun is a 422."""
    answer = api.call("POST", api.path("widgets"), api.widget("w"), dryRun="Some")
    assert (answer.code, answer.causes) == (422, [("FieldValueNotSupported", "dryRun")])


def test_body_must_fit_url(api: Api) -> None:
    """A body with another namespace or name than the URL's is a 400, another kind is refused."""
    assert api.call("POST", api.path("widgets"), api.widget("w", {"namespace": "other"})).code == 400
    api.create("w")
    assert api.call("PUT", api.path("widgets", "w"), api.widget("v", {"resourceVersion": "1"})).code == 400
    assert api.call("POST", api.path("widgets"), api.widget("w") | {"kind": "Other"}).code == 422
    assert api.call("POST", api.path("widgets"), b"{").code == 400

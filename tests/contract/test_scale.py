# ruff: noqa: E501 - sentences of the list stand in one line
"""Contract: the scale subresource."""

from tests.contract.client import JSON_PATCH, MERGE, Api


def test_scale_is_a_view(api: Api) -> None:
    """A scale shows the number of replicas wherever the definition says it stands, the number there is, and the selector."""
    made = api.create("w", copies=3)
    api.patch("w", {"status": {"copies": 2, "selector": "a=b"}}, "status")
    answer = api.call("GET", api.path("widgets", "w", "scale"))
    assert answer.code == 200
    assert (answer.body["apiVersion"], answer.body["kind"]) == ("autoscaling/v1", "Scale")
    assert answer.body["spec"] == {"replicas": 3}
    assert answer.body["status"] == {"replicas": 2, "selector": "a=b"}
    assert answer.body["metadata"]["uid"] == made["metadata"]["uid"]


def test_scale_without_replicas(api: Api) -> None:
    """An object without a number of replicas has no scale: 500, and the field is named."""
    api.create("w")
    answer = api.call("GET", api.path("widgets", "w", "scale"))
    assert answer.code == 500
    assert 'the spec replicas field ".spec.copies" does not exist' in answer.body["message"]


def test_scale_of_nothing(api: Api) -> None:
    """The scale of an object that is not there is 404; of a resource that has none, too."""
    assert api.call("GET", api.path("widgets", "absent", "scale")).code == 404
    assert api.call("GET", api.path("configmaps", "absent", "scale", group="")).code == 404


def test_scale_by_patch(api: Api) -> None:
    """A patch of the scale, merged or as JSON patch, changes the object: its generation rises, its manager is noted with the subresource."""
    api.create("w", copies=1)
    answer = api.patch("w", {"spec": {"replicas": 4}}, "scale", fieldManager="hpa")
    assert (answer.code, answer.body["spec"]) == (200, {"replicas": 4})
    change = [{"op": "replace", "path": "/spec/replicas", "value": 5}]
    assert api.patch("w", change, "scale", kind=JSON_PATCH, fieldManager="hpa").code == 200
    found = api.get("w").body
    assert (found["spec"]["copies"], found["metadata"]["generation"]) == (5, 3)
    managers = {(entry["manager"], entry.get("subresource", "")) for entry in found["metadata"]["managedFields"]}
    assert ("hpa", "scale") in managers


def test_scale_by_update(api: Api) -> None:
    """A scale can be replaced, as kubectl scale does; with an old resourceVersion that is 409."""
    api.create("w", copies=1)
    scale = api.call("GET", api.path("widgets", "w", "scale")).body
    scale["spec"]["replicas"] = 2
    answer = api.call("PUT", api.path("widgets", "w", "scale"), scale)
    assert (answer.code, answer.body["spec"]) == (200, {"replicas": 2})
    assert api.call("PUT", api.path("widgets", "w", "scale"), scale).code == 409


def test_scale_that_the_schema_refuses(api: Api) -> None:
    """Below nothing, and beyond what the schema allows, is 422; nothing changes."""
    api.create("w", copies=1)
    for replicas in (-1, 51):
        assert api.patch("w", {"spec": {"replicas": replicas}}, "scale").code == 422
    assert api.get("w").body["spec"]["copies"] == 1


def test_scale_and_apply(api: Api) -> None:
    """A number set by the scale is nobody's who applies: it stays over an apply that does not name it."""
    api.apply("git", "w", spec={"size": 1})
    api.patch("w", {"spec": {"copies": 1}})
    api.patch("w", {"spec": {"replicas": 7}}, "scale", kind=MERGE)
    api.apply("git", "w", spec={"size": 2})
    assert api.get("w").body["spec"]["copies"] == 7


def test_scale_is_discovered(api: Api) -> None:
    """Discovery names the subresource with the group and kind of a Scale, by which kubectl and autoscalers find it."""
    listed = api.call("GET", "/apis/test.modelops.dev/v1").body["resources"]
    [found] = [entry for entry in listed if entry["name"] == "widgets/scale"]
    assert (found["group"], found["version"], found["kind"]) == ("autoscaling", "v1", "Scale")

# ruff: noqa: E501 - wire data and sentences of the list stand in one line
"""Contract: health, version, discovery, OpenAPI."""

from typing import Any

from tests.contract.client import Api


def test_health(api: Api) -> None:
    """Health endpoints answer 200, /version tells a Kubernetes version."""
    for path in ("/healthz", "/livez", "/readyz"):
        assert api.call("GET", path).code == 200
    assert api.call("GET", "/version").body["gitVersion"].startswith("v1.34.")


def test_groups(api: Api) -> None:
    """/api, /apis and /apis/GROUP tell the versions and the preferred one."""
    assert api.call("GET", "/api").body["versions"] == ["v1"]
    groups = {group["name"]: group for group in api.call("GET", "/apis").body["groups"]}
    expected = {"groupVersion": "test.modelops.dev/v1", "version": "v1"}
    assert groups["test.modelops.dev"]["preferredVersion"] == expected
    assert {"apps", "coordination.k8s.io", "apiextensions.k8s.io"} <= groups.keys()
    assert api.call("GET", "/apis/test.modelops.dev").body["preferredVersion"] == expected


def test_resources(api: Api) -> None:
    """A group's resources have kind, singularName, scope, verbs, short names, categories and their status subresource."""
    listed = api.call("GET", "/apis/test.modelops.dev/v1").body
    assert listed["kind"] == "APIResourceList"
    found: dict[str, Any] = {resource["name"]: resource for resource in listed["resources"]}
    widget = found["widgets"]
    assert (widget["kind"], widget["singularName"], widget["namespaced"]) == ("Widget", "widget", True)
    assert (widget["shortNames"], widget["categories"]) == (["wg"], ["modelops"])
    assert set(widget["verbs"]) == {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
    assert set(found["widgets/status"]["verbs"]) == {"get", "patch", "update"}


def test_core_resources(api: Api) -> None:
    """The core group has Namespaces, Secrets, ConfigMaps, Services and Events."""
    found = {resource["name"]: resource for resource in api.call("GET", "/api/v1").body["resources"]}
    assert not found["namespaces"]["namespaced"]
    assert {"secrets", "configmaps", "services", "events"} <= found.keys()
    assert all(found[name]["singularName"] for name in ("secrets", "events"))


def test_unknown_path(api: Api) -> None:
    """An unknown resource is a 404."""
    assert api.call("GET", api.path("nopes")).code == 404
    assert api.call("GET", "/apis/nope.example.com/v1/things").code == 404


def test_openapi(api: Api) -> None:
    """OpenAPI v3 has a document for the group with the kind's schema, and fieldValidation among a patch's parameters."""
    paths = api.call("GET", "/openapi/v3").body["paths"]
    document = api.call("GET", paths["apis/test.modelops.dev/v1"]["serverRelativeURL"]).body
    schema = document["components"]["schemas"]["dev.modelops.test.v1.Widget"]
    assert schema["x-kubernetes-group-version-kind"] == [
        {"group": "test.modelops.dev", "kind": "Widget", "version": "v1"}
    ]
    assert schema["properties"]["spec"]["properties"]["size"]["description"] == "How large it is."
    patch = document["paths"]["/apis/test.modelops.dev/v1/namespaces/{namespace}/widgets/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == schema["x-kubernetes-group-version-kind"][0]
    assert "fieldValidation" in {parameter["name"] for parameter in patch["parameters"]}


def test_definitions(api: Api) -> None:
    """CustomResourceDefinitions can be read, and are Established."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.test.modelops.dev"
    crd = api.call("GET", path).body
    assert crd["spec"]["names"]["kind"] == "Widget"
    assert {c["type"]: c["status"] for c in crd["status"]["conditions"]}["Established"] == "True"


def test_access_review(api: Api) -> None:
    """A SelfSubjectAccessReview tells an administrator that everything is allowed."""
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "create", "resource": "pods"}},
    }
    answer = api.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
    assert (answer.code, answer.body["status"]["allowed"]) == (201, True)


def test_without_token(api: Api) -> None:
    """A wrong token is a 401."""
    api.token = "wrong"
    answer = api.call("GET", api.path("widgets"))
    assert (answer.code, answer.body["reason"]) == (401, "Unauthorized")

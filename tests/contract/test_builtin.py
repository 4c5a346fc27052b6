# ruff: noqa: E501 - wire data and sentences of the list stand in one line
"""Contract: the built-in kinds, as far as modelops uses them."""

import base64
from typing import Any

from tests.contract.client import APPLY, MERGE, STRATEGIC, Answer, Api


def make(api: Api, plural: str, body: dict[str, Any], group: str = "") -> Answer:
    return api.call("POST", api.path(plural, group=group), body)


def deployment(**container: Any) -> dict[str, Any]:
    labels = {"app": "x"}
    pod = {"containers": [{"name": "main", "image": "one", **container}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }


def test_secret_string_data(api: Api) -> None:
    """A Secret's stringData is written into data, in base64, and its type is Opaque."""
    body = make(api, "secrets", {"metadata": {"name": "s"}, "stringData": {"a": "b"}}).body
    assert body["data"] == {"a": base64.b64encode(b"b").decode()}
    assert body["type"] == "Opaque"
    assert "stringData" not in body
    assert "generation" not in body["metadata"]


def test_config_map_immutable(api: Api) -> None:
    """An immutable ConfigMap's data cannot change."""
    make(api, "configmaps", {"metadata": {"name": "c"}, "data": {"a": "b"}, "immutable": True})
    answer = api.call("PATCH", api.path("configmaps", "c", group=""), {"data": {"a": "c"}}, kind=MERGE)
    assert answer.code == 422
    assert ("FieldValueForbidden", "data") in answer.causes


def test_unconditional_update(api: Api) -> None:
    """A ConfigMap can be replaced without a resourceVersion."""
    make(api, "configmaps", {"metadata": {"name": "c"}, "data": {"a": "b"}})
    answer = api.call("PUT", api.path("configmaps", "c", group=""), {"metadata": {"name": "c"}, "data": {"x": "y"}})
    assert (answer.code, answer.body["data"]) == (200, {"x": "y"})


def test_deployment(api: Api) -> None:
    """A Deployment gets one replica by default; its generation follows its spec and not its status."""
    body = make(api, "deployments", deployment(), "apps").body
    assert (body["spec"]["replicas"], body["metadata"]["generation"]) == (1, 1)
    path = api.path("deployments", "d", group="apps")
    assert api.call("PATCH", path, {"spec": {"replicas": 3}}, kind=MERGE).body["metadata"]["generation"] == 2
    status = {"status": {"replicas": 3, "readyReplicas": 2}}
    answer = api.call("PATCH", path + "/status", status, kind=MERGE).body
    assert (answer["status"]["readyReplicas"], answer["metadata"]["generation"]) == (2, 2)


def test_strategic_merge(api: Api) -> None:
    """A strategic merge patch merges containers and their environment by name, deletes by $patch."""
    made = make(api, "deployments", deployment(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]), "apps")
    assert made.code == 201
    env = [{"name": "B", "value": "3"}, {"name": "A", "$patch": "delete"}]
    change = {
        "spec": {"template": {"spec": {"containers": [{"name": "main", "env": env}, {"name": "side", "image": "two"}]}}}
    }
    answer = api.call("PATCH", api.path("deployments", "d", group="apps"), change, kind=STRATEGIC)
    containers = {c["name"]: c for c in answer.body["spec"]["template"]["spec"]["containers"]}
    assert containers["main"]["image"] == "one"
    assert containers["main"]["env"] == [{"name": "B", "value": "3"}]
    assert containers["side"]["image"] == "two"


def test_apply_deployment(api: Api) -> None:
    """Apply merges a Deployment's containers by name: another manager's replicas stay."""
    path = api.path("deployments", "d", group="apps")
    assert api.call("PATCH", path, deployment(), kind=APPLY, fieldManager="a").code == 201
    api.call("PATCH", path, {"spec": {"replicas": 3}}, kind=MERGE, fieldManager="scaler")
    answer = api.call("PATCH", path, deployment(image="two"), kind=APPLY, fieldManager="a")
    assert answer.code == 200
    assert answer.body["spec"]["replicas"] == 3
    assert answer.body["spec"]["template"]["spec"]["containers"][0]["image"] == "two"


def test_service(api: Api) -> None:
    """A Service's ports merge by port and protocol, which is TCP by default."""
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s"},
        "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]},
    }
    answer = api.call("PATCH", api.path("services", "s", group=""), body, kind=APPLY, fieldManager="a")
    assert answer.code == 201
    assert answer.body["spec"]["ports"][0]["protocol"] == "TCP"
    assert answer.body["spec"]["type"] == "ClusterIP"


def test_controller_revision(api: Api) -> None:
    """A ControllerRevision keeps any data, which cannot change."""
    body = {"metadata": {"name": "r"}, "data": {"spec": {"any": [1]}}, "revision": 1}
    assert make(api, "controllerrevisions", body, "apps").body["data"] == {"spec": {"any": [1]}}
    path = api.path("controllerrevisions", "r", group="apps")
    assert api.call("PATCH", path, {"data": {"spec": {"any": [2]}}}, kind=MERGE).code == 422


def test_lease(api: Api) -> None:
    """A Lease is taken by an update that carries resourceVersion; the second taker gets 409."""
    spec = {"holderIdentity": "one", "leaseDurationSeconds": 15}
    lease = make(api, "leases", {"metadata": {"name": "l"}, "spec": spec}, "coordination.k8s.io").body
    path = api.path("leases", "l", group="coordination.k8s.io")
    for holder, code in (("two", 200), ("three", 409)):
        assert api.call("PUT", path, lease | {"spec": spec | {"holderIdentity": holder}}).code == code
    assert api.call("GET", path).body["spec"]["holderIdentity"] == "two"


def test_lease_patch(api: Api) -> None:
    """A merge patch that carries an old resourceVersion is 409; one that carries null takes the holder out."""
    spec = {"holderIdentity": "one", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T12:00:00.000001Z"}
    lease = make(api, "leases", {"metadata": {"name": "l"}, "spec": spec}, "coordination.k8s.io").body
    path = api.path("leases", "l", group="coordination.k8s.io")
    released = {"metadata": {"resourceVersion": lease["metadata"]["resourceVersion"]}, "spec": {"holderIdentity": None}}
    answer = api.call("PATCH", path, released, kind=MERGE)
    assert (answer.code, answer.body["spec"].get("holderIdentity")) == (200, None)
    assert answer.body["spec"]["renewTime"] == spec["renewTime"]
    assert api.call("PATCH", path, released, kind=MERGE).code == 409


def test_lease_watch(api: Api) -> None:
    """A watch without a resourceVersion for one name tells the object as it is, then its changes, and no other object."""
    group = "coordination.k8s.io"
    for name in ("l", "other"):
        make(api, "leases", {"metadata": {"name": name}, "spec": {"leaseDurationSeconds": 15}}, group)
    with api.watch("leases", group=group, fieldSelector="metadata.name=l") as events:
        events.until_count(1)
        for name in ("other", "l"):
            change = {"spec": {"holderIdentity": "one"}}
            assert api.call("PATCH", api.path("leases", name, group=group), change, kind=MERGE).code == 200
        events.until_count(2)
        assert events.told() == [("ADDED", "l"), ("MODIFIED", "l")]


def test_events(api: Api) -> None:
    """Events can be selected by the object they are about."""
    for name in ("a", "b"):
        about = {
            "kind": "Widget",
            "apiVersion": "test.modelops.dev/v1",
            "name": name,
            "namespace": api.namespace,
            "uid": name,
        }
        body = {
            "metadata": {"generateName": "e-"},
            "involvedObject": about,
            "reason": "Tested",
            "message": "m",
            "type": "Normal",
        }
        assert make(api, "events", body).code == 201
    selector = "involvedObject.name=a,involvedObject.kind=Widget"
    items = api.call("GET", api.path("events", group=""), fieldSelector=selector).body["items"]
    assert [item["involvedObject"]["name"] for item in items] == ["a"]


def test_namespace(api: Api) -> None:
    """A Namespace is Active, labelled with its name, and its deletion marks it Terminating, where nothing can be made."""
    path = f"/api/v1/namespaces/{api.namespace}"
    body = api.call("GET", path).body
    assert body["status"]["phase"] == "Active"
    assert body["metadata"]["labels"] == {"kubernetes.io/metadata.name": api.namespace}
    api.create("held", {"finalizers": ["test.dev/f"]})
    deleted = api.call("DELETE", path).body
    assert deleted["status"]["phase"] == "Terminating"
    answer = api.call("POST", api.path("widgets"), api.widget("w"))
    assert (answer.code, answer.body["reason"]) == (403, "Forbidden")
    assert "because it is being terminated" in answer.message
    api.patch("held", {"metadata": {"finalizers": None}})

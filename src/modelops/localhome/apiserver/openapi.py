"""OpenAPI v3 documents, for `kubectl explain`, and for `kubectl apply` to learn that the server validates. Pure."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from modelops.localhome.apiserver.answers import Obj
from modelops.localhome.apiserver.resources import Catalogue, ResourceType
from modelops.localhome.apiserver.structural import METADATA

_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def _path(group_version: str) -> str:
    return f"apis/{group_version}" if "/" in group_version else f"api/{group_version}"


def index(catalogue: Catalogue) -> Obj:
    """Return `/openapi/v3`: where the document of each group and version is, with a hash of it."""
    paths: Obj = {}
    for group_version in sorted({kind.api_version for kind in catalogue}):
        group, _, version = group_version.rpartition("/")
        text = orjson.dumps(document(catalogue, group, version), option=orjson.OPT_SORT_KEYS)
        digest = hashlib.sha256(text).hexdigest().upper()
        where = _path(group_version)
        paths[where] = {"serverRelativeURL": f"/openapi/v3/{where}?hash={digest}"}
    return {"paths": paths}


def document(catalogue: Catalogue, group: str, version: str) -> Obj | None:
    """Return the document of a group and version, or None."""
    kinds = [kind for kind in catalogue if (kind.group, kind.version) == (group, version)]
    if not kinds:
        return None
    schemas: Obj = {_META: {**_plain(METADATA), "description": "ObjectMeta is metadata that all objects have."}}
    paths: Obj = {}
    for kind in kinds:
        schemas[_schema_name(kind)] = _schema(kind)
        paths |= _paths(kind)
    return {
        "openapi": "3.0.0",
        "info": {"title": "modelops local API", "version": "v1"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _schema_name(kind: ResourceType) -> str:
    if not kind.group:
        return f"io.k8s.api.core.{kind.version}.{kind.kind}"
    return ".".join([*reversed(kind.group.split(".")), kind.version, kind.kind])


def _identity(kind: ResourceType) -> Obj:
    return {"group": kind.group, "kind": kind.kind, "version": kind.version}


def _schema(kind: ResourceType) -> Obj:
    schema = _plain(kind.schema)
    schema["type"] = "object"
    schema["properties"] = {
        "apiVersion": {"type": "string", "description": "The group and version of this object."},
        "kind": {"type": "string", "description": "The kind of this object."},
        "metadata": {"allOf": [{"$ref": f"#/components/schemas/{_META}"}], "description": "Standard metadata."},
        **{
            name: below
            for name, below in (schema.get("properties") or {}).items()
            if name not in {"apiVersion", "kind", "metadata"}
        },
    }
    schema["x-kubernetes-group-version-kind"] = [_identity(kind)]
    return schema


def _plain(schema: Mapping[str, Any]) -> Obj:
    """Return the schema without what OpenAPI does not know."""
    plain = {key: value for key, value in schema.items() if not key.startswith("x-modelops-")}
    if isinstance(plain.get("properties"), Mapping):
        plain["properties"] = {name: _plain(below) for name, below in plain["properties"].items()}
    for part in ("items", "additionalProperties"):
        if isinstance(plain.get(part), Mapping):
            plain[part] = _plain(plain[part])
    return plain


def _paths(kind: ResourceType) -> Obj:
    root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.api_version}"
    base = f"{root}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"
    of_kind = {"x-kubernetes-group-version-kind": _identity(kind)}
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
        for name in ("dryRun", "fieldManager", "fieldValidation")
    ]
    reference = {"$ref": f"#/components/schemas/{_schema_name(kind)}"}
    answer = {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}}

    def operation(action: str) -> Obj:
        told: Obj = {"x-kubernetes-action": action, "responses": answer, **of_kind}
        if action in {"post", "put", "patch"}:
            told["parameters"] = parameters
        return told

    return {
        base: {"get": operation("list"), "post": operation("post"), "delete": operation("deletecollection")},
        f"{base}/{{name}}": {
            "get": operation("get"),
            "put": operation("put"),
            "patch": operation("patch"),
            "delete": operation("delete"),
        },
    }

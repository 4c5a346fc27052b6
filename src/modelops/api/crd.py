"""CustomResourceDefinitions and editor schemas of our kinds. Pure; called by `modelops.api.generate`."""

from typing import Any

from modelops.api.kinds import ColumnDef, Kind
from modelops.api.schema import structural


def custom_resource_definition(kind: Kind) -> dict[str, Any]:
    """Return the CustomResourceDefinition of a kind."""
    resource = kind.resource
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{resource.plural}.{resource.group}",
            "annotations": {"helm.sh/resource-policy": "keep"},
            "labels": {"app.kubernetes.io/name": "modelops", "app.kubernetes.io/part-of": "modelops"},
        },
        "spec": {
            "group": resource.group,
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": kind.singular,
                "shortNames": list(kind.short_names),
                "categories": ["modelops"],
            },
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "versions": [
                {
                    "name": resource.version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": structural(kind)},
                    "subresources": {"status": {}} | _scale(kind),
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                }
            ],
        },
    }


def _scale(kind: Kind) -> dict[str, Any]:
    scale = kind.scale
    if scale is None:
        return {}
    paths = {
        "specReplicasPath": scale.replicas,
        "statusReplicasPath": scale.found,
        "labelSelectorPath": scale.selector,
    }
    return {"scale": paths}


def editor_schema(kind: Kind) -> dict[str, Any]:
    """Return the JSON Schema that editors check manifests against; unlike the CRD it refuses unknown fields."""
    schema = structural(kind)
    properties = schema["properties"]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": kind.resource.kind,
        "description": schema["description"],
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": kind.resource.api_version},
            "kind": {"const": kind.resource.kind},
            "metadata": {"type": "object", "required": ["name"]},
            "spec": _closed(properties["spec"]),
        },
        "additionalProperties": False,
    }


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key.startswith("x-kubernetes-"):
            continue
        if key == "properties":
            result[key] = {name: _closed(field) for name, field in value.items()}
        elif key in ("exclusiveMinimum", "exclusiveMaximum"):
            continue
        else:
            result[key] = _closed(value) if key in ("items", "additionalProperties") else value
    if "properties" in result and not schema.get("x-kubernetes-preserve-unknown-fields"):
        result["additionalProperties"] = False
    return result


def _column(column: ColumnDef) -> dict[str, Any]:
    described: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.json_path}
    return described | ({"priority": column.priority} if column.priority else {})

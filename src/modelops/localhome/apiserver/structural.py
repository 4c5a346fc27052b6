"""Structural schemas: pruning of unknown fields, defaults. What a schema refuses is in `validation`.

A schema is the openAPIV3Schema of a CustomResourceDefinition. Nothing here changes its input.
"""

import copy
from collections.abc import Mapping
from typing import Any

from modelops.localhome.apiserver.answers import Obj

PRESERVE = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
INT_OR_STRING = "x-kubernetes-int-or-string"
ENVELOPE = frozenset({"apiVersion", "kind", "metadata"})

ANYTHING: Mapping[str, Any] = {PRESERVE: True}
"""The schema of what no schema describes."""

METADATA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        **{
            name: {"type": "string"}
            for name in ("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion")
        },
        "creationTimestamp": {"type": "string", "nullable": True},
        "deletionTimestamp": {"type": "string", "nullable": True},
        "generation": {"type": "integer"},
        "deletionGracePeriodSeconds": {"type": "integer"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        "finalizers": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "ownerReferences": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["uid"],
            "items": {
                "type": "object",
                "x-kubernetes-map-type": "atomic",
                "required": ["apiVersion", "kind", "name", "uid"],
                "properties": {
                    "apiVersion": {"type": "string"},
                    "kind": {"type": "string"},
                    "name": {"type": "string"},
                    "uid": {"type": "string"},
                    "controller": {"type": "boolean"},
                    "blockOwnerDeletion": {"type": "boolean"},
                },
            },
        },
        "managedFields": {"type": "array", "items": {PRESERVE: True}},
    },
}
"""metav1.ObjectMeta."""


def whole(schema: Obj) -> Obj:
    """Return the schema of a whole object with metav1's part filled in."""
    properties = {
        **(schema.get("properties") or {}),
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": METADATA,
    }
    return {**schema, "type": "object", "properties": properties}


def child(schema: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """Return the schema of a field: ANYTHING where unknown fields are kept, None where there is no such field."""
    properties = schema.get("properties")
    if properties and name in properties:
        found: Mapping[str, Any] = properties[name]
        return found
    if schema.get(EMBEDDED) and name in ENVELOPE:
        return METADATA if name == "metadata" else {"type": "string"}
    additional = schema.get("additionalProperties")
    if isinstance(additional, Mapping):
        return additional
    if additional is True or schema.get(PRESERVE):
        return ANYTHING
    return None


def prune(value: Any, schema: Mapping[str, Any], path: str, unknown: list[str]) -> Any:
    """Return the value without the fields that the schema does not know; their paths are added to `unknown`."""
    if isinstance(value, dict):
        kept: Obj = {}
        for name, item in value.items():
            below = child(schema, name)
            here = f"{path}.{name}" if path else name
            if below is None:
                unknown.append(here)
            else:
                kept[name] = prune(item, below, here, unknown)
        return kept
    if isinstance(value, list):
        items = schema.get("items") or ANYTHING
        return [prune(item, items, f"{path}[{index}]", unknown) for index, item in enumerate(value)]
    return value


def with_defaults(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return the value with defaults filled in; a null where none may stand is dropped first, as if it were absent."""
    if isinstance(value, dict):
        filled: Obj = {}
        for name, item in value.items():
            below = child(schema, name)
            if item is None and below is not None and below is not ANYTHING and not _takes_null(below):
                continue
            filled[name] = item if below is None or below is ANYTHING else with_defaults(item, below)
        for name, below in (schema.get("properties") or {}).items():
            if name not in filled and "default" in below:
                filled[name] = with_defaults(copy.deepcopy(below["default"]), below)
        return filled
    if isinstance(value, list):
        items = schema.get("items")
        return [with_defaults(item, items) for item in value] if items else value
    return value


def _takes_null(schema: Mapping[str, Any]) -> bool:
    return bool(schema.get("nullable")) or ("type" not in schema and not schema.get(INT_OR_STRING))

"""From our types to the structural OpenAPI v3 schemas of CustomResourceDefinitions.

pydantic emits JSON Schema with references, titles and nullable unions; Kubernetes wants everything inline, bounded and
without them. Called by `modelops.api.generate`; pure.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import override

from modelops.api.kinds import Kind
from modelops.api.v1alpha1.common import format_duration

Schema = dict[str, Any]

_COPIED: Final = (
    "description",
    "enum",
    "format",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "pattern",
)
_MAX_STRING: Final = 1024


def structural(kind: Kind) -> Schema:
    """Return the openAPIV3Schema of a kind: spec, status, and what the API machinery adds."""
    return {
        "type": "object",
        "description": (kind.spec.__doc__ or "").strip(),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _of(kind.spec),
            "status": _of(kind.status, with_defaults=False),
        },
    }


class _WireDefaults(GenerateJsonSchema):
    """Writes defaults as users would: Go durations, and objects without their absent fields."""

    @override
    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, timedelta):
            return format_duration(dft)
        if isinstance(dft, BaseModel):
            return dft.model_dump(mode="json", by_alias=True, exclude_none=True)
        return super().encode_default(dft)


def _of(model: type[BaseModel], *, with_defaults: bool = True) -> Schema:
    schema = model.model_json_schema(by_alias=True, mode="validation", schema_generator=_WireDefaults)
    return _Inliner(schema.get("$defs", {}), with_defaults=with_defaults).inline(schema)


class _Inliner:
    """Copies one JSON Schema into structural form.

    Args:
        definitions: what `$ref` points at.
        with_defaults: whether defaults are kept; a status has none, because what is absent was not observed.
    """

    def __init__(self, definitions: Mapping[str, Any], *, with_defaults: bool) -> None:
        self._definitions = definitions
        self._with_defaults = with_defaults

    def inline(self, schema: Mapping[str, Any]) -> Schema:
        schema = self._resolved(schema)
        result: Schema = {key: schema[key] for key in _COPIED if key in schema}
        result |= {key: value for key, value in schema.items() if key.startswith("x-kubernetes-")}
        if "const" in schema:
            result["enum"] = [schema["const"]]
        kind = schema.get("type") or _type_of(result.get("enum"))
        if kind:
            result["type"] = kind
        if "exclusiveMinimum" in schema:
            result |= {"minimum": schema["exclusiveMinimum"], "exclusiveMinimum": True}
        if "exclusiveMaximum" in schema:
            result |= {"maximum": schema["exclusiveMaximum"], "exclusiveMaximum": True}
        if kind == "object":
            self._object(schema, result)
        elif kind == "array":
            self._array(schema, result)
        elif kind == "string" and not {"maxLength", "enum", "format"} & result.keys():
            result["maxLength"] = _MAX_STRING
        if self._with_defaults and schema.get("default") is not None:
            result["default"] = schema["default"]
        return result

    def _object(self, schema: Mapping[str, Any], result: Schema) -> None:
        if "properties" in schema:
            result["properties"] = {name: self.inline(value) for name, value in schema["properties"].items()}
            if schema.get("required"):
                result["required"] = sorted(schema["required"])
        elif isinstance(schema.get("additionalProperties"), Mapping):
            values = self.inline(schema["additionalProperties"])
            if values:  # A structural schema needs a type there; values of any type are preserved unknown fields.
                result["additionalProperties"] = values
            result["maxProperties"] = schema.get("maxProperties", 256)

    def _array(self, schema: Mapping[str, Any], result: Schema) -> None:
        items = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
        result["items"] = self.inline(items)
        result.setdefault("maxItems", 1000)

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the schema with its reference followed and a union with null undone; the outer text wins."""
        if "anyOf" in schema:
            real = [option for option in schema["anyOf"] if option.get("type") != "null"]
            outer = {key: value for key, value in schema.items() if key not in ("anyOf", "title")}
            if len(real) != 1:
                return {"x-kubernetes-preserve-unknown-fields": True, **outer}
            return {**self._resolved(real[0]), **outer}
        if "$ref" in schema:
            target = self._definitions[schema["$ref"].rpartition("/")[2]]
            outer = {key: value for key, value in schema.items() if key != "$ref"}
            return {**self._resolved(target), **outer}
        return schema


def _type_of(values: list[Any] | None) -> str | None:
    if not values:
        return None
    if all(isinstance(value, bool) for value in values):
        return "boolean"
    return "string" if all(isinstance(value, str) for value in values) else None

"""What an HTTP request asks for, parsed: the path into a target, the body into an object, the query into options."""

import json
import re
from dataclasses import dataclass
from typing import Any

import orjson
import yaml
from aiohttp import web

from modelops.localhome.apiserver import answers, selectors
from modelops.localhome.apiserver.answers import Obj
from modelops.localhome.apiserver.resources import Catalogue, ResourceType
from modelops.localhome.apiserver.watch import Scope
from modelops.localhome.apiserver.writes import Options

JSON = "application/json"
YAML = "application/yaml"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
_OPTIONS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "DELETE": "DeleteOptions"}
_TRUE = frozenset({"1", "true", "True", "TRUE", "t"})


class _KubernetesYaml(yaml.CSafeLoader):
    """YAML as kubectl reads it: `1e-4` is a number."""


_KubernetesYaml.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names."""

    kind: ResourceType
    namespace: str | None
    """None: across all namespaces."""
    name: str | None
    """None: the collection."""
    subresource: str

    @property
    def home(self) -> str:
        """The namespace of the object, empty for cluster-scoped ones."""
        return self.namespace or ""


def target(catalogue: Catalogue, path: str) -> Target | None:
    """Return what a path under /api or /apis names, or None.

    Shapes: `GV/PLURAL[/NAME[/SUB]]` and `GV/namespaces/NS/PLURAL[/NAME[/SUB]]`.
    """
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace: str | None = None
    if rest[0] == "namespaces" and len(rest) >= 3 and not (group == "" and rest[2] in {"status", "finalize"}):
        namespace, rest = rest[1], rest[2:]
    kind = catalogue.find(group, version, rest[0])
    if kind is None or len(rest) > 3 or (namespace is not None and not kind.namespaced):
        return None
    name = rest[1] if len(rest) > 1 else None
    if kind.namespaced and name is not None and namespace is None:
        return None
    subresource = rest[2] if len(rest) > 2 else ""
    if not {"": True, "status": kind.status, "scale": bool(kind.scale)}.get(subresource):
        return None
    return Target(kind, namespace if kind.namespaced else "", name, subresource)


def flag(request: web.Request, name: str) -> bool:
    """Tell whether a boolean parameter is set."""
    return request.query.get(name, "") in _TRUE


def options(request: web.Request, body: Obj | None = None) -> Options:
    """Return what the query says about a write.

    Raises:
        ApiError: 400 or 422, a parameter has no such value.
    """
    dry_run = request.query.getall("dryRun", list((body or {}).get("dryRun") or []))
    if dry_run not in ([], ["All"], [""]):
        told = f'Unsupported value: {orjson.dumps(dry_run).decode()}: supported values: "All"'
        error = answers.FieldError("FieldValueNotSupported", "dryRun", told)
        raise answers.invalid("meta.k8s.io", _OPTIONS.get(request.method, "PatchOptions"), "", [error])
    validation = request.query.get("fieldValidation") or "Warn"
    if validation not in {"Strict", "Warn", "Ignore"}:
        told = f'fieldValidation: Unsupported value: "{validation}": supported values: "", "Ignore", "Strict", "Warn"'
        raise answers.ApiError(422, "Invalid", told, {})
    agent = request.headers.get("User-Agent", "").split("/", 1)[0][:128]
    return Options(
        manager=request.query.get("fieldManager") or agent or "unknown",
        dry_run=dry_run == ["All"],
        field_validation=validation,
        force=flag(request, "force"),
    )


def content_type(request: web.Request) -> str:
    """Return the media type of the body, JSON if none is told."""
    return (request.headers.get("Content-Type") or JSON).split(";")[0].strip().lower()


async def read_body(request: web.Request, accepted: tuple[str, ...]) -> Any:
    """Return the parsed body.

    Raises:
        ApiError: 400 (not JSON or YAML), 413 (over 3 MiB) or 415.
    """
    kind = content_type(request)
    if kind not in accepted:
        raise answers.unsupported_media_type(accepted)
    try:
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise answers.ApiError(
            413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728", {}
        ) from error
    if not raw:
        return None
    try:
        if flag_strict(request):
            return json.loads(raw, object_pairs_hook=_no_duplicates)
        return orjson.loads(raw)
    except ValueError as error:
        if kind in {YAML, APPLY}:
            try:
                return yaml.load(raw, Loader=_KubernetesYaml)  # noqa: S506 - it is a safe loader
            except yaml.YAMLError as refused:
                raise answers.bad_request(f"the body is not YAML: {refused}") from refused
        raise answers.bad_request(f"the object provided is unrecognized (must be of type JSON): {error}") from error


def flag_strict(request: web.Request) -> bool:
    """Tell whether the client wants what it sends to be refused for the slightest slip."""
    return request.query.get("fieldValidation") == "Strict"


def _no_duplicates(pairs: list[tuple[str, Any]]) -> Obj:
    found: Obj = {}
    for key, value in pairs:
        if key in found:
            raise answers.bad_request(f'strict decoding error: duplicate field "{key}"')
        found[key] = value
    return found


def scope(request: web.Request, target: Target) -> Scope:
    """Return what a list or watch selects.

    Raises:
        ApiError: 400, a selector does not parse.
    """
    by_label = selectors.labels(request.query.get("labelSelector", ""))
    fields = request.query.get("fieldSelector", "")
    if target.name is not None:
        fields = f"metadata.name={target.name}" + (f",{fields}" if fields else "")
    by_field = selectors.fields(fields, target.kind.field_labels)
    return Scope(
        target.kind.key,
        target.namespace if target.kind.namespaced else None,
        lambda obj: by_label(obj) and by_field(obj),
    )

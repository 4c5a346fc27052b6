"""What the built-in resources do on a write beyond their schema. Pure."""

import base64
from typing import Any

from modelops.localhome.apiserver import answers
from modelops.localhome.apiserver.answers import FieldError, Obj
from modelops.localhome.apiserver.resources import CRD_GROUP, ResourceType


def prepare_builtin(kind: ResourceType, obj: Obj, old: Obj | None) -> Obj:
    """Return the object as the resource's own rules make it.

    Raises:
        ApiError: 422, the rules refuse it.
    """
    if kind.custom:
        return obj
    match kind.plural:
        case "secrets":
            obj = _with_string_data(obj)
            _refuse_immutable(kind, obj, old, ("data", "type") if old and not old.get("immutable") else ("data",))
        case "configmaps":
            _refuse_immutable(kind, obj, old, ("data", "binaryData"))
        case "namespaces":
            return _namespace(obj, old)
        case "controllerrevisions":
            if old is not None and old.get("data") != obj.get("data"):
                error = FieldError("FieldValueForbidden", "data", "Forbidden: field is immutable")
                raise answers.invalid(kind.group, kind.kind, obj["metadata"]["name"], [error])
        case "customresourcedefinitions" if kind.group == CRD_GROUP:
            return _definition(kind, obj, old)
    return obj


def _with_string_data(obj: Obj) -> Obj:
    texts: Any = obj.get("stringData")
    rest = {key: value for key, value in obj.items() if key != "stringData"}
    if not texts:
        return rest
    encoded = {key: base64.b64encode(str(text).encode()).decode() for key, text in texts.items()}
    return {**rest, "data": {**(obj.get("data") or {}), **encoded}}


def _refuse_immutable(kind: ResourceType, obj: Obj, old: Obj | None, fields: tuple[str, ...]) -> None:
    if old is None:
        return
    checked: tuple[str, ...] = ()
    if old.get("immutable"):
        checked = ("data", "binaryData", "immutable")
    elif kind.plural == "secrets":
        checked = ("type",) if "type" in fields else ()
    errors = [
        FieldError(
            "FieldValueInvalid" if name == "type" else "FieldValueForbidden",
            name,
            "Invalid value: field is immutable"
            if name == "type"
            else "Forbidden: field is immutable when `immutable` is set",
        )
        for name in checked
        if old.get(name) != obj.get(name)
    ]
    if errors:
        raise answers.invalid(kind.group, kind.kind, obj["metadata"]["name"], errors)


def _namespace(obj: Obj, old: Obj | None) -> Obj:
    name = obj["metadata"].get("name", "")
    labels = {**(obj["metadata"].get("labels") or {}), "kubernetes.io/metadata.name": name}
    status = (old or {}).get("status") or {"phase": "Active"}
    spec = (old or {}).get("spec") or {"finalizers": ["kubernetes"]}
    return {**obj, "metadata": {**obj["metadata"], "labels": labels}, "spec": spec, "status": status}


def _definition(kind: ResourceType, obj: Obj, old: Obj | None) -> Obj:
    spec = obj.get("spec") or {}
    names = spec.get("names") or {}
    expected = f"{names.get('plural')}.{spec.get('group')}"
    name = obj["metadata"].get("name", "")
    if spec and name != expected:
        told = f'Invalid value: "{name}": must be spec.names.plural+"."+spec.group'
        raise answers.invalid(kind.group, kind.kind, name, [FieldError("FieldValueInvalid", "metadata.name", told)])
    names = {"singular": str(names.get("kind", "")).lower(), "listKind": f"{names.get('kind')}List", **names}
    now = obj["metadata"]["creationTimestamp"]
    condition = {"status": "True", "lastTransitionTime": now}
    status = {
        "acceptedNames": names,
        "storedVersions": [version["name"] for version in spec.get("versions") or () if version.get("storage")],
        "conditions": [
            {"type": "NamesAccepted", "reason": "NoConflicts", "message": "no conflicts found", **condition},
            {"type": "Established", "reason": "InitialNamesAccepted", "message": "accepted", **condition},
        ],
    }
    del old
    return {**obj, "spec": {"conversion": {"strategy": "None"}, **spec, "names": names}, "status": status}

"""What the server knows of metav1: names, what clients may not change, generations. Pure."""

import re
from typing import Any

import orjson

from modelops.localhome.apiserver import answers
from modelops.localhome.apiserver.answers import FieldError, Obj, go_value
from modelops.localhome.apiserver.resources import ResourceType
from modelops.localhome.apiserver.store import Stored

SERVER_SIDE = frozenset(
    [
        "uid",
        "creationTimestamp",
        "resourceVersion",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
    ]
)
"""Metadata that only the server sets."""
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_QUALIFIED = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_ANNOTATIONS = 256 * 1024
_SUBDOMAIN_MESSAGE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and"
    " end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
    r" '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_VALUE_MESSAGE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and"
    " end with an alphanumeric character"
)
_LABEL_MESSAGE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with"
    " an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is"
    " '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


def checked_body(kind: ResourceType, namespace: str, body: Any, name: str | None) -> Obj:
    """Return a body that fits the URL it was sent to, with the namespace filled in.

    Raises:
        ApiError: 400, it is another kind, name or namespace than the URL's.
    """
    if not isinstance(body, dict):
        raise answers.bad_request("the body of the request is not an object")
    given = (body.get("apiVersion") or kind.api_version, body.get("kind") or kind.kind)
    if kind.custom and given[0] == kind.api_version and given[1] != kind.kind:
        error = FieldError("FieldValueInvalid", "kind", f"Invalid value: {go_value(given[1])}: must be {kind.kind}")
        raise answers.invalid(kind.group, str(given[1]), str((body.get("metadata") or {}).get("name", "")), [error])
    if given != (kind.api_version, kind.kind):
        raise answers.bad_request(
            f"the API version in the data ({given[0]}, Kind={given[1]}) does not match the expected API version"
            f" ({kind.api_version}, Kind={kind.kind})"
        )
    meta = dict(body.get("metadata") or {})
    if name is not None:
        if meta.get("name", name) != name:
            told = f"the name of the object ({meta['name']}) does not match the name on the URL ({name})"
            raise answers.bad_request(told)
        meta["name"] = name
    if kind.namespaced:
        if meta.get("namespace", namespace) not in {namespace, ""}:
            raise answers.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        meta["namespace"] = namespace
    else:
        meta.pop("namespace", None)
    return {"apiVersion": kind.api_version, "kind": kind.kind, **body, "metadata": meta}


def carried_over(kind: ResourceType, old: Obj, body: Obj, subresource: str) -> Obj:
    """Return the body with everything that this request may not change taken from the old object."""
    if subresource == "status":
        managed = body["metadata"].get("managedFields")
        meta = {key: value for key, value in old["metadata"].items() if key != "managedFields"}
        if managed is not None:
            meta["managedFields"] = managed
        obj = {key: value for key, value in old.items() if key != "status"}
        return {**obj, **({"status": body["status"]} if "status" in body else {}), "metadata": meta}
    meta = {key: value for key, value in body["metadata"].items() if key not in SERVER_SIDE}
    meta |= {key: old["metadata"][key] for key in SERVER_SIDE if key in old["metadata"]}
    obj = {**body, "metadata": meta}
    if kind.status:
        obj.pop("status", None)
        if "status" in old:
            obj["status"] = old["status"]
    return obj


def with_generation(kind: ResourceType, old: Obj, obj: Obj) -> Obj:
    """Return the object with its generation one higher if its spec is another."""
    if not kind.has_generation:
        return obj
    ignored = {"metadata", "status"} if kind.status else {"metadata"}
    before, after = ({k: v for k, v in each.items() if k not in ignored} for each in (old, obj))
    generation = old["metadata"].get("generation", 1)
    if not _equal(before, after):
        generation += 1
    return {**obj, "metadata": {**obj["metadata"], "generation": generation}}


def _equal(left: Any, right: Any) -> bool:
    return left == right and orjson.dumps(left, option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        right, option=orjson.OPT_SORT_KEYS
    )


def same(obj: Obj, old: Obj) -> bool:
    """Tell whether a write would change nothing."""
    return _equal(obj, old)


def unsaved(obj: Obj) -> Stored:
    """Return the object of a dry run, which is not stored."""
    return Stored(obj, orjson.dumps(obj), 0)


def errors(kind: ResourceType, obj: Obj, old: Obj | None) -> list[FieldError]:
    """Return what is wrong with the metadata."""
    meta = obj["metadata"]
    found: list[FieldError] = []
    name = meta.get("name")
    if not name:
        found.append(
            FieldError("FieldValueRequired", "metadata.name", "Required value: name or generateName is required")
        )
    elif old is None:
        found += _name(kind, name)
    for label, value in (meta.get("labels") or {}).items():
        if not _QUALIFIED.fullmatch(label) or len(label.rpartition("/")[2]) > 63:
            found.append(
                _bad("metadata.labels", label, "name part must consist of alphanumeric characters, '-', '_' or '.'")
            )
        if isinstance(value, str) and (len(value) > 63 or not _VALUE.fullmatch(value)):
            told = "must be no more than 63 bytes" if len(value) > 63 else _VALUE_MESSAGE
            found.append(_bad("metadata.labels", value, told))
    annotations = meta.get("annotations") or {}
    if sum(len(key) + len(str(value)) for key, value in annotations.items()) > _ANNOTATIONS:
        told = f"Too long: may not be more than {_ANNOTATIONS} bytes"
        found.append(FieldError("FieldValueTooLong", "metadata.annotations", told))
    references = meta.get("ownerReferences") or ()
    if sum(1 for reference in references if isinstance(reference, dict) and reference.get("controller")) > 1:
        told = "Invalid value: Only one reference can have Controller set to true"
        found.append(FieldError("FieldValueInvalid", "metadata.ownerReferences", told))
    if old is not None and old["metadata"].get("deletionTimestamp"):
        added = [item for item in meta.get("finalizers") or () if item not in (old["metadata"].get("finalizers") or ())]
        if added:
            listed = ", ".join(go_value(item) for item in added)
            told = (
                "Forbidden: no new finalizers can be added if the object is being deleted, "
                f"found new finalizers []string{{{listed}}}"
            )
            found.append(FieldError("FieldValueForbidden", "metadata.finalizers", told))
    return found


def _name(kind: ResourceType, name: str) -> list[FieldError]:
    if kind.plural in {"namespaces", "services"} and not kind.custom:
        if len(name) > 63 or not _LABEL.fullmatch(name):
            return [_bad("metadata.name", name, _LABEL_MESSAGE)]
    elif len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
        return [_bad("metadata.name", name, _SUBDOMAIN_MESSAGE)]
    return []


def _bad(path: str, value: Any, message: str) -> FieldError:
    return FieldError("FieldValueInvalid", path, f"Invalid value: {go_value(value)}: {message}")

"""Refusals in the words of Kubernetes: every failed request is answered with a metav1.Status.

Raised by everything in this package, rendered by `web`. Never holds a secret: only names, paths and rejected values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

Obj = dict[str, Any]
"""A Kubernetes object or a part of one, as parsed from JSON."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One reason why one field is refused."""

    reason: str
    """FieldValueInvalid, FieldValueRequired, FieldValueNotSupported, FieldValueDuplicate, FieldValueTooLong, ..."""
    field: str
    message: str
    """Without the field, such as `Required value`."""


class ApiError(Exception):
    """A refusal with its HTTP code and its metav1.Status."""

    def __init__(self, code: int, reason: str, message: str, details: Obj | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def status(self) -> Obj:
        """Return the metav1.Status."""
        body: Obj = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details is not None:
            body["details"] = self.details
        return body


def _qualified(group: str, name: str) -> str:
    return f"{name}.{group}" if group else name


def not_found(group: str, plural: str, name: str) -> ApiError:
    """Return the 404 for an object."""
    details = {"name": name, "group": group, "kind": plural}
    return ApiError(404, "NotFound", f'{_qualified(group, plural)} "{name}" not found', _without_empty(details))


def no_such_path() -> ApiError:
    """Return the 404 for a path that no resource answers."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(group: str, plural: str, name: str) -> ApiError:
    """Return the 409 for a taken name."""
    details = {"name": name, "group": group, "kind": plural}
    message = f'{_qualified(group, plural)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _without_empty(details))


def conflict(group: str, plural: str, name: str, why: str) -> ApiError:
    """Return the 409 for a write on an object that changed meanwhile, or another than meant."""
    message = f'Operation cannot be fulfilled on {_qualified(group, plural)} "{name}": {why}'
    return ApiError(409, "Conflict", message, _without_empty({"name": name, "group": group, "kind": plural}))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def invalid(group: str, kind: str, name: str, errors: Sequence[FieldError]) -> ApiError:
    """Return the 422 that lists every refused field."""
    texts = [f"{error.field}: {error.message}" for error in errors]
    unique = list(dict.fromkeys(texts))
    told = unique[0] if len(unique) == 1 else "[" + ", ".join(unique) + "]"
    causes = [{"reason": error.reason, "message": error.message, "field": error.field} for error in errors]
    details = {"name": name, "group": group, "kind": kind, "causes": causes}
    return ApiError(422, "Invalid", f'{_qualified(group, kind)} "{name}" is invalid: {told}', _without_empty(details))


def bad_request(message: str) -> ApiError:
    """Return a 400."""
    return ApiError(400, "BadRequest", message)


def forbidden(group: str, plural: str, name: str, why: str, causes: Sequence[Obj] = ()) -> ApiError:
    """Return a 403 about an object."""
    details: Obj = {"name": name, "group": group, "kind": plural}
    if causes:
        details["causes"] = list(causes)
    message = f'{_qualified(group, plural)} "{name}" is forbidden: {why}'
    return ApiError(403, "Forbidden", message, _without_empty(details))


def method_not_allowed() -> ApiError:
    """Return a 405."""
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def unsupported_media_type(supported: Sequence[str]) -> ApiError:
    """Return a 415 that names the types that are taken."""
    listed = ", ".join(supported)
    message = f"the body of the request was in an unknown format - accepted media types include: {listed}"
    return ApiError(415, "UnsupportedMediaType", message)


def expired(message: str) -> ApiError:
    """Return the 410 for a resourceVersion that is no longer kept."""
    return ApiError(410, "Expired", message)


def _without_empty(details: Obj) -> Obj:
    return {key: value for key, value in details.items() if value}


def go_value(value: Any) -> str:
    """Return a rejected value as the messages of Kubernetes print it: JSON, objects by their type."""
    match value:
        case None:
            return "null"
        case bool() | int() | float() | str():
            return orjson.dumps(value).decode()
        case list():
            return orjson.dumps(value).decode()
        case _:
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()

"""Create, update, patch and apply: what a request makes of an object, from its body to the store.

Called by `web` once a request was parsed. The order is that of Kubernetes: prune, default, keep what clients may not
change, validate, rules, then write. Nothing here waits, so every write is atomic within the process.
"""

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from modelops.localhome.apiserver import answers, metadata, rules, serverside, structural, validation
from modelops.localhome.apiserver.answers import ApiError, FieldError, Obj
from modelops.localhome.apiserver.builtins import prepare_builtin
from modelops.localhome.apiserver.lifecycle import NAMESPACES, Lifecycle
from modelops.localhome.apiserver.resources import ResourceType
from modelops.localhome.apiserver.store import Store, Stored

_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"


def timestamp() -> str:
    """Return the time as metadata carries it: RFC 3339, UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Options:
    """What a write's query says."""

    manager: str = "unknown"
    dry_run: bool = False
    field_validation: str = "Warn"
    """Strict, Warn or Ignore."""
    force: bool = False
    warnings: list[str] = field(default_factory=list)
    """Filled with what the client should be warned of."""


class Writes:
    """The writing verbs over a store."""

    def __init__(self, store: Store, lifecycle: Lifecycle) -> None:
        self._store = store
        self._lifecycle = lifecycle

    def create(self, kind: ResourceType, namespace: str, body: Obj, options: Options) -> Stored:
        """Create an object.

        Raises:
            ApiError: 400, 403, 404 (the namespace), 409 (the name is taken) or 422.
        """
        body = metadata.checked_body(kind, namespace, body, None)
        meta = body["metadata"]
        if meta.get("resourceVersion"):
            # Kubernetes answers this with 500; it is a mistake of the client all the same.
            raise ApiError(500, "InternalError", "resourceVersion should not be set on objects to be created")
        if not meta.get("name") and meta.get("generateName"):
            suffix = "".join(secrets.choice(_SUFFIX) for _ in range(5))
            body = {**body, "metadata": {**meta, "name": meta["generateName"][:58] + suffix}}
        obj = self._cleaned(kind, body, options)
        manager = serverside.Manager(options.manager, "Update", "", kind.api_version)
        obj = self._born(kind, namespace, obj)
        self._check(kind, obj, None)
        name = obj["metadata"]["name"]
        if self._store.get(kind.key, namespace, name):
            raise answers.already_exists(kind.group, kind.plural, name)
        obj = serverside.after_update(None, obj, structural.whole(kind.schema), manager, timestamp())
        return self._commit(kind, obj, options)

    def _born(self, kind: ResourceType, namespace: str, obj: Obj) -> Obj:
        self._lifecycle.require_namespace(kind, namespace, obj["metadata"].get("name") or "")
        if kind.status and kind.custom:
            obj = {key: value for key, value in obj.items() if key != "status"}
        meta = {key: value for key, value in obj["metadata"].items() if key not in metadata.SERVER_SIDE}
        meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": timestamp()}
        if kind.has_generation:
            meta["generation"] = 1
        return prepare_builtin(kind, {**obj, "metadata": meta}, None)

    def update(
        self, kind: ResourceType, namespace: str, name: str, subresource: str, body: Obj, options: Options
    ) -> Stored:
        """Replace an object (or its status) by a body.

        Raises:
            ApiError: 400, 404, 409 or 422.
        """
        old = self.existing(kind, namespace, name)
        body = metadata.checked_body(kind, namespace, body, name)
        if kind.custom and not body["metadata"].get("resourceVersion"):
            error = FieldError(
                "FieldValueInvalid",
                "metadata.resourceVersion",
                "Invalid value: 0: must be specified for an update",
            )
            raise answers.invalid(kind.group, kind.plural, name, [error])
        if body["metadata"].get("uid", old.obj["metadata"]["uid"]) != old.obj["metadata"]["uid"]:
            why = f"Precondition failed: UID in precondition: {body['metadata']['uid']}, UID in object meta: "
            raise answers.conflict(kind.group, kind.plural, name, why + str(old.obj["metadata"]["uid"]))
        manager = serverside.Manager(options.manager, "Update", subresource, kind.api_version)
        return self._replace(kind, old, self._cleaned(kind, body, options), subresource, manager, options)

    def patch(
        self,
        kind: ResourceType,
        namespace: str,
        name: str,
        subresource: str,
        change: Callable[[Obj], Any],
        options: Options,
    ) -> Stored:
        """Replace an object by what `change` makes of it.

        Raises:
            ApiError: 400, 404, 409 or 422.
        """
        old = self.existing(kind, namespace, name)
        body = change(old.obj)
        if not isinstance(body, dict) or not isinstance(body.get("metadata"), dict):
            raise answers.bad_request("the patch leaves no object")
        body = metadata.checked_body(kind, namespace, body, name)
        manager = serverside.Manager(options.manager, "Update", subresource, kind.api_version)
        return self._replace(kind, old, self._cleaned(kind, body, options), subresource, manager, options)

    def apply(
        self, kind: ResourceType, namespace: str, name: str, subresource: str, config: Obj, options: Options
    ) -> tuple[Stored, bool]:
        """Apply a configuration; return the object and whether it was created.

        Raises:
            ApiError: 400, 404, 409 (conflicts, or not this resourceVersion) or 422.
        """
        old = self._store.get(kind.key, namespace, name)
        if old is None and subresource:
            raise answers.not_found(kind.group, kind.plural, name)
        if not isinstance(config, dict) or not config.get("kind") or not config.get("apiVersion"):
            raise answers.bad_request("invalid object type: /, Kind=")
        config = metadata.checked_body(kind, namespace, config, name)
        if config["metadata"].get("managedFields"):
            raise answers.bad_request("metadata.managedFields must be nil")
        unknown: list[str] = []
        schema = structural.whole(kind.schema)
        config = structural.prune(config, schema, "", unknown)
        if unknown:
            told = "\n".join(f".{path}: field not declared in schema" for path in unknown)
            subject = f"{namespace}/{name}" if namespace else name
            raise ApiError(
                500,
                "InternalError",
                f"failed to create typed patch object ({subject}; {kind.api_version}, Kind={kind.kind}): {told}",
            )
        if subresource == "status":
            config = {
                key: value for key, value in config.items() if key in {"apiVersion", "kind", "metadata", "status"}
            }
        elif kind.status and kind.custom:
            config = {key: value for key, value in config.items() if key != "status"}
        manager = serverside.Manager(options.manager, "Apply", subresource, kind.api_version)
        merged, managed = serverside.apply(
            old.obj if old else None, config, schema, manager, force=options.force, now=timestamp()
        )
        if old is None:
            if uid := config["metadata"].get("uid"):
                why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                raise answers.conflict(kind.group, kind.plural, name, why)
            obj = self._born(kind, namespace, structural.with_defaults(merged, schema))
            self._check(kind, obj, None)
            return self._commit(kind, serverside.write(obj, managed), options), True
        obj = serverside.write(structural.with_defaults(merged, schema), managed)
        return self._replace(kind, old, obj, subresource, None, options), False

    def existing(self, kind: ResourceType, namespace: str, name: str) -> Stored:
        """Return an object.

        Raises:
            ApiError: 404.
        """
        old = self._store.get(kind.key, namespace, name)
        if old is None:
            raise answers.not_found(kind.group, kind.plural, name)
        return old

    def _cleaned(self, kind: ResourceType, body: Obj, options: Options) -> Obj:
        unknown: list[str] = []
        schema = structural.whole(kind.schema)
        pruned = structural.prune(body, schema, "", unknown)
        if unknown and options.field_validation == "Strict":
            told = ", ".join(f'unknown field "{path}"' for path in unknown)
            raise answers.bad_request(
                f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
                f"strict decoding error: {told}"
            )
        if options.field_validation == "Warn":
            options.warnings.extend(f'unknown field "{path}"' for path in unknown)
        cleaned: Obj = structural.with_defaults(pruned, schema)
        return cleaned

    def _replace(
        self,
        kind: ResourceType,
        old: Stored,
        body: Obj,
        subresource: str,
        manager: serverside.Manager | None,
        options: Options,
    ) -> Stored:
        """Write what becomes of `old`; `manager` is None where the managers are already in the body."""
        name = old.obj["metadata"]["name"]
        meta = body["metadata"]
        if meta.get("resourceVersion") not in {None, "", old.obj["metadata"]["resourceVersion"]}:
            raise answers.conflict(kind.group, kind.plural, name, answers.MODIFIED)
        if meta.get("uid") not in {None, "", old.obj["metadata"]["uid"]}:
            told = f"Invalid value: {answers.go_value(meta['uid'])}: field is immutable"
            error = FieldError("FieldValueInvalid", "metadata.uid", told)
            raise answers.invalid(kind.group, kind.kind, name, [error])
        obj = metadata.carried_over(kind, old.obj, body, subresource)
        obj = prepare_builtin(kind, obj, old.obj)
        self._check(kind, obj, old.obj)
        if manager is not None:
            obj = serverside.after_update(old.obj, obj, structural.whole(kind.schema), manager, timestamp())
        obj = metadata.with_generation(kind, old.obj, obj)
        obj["metadata"]["resourceVersion"] = old.obj["metadata"]["resourceVersion"]
        if metadata.same(obj, old.obj):
            return old
        ending = obj["metadata"].get("deletionTimestamp") and not obj["metadata"].get("finalizers")
        if ending and kind.key != NAMESPACES:
            return self._lifecycle.remove(kind.key, obj, dry_run=options.dry_run)
        return self._commit(kind, obj, options)

    def _check(self, kind: ResourceType, obj: Obj, old: Obj | None) -> None:
        before = validation.ABSENT if old is None else old
        errors = metadata.errors(kind, obj, old)
        errors += validation.validate(obj, structural.whole(kind.schema), "", before)
        if any(error.reason in validation.BLOCKING for error in errors):
            told = (
                "some validation rules were not checked because the object was invalid; "
                "correct the existing errors to complete validation"
            )
            if kind.custom:
                errors.append(FieldError("FieldValueInvalid", "<nil>", f"Invalid value: null: {told}"))
        else:
            errors += rules.check(obj, kind.schema, "", before)
        if errors:
            raise answers.invalid(kind.group, kind.kind, obj["metadata"].get("name", ""), errors)

    def _commit(self, kind: ResourceType, obj: Obj, options: Options) -> Stored:
        if options.dry_run:
            return metadata.unsaved(obj)
        return self._store.put(kind.key, obj)

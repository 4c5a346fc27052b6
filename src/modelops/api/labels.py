"""Label and annotation keys. One place, so that a key is never spelt twice."""

from collections.abc import Mapping
from typing import Any

GROUP = "modelops.dev"

# Labels on children.
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "modelops"
"""Value of `MANAGED_BY`, and the field manager of every server-side apply."""
OWNER_KIND = f"{GROUP}/owner-kind"
"""Kind of the modelops object a child belongs to; with OWNER_NAME it routes a child's event to its parent."""
OWNER_NAME = f"{GROUP}/owner-name"
REVISION = f"{GROUP}/revision"
"""Revision hash of a release's children (Deployment, Service, ControllerRevision, pods)."""
RELEASE = f"{GROUP}/release"
MODEL = f"{GROUP}/model"
ATTEMPT = f"{GROUP}/attempt"
GITSOURCE = f"{GROUP}/gitsource"
"""On every object a GitSource applied: the GitSource's name (it is in the same namespace as the object)."""

RESULT = f"{GROUP}/result"
"""Finalizer on a Workflow: it is not gone before its result is on record."""

# Annotations on objects that users own.
REQUESTED_AT = f"{GROUP}/requestedAt"
"""Any new value asks for a reconcile now; echoed in `status.lastHandledReconcileAt`."""
COMMAND = f"{GROUP}/command"
"""JSON {verb, revision, step, id}; echoed in `status.lastHandledCommand`."""
PRUNE = f"{GROUP}/prune"
"""`disabled` keeps an object when git drops it."""
CONFIRM_PRUNE = f"{GROUP}/confirm-prune"
"""On a GitSource: the commit for which pruning more than half of the inventory is allowed."""
APPLIED_COMMIT = f"{GROUP}/applied-commit"
"""On every object a GitSource applied: the commit that last changed its manifest (full SHA)."""
INPUTS_HASH = f"{GROUP}/inputs-hash"
"""On a Workflow: hash of the allow-listed inputs of the attempt."""

# Annotations of the local home.
LOCAL_ENDPOINTS = f"local.{GROUP}/endpoints"
"""On a Deployment, written by the process controller: comma-separated host:port of its ready processes."""


def finalizers_of(obj: Mapping[str, Any]) -> list[str]:
    """Return the finalizers of an object that are ours."""
    return [name for name in obj["metadata"].get("finalizers") or () if name.partition("/")[0] == GROUP]

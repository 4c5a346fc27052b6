"""The Workflows of an object that launches them, read for a decision; and what becomes of them without it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from modelops.api.kinds import WORKFLOW, Kind
from modelops.api.labels import OWNER_KIND, OWNER_NAME, finalizers_of
from modelops.api.v1alpha1.common import Spec
from modelops.api.v1alpha1.dataset import Attempt
from modelops.domain import attempts
from modelops.reconcile.bundle import Ports
from modelops.workflows.render import Owner

_Obj = Mapping[str, Any]


def current(owner: Owner, prefix: str, attempt: Attempt | None, ports: Ports) -> _Obj | None:
    """Return the Workflow of an attempt, or None."""
    if attempt is None:
        return None
    return ports.cluster.get(WORKFLOW, owner.namespace, attempts.workflow_name(prefix, owner.name, attempt))


def strays(owner: Owner, prefix: str, attempt: Attempt | None, ports: Ports) -> tuple[_Obj, ...]:
    """Return an object's Workflows from before its attempt.

    One that is younger than the attempt is none: then it is the object that was read too early.
    """
    if attempt is None:
        return ()
    name = attempts.workflow_name(prefix, owner.name, attempt)
    return tuple(
        workflow
        for workflow in ports.cluster.list(WORKFLOW, owner.namespace, {OWNER_KIND: owner.kind, OWNER_NAME: owner.name})
        if workflow["metadata"]["name"] != name
        and _is_owned(workflow, owner)
        and datetime.fromisoformat(workflow["metadata"]["creationTimestamp"]) < attempt.started_at
    )


def may_only_end(spec: Spec, workflow: _Obj | None) -> bool:
    """Return whether an object's inputs do not matter, so that none that is away keeps its Workflow from being ended.

    It is suspended, and there is no result to be read.
    """
    return spec.suspend and not (workflow is not None and attempts.ended(workflow) and finalizers_of(workflow))


def let_go(kind: Kind, namespace: str | None, name: str, ports: Ports, *, gone: bool) -> None:
    """Hold no Workflow of an object that is gone, or on its way.

    Args:
        kind: of the object.
        namespace: of the object.
        name: of the object.
        ports: the cluster.
        gone: whether it does not exist any more; else only what is being deleted with it is let go.

    Raises:
        ModelopsError: the API server is away.
    """
    if namespace is None:
        return
    for workflow in ports.cluster.list(WORKFLOW, namespace, {OWNER_KIND: kind.resource.kind, OWNER_NAME: name}):
        if finalizers_of(workflow) and (gone or workflow["metadata"].get("deletionTimestamp")):
            ports.cluster.let_go(WORKFLOW, workflow)


def _is_owned(workflow: _Obj, owner: Owner) -> bool:
    return any(one.get("uid") == owner.uid for one in workflow["metadata"].get("ownerReferences") or ())

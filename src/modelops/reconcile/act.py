"""Performs a plan's actions in order. Every action may be repeated.

As a rule the first failure ends it. Where each object stands by itself, one that is refused stops no other one; but
nothing is deleted after an apply was refused, because what is missing may only have a new name.
"""

from collections.abc import Iterable, Sequence
from typing import Final, assert_never

from modelops.api.accounts import ServiceAccount
from modelops.domain.plan import Action, AppendCommits, ApplyObject, CreateObject, DeleteObject, LetGo, SetAlias
from modelops.errors import Forbidden, Stalled
from modelops.ports import Objects
from modelops.reconcile.bundle import Ports
from modelops.reconcile.wiring import remote_of

_SHOWN: Final = 3


def act(
    actions: Iterable[Action],
    ports: Ports,
    *,
    each_by_itself: bool = False,
    acting_as: ServiceAccount | None = None,
) -> None:
    """Perform the actions.

    Args:
        actions: in this order.
        ports: what they are performed on.
        each_by_itself: whether objects are applied and deleted although others were refused.
        acting_as: whose rights they need; None acts as the operator.

    Raises:
        ModelopsError: what the port that failed raised; later actions were not begun.
        Stalled: some objects were refused (Forbidden if that is all there is, else ApplyFailed); the others were
            applied, and nothing was deleted unless only deletions were refused.
    """
    objects = ports.cluster if acting_as is None else ports.cluster.acting_as(acting_as)
    refused: list[Stalled] = []
    kept = False
    for action in actions:
        if kept and not isinstance(action, ApplyObject):
            break
        try:
            _perform(action, objects, ports)
        except Stalled as error:
            if not each_by_itself or not isinstance(action, ApplyObject | DeleteObject):
                raise
            refused.append(error)
            kept = kept or isinstance(action, ApplyObject)
    if refused:
        raise _told(refused)


def _perform(action: Action, objects: Objects, ports: Ports) -> None:
    match action:
        case ApplyObject(resource=resource, obj=obj, seen=seen):
            objects.apply(resource, obj, seen=seen)
        case CreateObject(resource=resource, obj=obj):
            objects.create(resource, obj)
        case DeleteObject(resource=resource, namespace=namespace, name=name, uid=uid, seen=seen):
            objects.delete(resource, namespace, name, uid=uid, seen=seen)
        case LetGo(resource=resource, obj=obj):
            ports.cluster.let_go(resource, obj)
        case SetAlias(model=model, alias=alias, version=version):
            ports.registry.set_alias(model, alias, version)
        case AppendCommits(source=source, namespace=namespace, branch=branch, commits=commits):
            ports.git.append(remote_of(source, namespace, ports), branch, commits)
        case _:
            assert_never(action)


def _told(refused: Sequence[Stalled]) -> Stalled:
    """Return all refusals as one: the first few, the count of the others, and once what would help."""
    said = [*dict.fromkeys(error.message for error in refused)]
    more = [f"and {len(said) - _SHOWN} more"] if len(said) > _SHOWN else []
    remedies = dict.fromkeys(error.remedy for error in refused if isinstance(error, Forbidden))
    reasons = {error.reason for error in refused}
    reason = "Forbidden" if reasons == {"Forbidden"} else "ApplyFailed"
    return Stalled(reason, "; ".join([*said[:_SHOWN], *more, *remedies]))

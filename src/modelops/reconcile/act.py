"""Performs a plan's actions in order. Every action may be repeated.

As a rule the first failure ends it. Where each object stands by itself, one that is refused stops no other one; but
nothing is deleted after a refusal, because what is missing may only have a new name.
"""

from collections.abc import Iterable
from typing import Final, assert_never

from modelops.domain.plan import Action, ApplyObject, CreateObject, DeleteObject, SetAlias
from modelops.errors import Stalled
from modelops.reconcile.bundle import Ports

_SHOWN: Final = 3


def act(actions: Iterable[Action], ports: Ports, *, each_by_itself: bool = False) -> None:
    """Perform the actions.

    Args:
        actions: in this order.
        ports: what they are performed on.
        each_by_itself: whether objects are applied although others were refused.

    Raises:
        ModelopsError: what the port that failed raised; later actions were not begun.
        Stalled: some objects were refused (ApplyFailed); the others were applied, nothing was deleted.
    """
    refused: list[str] = []
    for action in actions:
        if refused and not isinstance(action, ApplyObject):
            break
        match action:
            case ApplyObject(resource=resource, obj=obj, seen=seen):
                try:
                    ports.cluster.apply(resource, obj, seen=seen)
                except Stalled as error:
                    if not each_by_itself:
                        raise
                    refused.append(error.message)
            case CreateObject(resource=resource, obj=obj):
                ports.cluster.create(resource, obj)
            case DeleteObject(resource=resource, namespace=namespace, name=name, uid=uid, seen=seen):
                ports.cluster.delete(resource, namespace, name, uid=uid, seen=seen)
            case SetAlias(model=model, alias=alias, version=version):
                ports.registry.set_alias(model, alias, version)
            case _:
                assert_never(action)
    if refused:
        more = f"; and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
        raise Stalled("ApplyFailed", "; ".join(refused[:_SHOWN]) + more)

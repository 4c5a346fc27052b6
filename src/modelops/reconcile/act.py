"""Performs a plan's actions in order and stops at the first failure. Every action may be repeated."""

from collections.abc import Iterable
from typing import assert_never

from modelops.domain.plan import Action, ApplyObject, CreateObject, DeleteObject, SetAlias
from modelops.reconcile.bundle import Ports


def act(actions: Iterable[Action], ports: Ports) -> None:
    """Perform the actions.

    Raises:
        ModelopsError: what the port that failed raised; later actions were not begun.
    """
    for action in actions:
        match action:
            case ApplyObject(resource=resource, obj=obj):
                ports.cluster.apply(resource, obj)
            case CreateObject(resource=resource, obj=obj):
                ports.cluster.create(resource, obj)
            case DeleteObject(resource=resource, namespace=namespace, name=name, uid=uid):
                ports.cluster.delete(resource, namespace, name, uid=uid)
            case SetAlias(model=model, alias=alias, version=version):
                ports.registry.set_alias(model, alias, version)
            case _:
                assert_never(action)

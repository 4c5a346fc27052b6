"""The scale subresource: a number of replicas, shown and set as an autoscaling/v1 Scale, whatever field it stands in.

For `kubectl scale` and autoscalers. Called by `web`; the paths are a CustomResourceDefinition's `subresources.scale`.
"""

import copy
from collections.abc import Callable
from typing import Any, Final

from modelops.localhome.apiserver import answers
from modelops.localhome.apiserver.answers import ApiError, FieldError, Obj
from modelops.localhome.apiserver.resources import ResourceType
from modelops.localhome.apiserver.selectors import value_at

_HEAD: Final = {"kind": "Scale", "apiVersion": "autoscaling/v1"}
_CARRIED: Final = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def view(kind: ResourceType, obj: Obj) -> Obj:
    """Return the Scale of an object.

    Raises:
        ApiError: 500, the object has no number of replicas.
    """
    path = kind.scale["specReplicasPath"]
    wanted = value_at(obj, path.strip("."))
    if wanted is None:
        told = f'the spec replicas field "{path}" does not exist'
        raise ApiError(500, "InternalError", f"Internal error occurred: {told}", {"causes": [{"message": told}]})
    status: Obj = {"replicas": value_at(obj, kind.scale["statusReplicasPath"].strip(".")) or 0}
    selector = kind.scale.get("labelSelectorPath")
    if selector and (labels := value_at(obj, selector.strip("."))):
        status["selector"] = labels
    meta = {key: obj["metadata"][key] for key in _CARRIED if key in obj["metadata"]}
    # Go leaves a zero out.
    return {**_HEAD, "metadata": meta, "spec": {"replicas": wanted} if wanted else {}, "status": status}


def scaled(kind: ResourceType, change: Callable[[Obj], Any]) -> Callable[[Obj], Obj]:
    """Return what makes of an object the one whose Scale has been changed.

    Args:
        kind: of the object.
        change: makes a new Scale of the present one.
    """

    def apply(obj: Obj) -> Obj:
        wanted = change(view(kind, obj))
        if not isinstance(wanted, dict) or wanted.get("kind") not in {None, "Scale"}:
            raise answers.bad_request("the request holds no Scale of autoscaling/v1")
        replicas = (wanted.get("spec") or {}).get("replicas", 0)
        name = obj["metadata"]["name"]
        if not isinstance(replicas, int) or isinstance(replicas, bool):
            raise answers.bad_request('Scale in version "v1" cannot be handled as a Scale: spec.replicas is no integer')
        if replicas < 0:
            told = f"Invalid value: {replicas}: should be a non-negative integer"
            raise answers.invalid(
                "autoscaling", "Scale", name, [FieldError("FieldValueInvalid", "spec.replicas", told)]
            )
        found = copy.deepcopy(obj)
        *parents, last = kind.scale["specReplicasPath"].strip(".").split(".")
        home = found
        for part in parents:
            home = home.setdefault(part, {})
        home[last] = replicas
        if version := (wanted.get("metadata") or {}).get("resourceVersion"):
            found["metadata"]["resourceVersion"] = version
        return found

    return apply

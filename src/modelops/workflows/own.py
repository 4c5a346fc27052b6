"""What a team's own training brings into a Workflow: walls around its containers, an image, a WorkflowTemplate. Pure.

Used by `render`.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

UNTRUSTED: Final = frozenset({"code", "predict"})
"""Steps that run a team's own code: no address, no credentials of anything."""
PLACE: Final = "/tmp/own"  # noqa: S108 - inside the step's own container
"""Where our steps leave files for a team's code, and find its own."""
LENT: Final = (f"{PLACE}/lent/busybox", "sh", f"{PLACE}/lent/run")
"""What runs in a team's image: brought there by `inputs`, it runs their command, which stands in MODELOPS_STEP only."""
VOLUME: Final = "modelops"
"""By which files come to a WorkflowTemplate and back."""
MOUNTED: Final = "/modelops"
"""Where its templates mount the volume."""
GIVEN: Final = ("input", "output")
"""Directories of the volume, and the parameters that tell where they are."""
_SIZE: Final = "8Gi"
_TOKENS: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where Kubernetes puts a pod's own token, unless something else lies there already."""
_ARGO: Final = "/var/run/argo"
"""Where Argo puts the program that starts the main container: who may write there, runs with its credentials."""


def no_token() -> dict[str, Any]:
    """Return the mount that lies where an untrusted container would find the pod's token."""
    return {"name": "nothing", "mountPath": _TOKENS, "readOnly": True}


def walls(init: Iterable[str]) -> str:
    """Return what keeps untrusted containers from Argo's own files, which it mounts into every container.

    Their template, which names the registry's address, goes too. Nothing in it is a user's.
    """
    closed = [
        {
            "name": name,
            "env": [{"name": "ARGO_TEMPLATE", "value": "{}"}],
            "volumeMounts": [{"$patch": "delete", "mountPath": _ARGO}],
        }
        for name in init
        if name in UNTRUSTED
    ]
    return json.dumps({"initContainers": closed})


def in_image(image: str) -> dict[str, Any]:
    """Return what makes the container `code` run in a team's image: nothing of ours is in its environment."""
    return {"image": image, "command": list(LENT), "env": []}


def claim() -> dict[str, Any]:
    """Return what gives a Workflow a volume of its own, until it ends."""
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": _SIZE}}}
    return {
        "volumeClaimTemplates": [{"metadata": {"name": VOLUME}, "spec": wanted}],
        "volumeClaimGC": {"strategy": "OnWorkflowCompletion"},
    }


def reference(name: str, template: str) -> dict[str, Any]:
    """Return what a task is that runs a template of a WorkflowTemplate, with the places of its files."""
    places = [{"name": place, "value": f"{MOUNTED}/{place}"} for place in GIVEN]
    return {"templateRef": {"name": name, "template": template}, "arguments": {"parameters": places}}

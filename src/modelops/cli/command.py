"""Gives an object a command through its annotation and waits until the operator has taken it.

A command is bound to what the user saw (a revision, a step), so that one given twice, or too late, harms nothing.
"""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from modelops.api.kinds import Kind
from modelops.api.labels import COMMAND
from modelops.cli.target import Target, object_named
from modelops.cli.waiting import poll


def send(target: Target, kind: Kind, name: str, words: Mapping[str, Any], *, seconds: float) -> dict[str, Any] | None:
    """Send a command; return the object as it is once the command was handled, None if that took too long.

    Args:
        target: where.
        kind: of the object.
        name: of the object.
        words: verb, and what else belongs to it; the id is added.
        seconds: how long to wait.
    """
    identifier = uuid.uuid4().hex[:12]
    # Admission compares names as they are.
    text = json.dumps({**words, "id": identifier}, separators=(",", ":"), ensure_ascii=False)
    patch = {"metadata": {"annotations": {COMMAND: text}}}
    target.client.merge_patch(kind.resource, target.namespace, name, patch)

    def handled() -> dict[str, Any] | None:
        found = object_named(target, kind, name)
        return found if (found.get("status") or {}).get("lastHandledCommand") == identifier else None

    return poll(handled, seconds)

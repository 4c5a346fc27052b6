"""What must hold of every status that modelops ever writes.

FakeCluster applies it to each write; tests apply it to what real servers hold.

Modelled on kstatus: a reader who knows nothing of our kinds can tell from these conditions whether an object is done,
under way or stuck.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

_ONLY_WHILE_TRUE = {"Reconciling", "Stalled"}


def broken_invariants(obj: Mapping[str, Any], previous: Mapping[str, Any] | None = None) -> list[str]:
    """Return which invariants the status of an object breaks, one line each.

    Args:
        obj: the object with its new status.
        previous: the object as it was before the status was written.
    """
    status = obj.get("status") or {}
    conditions = status.get("conditions") or []
    by_type = {condition["type"]: condition for condition in conditions}
    generation = obj["metadata"].get("generation", 0)
    broken = []
    if len(by_type) != len(conditions):
        broken.append("a condition type stands twice")
    if "Ready" not in by_type:
        broken.append("Ready is missing")
    if status.get("observedGeneration", 0) > generation:
        broken.append(f"observedGeneration {status['observedGeneration']} is ahead of generation {generation}")
    for condition in conditions:
        broken.extend(_of_condition(condition, generation))
    if _is(by_type, "Ready") and _is(by_type, "Stalled"):
        broken.append("Ready and Stalled are both True")
    if _is(by_type, "Reconciling") and _is(by_type, "Stalled"):
        broken.append("Reconciling and Stalled are both True")
    if _is(by_type, "Stalled") and by_type.get("Ready", {}).get("reason") != by_type["Stalled"]["reason"]:
        broken.append("Ready and Stalled give different reasons")
    before = {c["type"]: c for c in ((previous or {}).get("status") or {}).get("conditions") or []}
    broken.extend(_of_transitions(by_type, before))
    return broken


def assert_invariants(obj: Mapping[str, Any], previous: Mapping[str, Any] | None = None) -> None:
    """Fail if the status of an object breaks an invariant."""
    broken = broken_invariants(obj, previous)
    assert not broken, f"{obj.get('kind')} {obj['metadata']['name']}: {'; '.join(broken)}"


def _is(by_type: Mapping[str, Any], name: str) -> bool:
    return by_type.get(name, {}).get("status") == "True"


def _of_condition(condition: Mapping[str, Any], generation: int) -> list[str]:
    name = condition["type"]
    broken = []
    if name in _ONLY_WHILE_TRUE and condition["status"] != "True":
        broken.append(f"{name} is present while {condition['status']}")
    if condition.get("observedGeneration", 0) > generation:
        broken.append(f"{name} observes a generation ahead of the object's")
    if not condition.get("reason", "")[:1].isupper():
        broken.append(f"{name} has no PascalCase reason: {condition.get('reason')!r}")
    if "\n" in condition.get("message", ""):
        broken.append(f"{name} has a message of several lines")
    if datetime.fromisoformat(condition["lastTransitionTime"]).tzinfo is None:
        broken.append(f"{name} has a transition time without a zone")
    return broken


def _of_transitions(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    broken = []
    for name in now.keys() & before.keys():
        moved = now[name]["lastTransitionTime"] != before[name]["lastTransitionTime"]
        if moved and now[name]["status"] == before[name]["status"]:
            broken.append(f"{name} has a new transition time although its status is the same")
    return broken

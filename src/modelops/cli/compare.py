"""Which fields differ between an object as it is and as it would be. Pure.

Only what users say of an object is compared: labels, annotations and everything but metadata and status. Our own
bookkeeping (the commit that delivered it, the hash of its manifest) is left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelops.api.labels import APPLIED_COMMIT, COMMAND, GITSOURCE, INPUTS_HASH, REQUESTED_AT

ABSENT: Final = object()
"""Stands for a field that is not there, which is not the same as null."""
_SHORT: Final = 16
"""Lists of so many plain values, both together, are shown whole."""
_OURS: Final = frozenset(
    {
        APPLIED_COMMIT,
        INPUTS_HASH,
        REQUESTED_AT,
        COMMAND,
        GITSOURCE,
        "kubectl.kubernetes.io/last-applied-configuration",
    }
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field that differs."""

    path: str
    """Dotted, such as spec.hyperparameters.epochs."""
    before: Any
    """ABSENT if it is new."""
    after: Any
    """ABSENT if it goes."""

    def words(self) -> str:
        """Return the difference in words: `spec.hyperparameters.epochs 50 → 80`."""
        if self.before is ABSENT:
            return f"{self.path} + {_text(self.after)}"
        if self.after is ABSENT:
            return f"{self.path} - {_text(self.before)}"
        return f"{self.path} {_text(self.before)} → {_text(self.after)}"

    def wire(self) -> dict[str, Any]:
        """Return the difference for JSON; a side that is absent is left out."""
        sides = {"from": self.before, "to": self.after}
        return {"field": self.path} | {name: value for name, value in sides.items() if value is not ABSENT}


def said_by_user(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of an object a user says."""
    body = {key: value for key, value in obj.items() if key not in ("metadata", "status", "apiVersion", "kind")}
    meta = obj.get("metadata") or {}
    for section in ("labels", "annotations"):
        kept = {key: value for key, value in (meta.get(section) or {}).items() if key not in _OURS}
        if kept:
            body.setdefault("metadata", {})[section] = kept
    return body


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Field, ...]:
    """Return the fields in which two objects differ, in the order of the second."""
    return tuple(_differ("", said_by_user(before), said_by_user(after)))


def _differ(path: str, before: Any, after: Any) -> Iterator[Field]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*after, *(key for key in before if key not in after)]:
            inner = f"{path}.{key}" if path else str(key)
            yield from _differ(inner, before.get(key, ABSENT), after.get(key, ABSENT))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _lists(path, before, after)
    elif not _equal(before, after):
        yield Field(path, before, after)


def _lists(path: str, before: list[Any], after: list[Any]) -> Iterator[Field]:
    """Compare items of one name with each other, where all have one; short lists whole; else by position."""
    if len(before) + len(after) <= _SHORT and not any(isinstance(one, Mapping | list) for one in [*before, *after]):
        if before != after:
            yield Field(path, before, after)
        return
    old, new = _named(before), _named(after)
    if old is not None and new is not None:
        for name in [*new, *(name for name in old if name not in new)]:
            yield from _differ(f"{path}[{name}]", old.get(name, ABSENT), new.get(name, ABSENT))
        return
    for index in range(max(len(before), len(after))):
        sides = [side[index] if index < len(side) else ABSENT for side in (before, after)]
        yield from _differ(f"{path}[{index}]", *sides)


def _named(items: list[Any]) -> dict[str, Any] | None:
    names = [str(item["name"]) for item in items if isinstance(item, Mapping) and "name" in item]
    if not items or len(names) != len(items) or len(set(names)) != len(names):
        return {} if not items else None
    return dict(zip(names, items, strict=True))


def _equal(before: Any, after: Any) -> bool:
    # True == 1 in Python, and they differ in YAML.
    return type(before) is type(after) and bool(before == after) if _bool(before, after) else bool(before == after)


def _bool(*values: Any) -> bool:
    return any(isinstance(value, bool) for value in values)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_text(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    text = " ".join(str(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."

"""Server-side apply and the bookkeeping of field managers. Pure: objects in, objects out.

The rules are those of Kubernetes' structured merge for the shapes that schemas can have here: maps and objects merge
field by field, map lists by their keys, sets by value, everything else is replaced as a whole. A field that a manager
applied before and leaves out now goes, unless another manager has it too. `docs/reference/local-api.md` lists them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelops.localhome.apiserver import fieldsets
from modelops.localhome.apiserver.answers import ApiError, Obj
from modelops.localhome.apiserver.fieldsets import Fields, Path
from modelops.localhome.apiserver.structural import ANYTHING, child
from modelops.localhome.apiserver.validation import list_keys


@dataclass(frozen=True, slots=True)
class Manager:
    """Who wrote, how, and to which subresource."""

    name: str
    operation: str
    """Apply or Update."""
    subresource: str
    api_version: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What one manager owns, and since when."""

    fields: Fields
    time: str


Managed = dict[Manager, Entry]


def read(obj: Obj) -> Managed:
    """Return the managers that an object's managedFields tell of."""
    found: Managed = {}
    for entry in obj["metadata"].get("managedFields") or ():
        manager = Manager(
            entry.get("manager", "unknown"),
            entry.get("operation", "Update"),
            entry.get("subresource", ""),
            entry.get("apiVersion", ""),
        )
        found[manager] = Entry(fieldsets.from_v1(entry.get("fieldsV1") or {}), entry.get("time", ""))
    return found


def write(obj: Obj, managed: Managed) -> Obj:
    """Return the object with these managers in its managedFields."""
    entries = []
    ordered = sorted(managed.items(), key=lambda item: (item[0].operation, item[1].time, item[0].name))
    for manager, entry in ordered:
        if not entry.fields:
            continue
        told: Obj = {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": manager.api_version,
            "time": entry.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fieldsets.to_v1(entry.fields),
        }
        if manager.subresource:
            told["subresource"] = manager.subresource
        entries.append(told)
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    if entries:
        metadata["managedFields"] = entries
    return {**obj, "metadata": metadata}


def after_update(old: Obj | None, new: Obj, schema: Mapping[str, Any], manager: Manager, now: str) -> Obj:
    """Return `new` with the managers as they are after a create, update or patch that is not an apply."""
    if new["metadata"].get("managedFields") == [{}]:
        # A list of one empty entry resets the bookkeeping, as in Kubernetes.
        return write(new, {})
    managed = read(old) if old is not None else {}
    set_, removed = fieldsets.changed(old or {"metadata": {}}, new, schema)
    if not set_ and not removed:
        return write(new, managed)
    after: Managed = {}
    for other, entry in managed.items():
        lost = removed if other == manager else removed | set_
        kept = entry.fields - lost
        if kept:
            after[other] = Entry(kept, entry.time)
    mine = after.get(manager, Entry(frozenset(), now)).fields | set_
    if mine:
        after[manager] = Entry(mine, now)
    return write(new, after)


def apply(
    live: Obj | None, config: Obj, schema: Mapping[str, Any], manager: Manager, *, force: bool, now: str
) -> tuple[Obj, Managed]:
    """Return the object with a configuration applied, and its managers after that.

    Args:
        live: The object as it is, or None if there is none.
        config: What the manager wants, and nothing else.
        schema: Of the whole object.
        manager: Who applies.
        force: Take fields that others have.
        now: RFC 3339.

    Raises:
        ApiError: 409, others have fields that the configuration would change, and force is off.
    """
    applied = fieldsets.of(config, schema)
    managed = read(live) if live is not None else {}
    mine = managed.get(manager, Entry(frozenset(), now))
    before = live if live is not None else {"metadata": {}}
    merged = merge(before, config, schema)
    others = {other: entry for other, entry in managed.items() if other != manager}
    # An object goes with the defaults in it, which nobody owns.
    gone = (mine.fields | fieldsets.named(mine.fields, schema)) - applied
    kept_by_others = frozenset().union(*(entry.fields for entry in others.values()))
    # A list item goes only when nobody else has anything in it.
    removable = {path for path in gone if not fieldsets.below(path, kept_by_others | applied)}
    if removable:
        merged = _without(merged, schema, frozenset(removable), ())
    set_, _ = fieldsets.changed(before, merged, schema)
    conflicts = {other: entry.fields & set_ & applied for other, entry in others.items()}
    conflicts = {other: fields for other, fields in conflicts.items() if fields}
    if conflicts and not force:
        raise _conflict(conflicts)
    present = fieldsets.values(merged, schema).keys()
    after: Managed = {}
    for other, entry in others.items():
        kept = frozenset((entry.fields - conflicts.get(other, frozenset())) & present)
        if kept:
            after[other] = Entry(kept, entry.time)
    changed_ = mine.fields != applied or bool(set_) or bool(removable)
    after[manager] = Entry(applied, now if changed_ or not mine.time else mine.time)
    return merged, after


def _conflict(conflicts: Mapping[Manager, Fields]) -> ApiError:
    causes, texts = [], []
    for manager, fields in sorted(conflicts.items(), key=lambda item: item[0].name):
        who = f'conflict with "{manager.name}"'
        if manager.subresource:
            who += f' with subresource "{manager.subresource}"'
        if manager.operation == "Update":
            who += f" using {manager.api_version}"
        paths = [fieldsets.dotted(path) for path in sorted(fields)]
        causes += [{"reason": "FieldManagerConflict", "message": who, "field": path} for path in paths]
        texts.append(f"{who}: {paths[0]}" if len(paths) == 1 else f"{who}:\n- " + "\n- ".join(paths))
    count = len(causes)
    lead = f"Apply failed with {count} conflict{'' if count == 1 else 's'}:"
    message = f"{lead} {texts[0]}" if len(texts) == 1 else f"{lead} conflicts " + "\n".join(texts)
    return ApiError(409, "Conflict", message, {"causes": causes})


def merge(live: Any, config: Any, schema: Mapping[str, Any]) -> Any:
    """Return what is live with a configuration laid over it."""
    if isinstance(live, dict) and isinstance(config, dict) and not fieldsets.is_atomic(config, schema):
        merged = dict(live)
        for name, item in config.items():
            below = child(schema, name) or ANYTHING
            merged[name] = merge(live[name], item, below) if name in live else item
        return merged
    if isinstance(live, list) and isinstance(config, list) and list_keys(schema):
        return _merge_lists(live, config, schema)
    return config


def _merge_lists(live: list[Any], config: list[Any], schema: Mapping[str, Any]) -> list[Any]:
    """Return the items of both: live ones where they stand, new ones after them."""
    items = schema.get("items") or ANYTHING
    wanted = {fieldsets.element(item, schema): item for item in config}
    merged = []
    for item in live:
        mine = wanted.pop(fieldsets.element(item, schema), None)
        merged.append(item if mine is None else merge(item, mine, items))
    return merged + list(wanted.values())


def _without(value: Any, schema: Mapping[str, Any], gone: Fields, path: Path) -> Any:
    if isinstance(value, dict) and not fieldsets.is_atomic(value, schema):
        kept: Obj = {}
        for name, item in value.items():
            here = (*path, f"f:{name}")
            if here in gone:
                continue
            below = _without(item, child(schema, name) or ANYTHING, gone, here)
            # A map or list that lost its last member goes with it; one that was empty before stays.
            if below in ({}, []) and item and fieldsets.below(here, gone):
                continue
            kept[name] = below
        return kept
    if isinstance(value, list) and list_keys(schema):
        items = schema.get("items") or ANYTHING
        pairs = [((*path, fieldsets.element(item, schema)), item) for item in value]
        return [_without(item, items, gone, here) for here, item in pairs if here not in gone]
    return value

"""What to do about a GitSource: apply what git has, remember it, prune what git dropped. Pure and total.

    fetched ──► problems? ──► the good objects are applied, nothing is pruned, Ready=False
            ──► inventory written (status first) ──► applied ──► pruned, guarded ──► Ready

Removing a field in git removes it from the object: server-side apply gives up what is not applied any more, so an
object that is to be applied for any reason is applied whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from modelops.api.accounts import ServiceAccount
from modelops.api.labels import GITSOURCE as GITSOURCE_LABEL
from modelops.api.labels import INPUTS_HASH, PRUNE
from modelops.api.manifest import Problem
from modelops.api.v1alpha1.gitsource import GitSourceSpec, GitSourceStatus, InventoryEntry
from modelops.domain import status
from modelops.domain.gitsync.desired import ALLOWED, Wanted, says_the_same
from modelops.domain.gitsync.outcomes import kept_condition, kept_outcomes
from modelops.domain.plan import Action, ApplyObject, DeleteObject, EventSpec, Plan
from modelops.errors import Forbidden

_MANIFEST_HASH: Final = INPUTS_HASH
_SHOWN_PROBLEMS: Final = 5
_SHOWN_FORBIDDEN: Final = 3


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything the decision depends on."""

    name: str
    namespace: str
    spec: GitSourceSpec
    status: GitSourceStatus
    commit: str
    """The commit that the ref names now."""
    wanted: Sequence[Wanted]
    problems: Sequence[Problem]
    files: int
    """Manifest files below the path."""
    live: Mapping[tuple[str, str], Mapping[str, Any]]
    """(kind, name) → the object as it is, for everything wanted or in the inventory."""
    confirmed: str
    """Value of the confirm-prune annotation: a commit."""
    now: datetime
    asked: bool = False
    """Whether the spec is new, or somebody asked for a look."""
    account: ServiceAccount | None = None
    """As whom everything is read, applied and pruned; None is the operator."""
    unreadable: Mapping[tuple[str, str], Forbidden] = field(default_factory=dict)
    """(kind, name) of what the account may not read: neither applied nor pruned, for its owner is not known."""

    @property
    def revision(self) -> str:
        """`<ref>@sha1:<commit>`, as Flux writes it."""
        ref = self.spec.ref.branch or self.spec.ref.tag or "commit"
        return f"{ref}@sha1:{self.commit}"


def decide_gitsync(seen: Observed) -> Plan:
    """Return the plan for a GitSource."""
    taken = [item for item in seen.wanted if _belongs_to_another(seen, item)]
    mine = [item for item in seen.wanted if item not in taken] if taken else list(seen.wanted)
    if seen.unreadable:
        mine = [item for item in mine if (item.resource.kind, item.obj["metadata"]["name"]) not in seen.unreadable]
    problems = [str(problem) for problem in seen.problems] + [_taken(seen, item) for item in taken]
    applies = [ApplyObject(item.resource, _stamped(item), _live(seen, item)) for item in mine if _differs(seen, item)]
    known = {(entry.kind, entry.name): entry for entry in seen.status.inventory}
    wanted = {(item.resource.kind, item.obj["metadata"]["name"]): item.entry for item in mine}
    dropped = [entry for key, entry in known.items() if key not in wanted]
    everything = _ordered({**known, **wanted})
    new = seen.status.model_copy(
        update={
            "last_attempted_revision": seen.revision,
            "last_fetched_at": _stamp(seen),
            "inventory": everything,
            "outcomes": kept_outcomes(seen.spec, seen.status, asked=seen.asked),
        }
    )
    if problems or seen.unreadable:
        return _broken(seen, new, applies, problems)
    guard = _guard(seen, dropped)
    if guard is not None:
        reason, message = guard
        conditions = (status.not_ready(reason, message),)
        events = () if _said(seen, message) else (EventSpec(reason, message, "Warning"),)
        return _plan(seen, new, applies, conditions, events)
    deletes = _deletes(seen, dropped) if seen.spec.prune else []
    protected = {(entry.kind, entry.name) for entry in dropped} - {
        (action.resource.kind, action.name) for action in deletes
    }
    kept = {key: entry for key, entry in known.items() if key in protected and key in seen.live and seen.spec.prune}
    # The inventory shrinks only in the status that follows the deletions, so that a crash forgets nothing.
    done = new.model_copy(update={"inventory": _ordered({**wanted, **kept}), "last_applied_revision": seen.revision})
    message = f"applied revision {seen.revision}: {len(wanted)} objects"
    conditions = (status.ready("Succeeded", message),)
    events = ()
    if applies or deletes:
        events = (EventSpec("Succeeded", f"{seen.revision}: {len(applies)} applied, {len(deletes)} pruned"),)
    return _plan(seen, done, (*applies, *deletes), conditions, events, before=new)


def _plan(
    seen: Observed,
    new: GitSourceStatus,
    actions: Sequence[Action],
    conditions: tuple[Any, ...],
    events: tuple[EventSpec, ...],
    before: GitSourceStatus | None = None,
) -> Plan:
    """Return the plan: what is tried is written down first, and an object that is refused stops no other one."""
    first = (before or new) if actions else None
    retry = None if new.outcomes is None else new.outcomes.retry_at
    return Plan(
        new,
        (*conditions, *kept_condition(seen.spec, seen.status)),
        tuple(actions),
        events,
        seen.spec.interval if retry is None else min(seen.spec.interval, max(retry - seen.now, timedelta(0))),
        status_before=first,
        each_by_itself=True,
        acting_as=seen.account,
    )


def _broken(seen: Observed, new: GitSourceStatus, applies: Sequence[Action], problems: Sequence[str]) -> Plan:
    more = [f"and {len(problems) - _SHOWN_PROBLEMS} more"] if len(problems) > _SHOWN_PROBLEMS else []
    message = "; ".join([*_unreadable(seen), *problems[:_SHOWN_PROBLEMS], *more])
    reason = "Forbidden" if seen.unreadable and not problems else "BuildFailed"
    conditions = (status.not_ready(reason, message),)
    events = () if _said(seen, message) else (EventSpec(reason, message, "Warning"),)
    return _plan(seen, new, applies, conditions, events)


def _unreadable(seen: Observed) -> list[str]:
    """Return the first things that the account may not read, the count of the others, and once how to grant it."""
    said = sorted({error.message for error in seen.unreadable.values()})
    more = [f"and {len(said) - _SHOWN_FORBIDDEN} more"] if len(said) > _SHOWN_FORBIDDEN else []
    return [*said[:_SHOWN_FORBIDDEN], *more, *sorted({error.remedy for error in seen.unreadable.values()})]


def _guard(seen: Observed, dropped: Sequence[InventoryEntry]) -> tuple[str, str] | None:
    """Return why nothing may be pruned, if so."""
    if not dropped or not seen.spec.prune:
        return None
    if not seen.wanted:
        return (
            "PruneBlocked",
            f"{seen.spec.path!r} has no objects at {seen.commit[:12]}; nothing is pruned. {_how(seen)}",
        )
    if 2 * len(dropped) > len(seen.status.inventory) and seen.confirmed != seen.commit:
        counts = f"{len(dropped)} of {len(seen.status.inventory)} objects"
        return "PruneBlocked", f"{seen.commit[:12]} drops {counts}, more than half; nothing is pruned. {_how(seen)}"
    return None


def _how(seen: Observed) -> str:
    command = f"kubectl -n {seen.namespace} annotate --overwrite gitsource {seen.name}"
    return f"If it is meant: {command} modelops.dev/confirm-prune={seen.commit}" if seen.wanted else "Put them back."


def _deletes(seen: Observed, dropped: Sequence[InventoryEntry]) -> list[DeleteObject]:
    actions = []
    for entry in dropped:
        resource = ALLOWED.get((entry.api_version, entry.kind))
        live = seen.live.get((entry.kind, entry.name))
        if resource is None or live is None:
            continue
        meta = live["metadata"]
        ours = (meta.get("labels") or {}).get(GITSOURCE_LABEL) == seen.name
        if ours and (meta.get("annotations") or {}).get(PRUNE) != "disabled":
            actions.append(DeleteObject(resource, seen.namespace, entry.name, meta.get("uid"), live))
    return actions


def _live(seen: Observed, item: Wanted) -> Mapping[str, Any] | None:
    return seen.live.get((item.resource.kind, item.obj["metadata"]["name"]))


def _belongs_to_another(seen: Observed, item: Wanted) -> bool:
    live = _live(seen, item)
    owner = ((live or {}).get("metadata", {}).get("labels") or {}).get(GITSOURCE_LABEL)
    return owner is not None and owner != seen.name


def _taken(seen: Observed, item: Wanted) -> str:
    name = item.obj["metadata"]["name"]
    owner = seen.live[item.resource.kind, name]["metadata"]["labels"][GITSOURCE_LABEL]
    return f"{item.where}: {item.resource.kind}/{name} belongs to GitSource {owner}; remove it from one of the two"


def _stamped(item: Wanted) -> Mapping[str, Any]:
    """Return the object with the hash of what git says, by which a field that git dropped is noticed."""
    meta = dict(item.obj["metadata"])
    meta["annotations"] = {**meta["annotations"], _MANIFEST_HASH: item.hash}
    return {**item.obj, "metadata": meta}


def _differs(seen: Observed, item: Wanted) -> bool:
    live = _live(seen, item)
    if live is None:
        return True
    applied = (live["metadata"].get("annotations") or {}).get(_MANIFEST_HASH)
    return applied != item.hash or not says_the_same(live, item)


def _stamp(seen: Observed) -> datetime | None:
    """Return when the revision was first seen; a poll that finds nothing new changes no status."""
    if seen.status.last_attempted_revision == seen.revision and seen.status.last_fetched_at is not None:
        return seen.status.last_fetched_at
    return seen.now.replace(microsecond=0)


def _ordered(entries: Mapping[tuple[str, str], InventoryEntry]) -> tuple[InventoryEntry, ...]:
    return tuple(entries[key] for key in sorted(entries))


def _said(seen: Observed, message: str) -> bool:
    return any(condition.message == message[:1024] for condition in seen.status.conditions)

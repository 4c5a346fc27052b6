"""What decide returns: actions, conditions, events and when to look again. All of it plain data.

`decide(Observed) -> Plan` is pure and total. `act` performs the actions in order and stops at the first
failure. `summarise` turns plan and results into one status.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import Resource
from modelops.api.v1alpha1.common import Status
from modelops.api.v1alpha1.gitsource import GitSourceSpec

Obj = Mapping[str, Any]
"""A Kubernetes object as the API has it."""


@dataclass(frozen=True, slots=True)
class ApplyObject:
    """Server-side apply of the fields we own."""

    resource: Resource
    obj: Obj
    seen: Obj | None = None
    """The object that was decided about, if there was one: a change since, of more than its status, is a Conflict."""


@dataclass(frozen=True, slots=True)
class CreateObject:
    """Create under a deterministic name; one that exists is left as it is (the next observe judges it)."""

    resource: Resource
    obj: Obj


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """Delete one object, background propagation; gone already is success."""

    resource: Resource
    namespace: str | None
    name: str
    uid: str | None = None
    """Delete only this incarnation."""
    seen: Obj | None = None
    """The object that was decided about, as for an apply; None where its name is never used again."""


@dataclass(frozen=True, slots=True)
class LetGo:
    """Take our finalizers off an object: what it was held for is on record, or of no use any more."""

    resource: Resource
    obj: Obj
    """As it was seen."""


@dataclass(frozen=True, slots=True)
class SetAlias:
    """Point an alias of a registered model at a version."""

    model: str
    alias: str
    version: str


@dataclass(frozen=True, slots=True)
class FileCommit:
    """One file of our own for a repository, and the commit that brings it."""

    path: str
    """From the root."""
    content: bytes
    message: str
    author: str
    """`name <email>`."""
    at: datetime


@dataclass(frozen=True, slots=True)
class AppendCommits:
    """Have files on a branch of a repository, each by its commit; what stands there already is left alone."""

    source: GitSourceSpec
    """The repository. Its credentials are read when they are used."""
    namespace: str
    branch: str
    commits: tuple[FileCommit, ...]


Action = ApplyObject | CreateObject | DeleteObject | LetGo | SetAlias | AppendCommits


@dataclass(frozen=True, slots=True)
class ConditionSpec:
    """A condition without time and generation; `domain.status` adds both."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class EventSpec:
    """A Kubernetes Event about the object; the reason is that of the condition it explains."""

    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Normal"


@dataclass(frozen=True, slots=True)
class Setback:
    """What is said where acting fails and nothing else is to be held up by it."""

    status: Status
    condition: str
    """Type of the condition that becomes False, with the reason of what failed; all others stay as they are."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything one reconcile wants."""

    status: Status
    """The new status; conditions, observedGeneration and the handled annotations are set by summarise."""
    conditions: tuple[ConditionSpec, ...]
    """All conditions that are to be present; those absent here are removed."""
    actions: tuple[Action, ...] = ()
    events: tuple[EventSpec, ...] = ()
    requeue_after: timedelta | None = None
    """Look again after this; None waits for an event."""
    status_first: bool = False
    """Write the status before acting: for what must be on record before it happens (an attempt)."""
    status_before: Status | None = None
    """Written before acting instead of `status`: what must be on record even if acting fails halfway (an inventory)."""
    each_by_itself: bool = False
    """Whether an object that is refused stops no other one from being applied."""
    setback: Setback | None = None
    """If given, what fails is no failure of the object."""
    acting_as: ServiceAccount | None = None
    """Whose rights every action needs; None acts as the operator. Status and events are always the operator's."""

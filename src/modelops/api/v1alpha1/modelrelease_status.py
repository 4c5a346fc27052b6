"""Status of a ModelRelease: who serves, who is tried, how far, and what became of those before."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from modelops.api.v1alpha1.analysis_status import MetricStatus, SplitStatus, Verdict
from modelops.api.v1alpha1.common import Name, Status, StatusModel
from modelops.api.v1alpha1.routing import RoutingStatus
from modelops.api.v1alpha1.smoke import SmokeTestStatus


class ReleaseLineage(StatusModel):
    """From traffic back to the commit."""

    commit: Annotated[str, Field(max_length=40)] = ""
    """The commit that delivered the TrainingRun (or, for a pinned version, the release)."""
    release_commit: Annotated[str, Field(max_length=40)] = ""
    """The commit that had last changed the release when this was first wanted; empty for one that git did not bring."""
    dataset_commit: Annotated[str, Field(max_length=40)] = ""
    content_digest: Annotated[str, Field(max_length=80)] = ""
    dataset_digest: Annotated[str, Field(max_length=80)] = ""
    code_digest: Annotated[str, Field(max_length=80)] = ""
    """Of the team's own training code; empty for a builtin trainer."""
    workflow_uid: Annotated[str, Field(max_length=64)] = ""
    run_id: Annotated[str, Field(max_length=64)] = ""
    version: Annotated[str, Field(max_length=32)] = ""
    artifact_digest: Annotated[str, Field(max_length=80)] = ""
    judged_against: Annotated[str, Field(max_length=32)] = ""
    """The version that was champion when this one was compared with it, before it was registered; empty: with none."""


class RevisionStatus(StatusModel):
    """One version with one serving template."""

    version: Annotated[str, Field(max_length=32)]
    revision: Annotated[str, Field(max_length=16)]
    """Hash of artifact digest and serving template."""
    digest: Annotated[str, Field(max_length=80)]
    """Artifact digest."""
    lineage: ReleaseLineage = ReleaseLineage()
    since: AwareDatetime | None = None
    """When it became this: stable since its promotion, canary since it was first seen."""


class MetricRecord(StatusModel):
    """The last look at a metric, of a revision whose fate is settled."""

    name: Name
    verdict: Verdict
    value: float | None = None
    bound: Annotated[str, Field(max_length=128)] = ""


class ReleaseRecord(StatusModel):
    """A revision whose fate is settled."""

    version: Annotated[str, Field(max_length=32)]
    revision: Annotated[str, Field(max_length=16)]
    outcome: Literal["Promoted", "RolledBack", "Aborted", "Superseded"]
    message: Annotated[str, Field(max_length=1024)] = ""
    started_at: AwareDatetime
    finished_at: AwareDatetime
    release_commit: Annotated[str, Field(max_length=40)] = ""
    """Of its lineage, as the next two."""
    commit: Annotated[str, Field(max_length=40)] = ""
    dataset_commit: Annotated[str, Field(max_length=40)] = ""
    metrics: Annotated[tuple[MetricRecord, ...], Field(max_length=8)] = ()
    """Of the three newest records; what did not pass comes first."""


class Approval(StatusModel):
    """A human's word that let a canary go on."""

    step: int
    """Index of the step that it left, or was paused at."""
    at: AwareDatetime
    by: Annotated[str, Field(max_length=128)] = ""
    """As the command says: whoever gave it, where the chart's admission is; else whoever may give one may say any."""
    command: Annotated[str, Field(max_length=128)] = ""
    """Its id."""
    paused_reason: Annotated[str, Field(max_length=128)] | None = None
    """Why the release was paused, if the word ended a pause that no step had asked for; the step goes on then."""


class RollbackWindowStatus(StatusModel):
    """A promotion that a Fail still takes back."""

    previous: RevisionStatus
    """What served before: its servers stay."""
    since: AwareDatetime
    until: AwareDatetime


class ModelReleaseStatus(Status):
    """Who serves, who is tried, how far, and why it waits."""

    phase: Annotated[str, Field(max_length=32)] = ""
    """For people: Pending, Initial, Progressing, Analyzing, Baking, Paused, Promoting, Promoted, Degraded."""
    stable: RevisionStatus | None = None
    canary: RevisionStatus | None = None
    equivalent_version: Annotated[str, Field(max_length=32)] | None = None
    """The wanted version, when its artifact is that of stable: there is nothing to release then."""
    step: int = 0
    """Index of the current step; equal to the number of steps once all are done."""
    step_started_at: AwareDatetime | None = None
    step_total: Annotated[str, Field(max_length=16)] = ""
    """For people: `2/4`."""
    weight: Annotated[int, Field(ge=0, le=100)] = 0
    """Percent that the gateway confirmed for the canary; in mode replicas, what its servers are of all."""
    desired_weight: Annotated[int, Field(ge=0, le=100)] = 0
    weight_verified_at: AwareDatetime | None = None
    """When the gateway first confirmed `weight` and `routing`; windows start here plus warmUp."""
    unconfirmed_since: AwareDatetime | None = None
    """Since when the canary waits for another weight or routing to come into force; None while it does not.
    progressDeadline counts from here then."""
    routing: RoutingStatus | None = None
    """Header routes and mirror that the gateway confirmed for the canary; None without any."""
    last_measured_at: AwareDatetime | None = None
    """When any metric, or the gateway's counts of requests, was asked last; each has its own time."""
    analysis_started_at: AwareDatetime | None = None
    """When the gateway first confirmed a weight for this canary; initialDelay counts from here."""
    analysis: Annotated[tuple[MetricStatus, ...], Field(max_length=32)] = ()
    split: SplitStatus | None = None
    """Whether the requests come as weighted; None while nobody counts both sides."""
    aborted: Annotated[tuple[Annotated[str, Field(max_length=16)], ...], Field(max_length=10)] = ()
    """Revisions that failed or were aborted; not tried again until retry."""
    paused_reason: Annotated[str, Field(max_length=128)] | None = None
    undo_to: Annotated[str, Field(max_length=16)] | None = None
    """The revision that `undo` is bringing back: it was promoted before, so it takes no steps."""
    capacity_missing_since: AwareDatetime | None = None
    """Since when the canary's servers wait for room; None while they have it."""
    starting_since: AwareDatetime | None = None
    """When the canary's servers got the room they had waited for, or more were asked for; progressDeadline counts from
    here then."""
    ready_since: AwareDatetime | None = None
    """Since when as many of the canary's servers as it needs are ready; None while they are not."""
    smoke_test: SmokeTestStatus | None = None
    """Of the canary, and then of what became of it until the next one."""
    by_hand: bool = False
    """`promote --full` was said: what was not measured is not waited for."""
    approvals: Annotated[tuple[Approval, ...], Field(max_length=10)] = ()
    """Of the canary; the last ten."""
    alias_in_doubt: bool | None = None
    """Whether promotedAlias may be on another version than stable; the next reconcile puts it there."""
    retiring: Annotated[tuple[Annotated[str, Field(max_length=16)], ...], Field(max_length=10)] = ()
    """Revisions without traffic whose servers still drain."""
    retiring_since: AwareDatetime | None = None
    lineage: ReleaseLineage | None = None
    """Of the stable revision."""
    replicas: Annotated[int, Field(ge=0)] = 0
    """Servers of the stable revision that there are; before the first one, of the canary."""
    selector: Annotated[str, Field(max_length=256)] = ""
    """Label selector of those servers' pods: what an autoscaler measures."""
    waiting_for: Annotated[str, Field(max_length=512)] | None = None
    held_by: Literal["OutsideWindow", "Frozen", "SampleRatioMismatch"] | None = None
    """What keeps a rollout from beginning, or its weight from rising, although all else is there."""
    queued_version: Annotated[str, Field(max_length=32)] | None = None
    """The wanted version, while it waits for the end of the one on its way or for a window."""
    ignored: Annotated[tuple[Annotated[str, Field(max_length=16)], ...], Field(max_length=10)] = ()
    """Revisions that came while another was on its way, where onNewVersion is Ignore; not tried until retry."""
    rollback_window: RollbackWindowStatus | None = None
    eta: AwareDatetime | None = None
    """When it is promoted, or asks a human, at the earliest; None while what it waits for has no known end."""
    history: Annotated[tuple[ReleaseRecord, ...], Field(max_length=10)] = ()

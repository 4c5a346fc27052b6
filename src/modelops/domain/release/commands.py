"""What a human's word does to a release: promote, abort, retry, pause, unpause, undo. Pure."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus, ReleaseLineage, RevisionStatus
from modelops.domain.plan import EventSpec
from modelops.domain.release import objects, settle
from modelops.domain.release.approvals import approved, by_whom
from modelops.domain.release.gate import closed, frozen
from modelops.domain.release.measure import another_chance
from modelops.domain.release.observed import Observed
from modelops.domain.release.scale import is_staffed
from modelops.domain.release.steps import effective_steps, ends_by_word

_Answer = tuple[ModelReleaseStatus, tuple[EventSpec, ...]]


def handle(seen: Observed) -> _Answer:
    """Return the status after the command, if there is one; it is marked as handled whatever came of it."""
    command, status = seen.command, seen.status
    if command is None:
        return status, ()
    status = status.model_copy(update={"last_handled_command": str(command["id"])[:128]})
    verb, revision, by = str(command.get("verb", "")), str(command.get("revision", "")), by_whom(command)
    if verb == "retry":
        return _retry(status, revision, by)
    if verb == "undo":
        return _undo(seen, status, revision, by)
    if status.canary is None or status.canary.revision != revision:
        return _ignored(status, verb, f"revision {revision or '?'} is not the one in progress")
    match verb:
        case "abort":
            message = f"aborted {by}"
            return settle.ended(status, "Aborted", seen.now, message), (
                EventSpec("Aborted", f"version {status.canary.version}: {message}", "Warning"),
            )
        case "promote":
            return _promote(seen, status, command)
        case "pause":
            return status.model_copy(update={"paused_reason": by[:128]}), (EventSpec("Paused", by),)
        case "unpause" if status.paused_reason is None:
            return _ignored(status, verb, "it is not paused; `promote` leaves a step that waits")
        case "unpause":
            return _unpause(seen, status, command)
        case _:
            return _ignored(status, verb, "no such verb; use promote, abort, retry, pause, unpause or undo")


def _promote(seen: Observed, status: ModelReleaseStatus, command: Mapping[str, Any]) -> _Answer:
    steps, step, by = effective_steps(seen.spec.strategy), command.get("step"), by_whom(command)
    going = {"step_started_at": seen.now, "approvals": approved(status, command, seen.now)}
    if command.get("full") is True:
        if not objects.is_ready(seen.deployment(status.canary)):
            return _ignored(status, "promote", "its servers are not ready yet; wait for them, then promote --full")
        if words := frozen(seen):
            return _ignored(status, "promote", f"frozen, it waits for {words}; take the freeze out to go on")
        # A human's word stands in for what was not measured; the metrics' figures stay to be read.
        update = going | {"step": len(steps), "by_hand": True, "paused_reason": None}
        forced = status.model_copy(update=update)
        whole = forced.model_copy(update={"desired_weight": 100})
        if is_staffed(seen, whole):
            forced = whole
        outside = "" if closed(seen) is None else ", outside of the windows"
        return forced, (EventSpec("PromotedByHand", f"the steps that are left are skipped{outside}, {by}"),)
    if isinstance(step, int) and step != status.step:
        return _ignored(status, "promote", f"step {step} is over")
    if status.paused_reason is not None:
        return _unpause(seen, status, command)
    if status.step < len(steps) and ends_by_word(steps[status.step]):
        # What has no answer now is forgiven, so that the word lets the weight rise; the next look counts again.
        update = going | {"step": status.step + 1, "waiting_for": None, "eta": None}
        left = status.model_copy(update=update | _watched_anew(status))
        return left, (EventSpec("PromotedByHand", f"step {status.step + 1} is left, {by}"),)
    return _ignored(status, "promote", "it is not paused; `promote --full` skips the steps that are left")


def _unpause(seen: Observed, status: ModelReleaseStatus, command: Mapping[str, Any]) -> _Answer:
    """Go on; what was missing may be missing for its whole deadline again, from the next look on."""
    update = {"paused_reason": None, "approvals": approved(status, command, seen.now)}
    going = status.model_copy(update=update | _watched_anew(status))
    return going, (EventSpec("Unpaused", f"{by_whom(command)}; it was paused: {status.paused_reason}"),)


def _watched_anew(status: ModelReleaseStatus) -> dict[str, Any]:
    """Return what a human's word makes of the figures, and of how the requests were split."""
    return {"analysis": another_chance(status.analysis), "split": None}


def _retry(status: ModelReleaseStatus, revision: str, by: str) -> _Answer:
    if revision not in (*status.aborted, *status.ignored):
        return _ignored(status, "retry", f"revision {revision or '?'} was not aborted")
    aborted, ignored = (tuple(one for one in them if one != revision) for them in (status.aborted, status.ignored))
    return status.model_copy(update={"aborted": aborted, "ignored": ignored}), (
        EventSpec("Retried", f"revision {revision}, {by}"),
    )


def _undo(seen: Observed, status: ModelReleaseStatus, revision: str, by: str) -> _Answer:
    """Go back to a revision that was promoted before; what is in progress ends, what serves is held back."""
    stable = status.stable
    if stable is None:
        return _ignored(status, "undo", "nothing serves yet")
    if stable.revision == revision:
        return _ignored(status, "undo", f"revision {revision} serves already")
    if status.undo_to == revision:
        return _ignored(status, "undo", f"revision {revision} is being brought back already")
    promoted = any(one.revision == revision and one.outcome == "Promoted" for one in status.history)
    back = _recorded(seen, revision)
    if not promoted or back is None:
        return _ignored(status, "undo", f"revision {revision or '?'} was not promoted before, or its template is gone")
    if status.canary is not None:
        status = settle.ended(status, "Aborted", seen.now, f"undone {by}: back to version {back.version}")
    status = settle.undone(status, back, len(effective_steps(seen.spec.strategy)), seen.now, by)
    words = f"version {stable.version} is held back; version {back.version} comes back, {by}"
    return status, (EventSpec("Undone", words, "Warning"),)


def _recorded(seen: Observed, revision: str) -> RevisionStatus | None:
    """Return a revision as its ControllerRevision has it."""
    data = (seen.records.get(seen.name_of(revision)) or {}).get("data") or {}
    version, digest = str(data.get("version", "")), str(data.get("digest", ""))
    if not version:
        return None
    try:
        lineage = ReleaseLineage.model_validate(data.get("lineage") or {})
    except ValidationError:
        lineage = ReleaseLineage()
    lineage = lineage.model_copy(update={"version": version, "artifact_digest": digest})
    return RevisionStatus(version=version, revision=revision, digest=digest, lineage=lineage, since=seen.now)


def _ignored(status: ModelReleaseStatus, verb: str, why: str) -> _Answer:
    return status, (EventSpec("CommandIgnored", f"{verb or '?'}: {why}", "Warning"),)

"""What a human's word does to a release: promote, abort, retry, pause, unpause, undo. Pure."""

from pydantic import ValidationError

from modelops.api.v1alpha1.modelrelease import ModelReleaseStatus, ReleaseLineage, RevisionStatus
from modelops.domain.plan import EventSpec
from modelops.domain.release import objects, settle
from modelops.domain.release.measure import another_chance
from modelops.domain.release.observed import Observed
from modelops.domain.release.strategies import steps_of

_Answer = tuple[ModelReleaseStatus, tuple[EventSpec, ...]]
_BY_HAND = "by hand"


def handle(seen: Observed) -> _Answer:
    """Return the status after the command, if there is one; it is marked as handled whatever came of it."""
    command, status = seen.command, seen.status
    if command is None:
        return status, ()
    status = status.model_copy(update={"last_handled_command": str(command["id"])[:128]})
    verb, revision = str(command.get("verb", "")), str(command.get("revision", ""))
    if verb == "retry":
        return _retry(status, revision)
    if verb == "undo":
        return _undo(seen, status, revision)
    if status.canary is None or status.canary.revision != revision:
        return _ignored(status, verb, f"revision {revision or '?'} is not the one in progress")
    match verb:
        case "abort":
            message = "aborted by hand"
            return settle.ended(status, "Aborted", seen.now, message), (
                EventSpec("Aborted", f"version {status.canary.version}: {message}", "Warning"),
            )
        case "promote":
            return _promote(seen, status, full=command.get("full") is True, step=command.get("step"))
        case "pause":
            return status.model_copy(update={"paused_reason": _BY_HAND}), (EventSpec("Paused", _BY_HAND),)
        case "unpause":
            return _unpause(status), (EventSpec("Unpaused", _BY_HAND),)
        case _:
            return _ignored(status, verb, "no such verb; use promote, abort, retry, pause, unpause or undo")


def _promote(seen: Observed, status: ModelReleaseStatus, *, full: bool, step: object) -> _Answer:
    steps = steps_of(seen.spec)
    if full:
        if not objects.is_ready(seen.deployment(status.canary)):
            return _ignored(status, "promote", "its servers are not ready yet; wait for them, then promote --full")
        # A human's word stands in for what was not measured; the metrics' figures stay to be read.
        update = {"step": len(steps), "desired_weight": 100, "paused_reason": None, "step_started_at": seen.now}
        return status.model_copy(update=update), (EventSpec("PromotedByHand", "the steps that are left are skipped"),)
    if isinstance(step, int) and step != status.step:
        return _ignored(status, "promote", f"step {step} is over")
    if status.paused_reason is not None:
        return _unpause(status), (EventSpec("Unpaused", _BY_HAND),)
    if status.step < len(steps) and steps[status.step].pause is not None:
        update = {"step": status.step + 1, "step_started_at": seen.now, "waiting_for": None, "eta": None}
        return status.model_copy(update=update), (EventSpec("PromotedByHand", f"step {status.step + 1} is left"),)
    return _ignored(status, "promote", "it is not paused; `promote --full` skips the steps that are left")


def _unpause(status: ModelReleaseStatus) -> ModelReleaseStatus:
    """Go on; what was missing may be missing for its whole deadline again, from the next look on."""
    return status.model_copy(update={"paused_reason": None, "analysis": another_chance(status.analysis)})


def _retry(status: ModelReleaseStatus, revision: str) -> _Answer:
    if revision not in status.aborted:
        return _ignored(status, "retry", f"revision {revision or '?'} was not aborted")
    kept = tuple(one for one in status.aborted if one != revision)
    return status.model_copy(update={"aborted": kept}), (EventSpec("Retried", f"revision {revision}"),)


def _undo(seen: Observed, status: ModelReleaseStatus, revision: str) -> _Answer:
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
        status = settle.ended(status, "Aborted", seen.now, f"undone by hand: back to version {back.version}")
    status = settle.undone(status, back, len(steps_of(seen.spec)), seen.now)
    said = EventSpec("Undone", f"version {stable.version} is held back; version {back.version} comes back", "Warning")
    return status, (said,)


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

"""How a release stands, in words: phase, conditions, what it waits for. Pure."""

from modelops.api.v1alpha1.modelrelease import Phase
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.domain import status as statuses
from modelops.domain.analysis.split import MISMATCH
from modelops.domain.plan import ConditionSpec
from modelops.domain.release import lending, objects, placing
from modelops.domain.release.believing import unshown
from modelops.domain.release.load import load_words
from modelops.domain.release.observed import Observed
from modelops.domain.release.revision import selector_text
from modelops.domain.release.routing import words
from modelops.domain.release.smoke_test import FAILED
from modelops.domain.release.steps import effective_steps, ends_by_word

_Conditions = tuple[ConditionSpec, ...]


def summarise(seen: Observed, status: ModelReleaseStatus) -> tuple[ModelReleaseStatus, _Conditions]:
    """Return the status with its words filled in, and all conditions."""
    steps = len(effective_steps(seen.spec.strategy))
    phase = _phase(seen, status)
    scaled = status.stable or status.canary
    selector = "" if scaled is None else selector_text(seen.owner.name, scaled.revision)
    servers = objects.servers(seen.deployment(scaled))
    if placing.is_used(seen.spec) and seen.route is not None:
        selector, servers = placing.scaled(seen)
    elif lending.is_used(seen.spec) and status.stable is not None and status.canary is not None:
        selector, servers = placing.scaled(seen, placing.BOTH)
    status = status.model_copy(
        update={
            "phase": phase,
            "replicas": servers,
            "selector": selector,
            "step_total": f"{min(status.step, steps)}/{steps}" if status.canary else "",
            "waiting_for": (status.waiting_for or "")[:500] or None
            if status.canary
            else (status.waiting_for or "")[:500] or (seen.waiting if seen.target is None or seen.problems else None),
        }
    )
    return status, tuple(_conditions(seen, status, phase))


def pause_reason(why: str) -> str:
    """Return the reason that Events and conditions give for a pause that nobody asked for."""
    return MISMATCH if why.startswith(MISMATCH) else "Paused"


def _phase(seen: Observed, status: ModelReleaseStatus) -> Phase:
    if status.canary is None:
        if _degraded(seen, status):
            return "Degraded"
        return "Promoted" if status.stable is not None else "Pending"
    if status.stable is None:
        return "Initial"
    steps = effective_steps(seen.spec.strategy)
    if status.paused_reason is not None:
        return "Paused"
    if status.step >= len(steps):
        return "Promoting"
    step = steps[status.step]
    if ends_by_word(step):
        return "Paused"
    if step.bake is not None:
        return "Baking"
    return "Analyzing" if step.analyze is not None else "Progressing"


def _degraded(seen: Observed, status: ModelReleaseStatus) -> str:
    """Return why the wanted revision does not serve, if it was given up."""
    wanted = seen.target.revision if seen.target is not None else None
    last = status.history[-1] if status.history else None
    if wanted is not None and wanted in status.aborted:
        record = next((r for r in reversed(status.history) if r.revision == wanted), None)
        return f"version {record.version}: {record.message}" if record else f"revision {wanted} was given up"
    if wanted is None and last is not None and last.revision in status.aborted:
        return f"version {last.version}: {last.message}"
    return ""


def _conditions(seen: Observed, status: ModelReleaseStatus, phase: str) -> list[ConditionSpec]:
    found = [_ready(seen, status)]
    canary, degraded = status.canary, _degraded(seen, status)
    if canary is not None:
        more = f"{words(status.routing)}{unshown(seen.spec, status)}{load_words(seen, status)}"
        more += f", waiting for {status.waiting_for}" if status.waiting_for else ""
        more += f"; {seen.last_good}" if seen.last_good else ""
        message = f"version {canary.version}, step {status.step_total}, weight {status.weight}{more}"
        queued = f"; version {status.queued_version} is queued" if status.queued_version else ""
        message += queued
        reason = status.held_by or phase
        reason = reason if status.capacity_missing_since is None else statuses.CAPACITY
        found.append(ConditionSpec("Progressing", "True", reason, message))
        found.append(statuses.reconciling(reason, message))
        found.append(ConditionSpec("Promoted", "False", phase, message))
        if phase == "Analyzing":
            found.append(ConditionSpec("Analyzing", "True", "Analyzing", message))
        if phase == "Paused":
            reason = "WaitingForApproval" if status.paused_reason is None else pause_reason(status.paused_reason)
            found.append(ConditionSpec("Paused", "True", reason, status.paused_reason or message))
    elif status.queued_version is not None:
        message, reason = status.waiting_for or "", status.held_by or "Queued"
        found.append(ConditionSpec("Progressing", "False", reason, message))
        found.append(ConditionSpec("Promoted", "False", reason, message))
        found.append(statuses.reconciling(reason, message))
    elif degraded:
        found.append(ConditionSpec("Progressing", "False", "Degraded", degraded))
        found.append(ConditionSpec("Promoted", "False", "Degraded", degraded))
    elif status.stable is not None:
        last = next((r for r in reversed(status.history) if r.outcome == "Promoted"), None)
        reason = "Initial" if last is not None and last.message.startswith("Initial") else "Promoted"
        found.append(ConditionSpec("Progressing", "False", "Promoted", f"version {status.stable.version} serves"))
        found.append(ConditionSpec("Promoted", "True", reason, last.message if last else "promoted"))
    else:
        found.append(statuses.reconciling("DependencyNotReady", seen.waiting or "nothing to release yet"))
    reason = _degraded_reason(status) if degraded else "NotDegraded"
    found.append(ConditionSpec("Degraded", "True" if degraded else "False", reason, degraded))
    return found


def _degraded_reason(status: ModelReleaseStatus) -> str:
    last = status.history[-1] if status.history else None
    if last is None or last.outcome == "Aborted":
        return "Aborted"
    named = ("DeadlineExceeded", FAILED)
    return next((reason for reason in named if last.message.startswith(reason)), "AnalysisFailed")


def _ready(seen: Observed, status: ModelReleaseStatus) -> ConditionSpec:
    stable = status.stable
    if stable is None:
        if status.canary is not None:
            reason = "Progressing" if status.capacity_missing_since is None else statuses.CAPACITY
            why = f": {status.waiting_for}" if status.waiting_for else ""
            return statuses.not_ready(reason, f"version {status.canary.version} is the first and not ready yet{why}")
        failed = _degraded(seen, status)
        if failed:
            return statuses.not_ready("Degraded", f"nothing serves; {failed}")
        return statuses.not_ready("DependencyNotReady", seen.waiting or "nothing to release yet")
    if objects.serves(seen.deployment(stable)) or _just_promoted(seen, status):
        same = status.equivalent_version
        more = f"; version {same} is the same artifact, there is nothing to release" if same else ""
        return statuses.ready(
            "Serving",
            f"version {stable.version} serves {100 - status.weight} % of the traffic{_but(seen, status)}{more}",
        )
    found = seen.obstacle(stable)
    why = (found and found.message) or objects.trouble(seen.deployment(stable)) or "no server of it is ready"
    return statuses.not_ready("Unavailable", f"version {stable.version}: {why}")


def _just_promoted(seen: Observed, status: ModelReleaseStatus) -> bool:
    before = seen.status.canary
    return (
        before is not None
        and status.stable is not None
        and objects.serves(seen.deployment(before))
        and (before.revision == status.stable.revision)
    )


def _but(seen: Observed, status: ModelReleaseStatus) -> str:
    """Return which requests stable does not serve although its share would have it so."""
    if placing.is_settling(seen, status):
        return ", but for what comes to servers that were given up: they go when its own are all ready"
    names = () if status.routing is None else status.routing.header_routes
    return f", but for header route {' and '.join(names)}" if names else ""

"""What becomes of the wanted revision: it begins, waits, is left out, or ends the one on its way. Pure.

To want what serves again ends whatever is on its way at once, at any hour and under any policy: it takes traffic away.
"""

from dataclasses import replace
from typing import Final

from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus, RevisionStatus
from modelops.domain.release import placing, settle
from modelops.domain.release.gate import closed, held, moment
from modelops.domain.release.observed import Observed
from modelops.domain.release.turn import Turn

_IGNORED: Final = 10


def choose(seen: Observed, turn: Turn) -> Turn:
    """Make the wanted revision the canary, unless it serves already, was given up, or has to wait."""
    target = seen.target
    then = None if turn.status.canary is None else seen.then
    turn = turn.with_status(waiting_for=None, eta=None, held_by=None, queued_version=then)
    if target is None or turn.status.undo_to is not None:
        # What is brought back serves first; then what the spec asks for may try.
        return turn
    turn = _same_artifact(turn, target)
    if seen.unlike:
        return _refused(seen, turn, target)
    if turn.status.canary is not None and turn.status.canary.revision != target.revision:
        turn = _meets(seen, turn, target)
    status = turn.status
    serves = status.stable is not None and status.stable.revision == target.revision
    if status.canary is not None or serves or target.revision in status.aborted:
        return turn
    if target.revision in status.ignored and seen.spec.on_new_version == "Ignore":
        retry = f"`modelops release retry {seen.owner.name}`"
        return turn.with_status(
            waiting_for=f"{retry}: version {target.version} came while another was on its way and was left out"
        )
    return _begin(seen, turn, target)


def _begin(seen: Observed, turn: Turn, target: RevisionStatus) -> Turn:
    if seen.unfit and not seen.proven:
        # It is Stalled: what cannot be judged does not begin. What was promoted before is not judged anew.
        return turn
    status, what = turn.status, f"version {target.version} waits for "
    if placing.is_settling(seen, status):
        return turn.with_status(waiting_for=what + placing.awaited(seen, status), queued_version=target.version)
    window = status.rollback_window
    if window is not None and seen.spec.on_new_version != "Supersede":
        until = f"{what}the end of the rollback window at {moment(window.until)}"
        return turn.with_status(waiting_for=until, eta=window.until, queued_version=target.version)
    if status.stable is not None and (shut := closed(seen)) is not None:
        return held(seen, turn.with_status(queued_version=target.version), shut, what)
    turn = replace(turn, status=settle.begin(status, target, seen.now), decisive=True)
    words = f"version {target.version}, revision {target.revision}{_outdated(status, target)}"
    words += f"; {seen.last_good}" if seen.last_good else ""
    return turn.with_status(queued_version=seen.then).saying("CanaryStarted", words)


def _refused(seen: Observed, turn: Turn, target: RevisionStatus) -> Turn:
    """Keep a version from beginning, and from ending another, whose servers would refuse stable's callers."""
    told = turn.with_status(waiting_for=seen.unlike, queued_version=target.version)
    if seen.status.queued_version == target.version:
        return told
    return told.saying("InputsDiffer", seen.unlike, warning=True)


def _outdated(status: ModelReleaseStatus, target: RevisionStatus) -> str:
    """Return that a version was judged against another one than serves now, if it was."""
    champion, stable = target.lineage.judged_against, status.stable
    if not champion or stable is None or champion == stable.version:
        return ""
    return f"; it was judged against version {champion}, and version {stable.version} serves now"


def _meets(seen: Observed, turn: Turn, target: RevisionStatus) -> Turn:
    """Say what the wanted revision does to another one that is on its way."""
    status, policy = turn.status, seen.spec.on_new_version
    canary, stable = status.canary, status.stable
    assert canary is not None
    back = stable is not None and stable.revision == target.revision
    if not back and target.revision not in status.aborted:
        if policy == "Ignore":
            return _left_out(turn, target, canary)
        if policy == "Queue" or (stable is not None and closed(seen) is not None):
            told = turn.with_status(queued_version=target.version)
            if seen.status.queued_version == target.version:
                return told
            return told.saying("Queued", f"version {target.version} waits for the end of version {canary.version}")
    elif not back and policy != "Supersede":
        return turn
    message = f"version {target.version} (revision {target.revision}) is wanted now"
    turn = replace(turn, status=settle.ended(status, "Superseded", seen.now, message), decisive=True)
    return turn.saying("Superseded", f"version {canary.version}: {message}")


def _left_out(turn: Turn, target: RevisionStatus, canary: RevisionStatus) -> Turn:
    if target.revision in turn.status.ignored:
        return turn
    turn = turn.with_status(ignored=(*turn.status.ignored, target.revision)[-_IGNORED:])
    return turn.saying("Ignored", f"version {target.version} came while version {canary.version} was on its way")


def _same_artifact(turn: Turn, target: RevisionStatus) -> Turn:
    """Say of a newer version, once, that it is bit for bit what serves already; nothing is released then."""
    stable = turn.status.stable
    same = stable is not None and stable.revision == target.revision and stable.version != target.version
    equivalent = target.version if same else None
    if equivalent == turn.status.equivalent_version:
        return turn
    turn = turn.with_status(equivalent_version=equivalent)
    if stable is None or equivalent is None:
        return turn
    return turn.saying("SameArtifact", f"version {equivalent} is the same artifact as version {stable.version}")

"""When what became of a GitSource's releases is written back to git. Pure and total.

    a release ended ──► commits on spec.outcomes.branch ──► OutcomesWritten, noted in the status
                          │ git away, refused
                          └──► OutcomesWritten=False, tried again later and later; syncing and releases go on

The status only says what need not be looked up: what git has already is never committed again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from modelops.api.v1alpha1.gitsource import GitSourceSpec, GitSourceStatus, OutcomesStatus, WrittenOutcome
from modelops.api.v1alpha1.modelrelease_status import ReleaseRecord
from modelops.domain import status as statuses
from modelops.domain.gitsync.outcome_file import outcome_commit
from modelops.domain.plan import AppendCommits, ConditionSpec, EventSpec, Plan, Setback

WRITTEN: Final = "OutcomesWritten"
_AT_ONCE: Final = 200
_FIRST_RETRY: Final = timedelta(seconds=5)
_LAST_RETRY: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything the decision depends on."""

    namespace: str
    spec: GitSourceSpec
    status: GitSourceStatus
    releases: frozenset[str]
    """Those that bear this GitSource's label now."""
    histories: Mapping[str, Sequence[ReleaseRecord]]
    """What has ended, oldest first, of those of them that it brought and that have news."""
    now: datetime


def unwritten(status: GitSourceStatus, release: str, history: Sequence[ReleaseRecord]) -> Sequence[ReleaseRecord]:
    """Return the records after the newest one that is known to stand in git; all of them if none is known."""
    known = next((one for one in _written(status) if one.release == release), None)
    for index in reversed(range(len(history))):
        if known == _noted(release, history[index]):
            return history[index + 1 :]
    return history


def is_due(seen: Observed) -> bool:
    """Return whether outcomes are to be written now, or a failure is over since nothing is left to be written."""
    if seen.spec.outcomes is None:
        return False
    outcomes = seen.status.outcomes
    if not any(unwritten(seen.status, name, history) for name, history in seen.histories.items()):
        return _failing_since(seen.status) is not None
    return outcomes is None or outcomes.retry_at is None or seen.now >= outcomes.retry_at


def decide_outcomes(seen: Observed) -> Plan:
    """Return the plan that writes what is due, and does nothing else; another pass comes at once."""
    outcomes = seen.spec.outcomes
    assert outcomes is not None
    ended = [
        (name, record) for name, history in seen.histories.items() for record in unwritten(seen.status, name, history)
    ]
    now = sorted(ended, key=lambda one: (one[1].finished_at, one[0]))[:_AT_ONCE]
    made = (outcome_commit(outcomes, seen.namespace, name, record) for name, record in now)
    commits = tuple(commit for commit in made if commit is not None)
    written = {one.release: one for one in _written(seen.status) if one.release in seen.releases}
    written |= {name: _noted(name, record) for name, record in now}
    done = OutcomesStatus(written=tuple(written[name] for name in sorted(written)))
    told = f"branch {outcomes.branch} has all that has ended"
    subjects = [commit.message.partition("\n")[0] for commit in commits]
    return Plan(
        seen.status.model_copy(update={"outcomes": done}),
        (*_others(seen.status), ConditionSpec(WRITTEN, "True", "Succeeded", told)),
        (AppendCommits(seen.spec, seen.namespace, outcomes.branch, commits),) if commits else (),
        tuple(EventSpec(WRITTEN, f"branch {outcomes.branch}: {subject}") for subject in subjects[:10]),
        timedelta(0),
        setback=Setback(seen.status.model_copy(update={"outcomes": _put_off(seen)}), WRITTEN),
    )


def _put_off(seen: Observed) -> OutcomesStatus:
    """Return the status after a failure: the longer it has failed, the longer until it is tried again."""
    delay = min(max(seen.now - (_failing_since(seen.status) or seen.now), _FIRST_RETRY), _LAST_RETRY)
    return (seen.status.outcomes or OutcomesStatus()).model_copy(update={"retry_at": seen.now + delay})


def _failing_since(status: GitSourceStatus) -> datetime | None:
    failing = (one for one in status.conditions if one.type == WRITTEN and one.status == "False")
    return next((one.last_transition_time for one in failing), None)


def kept_outcomes(spec: GitSourceSpec, status: GitSourceStatus, *, asked: bool) -> OutcomesStatus | None:
    """Return what a pass that syncs leaves of the outcomes' status; whoever asks for a look has them tried at once."""
    if spec.outcomes is None or status.outcomes is None:
        return None
    return status.outcomes.model_copy(update={"retry_at": None}) if asked else status.outcomes


def kept_condition(spec: GitSourceSpec, status: GitSourceStatus) -> tuple[ConditionSpec, ...]:
    """Return the outcomes' condition as it is, for a pass that syncs."""
    there = [one for one in status.conditions if one.type == WRITTEN and spec.outcomes is not None]
    return tuple(map(statuses.said, there))


def _others(status: GitSourceStatus) -> tuple[ConditionSpec, ...]:
    return tuple(statuses.said(one) for one in status.conditions if one.type != WRITTEN)


def _written(status: GitSourceStatus) -> tuple[WrittenOutcome, ...]:
    return () if status.outcomes is None else status.outcomes.written


def _noted(release: str, record: ReleaseRecord) -> WrittenOutcome:
    return WrittenOutcome(
        release=release, revision=record.revision, outcome=record.outcome, finished_at=record.finished_at
    )

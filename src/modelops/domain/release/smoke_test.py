"""The smoke test: golden requests that a canary answers before it gets any of the users'. Pure; part of decide.

servers ready ─► tested ─► all as expected ─► Passed ─► the steps, or the route of a first version
                   │ what is wrong, or failureLimit passing problems ─► RolledBack
                   └ nobody there to ask: again and again, at most for progressDeadline

What undo brings back was proven before, and `promote --full` is a human's word; neither is tested.
"""

import hashlib
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from modelops.api.v1alpha1.common import format_duration
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.api.v1alpha1.smoke import SmokeTest, SmokeTestStatus
from modelops.domain.release.golden import Judged, judged
from modelops.domain.release.observed import Observed
from modelops.domain.release.routing import gets_requests
from modelops.domain.release.steps import effective_steps, is_past_all
from modelops.domain.release.turn import Turn

FAILED: Final = "SmokeTestFailed"
_AGAIN: Final = timedelta(seconds=5)
"""From one test to the next."""
_LOOK: Final = timedelta(seconds=1)
"""From one look at a test that is under way to the next."""


def is_awaited(spec: ModelReleaseSpec, status: ModelReleaseStatus) -> bool:
    """Return whether the canary goes no further before it has passed the smoke test."""
    if spec.smoke_test is None or status.canary is None or is_past_all(status):
        return False
    if status.desired_weight > 0 or gets_requests(status):
        # A smoke test that came into the spec later: users ask it already, and metrics judge it.
        return False
    if status.stable is not None and status.step < _place(spec):
        return False
    return _so_far(spec.smoke_test, status).outcome != "Passed"


def is_due(spec: ModelReleaseSpec, status: ModelReleaseStatus, now: datetime) -> bool:
    """Return whether the golden requests are to be sent now."""
    at = _next(spec, status)
    return at is not None and at <= now


def next_look(spec: ModelReleaseSpec, status: ModelReleaseStatus, now: datetime) -> list[datetime]:
    """Return when a smoke test needs a look."""
    at = _next(spec, status)
    return [] if at is None else [max(at, now + _LOOK)]


def digest_of(test: SmokeTest) -> str:
    """Return what tells one smoke test from another."""
    written = json.dumps(test.model_dump(mode="json", by_alias=True), sort_keys=True)
    return hashlib.sha256(written.encode()).hexdigest()[:10]


def tested(seen: Observed, turn: Turn) -> tuple[Turn, str]:
    """Take the answers in, if there are any; return also why to roll back, or nothing."""
    status, test, answers = turn.status, seen.spec.smoke_test, seen.golden
    if test is None:
        return turn.with_status(smoke_test=None), ""
    if status.canary is None or not is_awaited(seen.spec, status):
        return turn, ""
    before = _so_far(test, status)
    if answers is None or status.canary != seen.status.canary:
        return turn.with_status(smoke_test=before), ""
    if answers.unreachable:
        return _unreachable(seen, turn, before, answers.unreachable)
    found = judged(test, answers)
    failures = before.failures + bool(found.problem)
    outcome = _outcome(test, found, failures)
    after = SmokeTestStatus(
        digest=before.digest,
        outcome=outcome,
        failures=failures,
        tested_at=seen.now,
        memory=answers.memory,
        message=found.problem[:500],
        requests=found.requests,
    )
    turn, who = turn.with_status(smoke_test=after), f"version {status.canary.version}"
    if outcome == "Passed":
        return replace(turn, decisive=True).saying("SmokeTestPassed", f"{who}: {_passed(after)}"), ""
    if outcome == "Failed":
        return turn, f"{FAILED}: {found.problem}"
    words = f"{who}: {found.problem}; test {failures + 1} of {test.failure_limit + 1} follows"
    return turn.saying("SmokeTestRepeated", words, warning=True), ""


def awaited_words(status: ModelReleaseStatus) -> str:
    """Return what is waited for."""
    found = status.smoke_test
    return f"the smoke test: {found.message}" if found is not None and found.message else "the smoke test"


def _place(spec: ModelReleaseSpec) -> int:
    """Return at which step the golden requests are sent: before the first one, unless a step says it."""
    steps = effective_steps(spec.strategy)
    return next((index for index, step in enumerate(steps) if step.smoke_test is not None), 0)


def _so_far(test: SmokeTest, status: ModelReleaseStatus) -> SmokeTestStatus:
    """Return how far this test is; another one's results do not count."""
    found, digest = status.smoke_test, digest_of(test)
    return found if found is not None and found.digest == digest else SmokeTestStatus(digest=digest)


def _next(spec: ModelReleaseSpec, status: ModelReleaseStatus) -> datetime | None:
    if spec.smoke_test is None or status.ready_since is None or not is_awaited(spec, status):
        return None
    tested_at = _so_far(spec.smoke_test, status).tested_at
    return status.ready_since if tested_at is None else tested_at + _AGAIN


def _outcome(test: SmokeTest, found: Judged, failures: int) -> str:
    if not found.problem:
        return "Passed"
    return "Running" if found.passing and failures <= test.failure_limit else "Failed"


def _unreachable(seen: Observed, turn: Turn, before: SmokeTestStatus, why: str) -> tuple[Turn, str]:
    """Try again: no answer is neither a good nor a bad one. As for servers that do not start, there is an end to it."""
    message, limit = f"its servers cannot be reached: {why}", seen.spec.progress_deadline
    since = turn.status.ready_since or seen.now
    over = seen.now >= since + limit
    outcome = "Failed" if over else "Running"
    after = before.model_copy(update={"outcome": outcome, "tested_at": seen.now, "message": message[:500]})
    turn = turn.with_status(smoke_test=after)
    return turn, "" if not over else f"DeadlineExceeded: no smoke test within {format_duration(limit)}: {message}"


def _passed(after: SmokeTestStatus) -> str:
    slowest = max((one.latency or 0 for one in after.requests), default=0)
    memory = "" if after.memory is None else f", {after.memory / 2**20:.0f} MiB of memory"
    return f"all golden requests are answered as expected, the slowest in {slowest * 1000:.0f} ms{memory}"

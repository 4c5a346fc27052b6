"""How golden requests were answered, and what that is worth. Pure; the answers are gathered by reconcile/smoke.py."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from modelops.api.v1alpha1.common import format_duration
from modelops.api.v1alpha1.smoke import GoldenRequestStatus, SmokeTest
from modelops.domain.quantities import quantity

WITHIN: Final = timedelta(minutes=1)
"""For all golden requests of one test together."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One golden request with all of its repetitions, as far as they went."""

    name: str
    latency: float | None = None
    """Seconds, of the slowest answer; None without one."""
    problem: str = ""
    """What came, or did not come, where something else was expected."""
    passing: bool = False
    """Whether the problem may be one of starting: no answer in time, or a 5xx."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What one smoke test brought."""

    requests: tuple[Answered, ...] = ()
    """In the spec's order."""
    unreachable: str = ""
    """Why nobody could be asked: that says nothing of the model."""
    memory: int | None = None
    """Bytes; None where they were not asked for, or are not told."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the answers are worth."""

    requests: tuple[GoldenRequestStatus, ...]
    problem: str = ""
    """Nothing if all is well."""
    passing: bool = False
    """Whether another try may be better."""


def judged(test: SmokeTest, answers: Answers) -> Judged:
    """Return what answers are worth; the first problem counts, and what will not pass before all else."""
    found = tuple(_request(test, one) for one in answers.requests)
    problems = sorted((one for one in answers.requests if one.problem), key=lambda one: one.passing)
    if problems:
        return Judged(found, f"{problems[0].name}: {problems[0].problem}", problems[0].passing)
    slow = next((one for one in found if not one.ok), None)
    if slow is not None:
        return Judged(found, f"{slow.name}: {slow.message}", passing=True)
    return Judged(found, _memory(test, answers), passing=True)


def _request(test: SmokeTest, one: Answered) -> GoldenRequestStatus:
    problem = one.problem or _slow(test, one)
    latency = None if one.latency is None else round(one.latency, 6)
    return GoldenRequestStatus(name=one.name, ok=not problem, latency=latency, message=problem[:300])


def _slow(test: SmokeTest, one: Answered) -> str:
    limit = test.max_latency
    if limit is None or one.latency is None or one.latency <= limit.total_seconds():
        return ""
    which = f"the slowest of {test.repeat} answers" if test.repeat > 1 else "the answer"
    return f"{which} took {one.latency * 1000:.0f} ms, maxLatency is {format_duration(limit)}"


def _memory(test: SmokeTest, answers: Answers) -> str:
    if test.max_memory is None:
        return ""
    if answers.memory is None:
        return "the server does not tell process_resident_memory_bytes at /metrics; take maxMemory out, or let it"
    if answers.memory <= quantity(test.max_memory):
        return ""
    return f"a server takes {answers.memory / 2**20:.0f} MiB of memory, maxMemory is {test.max_memory}"

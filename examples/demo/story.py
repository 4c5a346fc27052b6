"""The tour itself: three commits, each followed until its fate is settled."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from examples import make_repo
from examples.demo.program import Program, StoryError
from examples.demo.traffic import Customers

PROMOTED, DEGRADED = 0, 3


@dataclass(frozen=True, slots=True)
class Chapter:
    """What became of one commit."""

    version: int
    commit: str
    what: str
    outcome: str
    why: str
    phases: dict[str, float]
    """Seconds of each phase, in order."""


@dataclass(slots=True)
class Story:
    """One tour through one example."""

    example: str
    repo: Path
    program: Program
    say: Callable[[str], None]
    chapters: list[Chapter] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the TrainingRun, the ModelRelease and the registered model."""
        return make_repo.NAMES[self.example]

    def tell(self) -> None:
        """Commit three versions and follow each one to its end.

        Raises:
            StoryError: a version did not end as it should.
        """
        self.say("starting the local home (MLflow, API server, Prometheus, Envoy, operator) …")
        begun = time.monotonic()
        make_repo.make_repository(self.example, self.repo)
        commit = make_repo.commit_version(self.repo, 1, example=self.example)
        self.program.must("local", "up", "--repo", self.repo.as_uri(), "--detach", timeout=180)
        up = time.monotonic() - begun
        self.chapters.append(self._follow(1, commit, expect=PROMOTED, extra={"local home up": up}))
        gateway = self.program.endpoints()["gateway"]
        host = make_repo.HOSTNAMES[self.example]
        url = f"{gateway}/v2/models/{self.name}/infer"
        self.say(f"customers start to ask {url} (Host: {host})")
        with Customers(url, host, make_repo.traffic_rows(self.example)) as customers:
            for version, expect in ((2, PROMOTED), (3, DEGRADED)):
                commit = make_repo.commit_version(self.repo, version, example=self.example)
                self.chapters.append(self._follow(version, commit, expect=expect))
        if not customers.answers[200, "2"]:
            raise StoryError(f"no customer was answered by version 2: {dict(customers.answers)}")
        for (status, model), count in sorted(customers.answers.items()):
            self.answers[_words(status, model)] = count

    def _follow(self, number: int, commit: str, *, expect: int, extra: dict[str, float] | None = None) -> Chapter:
        what = make_repo.SUBJECTS[number]
        self.say(f"commit {commit[:8]}: {what}")
        clock = _Clock()
        version = str(number)
        clock.until("data checked and pinned", lambda: self._dataset_at(commit, number))
        clock.until("trained, evaluated, registered", lambda: self._registered() == version, timeout=180)
        done = self.program.run(
            "release", "status", self.name, "--version", version, "--watch", "--timeout", "180s", timeout=200
        )
        clock.lap("released" if number == 1 else "canary judged")
        if done.returncode != expect:
            described = self.program.run("describe", "modelrelease", self.name).stdout
            message = (
                f"version {version} should have been {'promoted' if expect == PROMOTED else 'rolled back'}, "
                f"but release status exited with {done.returncode}: {done.stdout.strip()[-500:]} "
                f"{done.stderr.strip()}\n{described}"
            )
            raise StoryError(message)
        record = self._record(version)
        self.say(f"version {version}: {record['outcome']}: {record.get('message', '')}")
        return Chapter(number, commit, what, record["outcome"], record.get("message", ""), (extra or {}) | clock.phases)

    def _dataset_at(self, commit: str, number: int) -> bool:
        if number > 1:
            applied = self._status("gitsource", self.repo.name).get("lastAppliedRevision", "")
            if not applied.endswith(commit):
                return False
        ready = {
            c["type"]: c["status"]
            for c in self._status("dataset", make_repo.DATASETS[self.example]).get("conditions", ())
        }
        return ready.get("Ready") == "True"

    def _registered(self) -> str:
        status = self._status("trainingrun", self.name)
        for condition in status.get("conditions", ()):
            if condition["type"] == "Stalled" and condition["status"] == "True":
                raise StoryError(f"TrainingRun {self.name}: {condition['message']}")
        return str(status.get("modelVersion", ""))

    def _record(self, version: str) -> dict[str, Any]:
        for record in reversed(self._status("modelrelease", self.name).get("history", ())):
            if record["version"] == version:
                settled: dict[str, Any] = record
                return settled
        raise StoryError(f"version {version} is not in the history of ModelRelease {self.name}")

    def _status(self, kind: str, name: str) -> dict[str, Any]:
        done = self.program.run("get", kind, name, "-o", "json")
        if done.returncode:
            return {}
        status: dict[str, Any] = json.loads(done.stdout).get("status", {})
        return status


def _words(status: int, model: str) -> str:
    if not status:
        return "got no answer"
    return f"answered {status} by version {model}" if model else f"answered {status}"


class _Clock:
    """Times phases one after another."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self.phases: dict[str, float] = {}

    def lap(self, phase: str) -> None:
        now = time.monotonic()
        self.phases[phase] = now - self._last
        self._last = now

    def until(self, phase: str, reached: Callable[[], bool], *, timeout: float = 90) -> None:
        deadline = time.monotonic() + timeout
        while not reached():
            if time.monotonic() > deadline:
                raise StoryError(f"not within {timeout:.0f} s: {phase}; see `modelops local logs` and describe")
            time.sleep(0.5)
        self.lap(phase)

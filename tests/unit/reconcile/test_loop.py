"""The loop: how each kind of failure becomes a condition and a delay, and when status is written."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from modelops.api.kinds import CONFIGMAP, GITSOURCE, Kind
from modelops.api.labels import REQUESTED_AT
from modelops.api.v1alpha1.gitsource import GitSourceStatus
from modelops.domain.plan import ApplyObject, ConditionSpec, CreateObject, DeleteObject, EventSpec, Plan, SetAlias
from modelops.errors import Conflict, ModelopsError, Stalled, Transient, Waiting
from modelops.reconcile.bundle import Ports
from modelops.reconcile.loop import Loop
from tests.support.fakes import FakeClock, FakeCluster, FakeMetrics, FakeRegistry, FakeServers

KEY = ("team", "models")
SPEC = {"url": "https://git.example.com/models.git"}
READY = Plan(GitSourceStatus(), (ConditionSpec("Ready", "True", "Applied", "all is applied"),))


@dataclass
class Scripted:
    """A reconciler that decides what a test says."""

    plan: Plan | Callable[[], Plan] = READY
    error: Exception | None = None
    seen: list[dict[str, Any]] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        return GITSOURCE

    def observe(self, obj: dict[str, Any], ports: Ports) -> dict[str, Any]:
        self.seen.append(obj)
        if self.error is not None:
            raise self.error
        return obj

    def decide(self, observed: dict[str, Any]) -> Plan:
        return self.plan() if callable(self.plan) else self.plan


class NoGit:
    """No test here reads git."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


@dataclass
class World:
    """A cluster with one GitSource, and the loop over it."""

    script: Scripted = field(default_factory=Scripted)
    clock: FakeClock = field(default_factory=FakeClock)
    registry: FakeRegistry = field(default_factory=FakeRegistry)

    def __post_init__(self) -> None:
        self.cluster = FakeCluster(self.clock)
        self.put(SPEC)
        ports = Ports(self.cluster, NoGit(), self.registry, FakeMetrics(), self.clock, FakeServers())
        self.loop = Loop(self.script, ports, jitter=lambda: 1.0)

    def put(self, spec: dict[str, Any], **meta: Any) -> None:
        metadata = {"name": KEY[1], "namespace": KEY[0], **meta}
        self.cluster.put(GITSOURCE.resource, {"metadata": metadata, "spec": spec})

    def status(self) -> dict[str, Any]:
        obj = self.cluster.get(GITSOURCE.resource, *KEY)
        assert obj is not None
        return obj["status"]

    def condition(self, name: str) -> dict[str, Any] | None:
        return {c["type"]: c for c in self.status()["conditions"]}.get(name)


@pytest.fixture
def world() -> World:
    """One healthy GitSource that was never reconciled."""
    return World()


def test_a_first_pass_writes_one_status(world: World) -> None:
    """Conditions, observed generation and nothing else to do."""
    outcome = world.loop.reconcile(KEY)

    assert outcome.error is None
    assert world.cluster.calls == ["status gitsources/models"]
    assert world.status()["observedGeneration"] == 1
    assert world.condition("Ready") == {
        "type": "Ready",
        "status": "True",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T12:00:00Z",
        "reason": "Applied",
        "message": "all is applied",
    }


def test_a_pass_that_changes_nothing_writes_nothing(world: World) -> None:
    """The second of two equal passes makes no write, however late it comes."""
    world.loop.reconcile(KEY)
    world.clock.advance(hours=5)
    world.cluster.calls.clear()

    world.loop.reconcile(KEY)

    assert world.cluster.calls == []


def test_a_transition_time_changes_only_with_the_status(world: World) -> None:
    """A new message keeps the time; a new status takes the present one."""
    world.loop.reconcile(KEY)
    world.clock.advance(minutes=1)
    world.script.plan = Plan(GitSourceStatus(), (ConditionSpec("Ready", "True", "Applied", "other words"),))
    world.loop.reconcile(KEY)
    first = world.condition("Ready")
    world.script.plan = Plan(GitSourceStatus(), (ConditionSpec("Ready", "False", "Broken", "no"),))
    world.loop.reconcile(KEY)
    second = world.condition("Ready")

    assert first
    assert second
    assert (first["message"], first["lastTransitionTime"]) == ("other words", "2026-01-01T12:00:00Z")
    assert second["lastTransitionTime"] == "2026-01-01T12:01:00Z"


def test_a_requested_reconcile_is_echoed(world: World) -> None:
    """The annotation's value stands in the status once it was acted on."""
    world.cluster.annotate(GITSOURCE.resource, *KEY, **{REQUESTED_AT: "now-1"})

    world.loop.reconcile(KEY)

    assert world.status()["lastHandledReconcileAt"] == "now-1"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param({}, "spec.url", id="a missing field"),
        pytest.param({**SPEC, "branch": "main"}, "spec.branch", id="an unknown field"),
        pytest.param({**SPEC, "interval": "soon"}, "spec.interval", id="a duration that is none"),
        pytest.param({**SPEC, "suspend": "maybe"}, "spec.suspend", id="a word where a boolean belongs"),
    ],
)
def test_a_bad_spec_is_stalled_in_one_line_that_names_the_field(world: World, spec: dict[str, Any], said: str) -> None:
    """No retry, no read of the outside, one Event."""
    world.put(spec)

    first = world.loop.reconcile(KEY)
    world.loop.reconcile(KEY)

    assert (first.requeue_after, first.error) == (None, "InvalidSpec")
    stalled = world.condition("Stalled")
    assert stalled
    assert stalled["reason"] == "InvalidSpec"
    assert stalled["message"].startswith(said)
    assert "\n" not in stalled["message"]
    assert world.script.seen == []
    assert [event.reason for event in world.cluster.events] == ["InvalidSpec"]


def test_a_corrected_spec_leaves_no_stall_behind(world: World) -> None:
    """Stalled goes when its cause went."""
    world.put({})
    world.loop.reconcile(KEY)
    world.put(SPEC)

    world.loop.reconcile(KEY)

    assert world.condition("Stalled") is None
    ready = world.condition("Ready")
    assert ready
    assert ready["status"] == "True"


def test_a_suspended_object_is_left_alone(world: World) -> None:
    """Nothing is observed, Ready says why, and no time is set to look again."""
    world.put({**SPEC, "suspend": True})

    outcome = world.loop.reconcile(KEY)

    assert outcome.requeue_after is None
    assert world.script.seen == []
    ready = world.condition("Ready")
    assert ready
    assert ready["reason"] == "Suspended"


def test_an_object_that_is_gone_is_told_as_gone(world: World) -> None:
    """The shell drops the key then."""
    world.cluster.delete(GITSOURCE.resource, *KEY)

    assert world.loop.reconcile(KEY).gone


def test_an_object_that_is_being_deleted_is_left_alone(world: World) -> None:
    """Its children go by their owner references."""
    world.put(SPEC, deletionTimestamp="2026-01-01T12:00:00Z")

    outcome = world.loop.reconcile(KEY)

    assert not outcome.gone
    assert world.script.seen == []
    assert world.cluster.calls == []


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        pytest.param(Stalled("WrongPath", "no such directory"), None, id="stalled waits for a change"),
        pytest.param(Waiting("Later", "not yet", delay=timedelta(seconds=7)), 7, id="waiting has a fixed delay"),
        pytest.param(Transient("Away", "no answer"), 1, id="transient begins with a second"),
        pytest.param(
            Transient("Busy", "429", retry_after=timedelta(seconds=42)), 42, id="transient obeys what the server asks"
        ),
        pytest.param(Conflict("Conflict", "somebody was first"), 0, id="a conflict is looked at again at once"),
    ],
)
def test_each_failure_has_its_delay(world: World, error: ModelopsError, seconds: float | None) -> None:
    """The class of an error alone tells when to look again."""
    world.script.error = error

    outcome = world.loop.reconcile(KEY)

    assert outcome.requeue_after == (None if seconds is None else timedelta(seconds=seconds))
    assert outcome.error == error.reason


def test_a_server_that_asks_for_patience_gets_no_status_either(world: World) -> None:
    """429 with Retry-After: the next request is the one after that time, not a status that tells of it."""
    world.loop.reconcile(KEY)
    before = world.status()
    world.script.error = Transient("ApiUnavailable", "busy", retry_after=timedelta(seconds=7))

    outcome = world.loop.reconcile(KEY)

    assert outcome.requeue_after == timedelta(seconds=7)
    assert world.status() == before


def test_back_off_doubles_is_capped_and_starts_over_after_success(world: World) -> None:
    """1, 2, 4, … at most 300 seconds; per object."""
    world.script.error = Transient("Away", "no answer")
    delays = [world.loop.reconcile(KEY).requeue_after for _ in range(12)]
    world.script.error = None
    world.loop.reconcile(KEY)
    world.script.error = Transient("Away", "no answer")

    assert [delay.total_seconds() for delay in delays if delay] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert world.loop.reconcile(KEY).requeue_after == timedelta(seconds=1)


def test_what_was_ready_stays_ready_while_something_is_away(world: World) -> None:
    """An outage of git does not take a healthy object's Ready, but says what is tried."""
    world.loop.reconcile(KEY)
    world.script.error = Transient("GitUnreachable", "git.example.com does not answer")

    world.loop.reconcile(KEY)

    ready, doing = world.condition("Ready"), world.condition("Reconciling")
    assert ready
    assert ready["status"] == "True"
    assert doing
    assert doing["reason"] == "GitUnreachable"


def test_what_was_ready_for_an_older_spec_is_not_ready_for_the_new(world: World) -> None:
    """An outage right after a change of the spec leaves Ready False, with the outage as its reason."""
    world.loop.reconcile(KEY)
    world.put({**SPEC, "path": "deploy"})
    world.script.error = Transient("GitUnreachable", "git.example.com does not answer")

    world.loop.reconcile(KEY)

    ready = world.condition("Ready")
    assert ready
    assert (ready["status"], ready["reason"]) == ("False", "GitUnreachable")


def test_a_bug_is_logged_with_its_traceback_and_tried_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """One object's bug neither ends the loop nor reaches the user as a traceback."""
    world.script.error = ZeroDivisionError("division by zero")

    with caplog.at_level(logging.ERROR):
        outcome = world.loop.reconcile(KEY)

    assert outcome.error == "InternalError"
    assert outcome.requeue_after == timedelta(seconds=1)
    assert "ZeroDivisionError: division by zero" in caplog.text
    ready = world.condition("Ready")
    assert ready
    assert "Traceback" not in ready["message"]


def test_the_domain_status_survives_a_failure(world: World) -> None:
    """What was applied stays on record while the next look fails."""
    world.script.plan = Plan(GitSourceStatus(last_applied_revision="main@sha1:abc"), READY.conditions)
    world.loop.reconcile(KEY)
    world.script.error = Stalled("WrongPath", "no such directory")

    world.loop.reconcile(KEY)

    assert world.status()["lastAppliedRevision"] == "main@sha1:abc"


CONFIG = {"metadata": {"name": "made", "namespace": "team"}, "data": {"a": "1"}}


def test_actions_are_performed_in_their_order(world: World) -> None:
    """Apply, create, delete and alias, then the status."""
    world.script.plan = Plan(
        GitSourceStatus(),
        READY.conditions,
        actions=(
            ApplyObject(CONFIGMAP, CONFIG),
            CreateObject(CONFIGMAP, {**CONFIG, "metadata": {"name": "other", "namespace": "team"}}),
            SetAlias("price", "champion", "3"),
            DeleteObject(CONFIGMAP, "team", "made"),
        ),
        requeue_after=timedelta(seconds=9),
    )

    outcome = world.loop.reconcile(KEY)

    assert outcome.requeue_after == timedelta(seconds=9)
    assert world.cluster.calls == [
        "apply configmaps/made",
        "create configmaps/other",
        "delete configmaps/made",
        "status gitsources/models",
    ]
    assert world.registry.aliases == {("price", "champion"): "3"}


def test_the_first_failed_action_stops_the_rest(world: World) -> None:
    """Nothing after it is begun; the failure is said."""
    world.cluster.failures["apply configmaps/made"] = Transient("ApiUnavailable", "503")
    world.script.plan = Plan(
        GitSourceStatus(last_applied_revision="main@sha1:new"),
        READY.conditions,
        actions=(ApplyObject(CONFIGMAP, CONFIG), SetAlias("price", "champion", "3")),
    )

    world.loop.reconcile(KEY)

    assert world.registry.aliases == {}
    assert "lastAppliedRevision" not in world.status()
    ready = world.condition("Ready")
    assert ready
    assert ready["reason"] == "ApiUnavailable"


def test_a_status_that_goes_first_is_on_record_before_the_action(world: World) -> None:
    """What must never happen twice is written down before it happens, and stays when the action fails."""
    world.cluster.failures["create configmaps/made"] = Transient("ApiUnavailable", "503")
    world.script.plan = Plan(
        GitSourceStatus(last_attempted_revision="main@sha1:new"),
        READY.conditions,
        actions=(CreateObject(CONFIGMAP, CONFIG),),
        status_first=True,
    )

    world.loop.reconcile(KEY)

    assert world.cluster.calls[:2] == ["status gitsources/models", "create configmaps/made"]
    assert world.status()["lastAttemptedRevision"] == "main@sha1:new"


def test_a_stale_object_writes_no_status_and_is_looked_at_again(world: World) -> None:
    """Somebody wrote between the read and the write: nothing is overwritten."""

    def interfered() -> Plan:
        world.cluster.annotate(GITSOURCE.resource, *KEY, touched="yes")
        return READY

    world.script.plan = interfered

    outcome = world.loop.reconcile(KEY)

    assert (outcome.requeue_after, outcome.error) == (timedelta(0), "Conflict")
    obj = world.cluster.get(GITSOURCE.resource, *KEY)
    assert obj
    assert "status" not in obj


def test_events_are_emitted_after_the_status_was_written(world: World) -> None:
    """An Event about a status that was never written would mislead."""
    world.script.plan = Plan(GitSourceStatus(), READY.conditions, events=(EventSpec("Applied", "2 objects"),))
    world.cluster.failures["status gitsources/models"] = Conflict("Conflict", "stale")

    world.loop.reconcile(KEY)
    before = list(world.cluster.events)
    world.loop.reconcile(KEY)

    assert before == []
    assert [event.reason for event in world.cluster.events] == ["Applied"]

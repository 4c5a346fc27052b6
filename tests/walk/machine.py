"""A release that anything may happen to, one thing at a time, and what has to hold after each.

Every rule is one step of the walk: something happens, then the release is reconciled once. What happens is drawn by
hypothesis: answers of Prometheus, time, commands, new versions and specs, servers and gateway that do not keep up, an
API server or a registry that fails, and a kill -9 before any of the writes. Each of the operator's processes knows
nothing of the one before.
"""

import contextlib
import json
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from modelops.api.kinds import DEPLOYMENT
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec, Strategy
from modelops.domain.release.smoke_test import digest_of
from modelops.domain.release.steps import effective_steps, needs_passes
from modelops.domain.release.windows import is_open
from modelops.errors import Conflict, ModelopsError, Transient
from modelops.ports import Answer
from modelops.reconcile.loop import Loop
from modelops.reconcile.modelrelease import ModelReleaseReconciler
from tests.unit.release.world import NAME, NAMESPACE, World
from tests.walk import placed
from tests.walk.drawn import (
    ANSWERS,
    CONTROL,
    GOLDEN,
    GOOD,
    METRICS,
    OPEN,
    PLACING,
    SMOKE_TEST,
    STRATEGY,
    VERBS,
    Killed,
    Mortal,
    by_servers,
)


class Walk(RuleBasedStateMachine):
    """One release, from its first version on."""

    steps_taken = 0
    """Of all walks of this process."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(cluster_of=Mortal)
        self.version = 1
        self.before: dict[str, Any] = {}
        """The status before the step."""
        self.whole = True
        """Whether the last pass came to its end."""
        self.by_hand = False
        """Whether a human's word was given in this step."""
        self.is_placed = False
        """Whether weights are made of numbers of servers."""
        self.is_lent = False
        """Whether a canary's servers are taken from stable."""
        self.behind: dict[str, int] = {}
        """Who was behind the Service before the step."""
        self.forced: set[str] = set()
        """Revisions that a human has promoted over the heads of the metrics."""

    @initialize(
        placing=st.sampled_from(["gateway", *PLACING]),
        strategy=STRATEGY,
        metrics=METRICS,
        smoke_test=SMOKE_TEST,
        replicas=st.integers(1, 3),
    )
    def first(
        self,
        placing: str,
        strategy: dict[str, Any],
        metrics: list[dict[str, Any]],
        smoke_test: dict[str, Any] | None,
        replicas: int,
    ) -> None:
        """Version 1 serves, whatever the steps say."""
        self.world.servers.answer = GOOD
        self.is_placed, self.is_lent = placing == "replicas", placing == "lent"
        self.world.release(**PLACING[placing])
        serving = {"runtime": "modelops", **self.world.spec["serving"], "replicas": replicas + self.is_lent}
        self.world.release(
            strategy=self.fit(strategy),
            smokeTest=smoke_test,
            analysis={"interval": "10s", "warmUp": "5s", "metrics": metrics},
            serving=serving,
            progressDeadline="2m",
        )
        self.world.first()
        self.before = self.world.status

    @rule(number=st.integers(0, 1), answer=st.sampled_from(ANSWERS))
    def prometheus_answers(self, number: int, answer: tuple[float | ModelopsError | None, float | None]) -> None:
        """One metric says something else from now on."""
        for query, value in zip((f"q{number}", f"s{number}"), answer, strict=True):
            self.world.metrics.answers.pop(query, None)
            if value is not None:
                self.world.metrics.answers[query] = value
        self.step()

    @rule(seconds=st.sampled_from([0, 1, 5, 10, 10, 20, 60, 600]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.advance(seconds=seconds)
        self.step()

    @rule(seconds=st.sampled_from([5, 3600]))
    def clock_is_set_back(self, seconds: int) -> None:
        self.world.clock.advance(seconds=-seconds)
        self.step()

    @rule(verb=st.sampled_from(VERBS), data=st.data())
    def human_says(self, verb: str, data: st.DataObject) -> None:
        """About the canary, or one of the revisions that the history knows."""
        status = self.world.status
        known = sorted({record["revision"] for record in status.get("history", ())})
        more: dict[str, Any] = {}
        if verb in ("undo", "retry") and known:
            more["revision"] = data.draw(st.sampled_from(known))
        if verb == "full":
            verb, more = "promote", {"full": True}
        self.world.command(verb, **more)
        canary = (status.get("canary") or {}).get("revision", "")
        if verb == "promote":
            self.forced.add(canary)
        if verb == "undo":
            self.forced.add(more.get("revision", ""))
        self.by_hand = True
        self.step()

    @rule(again=st.booleans())
    def version_is_trained(self, again: bool) -> None:
        """A new one; or one whose artifact is that of the first."""
        self.version += 1
        self.world.train(str(self.version), digest="sha256:1" if again else None)
        self.step()

    @rule(strategy=STRATEGY, metrics=METRICS, smoke_test=SMOKE_TEST)
    def spec_changes(
        self, strategy: dict[str, Any], metrics: list[dict[str, Any]], smoke_test: dict[str, Any] | None
    ) -> None:
        self.world.release(
            strategy=self.fit(strategy),
            smokeTest=smoke_test,
            analysis={"interval": "10s", "warmUp": "5s", "metrics": metrics},
        )
        self.by_hand = True
        self.step()

    @precondition(lambda self: self.is_placed)
    @rule(replicas=st.sampled_from([1, 2, 3, 7]))
    def autoscaler_says(self, replicas: int) -> None:
        """Numbers of servers are split anew."""
        self.world.release(serving={"runtime": "modelops", "replicas": replicas})
        self.step()

    @rule(control=CONTROL)
    def control_changes(self, control: dict[str, Any]) -> None:
        """Windows, a freeze, what a new version does, the time after a promotion."""
        self.world.release(**OPEN | control | ({"rollbackWindow": None} if self.is_lent else {}))
        self.by_hand = True
        self.step()

    @rule(answer=st.sampled_from(GOLDEN))
    def servers_answer(self, answer: Answer | ModelopsError) -> None:
        """Golden requests come to something else from now on."""
        self.world.servers.answer = answer
        self.step()

    @rule(start=st.booleans())
    def servers_start_or_not(self, start: bool) -> None:
        self.world.servers_start = start
        self.step()

    @rule(confirms=st.booleans())
    def gateway_confirms_or_not(self, confirms: bool) -> None:
        self.world.gateway_confirms = confirms
        self.step()

    @rule(down=st.booleans())
    def registry_comes_and_goes(self, down: bool) -> None:
        self.world.registry.down = down
        self.step()

    @rule(writes=st.integers(0, 8))
    def operator_is_killed(self, writes: int) -> None:
        """Before so many more writes are done; another one starts."""
        self.world.cluster.lives, self.world.cluster.refusal = writes, None
        self.step()

    @rule(writes=st.integers(0, 8), error=st.sampled_from([Conflict("Conflict", "changed"), Transient("Away", "503")]))
    def write_is_refused(self, writes: int, error: ModelopsError) -> None:
        self.world.cluster.lives, self.world.cluster.refusal = writes, error
        self.step()

    def step(self) -> None:
        """Reconcile once, and compare with what was before."""
        Walk.steps_taken += 1
        world = self.world
        self.before, self.behind, now = world.status, world.behind(), world.clock.now()
        try:
            outcome = world.pass_()
            self.whole = not outcome.error and world.cluster.lives is None
        except Killed:
            self.whole = False
            world.loop = Loop(ModelReleaseReconciler(patience=60), world.ports, jitter=lambda: 1.0)
        world.cluster.lives = None
        if self.is_placed:
            placed.servers_stay(world, self.behind)
            if self.whole:
                placed.only_who_is_meant(world)
                placed.weight_is_what_serves(world, now)
        self.users_come_after_golden_requests()
        self.weight_rises_only_when_earned()
        self.end_is_on_record()
        self.by_hand = False

    def fit(self, strategy: dict[str, Any]) -> dict[str, Any]:
        """Return a strategy that the release's mode knows."""
        chosen = by_servers(strategy) if self.is_placed or self.is_lent else strategy
        return {"direct": {}} if self.is_lent and "blueGreen" in chosen else chosen

    def users_come_after_golden_requests(self) -> None:
        """A canary gets its first request once it has passed the smoke test, or a human said so."""
        before, after = self.before, self.world.status
        revision = _canary(after)
        if revision is None or revision in self.forced or not _is_asked(after):
            return
        if _canary(before) == revision and _is_asked(before):
            return
        test = ModelReleaseSpec.model_validate(self.world.spec).smoke_test
        if test is not None:
            assert (after["smokeTest"]["outcome"], after["smokeTest"]["digest"]) == ("Passed", digest_of(test))

    def weight_rises_only_when_earned(self) -> None:
        """Past an analysis every deciding metric has passed at that weight, and its last look was a Pass."""
        before, after = self.before, self.world.status
        if _canary(before) != _canary(after) or after.get("desiredWeight", 0) <= before.get("desiredWeight", 0):
            return
        assert after.get("pausedReason") is None or self.by_hand
        assert self.is_open() or after.get("undoTo") or after.get("byHand") or self.by_hand or not before.get("stable")
        steps = effective_steps(self.strategy)
        passed = steps[before.get("step", 0) : after.get("step", 0)]
        if self.by_hand or after.get("undoTo") or not any(one.analyze is not None for one in passed):
            return
        for metric in self.deciding(after):
            assert metric["stepPasses"] > 0, metric
            assert metric["measurements"][-1]["verdict"] == "Pass" or metric["outcome"] == "Successful", metric

    def end_is_on_record(self) -> None:
        """A canary that is one no more was promoted, measured or by hand, or it has no traffic and its end is told."""
        before, after = self.before, self.world.status
        revision = _canary(before)
        if revision is None and (after["stable"] or {}).get("revision") != before["stable"]["revision"]:
            assert after["stable"]["revision"] == before["rollbackWindow"]["previous"]["revision"]
            assert after["history"][-1]["outcome"] == "RolledBack"
        if revision is None or revision == _canary(after):
            return
        record = next(one for one in reversed(after["history"]) if one["revision"] == revision)
        if record["outcome"] != "Promoted":
            # Another one may begin in the same step.
            assert after.get("desiredWeight", 0) == 0 or _canary(after) is not None
            return
        assert (after["stable"] or {}).get("revision") == revision
        if revision in self.forced or before.get("stable") is None or not needs_passes(self.strategy):
            return
        for metric in self.deciding(after):
            assert metric.get("passes", 0) > 0, metric

    def is_open(self) -> bool:
        """Whether neither a window nor a freeze keeps weights from rising."""
        spec = ModelReleaseSpec.model_validate(self.world.spec)
        now = self.world.clock.now()
        frozen = spec.freeze is not None and (spec.freeze.until is None or now < spec.freeze.until)
        return not frozen and is_open(spec.windows, now)

    @property
    def strategy(self) -> Strategy:
        return Strategy.model_validate(self.world.spec["strategy"])

    def deciding(self, status: dict[str, Any]) -> list[dict[str, Any]]:
        dry = {metric["name"] for metric in self.world.spec["analysis"]["metrics"] if metric.get("dryRun")}
        return [metric for metric in status.get("analysis", ()) if metric["name"] not in dry]

    @precondition(lambda self: self.before and not self.is_placed)
    @invariant()
    def every_request_has_a_server(self) -> None:
        """Weights sum to 100; stable is never scaled down, nor is what has all of the traffic."""
        route = self.world.route()
        assert sum(route.values()) == 100
        wanted = self.world.spec["serving"]["replicas"]
        stable = self.world.status["stable"]["revision"]
        found = {d["metadata"]["name"]: d["spec"]["replicas"] for d in self.world.cluster.list(DEPLOYMENT, NAMESPACE)}
        for revision, weight in route.items():
            servers = found[f"{NAME}-{revision}"]
            if self.is_lent and (self.world.status.get("canary") or not self.whole):
                # Short of one while the canary's starts, and of the one that stays stable's until a promotion is done.
                assert servers >= max(1, wanted * weight // 100 - 1)
                continue
            assert servers == wanted if weight == 100 or revision == stable else 1 <= servers <= wanted

    @precondition(lambda self: self.before)
    @invariant()
    def one_release_at_a_time(self) -> None:
        """Besides stable and canary only what drains has servers; the route knows no third."""
        status = self.world.status
        warm = (status.get("rollbackWindow") or {}).get("previous") or {}
        ours = {_canary(status), (status.get("stable") or {}).get("revision"), warm.get("revision")}
        assert len(self.world.route()) <= 2
        if self.whole:
            assert set(self.world.route()) <= ours
            # A status remembers ten that drain; more are taken up as room comes.
            retiring = set(status.get("retiring", ()))
            assert len(retiring) == 10 or self.world.deployments() <= ours | retiring

    @precondition(lambda self: self.before and not self.is_placed)
    @invariant()
    def without_canary_stable_has_it_all(self) -> None:
        """In the very pass that ended the canary."""
        status = self.world.status
        if self.whole and status.get("canary") is None:
            assert self.world.route() == {status["stable"]["revision"]: 100}

    @precondition(lambda self: self.before)
    @invariant()
    def champion_is_what_serves(self) -> None:
        """A kill between the two leaves the alias on a canary that is to have all of the traffic, or has just ended."""
        status = self.world.status
        canary = status.get("canary") or {}
        ahead = status.get("desiredWeight") == 100 and canary.get("version")
        version = self.world.registry.aliases[NAME, "champion"]
        assert status.get("aliasInDoubt") or version in (status["stable"]["version"], ahead)

    @precondition(lambda self: self.before)
    @invariant()
    def status_stays_small(self) -> None:
        assert len(json.dumps(self.world.status, ensure_ascii=False).encode()) <= 64 * 1024

    def teardown(self) -> None:
        """Once everything works again and all is well, it comes to an end that the spec allows."""
        if not self.before:
            return
        world = self.world
        world.servers_start = world.gateway_confirms = True
        world.servers.answer = GOOD
        world.registry.down = False
        world.release(**OPEN)
        for number in (0, 1):
            world.metrics.answers |= {f"q{number}": 0.99, f"s{number}": 100}
        with contextlib.suppress(StopIteration):
            for _ in range(200):
                self._go_on()
        assert world.status["phase"] in ("Promoted", "Degraded"), world.status
        assert world.deployments() == {world.status["stable"]["revision"]}
        if self.is_placed:
            world.pass_()
            placed.stable_serves_alone(world)

    def _go_on(self) -> None:
        status = self.world.status
        done = status["phase"] in ("Promoted", "Degraded")
        if done and self.world.deployments() == {status["stable"]["revision"]}:
            raise StopIteration
        if status["phase"] == "Paused":
            self.world.command("promote")
        self.world.clock.advance(seconds=15)
        self.world.pass_()


def walk(*, walks: int, number: int) -> None:
    """Take so many walks of at most 80 steps.

    Args:
        walks: how many.
        number: from which hypothesis draws them. In a process of its own they are the same ones every time: it draws
            from the constants of the modules loaded, too.
    """
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        seed(number)(Walk),
        settings=settings(
            max_examples=walks,
            stateful_step_count=80,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )


def _is_asked(status: dict[str, Any]) -> bool:
    """Whether requests come to the canary, or are to come."""
    return max(status.get("desiredWeight", 0), status.get("weight", 0)) > 0 or status.get("routing") is not None


def _canary(status: dict[str, Any]) -> str | None:
    return (status.get("canary") or {}).get("revision")

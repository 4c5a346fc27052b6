"""The release that is walked: its world, what it was before a step, and what it is after."""

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from modelops.api.kinds import METRICTEMPLATE, MODELRELEASE, SERVICE
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec, Strategy
from modelops.domain.release.soundness import unsound
from modelops.domain.release.windows import is_open
from modelops.reconcile.loop import Loop
from modelops.reconcile.modelrelease import ModelReleaseReconciler
from tests.unit.release.world import NAME, NAMESPACE, World
from tests.walk.drawn import GOOD, OPEN, PLACING, TEMPLATE, by_bounds, by_servers
from tests.walk.figures import WELL, Answer, Figures
from tests.walk.mortal import Killed, Mortal
from tests.walk.servers import Servers

_TO_SERVE: Final = 40
"""Passes that a release which begins anew may take."""


class Release:
    """One release, from its first version on."""

    def __init__(self) -> None:
        self.figures = Figures()
        servers = Servers(is_canarys=self._is_canarys, shares=self.figures.canarys)
        self.world = World(cluster_of=Mortal, metrics=self.figures, servers=servers)
        self.figures.status = lambda: self.world.status
        self.version = 1
        self.before: dict[str, Any] = {}
        """The status before the step."""
        self.status: dict[str, Any] = {}
        """The status after it."""
        self.route: dict[str, int] = {}
        """The route's weights by revision after it."""
        self.servers: dict[str, int] = {}
        """How many servers are asked for after it, by revision."""
        self.serving: set[str] = set()
        """Revisions that get requests after it."""
        self.gone: set[str] = set()
        """Revisions whose Deployment went in the step."""
        self.behind: dict[str, int] = {}
        """Who was behind the Service before the step."""
        self.elapsed = 0.0
        """Seconds since the beginning, whatever the clock says."""
        self.asked: dict[str, float] = {}
        """When the last request may have come to each revision, in seconds since the beginning."""
        self.error: str | None = None
        """Why the last pass did not come to its end, if it could say."""
        self.whole = True
        """Whether it did."""
        self.word = ""
        """What a human said in this step: a verb, `full` for promote --full, or nothing."""
        self.placing = ""
        """How servers and weights belong together."""
        self.forced = ""
        """The canary that a human has promoted over the heads of the metrics, or brought back; until it ends."""
        self.forgiven: dict[str, str | None] = {}
        """By metric, the last look at it that a human's word has forgiven."""
        self.rules: list[dict[str, Any]] = []
        """The route's rules that requests come to, after the step."""
        self.had: list[dict[str, Any]] = []
        """And before it."""
        self.champion = "1"
        """The version that the alias was last seen on."""
        self.served: set[str] = set()
        """Revisions that were stable before the step."""

    def begin(
        self,
        *,
        placing: str,
        strategy: dict[str, Any],
        metrics: list[dict[str, Any]],
        smoke_test: dict[str, Any] | None,
        replicas: int,
        answer: Answer,
    ) -> None:
        """Version 1 serves, whatever the steps say; a metric of later ones says this until it says something else."""
        self.figures.canarys |= dict.fromkeys((0, 1), answer)
        self.world.servers.answer = GOOD
        self.placing = placing
        self.template(there=True)
        self.world.release(**PLACING[placing])
        serving = {"runtime": "modelops", **self.world.spec["serving"], "replicas": replicas + self.is_lent}
        self.change(strategy, metrics, smoke_test, serving=serving, progressDeadline="2m")
        self.world.first()
        self._look()
        self.before = self.status

    def change(
        self,
        strategy: dict[str, Any],
        metrics: list[dict[str, Any]],
        smoke_test: dict[str, Any] | None,
        **more: Any,
    ) -> None:
        """Write the spec; metrics are compared with stable where its steps leave something to compare with."""
        analysis = {"interval": "5s", "warmUp": "2s", "metrics": metrics}
        self.world.release(strategy=self._fit(strategy), smokeTest=smoke_test, analysis=analysis, **more)
        if any(unsound(ModelReleaseSpec.model_validate(self.world.spec))):
            self.world.release(analysis={**analysis, "metrics": list(map(by_bounds, metrics))})

    def template(self, *, there: bool) -> None:
        """Write the MetricTemplate that metrics may name, or take it away."""
        if there:
            self.world.cluster.put(
                METRICTEMPLATE.resource, {"metadata": {"name": "share", "namespace": NAMESPACE}, "spec": TEMPLATE}
            )
        else:
            self.world.cluster.delete(METRICTEMPLATE.resource, NAMESPACE, "share")

    def lose_status(self) -> Iterator[None]:
        """Let the release be as it comes from git, with everything else as it was; yield after each pass.

        All is well meanwhile: what gives way to another version has tests of its own. What the status remembered begins
        anew, and so does what is known of it here.

        Raises:
            AssertionError: it does not come to serve.
        """
        self._all_is_well()
        self.world.cluster.set_status(MODELRELEASE.resource, NAMESPACE, NAME, {})
        self.forced, self.forgiven, self.served = "", {}, set()
        for _ in range(_TO_SERVE):
            self.world.pass_()
            self.wait(5)
            self._look()
            yield
            if "stable" in self.status:
                return
        raise AssertionError(self.status)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.world.clock.advance(seconds=seconds)
        self.elapsed += seconds

    def step(self) -> None:
        """Reconcile once."""
        world = self.world
        self.before, self.behind = self.status, world.behind()
        self.served.add(self.before["stable"]["revision"])
        if self.forced != canary_of(self.before):
            self.forced = ""
        try:
            self.error = world.pass_().error
            self.whole = not self.error and world.cluster.lives is None
        except Killed:
            self.error, self.whole = None, False
            world.loop = Loop(ModelReleaseReconciler(patience=60), world.ports, jitter=lambda: 1.0)
        world.cluster.lives = None
        self._look()
        self._hear()

    def end(self) -> None:
        """Let everything work again and all be well, until what has begun is done."""
        world = self.world
        self._all_is_well()
        world.release(**OPEN)
        for number in (0, 1):
            self.figures.canarys[number] = self.figures.stables[number] = WELL
        self.figures.sent = None
        with contextlib.suppress(StopIteration):
            for _ in range(200):
                self._go_on()

    def is_open(self) -> bool:
        """Whether neither a window nor a freeze keeps weights from rising."""
        return not self.is_frozen() and is_open(self.spec.windows, self.world.clock.now())

    def is_frozen(self) -> bool:
        """Whether a freeze does."""
        freeze = self.spec.freeze
        return freeze is not None and (freeze.until is None or self.world.clock.now() < freeze.until)

    @property
    def spec(self) -> ModelReleaseSpec:
        return ModelReleaseSpec.model_validate(self.world.spec)

    @property
    def is_placed(self) -> bool:
        """Whether weights are made of numbers of servers."""
        return self.placing == "replicas"

    @property
    def is_lent(self) -> bool:
        """Whether a canary's servers are taken from stable."""
        return self.placing == "lent"

    @property
    def strategy(self) -> Strategy:
        return Strategy.model_validate(self.world.spec["strategy"])

    def deciding(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Return the metrics that a promotion depends on, each with its figures."""
        figures = {one["name"]: one for one in self.status.get("analysis", ())}
        metrics = self.world.spec["analysis"]["metrics"]
        return [(metric, figures.get(metric["name"], {})) for metric in metrics if not metric.get("dryRun")]

    def _hear(self) -> None:
        """Note whom a human's word has put over the metrics, and which looks it has forgiven."""
        before, after = canary_of(self.before), canary_of(self.status)
        if self.word in ("promote", "unpause"):
            self.forgiven = {one["name"]: one.get("measuredAt") for one in self.before.get("analysis", ())}
        if self.word == "undo" and self.status.get("undoTo"):
            self.forced = self.status["undoTo"]
        if self.word == "full" and before is not None:
            taken = self.status.get("byHand") if before == after else self.status["stable"]["revision"] == before
            self.forced = before if taken else self.forced

    def _look(self) -> None:
        world, before = self.world, self.servers
        self.had, self.rules = self.rules, world.rules()
        self.status, self.servers = world.status, world.scaled()
        self.route = world.route(self.rules)
        self.gone = before.keys() - self.servers.keys()
        self.asked |= dict.fromkeys((*self.serving, *self._serving()), self.elapsed)
        self.serving = self._serving()

    def _serving(self) -> set[str]:
        """Return the revisions that the gateway sends requests by weight, or the Service."""
        confirmed = self.world.weights[-1] if self.world.weights else {}
        return {revision for revision, weight in confirmed.items() if weight} | self.world.behind().keys()

    def _is_canarys(self, address: str) -> bool:
        service = self.world.cluster.get(SERVICE, NAMESPACE, f"{NAME}-{canary_of(self.world.status)}")
        return service is not None and service["spec"].get("clusterIP") == address

    def _fit(self, strategy: dict[str, Any]) -> dict[str, Any]:
        """Return a strategy that the release's mode knows."""
        chosen = by_servers(strategy) if self.is_placed or self.is_lent else strategy
        return {"direct": {}} if self.is_lent and "blueGreen" in chosen else chosen

    def _all_is_well(self) -> None:
        """Around the release; what Prometheus answers is another matter."""
        self.world.servers_start = self.world.gateway_confirms = True
        self.world.servers.answer = GOOD
        self.world.registry.down = False
        self.template(there=True)

    def _go_on(self) -> None:
        status = self.world.status
        done = status["phase"] in ("Promoted", "Degraded")
        if done and self.world.deployments() == {status["stable"]["revision"]}:
            raise StopIteration
        if status["phase"] == "Paused":
            self.world.command("promote")
        self.world.clock.advance(seconds=15)
        self.world.pass_()


def canary_of(status: dict[str, Any]) -> str | None:
    """Return the revision of a status' canary."""
    return (status.get("canary") or {}).get("revision")

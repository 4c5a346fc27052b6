"""The release that is walked: its world, what it was before a step, and what it is after."""

import contextlib
from typing import Any

from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec, Strategy
from modelops.domain.release.windows import is_open
from modelops.reconcile.loop import Loop
from modelops.reconcile.modelrelease import ModelReleaseReconciler
from tests.unit.release.world import World
from tests.walk.drawn import GOOD, OPEN, PLACING, by_servers
from tests.walk.mortal import Killed, Mortal


class Release:
    """One release, from its first version on."""

    def __init__(self) -> None:
        self.world = World(cluster_of=Mortal)
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
        self.by_hand = False
        """Whether a human's word was given in this step."""
        self.placing = ""
        """How servers and weights belong together."""
        self.forced: set[str] = set()
        """Revisions that a human has promoted over the heads of the metrics."""

    def begin(
        self,
        *,
        placing: str,
        strategy: dict[str, Any],
        metrics: list[dict[str, Any]],
        smoke_test: dict[str, Any] | None,
        replicas: int,
    ) -> None:
        """Version 1 serves, whatever the steps say."""
        self.world.servers.answer = GOOD
        self.placing = placing
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
        """Write the spec."""
        analysis = {"interval": "10s", "warmUp": "5s", "metrics": metrics}
        self.world.release(strategy=self._fit(strategy), smokeTest=smoke_test, analysis=analysis, **more)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.world.clock.advance(seconds=seconds)
        self.elapsed += seconds

    def step(self) -> None:
        """Reconcile once."""
        world = self.world
        self.before, self.behind = self.status, world.behind()
        try:
            self.error = world.pass_().error
            self.whole = not self.error and world.cluster.lives is None
        except Killed:
            self.error, self.whole = None, False
            world.loop = Loop(ModelReleaseReconciler(patience=60), world.ports, jitter=lambda: 1.0)
        world.cluster.lives = None
        self._look()

    def end(self) -> None:
        """Let everything work again and all be well, until what has begun is done."""
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

    def is_open(self) -> bool:
        """Whether neither a window nor a freeze keeps weights from rising."""
        spec = ModelReleaseSpec.model_validate(self.world.spec)
        now = self.world.clock.now()
        frozen = spec.freeze is not None and (spec.freeze.until is None or now < spec.freeze.until)
        return not frozen and is_open(spec.windows, now)

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

    def deciding(self) -> list[dict[str, Any]]:
        """Return the metrics' figures that a promotion depends on."""
        dry = {metric["name"] for metric in self.world.spec["analysis"]["metrics"] if metric.get("dryRun")}
        return [metric for metric in self.status.get("analysis", ()) if metric["name"] not in dry]

    def _look(self) -> None:
        world, before = self.world, self.servers
        self.status, self.route, self.servers = world.status, world.route(), world.scaled()
        self.gone = before.keys() - self.servers.keys()
        self.asked |= dict.fromkeys((*self.serving, *self._serving()), self.elapsed)
        self.serving = self._serving()

    def _serving(self) -> set[str]:
        """Return the revisions that the gateway sends requests by weight, or the Service."""
        confirmed = self.world.weights[-1] if self.world.weights else {}
        return {revision for revision, weight in confirmed.items() if weight} | self.world.behind().keys()

    def _fit(self, strategy: dict[str, Any]) -> dict[str, Any]:
        """Return a strategy that the release's mode knows."""
        chosen = by_servers(strategy) if self.is_placed or self.is_lent else strategy
        return {"direct": {}} if self.is_lent and "blueGreen" in chosen else chosen

    def _go_on(self) -> None:
        status = self.world.status
        done = status["phase"] in ("Promoted", "Degraded")
        if done and self.world.deployments() == {status["stable"]["revision"]}:
            raise StopIteration
        if status["phase"] == "Paused":
            self.world.command("promote")
        self.world.clock.advance(seconds=15)
        self.world.pass_()

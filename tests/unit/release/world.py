"""A release with everything around it in memory: servers become ready, the gateway confirms, when a test says so."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

from modelops.api.kinds import DEPLOYMENT, HTTPROUTE, MODELRELEASE, SERVICE, TRAININGRUN
from modelops.api.labels import COMMAND, RELEASE, REVISION
from modelops.domain.analysis.flavours import OwnFigures
from modelops.domain.analysis.queries import EnvoyFigures, Subject
from modelops.domain.release.objects import NOBODY
from modelops.errors import Transient
from modelops.reconcile.bundle import Ports, Settings
from modelops.reconcile.loop import Loop, Outcome
from modelops.reconcile.modelrelease import ModelReleaseReconciler
from tests.support.fakes import FakeClock, FakeCluster, FakeMetrics, FakeRegistry, FakeServers

NAMESPACE, NAME = "pricing", "price"
STEPS = [{"setWeight": 20}, {"analyze": {"duration": "30s"}}, {"setWeight": 50}, {"analyze": {"duration": "30s"}}]
SUCCESS = {
    "name": "success-rate",
    "builtin": "success-rate",
    "thresholdRange": {"min": 0.99},
    "minSamples": 50,
    "failureLimit": 0,
}


def sound(steps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the steps, with a weight before each analysis that would have no requests, and at their end.

    A smokeTest is left out where users' requests, copies of them, or another one come before it. A mirror is left out
    where users' requests come before it, and taken away before they come. A route is taken away only where there is
    one of its name.
    """
    found: list[dict[str, Any]] = []
    weight, asked, mirrors = 0, False, False
    routes: set[str] = set()

    def add(step: dict[str, Any]) -> None:
        nonlocal weight, asked, mirrors
        if mirrors and ("setWeight" in step or "setHeaderRoute" in step):
            add({"setMirror": {"percent": 0}})
        weight = step.get("setWeight", weight)
        if (route := step.get("setHeaderRoute")) is not None:
            (routes.add if "match" in route else routes.remove)(route["name"])
        asked = asked or weight > 0 or "setHeaderRoute" in step
        mirrors = step["setMirror"]["percent"] > 0 if "setMirror" in step else mirrors
        found.append(step)

    for step in steps:
        late = asked or step in found or any("setMirror" in one for one in found)
        route = step.get("setHeaderRoute", {"match": []})
        gone = "match" not in route and route["name"] not in routes
        if ("smokeTest" in step and late) or ("setMirror" in step and asked) or gone:
            continue
        if "analyze" in step and weight == 0 and not mirrors:
            add({"setWeight": 20})
        add(step)
    if weight == 0:
        add({"setWeight": 20})
    return found


def is_for_nobody(rule: dict[str, Any]) -> bool:
    """Return whether a route's rule keeps backends that no request comes to."""
    return any(match["path"]["value"] == NOBODY for match in rule["matches"])


class NoGit:
    """No release reads git."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


@dataclass
class World:
    """One ModelRelease; `settle` reconciles until nothing is due now."""

    clock: FakeClock = field(default_factory=FakeClock)
    registry: FakeRegistry = field(default_factory=FakeRegistry)
    metrics: FakeMetrics = field(default_factory=FakeMetrics)
    servers: FakeServers = field(default_factory=FakeServers)
    cluster_of: Callable[[FakeClock], FakeCluster] = FakeCluster
    servers_start: bool = True
    gateway_confirms: bool = True
    spec: dict[str, Any] = field(default_factory=dict)
    addresses: Iterator[int] = field(default_factory=count)
    """Of Services; none has that of another one."""

    def __post_init__(self) -> None:
        self.cluster = self.cluster_of(self.clock)
        outside = (self.registry, self.metrics, self.clock, self.servers)
        self.ports = Ports(self.cluster, NoGit(), *outside, Settings())  # type: ignore[arg-type]
        self.loop = Loop(ModelReleaseReconciler(patience=60), self.ports, jitter=lambda: 1.0)
        self.weights: list[dict[str, int]] = []
        """Every state of the route's weights that the gateway confirmed, by revision."""
        self.release()

    def release(self, **spec: Any) -> None:
        """Create or change the ModelRelease."""
        base = {
            "model": {"name": NAME, "from": {"trainingRun": NAME}},
            "serving": {"runtime": "modelops", "replicas": 1},
            "traffic": {"hostnames": ["price.example.com"], "timeout": "5s"},
            "strategy": {"canary": {"steps": STEPS}},
            "analysis": {"interval": "10s", "warmUp": "5s", "metrics": [SUCCESS]},
        }
        self.spec = {**base, **self.spec, **spec}
        self.cluster.put(MODELRELEASE.resource, {"metadata": {"name": NAME, "namespace": NAMESPACE}, "spec": self.spec})

    def train(self, version: str, digest: str | None = None) -> None:
        """Let the TrainingRun register a version."""
        self.registry.add(NAME, version, digest=digest or f"sha256:{version}", commit="c" * 40)
        run = {"metadata": {"name": NAME, "namespace": NAMESPACE}, "spec": {"model": {"name": NAME}}}
        self.cluster.put(TRAININGRUN.resource, run)
        self.cluster.set_status(TRAININGRUN.resource, NAMESPACE, NAME, {"modelVersion": version})

    def answer(self, *, samples: float = 100, value: float = 1.0) -> None:
        """Let Prometheus answer every canary's success-rate."""
        canary = self.status.get("canary")
        subject = Subject(NAMESPACE, NAME, canary["revision"] if canary else "none")
        figures = OwnFigures(subject) if self.spec["traffic"].get("mode") == "replicas" else EnvoyFigures(subject)
        self.metrics.answers = {}
        for seconds in range(1, 400):
            window = timedelta(seconds=seconds)
            self.metrics.answers[figures.success_rate(window)] = value
        for seconds in range(1, 400):
            self.metrics.answers[figures.samples(timedelta(seconds=seconds))] = samples

    def command(self, verb: str, **more: Any) -> None:
        """Let a human give a command."""
        status = self.status
        canary = status.get("canary") or {}
        revision = more.pop("revision", canary.get("revision") or (status.get("aborted") or [""])[-1])
        words = {
            "verb": verb,
            "revision": revision,
            "step": status.get("step", 0),
            "id": f"{verb}-{len(self.cluster.events)}",
        }
        self.cluster.annotate(MODELRELEASE.resource, NAMESPACE, NAME, **{COMMAND: json.dumps(words | more)})

    def happens(self, what: str) -> None:
        """Let something happen, by name; a name that is no other is a command's."""
        deeds: dict[str, Callable[[], Any]] = {
            "good": self.answer,
            "bad": lambda: self.answer(value=0.2),
            "few": lambda: self.answer(samples=1),
            "away": self.metrics.answers.clear,
            "503": lambda: setattr(self.metrics, "answers", {"envoy": Transient("MetricsUnavailable", "503")}),
            "commit": lambda: self.train(str(len(self.registry.versions) + 1)),
            "full": lambda: self.command("promote", full=True),
            "servers": lambda: setattr(self, "servers_start", not self.servers_start),
            "gateway": lambda: setattr(self, "gateway_confirms", not self.gateway_confirms),
            "freeze": lambda: self.release(freeze={"reason": "holidays"}),
            "thaw": lambda: self.release(freeze=None),
            "wait": lambda: None,
        }
        deeds.get(what, lambda: self.command(what))()

    def pass_(self) -> Outcome:
        """Reconcile once, then let kubelet and gateway do their part."""
        outcome = self.loop.reconcile((NAMESPACE, NAME))
        self._play()
        return outcome

    def settle(self, seconds: float = 0) -> None:
        """Reconcile as often as something is due, for so many seconds."""
        end = self.clock.now() + timedelta(seconds=seconds)
        for _ in range(400):
            before = len(self.cluster.calls)
            version = self.cluster._version
            outcome = self.pass_()
            if len(self.cluster.calls) > before or self.cluster._version != version:
                continue
            after = outcome.requeue_after
            if after is None or self.clock.now() + after > end:
                self.clock.time = max(end, self.clock.time)
                self.pass_()
                return
            self.clock.time += after
        raise AssertionError("it never settles")

    def _play(self) -> None:
        for deployment in self.cluster.stored(DEPLOYMENT, NAMESPACE):
            meta = deployment["metadata"]
            wanted = deployment["spec"].get("replicas", 1)
            status = {
                "observedGeneration": meta["generation"],
                "replicas": wanted,
                "readyReplicas": wanted if self.servers_start else 0,
            }
            if not self.servers_start and deployment.get("status") is not None:
                # None starts; those that are too many still go.
                status["readyReplicas"] = min(wanted, deployment["status"]["readyReplicas"])
            if deployment.get("status") != status:
                self.cluster.set_status(DEPLOYMENT, NAMESPACE, meta["name"], status)
        for service in self.cluster.stored(SERVICE, NAMESPACE):
            if "clusterIP" not in service["spec"]:
                address = f"10.0.0.{next(self.addresses)}"
                self.cluster.put(SERVICE, {**service, "spec": {**service["spec"], "clusterIP": address}})
        route = self.cluster.get(HTTPROUTE, NAMESPACE, NAME)
        if route is None or not self.gateway_confirms:
            return
        conditions = [
            {"type": kind, "status": "True", "reason": kind, "observedGeneration": route["metadata"]["generation"]}
            for kind in ("Accepted", "ResolvedRefs")
        ]
        if (route.get("status") or {}).get("parents") != [{"conditions": conditions}]:
            self.cluster.set_status(HTTPROUTE, NAMESPACE, NAME, {"parents": [{"conditions": conditions}]})
            # The route may be confirmed again for what nobody is sent to.
            if self.weights[-1:] != [self.route()]:
                self.weights.append(self.route())

    def route(self, rules: Sequence[dict[str, Any]] | None = None) -> dict[str, int]:
        """Return the route's weights by revision; of these rules, if they are known."""
        rules = self.rules() if rules is None else rules
        refs = rules[-1]["backendRefs"] if rules else []
        return {ref["name"].removeprefix(f"{NAME}-"): ref["weight"] for ref in refs}

    def behind(self) -> dict[str, int]:
        """Return how many ready servers the release's Service selects, by revision."""
        service = self.cluster.get(SERVICE, NAMESPACE, NAME)
        selector = {} if service is None else service["spec"]["selector"]
        return {
            deployment["metadata"]["labels"][REVISION]: deployment["status"]["readyReplicas"]
            for deployment in self.cluster.stored(DEPLOYMENT, NAMESPACE, selector or {RELEASE: "none"})
            if (deployment.get("status") or {}).get("readyReplicas")
        }

    def scaled(self) -> dict[str, int]:
        """Return how many servers are asked for, by revision."""
        found = self.cluster.stored(DEPLOYMENT, NAMESPACE)
        return {one["metadata"]["labels"][REVISION]: one["spec"]["replicas"] for one in found}

    def rules(self) -> list[dict[str, Any]]:
        """Return the route's rules that requests come to; the last one is that by weights."""
        route = self.cluster.get(HTTPROUTE, NAMESPACE, NAME)
        return [rule for rule in route["spec"]["rules"] if not is_for_nobody(rule)] if route else []

    def idle(self) -> list[str]:
        """Return the revisions that only the rule for nobody names."""
        route = self.cluster.get(HTTPROUTE, NAMESPACE, NAME) or {"spec": {"rules": ()}}
        refs = [ref for rule in route["spec"]["rules"] if is_for_nobody(rule) for ref in rule["backendRefs"]]
        return [ref["name"].removeprefix(f"{NAME}-") for ref in refs]

    @property
    def status(self) -> dict[str, Any]:
        """The release's status."""
        found = self.cluster.get(MODELRELEASE.resource, NAMESPACE, NAME)
        return (found or {}).get("status") or {}

    @property
    def conditions(self) -> dict[str, str]:
        """Condition type → status."""
        return {condition["type"]: condition["status"] for condition in self.status.get("conditions", ())}

    def reason(self, kind: str) -> str:
        """Return a condition's reason and message."""
        found = next(c for c in self.status["conditions"] if c["type"] == kind)
        return f"{found['reason']}: {found['message']}"

    def deployments(self) -> set[str]:
        """Return the revisions that have servers."""
        return {d["metadata"]["name"].removeprefix(f"{NAME}-") for d in self.cluster.stored(DEPLOYMENT, NAMESPACE)}

    def first(self) -> str:
        """Release version 1; return its revision."""
        self.train("1")
        self.settle()
        assert self.status["phase"] == "Promoted", self.status
        return str(self.status["stable"]["revision"])

    def canary(self, version: str = "2") -> str:
        """Bring a next version as far as its first analysis; return its revision."""
        self.train(version)
        self.settle()
        assert self.status["phase"] == "Analyzing", self.status
        self.answer()
        return str(self.status["canary"]["revision"])

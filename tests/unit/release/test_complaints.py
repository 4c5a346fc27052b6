"""What users of Argo Rollouts, Flagger and KServe complain about in rollouts and traffic: ours does not have it.

Those about analysis are in tests/unit/analysis/test_complaints. Each docstring begins with the complaint's number.
"""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from modelops.api.kinds import DEPLOYMENT, HTTPROUTE, MODELRELEASE
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.errors import Transient
from modelops.telemetry.metrics import OperatorMetrics
from tests.unit.release.world import NAME, NAMESPACE, World

READY = {"observedGeneration": 1, "readyReplicas": 1}


@pytest.fixture
def world() -> World:
    return World()


def obj(world: World) -> dict[str, Any]:
    """Return the release as the operator's cache has it."""
    found = world.cluster.get(MODELRELEASE.resource, NAMESPACE, NAME)
    assert found is not None
    return found


def servers(world: World) -> dict[str, int]:
    """Return how many servers each revision is to have."""
    found = world.cluster.list(DEPLOYMENT, NAMESPACE)
    return {one["metadata"]["name"].removeprefix(f"{NAME}-"): one["spec"]["replicas"] for one in found}


def test_broken_stable_version_does_not_block_its_mending(world: World) -> None:
    """10, argo-rollouts#1774, #995, #3110, flagger#639, #1207: forward is a way out, in one word if need be."""
    old = world.first()
    world.servers_start = False
    world.cluster.set_status(DEPLOYMENT, NAMESPACE, f"{NAME}-{old}", READY | {"readyReplicas": 0})
    world.train("2")
    world.settle()
    assert world.reason("Ready").startswith("Unavailable")
    new = world.status["canary"]["revision"]
    world.cluster.set_status(DEPLOYMENT, NAMESPACE, f"{NAME}-{new}", READY)
    world.settle()
    assert world.route() == {old: 80, new: 20}

    world.command("promote", full=True)
    world.settle()
    assert world.route() == {new: 100}
    assert world.conditions["Ready"] == "True"


def _canary(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"strategy": {"canary": {"steps": [*steps, {"pause": {}}]}}}


def steps_of(world: World) -> list[dict[str, Any]]:
    """Return the steps that the spec has, if it has any of a canary."""
    steps: list[dict[str, Any]] = world.spec["strategy"].get("canary", {}).get("steps", [])
    return steps


PAUSE = {"pause": {"duration": "30s"}}
HEADER = {"setHeaderRoute": {"name": "staff", "match": [{"header": "X-Staff", "exact": "1"}]}}
PHASES: dict[str, tuple[dict[str, Any], str]] = {
    "its servers": (_canary({"setWeight": 20}), "servers"),
    "more of its servers": (_canary({"setCanaryScale": {"replicas": 1}}, PAUSE, {"setWeight": 100}), "servers"),
    "the smoke test": ({"smokeTest": {"requests": [{"name": "flat", "path": "/"}]}}, "answers"),
    "its first weight": (_canary({"setWeight": 20}), "gateway"),
    "a higher weight": (_canary({"setWeight": 20}, PAUSE, {"setWeight": 50}), "gateway"),
    "a route": (_canary(HEADER, {"setWeight": 20}), "gateway"),
    "all of the traffic": ({"strategy": {"direct": {}}}, "gateway"),
    "servers instead of weights": ({**_canary({"setWeight": 50}), "traffic": {"mode": "replicas"}}, "servers"),
}
"""What a canary may hang in that neither a human nor a metric ends: its spec, and what does nothing any more."""


@pytest.fixture(params=PHASES)
def hanging(request: pytest.FixtureRequest) -> World:
    """Version 1 serves; version 2 has waited for 100 s of two minutes."""
    spec, what = PHASES[request.param]
    world = World()
    world.spec = {"progressDeadline": "2m", "serving": {"runtime": "modelops", "replicas": 2}, **spec}
    world.release()
    world.first()
    if PAUSE in steps_of(world):
        world.train("2")
        world.settle()
        world.answer()
        world.settle(seconds=29)
        assert world.status["phase"] == "Paused"
    world.servers_start, world.gateway_confirms = what != "servers", what != "gateway"
    if what == "answers":
        world.servers.answer = Transient("ServerUnreachable", "Connection refused")
    world.train("2")
    world.settle(seconds=101)
    assert world.status["canary"]["version"] == "2"
    assert world.status["phase"] in ("Progressing", "Promoting")
    return world


def test_deadline_holds_in_every_phase(hanging: World) -> None:
    """11, argo-rollouts#4128, flagger#1247, #1578, #523: what hangs is given up in time, and says so."""
    hanging.settle(seconds=30)
    assert hanging.status.get("canary") is None
    assert hanging.status["stable"]["version"] == "1"
    assert hanging.status["history"][-1]["message"].startswith("DeadlineExceeded")
    assert hanging.reason("Degraded").startswith("DeadlineExceeded")
    assert set(hanging.route()) <= {hanging.status["stable"]["revision"]}


def test_abort_holds_in_every_phase(hanging: World) -> None:
    """11, argo-rollouts#4128, flagger#523: nothing that hangs keeps a human's word from being heard."""
    hanging.command("abort")
    hanging.settle()
    assert hanging.status["history"][-1]["outcome"] == "Aborted"
    assert set(hanging.route()) <= {hanging.status["stable"]["revision"]}


def test_abort_is_of_one_revision(world: World) -> None:
    """12, argo-rollouts#2048, #3578, #2929, #3120: it comes again by `retry` only, and the next one comes by itself."""
    world.first()
    aborted = world.canary("2")
    world.command("abort")
    world.settle(seconds=600)
    assert world.status.get("canary") is None
    world.command("retry", revision=aborted)
    world.settle()
    assert world.status["canary"]["revision"] == aborted

    world.command("abort")
    world.settle()
    world.train("3")
    world.settle()
    assert world.status["canary"]["version"] == "3"


def test_abort_never_scales_stable_down(world: World) -> None:
    """13, argo-rollouts#1292, #3372, #2050, #4973: first the weight goes, then, drained, the canary's servers."""
    world.release(serving={"runtime": "modelops", "replicas": 3})
    old = world.first()
    new = world.canary()
    world.cluster.calls.clear()
    world.command("abort")
    world.settle(seconds=60)
    writes = [call for call in world.cluster.calls if not call.startswith("status")]
    assert writes[0] == f"apply httproutes/{NAME}"
    # The gateway need not know the canary any more.
    assert {call for call in writes[1:] if not call.startswith("delete")} == {f"apply httproutes/{NAME}"}
    assert not any(old in call for call in writes)
    assert servers(world) == {old: 3}
    assert new not in world.route()


def test_it_says_when_it_will_be_done(world: World) -> None:
    """14, argo-rollouts#3569: a time, not only that it waits."""
    world.first()
    world.canary()
    assert world.status["eta"] > world.clock.now().isoformat()


def test_first_version_is_tried_too(world: World) -> None:
    """15, flagger#676: golden requests are answered before anybody is sent to it, or it gets no route."""
    world.release(smokeTest={"requests": [{"name": "flat", "path": "/", "expect": "status == 201"}]})
    world.train("1")
    world.settle(seconds=30)
    assert world.rules() == []
    assert world.reason("Degraded").startswith("SmokeTestFailed: version 1: SmokeTestFailed: flat")


def test_rollbacks_by_analysis_are_counted_apart_from_aborts(world: World) -> None:
    """16, argo-rollouts#2087: each end of a release is a counter of its own."""
    metrics = OperatorMetrics(CollectorRegistry())
    world.first()
    metrics.observed(MODELRELEASE, obj(world))
    world.canary("2")
    world.answer(value=0.2)
    world.settle(seconds=20)
    metrics.observed(MODELRELEASE, obj(world))
    world.canary("3")
    world.command("abort")
    world.settle()
    metrics.observed(MODELRELEASE, obj(world))

    labels = {"namespace": NAMESPACE, "name": NAME}
    counts = {
        outcome: metrics.registry.get_sample_value("modelops_release_outcomes_total", {**labels, "outcome": outcome})
        for outcome in ("RolledBack", "Aborted")
    }
    assert counts == {"RolledBack": 1, "Aborted": 1}


def test_promotion_is_watched_on(world: World) -> None:
    """16, argo-rollouts#1978: what turns bad after the canary is taken back too."""
    world.release(rollbackWindow={"duration": "10m"})
    old = world.first()
    world.canary()
    world.settle(seconds=90)
    assert world.status["stable"]["version"] == "2"
    figures = {name: 0.2 if value == 1.0 else value for name, value in world.metrics.answers.items()}
    world.metrics.answers = figures
    world.settle(seconds=30)
    assert world.route() == {old: 100}
    assert world.status["history"][-1]["outcome"] == "RolledBack"


def test_route_is_written_only_when_it_changes(world: World) -> None:
    """17, rollouts-plugin-trafficrouter-gatewayapi#208, #230: what others add stays, and starts no fight."""
    world.first()
    world.canary()
    world.cluster.annotate(HTTPROUTE, NAMESPACE, NAME, **{"argocd.argoproj.io/tracking-id": "x"})
    world.cluster.calls.clear()
    world.settle(seconds=9)
    assert world.cluster.calls == []
    route = world.cluster.get(HTTPROUTE, NAMESPACE, NAME)
    assert route is not None
    assert route["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] == "x"


def test_route_of_somebody_else_keeps_its_backends(world: World) -> None:
    """17, rollouts-plugin-trafficrouter-gatewayapi#203: what it did not make it leaves alone, and says so."""
    match = {"path": {"type": "PathPrefix", "value": "/"}}
    rules = [{"matches": [match], "backendRefs": [{"name": "theirs", "port": 80, "weight": 1}]}]
    theirs = {"metadata": {"name": NAME, "namespace": NAMESPACE}, "spec": {"rules": rules}}
    world.cluster.put(HTTPROUTE, theirs)
    world.train("1")
    world.settle()
    words = f"RouteTaken: there is an HTTPRoute {NAME} that this release did not make; delete it, or give the release"
    assert world.reason("Stalled").startswith(words)
    route = world.cluster.get(HTTPROUTE, NAMESPACE, NAME)
    assert route is not None
    assert route["spec"]["rules"] == rules
    assert servers(world) == {}

    world.cluster.delete(HTTPROUTE, NAMESPACE, NAME)
    world.settle(seconds=90)
    assert world.status["phase"] == "Promoted"


def test_rules_that_an_applier_took_away_come_back(world: World) -> None:
    """17, rollouts-plugin-trafficrouter-gatewayapi#95: a route that was put as somebody had it in git is set right."""
    world.first()
    world.canary()
    weights, route = world.route(), world.cluster.get(HTTPROUTE, NAMESPACE, NAME)
    assert route is not None
    match = {"path": {"type": "PathPrefix", "value": "/"}}
    old = [{"matches": [match], "backendRefs": [{"name": "old", "port": 80, "weight": 1}]}]
    metadata = {name: value for name, value in route["metadata"].items() if name != "labels"}
    world.cluster.put(HTTPROUTE, {**route, "metadata": metadata, "spec": {**route["spec"], "rules": old}})
    world.settle()

    assert world.route() == weights
    assert "Stalled" not in world.conditions


def test_cookie_brings_nobody_who_does_not_have_it(world: World) -> None:
    """18, flagger#1647, #1532: nobody is given a cookie, so a long test does not drain everybody into the canary."""
    old = world.first()
    match = [{"cookie": {"name": "group", "exact": "b"}}]
    world.release(strategy={"abTest": {"match": match, "duration": "1h"}})
    world.canary()
    world.settle(seconds=1800)
    route = world.cluster.get(HTTPROUTE, NAMESPACE, NAME)
    assert route is not None
    *_, others = world.rules()
    assert [(one["name"], one["weight"]) for one in others["backendRefs"]] == [(f"{NAME}-{old}", 100)]
    assert "filters" not in others


def test_what_is_not_done_is_refused() -> None:
    """19, kserve#4074: a field that would have no effect is no field."""
    spec = {
        "model": {"name": NAME, "version": "2"},
        "strategy": {"direct": {}},
        "traffic": {"canaryTrafficPercent": 10},
    }
    with pytest.raises(ValidationError, match="Extra inputs"):
        ModelReleaseSpec.model_validate(spec)

"""Header routes, A/B tests and shadows walked without I/O: who is sent where, when it is judged, how it ends."""

import re
from dataclasses import replace
from typing import Any

import pytest

from modelops.api.kinds import HTTPROUTE
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.domain.analysis.verdicts import Reading
from modelops.domain.release.soundness import unsound
from modelops.reconcile.bundle import Settings
from modelops.reconcile.loop import Loop
from modelops.reconcile.modelrelease import ModelReleaseReconciler
from tests.unit.analysis.playing import outcome, release
from tests.unit.release.world import NAME, NAMESPACE, SUCCESS, World

MATCH = [{"header": "X-Group", "exact": "b"}]
TESTERS = {"setHeaderRoute": {"name": "testers", "match": MATCH}}
ANALYZE = {"analyze": {"duration": "30s"}}


@pytest.fixture
def world() -> World:
    return World()


def routes(world: World) -> list[tuple[str, dict[str, int]]]:
    """Return of each rule what it matches and copies, and its weights by revision."""
    told = []
    for rule in world.rules():
        headers = [f"{one['name']}={one['value']}" for one in rule["matches"][0].get("headers", ())]
        copies = [one["requestMirror"] for one in rule.get("filters", ())]
        words = [*headers, *(f"{one.get('percent', 100)} % to {one['backendRef']['name']}" for one in copies)]
        shares = {ref["name"].removeprefix(f"{NAME}-"): ref["weight"] for ref in rule["backendRefs"]}
        told.append((" ".join(words), shares))
    return told


def begun(world: World, strategy: dict[str, Any], *metrics: dict[str, Any]) -> tuple[str, str]:
    """Release version 1, then bring version 2 as far as it gets at once; return both revisions."""
    analysis = {"interval": "10s", "warmUp": "5s", "metrics": list(metrics) or [SUCCESS]}
    world.release(strategy=strategy, analysis=analysis)
    old = world.first()
    assert routes(world) == [("", {old: 100})]
    world.train("2")
    world.settle()
    world.answer()
    return old, str(world.status["canary"]["revision"])


def test_ab_test_lasts_its_time_and_then_all_are_sent_to_the_better(world: World) -> None:
    """Who matches gets the canary from the confirmed route on, nobody else does; promoted at the end, not before."""
    old, new = begun(world, {"abTest": {"match": MATCH, "duration": "60s"}})
    assert routes(world) == [("X-Group=b", {new: 1}), ("", {old: 100})]
    assert world.status["routing"]["headerRoutes"] == ["ab-test"]
    assert "serves 100 % of the traffic, but for header route ab-test" in world.reason("Ready")
    world.settle(seconds=64)
    assert world.status["phase"] == "Analyzing"
    assert world.status["weight"] == 0

    world.settle(seconds=2)
    assert routes(world) == [("", {new: 100})]
    assert world.status["stable"]["revision"] == new
    assert world.status.get("routing") is None


def test_ab_test_that_fails_sends_everybody_back_at_once(world: World) -> None:
    """The header route goes in the pass that found it."""
    old, new = begun(world, {"abTest": {"match": MATCH, "duration": "1h"}})
    world.answer(value=0.5)
    world.settle(seconds=15.1)
    assert routes(world) == [("", {old: 100})]
    assert world.status["aborted"] == [new]
    assert "success-rate is 0.5" in world.reason("Degraded")
    world.settle(seconds=20)
    assert world.deployments() == {old}


def test_ab_test_without_enough_requests_is_not_decided(world: World) -> None:
    """minSamples of the test is the least of every metric: nobody matched often enough, so nothing is promoted."""
    begun(world, {"abTest": {"match": MATCH, "duration": "30s", "minSamples": 500}})
    world.answer(samples=499)
    world.settle(seconds=300)
    assert world.status["phase"] == "Analyzing"
    assert "499 of 500 samples" in world.status["waitingFor"]
    world.answer(samples=500)
    world.settle(seconds=30)
    assert world.status["stable"]["version"] == "2"


def test_another_match_begins_the_test_anew(world: World) -> None:
    """Other people, other figures: time and looks count from the new route on."""
    _, new = begun(world, {"abTest": {"match": MATCH, "duration": "60s"}})
    world.settle(seconds=50)
    assert world.status["analysis"][0]["stepPasses"] > 0
    world.release(strategy={"abTest": {"match": [{"header": "X-Group", "exact": "c"}], "duration": "60s"}})
    world.settle()
    assert routes(world)[0] == ("X-Group=c", {new: 1})
    assert world.status["analysis"][0]["stepPasses"] == 0
    world.settle(seconds=64)
    assert world.status["phase"] == "Analyzing"
    world.settle(seconds=2)
    assert world.status["stable"]["revision"] == new


def test_nothing_counts_before_the_gateway_confirmed_the_route(world: World) -> None:
    """Servers first, then the route, then its confirmation; time and figures count from there."""
    world.release(strategy={"abTest": {"match": MATCH, "duration": "30s"}})
    old = world.first()
    world.servers_start = world.gateway_confirms = False
    world.train("2")
    world.settle(seconds=60)
    assert routes(world) == [("", {old: 100})]

    world.servers_start = True
    world.settle(seconds=500)
    world.answer()
    assert len(routes(world)) == 2
    assert world.status["waitingFor"] == "the gateway to confirm the routes, header route ab-test"
    assert world.metrics.queries == []

    world.gateway_confirms = True
    world.settle(seconds=34)
    assert world.status["phase"] == "Analyzing"
    world.settle(seconds=20)
    assert world.status["stable"]["version"] == "2"


@pytest.mark.parametrize(
    ("strategy", "canary"),
    [
        pytest.param({"shadow": {"percent": 50, "duration": "30s"}}, "httproute/{}/{}/rule/0-mirror-0", id="copies"),
        pytest.param({"abTest": {"match": MATCH, "duration": "30s"}}, "service/{}/{}-{}/80/http", id="requests"),
    ],
)
def test_envoy_gateway_is_asked_by_its_own_names(world: World, strategy: dict[str, Any], canary: str) -> None:
    """The canary's figures are those of the mirror while it gets copies; stable's are its Service's."""
    world.ports = replace(world.ports, settings=Settings(gateway_figures="envoy-gateway"))
    world.loop = Loop(ModelReleaseReconciler(), world.ports, jitter=lambda: 1.0)
    metric = {**SUCCESS, "compareTo": {"stable": {"maxAbsoluteIncrease": 0.1}}}
    old, new = begun(world, strategy, metric)
    world.settle(seconds=20)
    asked = set(re.findall('envoy_cluster_name="([^"]+)"', " ".join(world.metrics.queries)))
    assert asked == {canary.format(NAMESPACE, NAME, new), f"service/{NAMESPACE}/{NAME}-{old}/80/http"}


def test_route_that_the_gateway_refuses_is_waited_for_in_its_words(world: World) -> None:
    """A gateway without regular expressions says so; users stay where they are."""
    world.release(strategy={"abTest": {"match": [{"header": "X-A", "regex": "b+"}], "duration": "30s"}})
    world.first()
    world.gateway_confirms = False
    world.train("2")
    world.settle()
    condition = {"type": "Accepted", "status": "False", "reason": "UnsupportedValue", "message": "no expressions"}
    world.cluster.set_status(HTTPROUTE, NAMESPACE, NAME, {"parents": [{"conditions": [condition]}]})
    world.settle(seconds=5)
    assert world.status["waitingFor"] == "the gateway says UnsupportedValue: no expressions"
    assert world.status.get("routing") is None


def test_header_route_stands_before_the_weights_until_a_step_takes_it_away(world: World) -> None:
    """Testers first, then a share of everybody with the testers kept, then weights only."""
    steps = [TESTERS, ANALYZE, {"setWeight": 20}, ANALYZE, {"setHeaderRoute": {"name": "testers"}}, ANALYZE]
    old, new = begun(world, {"canary": {"steps": steps}})
    assert routes(world) == [("X-Group=b", {new: 1}), ("", {old: 100})]
    world.settle(seconds=36)
    assert routes(world) == [("X-Group=b", {new: 1}), ("", {old: 80, new: 20})]
    world.settle(seconds=36)
    assert routes(world) == [("", {old: 80, new: 20})]
    assert world.status["analysis"][0]["stepPasses"] == 0
    world.settle(seconds=40)
    assert routes(world) == [("", {new: 100})]


@pytest.mark.parametrize("verb", ["abort", "promote --full", "undo", "a newer version"])
def test_no_end_leaves_a_route_behind(world: World, verb: str) -> None:
    """However the canary ends, its header route ends with it."""
    first, _ = begun(
        world, {"canary": {"steps": [TESTERS, {"setWeight": 50}, {"pause": {"duration": "30s"}}, ANALYZE]}}
    )
    world.settle(seconds=90)
    second = world.status["stable"]["revision"]
    world.train("3")
    world.settle()
    third = world.status["canary"]["revision"]
    assert len(routes(world)) == 2
    match verb:
        case "abort":
            world.command("abort")
        case "promote --full":
            world.command("promote", full=True)
        case "undo":
            world.command("undo", revision=first)
        case _:
            world.servers_start = False
            world.train("4")
    world.settle(seconds=10)
    left = {"abort": second, "promote --full": third, "undo": first}.get(verb, second)
    assert routes(world) == [("", {left: 100})]


@pytest.mark.parametrize(
    ("promote", "phase", "serving"),
    [
        pytest.param(False, "Paused", "1", id="by default a human decides"),
        pytest.param(True, "Promoted", "2", id="promote takes all of the traffic"),
    ],
)
def test_shadow_is_judged_by_copies_and_then(world: World, promote: bool, phase: str, serving: str) -> None:
    """Stable answers everybody all the time; the canary is judged by what it does with the copies."""
    old, new = begun(world, {"shadow": {"percent": 25, "duration": "60s", "promote": promote}})
    assert routes(world) == [(f"25 % to {NAME}-{new}", {old: 100})]
    assert world.status["routing"] == {"headerRoutes": [], "mirrorPercent": 25, "digest": ""}
    world.settle(seconds=66)
    assert (world.status["phase"], world.status["stable"]["version"]) == (phase, serving)
    if promote:
        assert routes(world) == [("", {new: 100})]
        return
    assert routes(world) == [(f"25 % to {NAME}-{new}", {old: 100})]
    world.command("promote")
    world.settle()
    assert routes(world) == [("", {new: 100})]


def test_shadow_that_paused_is_still_rolled_back_by_what_its_copies_show(world: World) -> None:
    """Copies go on while a human thinks, and so does the analysis."""
    old, _ = begun(world, {"shadow": {"duration": "30s"}})
    world.settle(seconds=60)
    assert world.status["phase"] == "Paused"
    world.answer(value=0.1)
    world.settle(seconds=15)
    assert routes(world) == [("", {old: 100})]
    assert world.status["history"][-1]["outcome"] == "RolledBack"


def test_mirror_before_weights(world: World) -> None:
    """Copies are judged, then the mirror ends, then users come."""
    steps = [{"setMirror": {"percent": 100}}, ANALYZE, {"setMirror": {"percent": 0}}, {"setWeight": 30}, ANALYZE]
    old, new = begun(world, {"canary": {"steps": steps}})
    assert routes(world) == [(f"100 % to {NAME}-{new}", {old: 100})]
    world.settle(seconds=40)
    assert routes(world) == [("", {old: 70, new: 30})]
    world.settle(seconds=60)
    assert routes(world) == [("", {new: 100})]


@pytest.mark.parametrize("shares", [(50, 100), (100, 50), (50, 60)])
def test_mirror_changes_its_share(world: World, shares: tuple[int, int]) -> None:
    """Also to all of the requests, which a route says by saying nothing."""
    first, second = ({"setMirror": {"percent": percent}} for percent in shares)
    steps = [first, ANALYZE, second, ANALYZE]
    old, new = begun(world, {"canary": {"steps": steps}})
    assert routes(world) == [(f"{shares[0]} % to {NAME}-{new}", {old: 100})]
    world.settle(seconds=40)
    assert routes(world) == [(f"{shares[1]} % to {NAME}-{new}", {old: 100})]


def test_first_version_needs_no_test(world: World) -> None:
    """There is nothing to send the others to."""
    world.release(strategy={"abTest": {"match": MATCH, "duration": "1h"}})
    first = world.first()
    assert routes(world) == [("", {first: 100})]


def test_sequential_test_of_a_routed_share_minds_no_split() -> None:
    """One request in a hundred matches: with a weight of 50 that is an alarm, in an A/B test it is what was asked."""
    sequential = {
        "builtin": "success-rate",
        "compareTo": {"stable": {"maxAbsoluteIncrease": 0.01, "test": "sequential"}},
        "minSamples": 20,
    }
    good = Reading(values=(1.0,), samples=10, stable=Reading(values=(1.0,), samples=1000))
    bad = Reading(values=(0.5,), samples=10, stable=Reading(values=(1.0,), samples=1000))
    weighted = release(sequential, steps=[{"setWeight": 50}, {"analyze": {"duration": "60s"}}])
    routed = release(sequential, steps=[TESTERS, {"analyze": {"duration": "60s"}}])
    assert outcome(weighted, good).outcome == "Paused"
    assert outcome(routed, good).outcome == "Promoted"
    assert outcome(routed, bad).outcome == "RolledBack"


@pytest.mark.parametrize(
    ("strategy", "field", "said"),
    [
        pytest.param(
            {"abTest": {"match": [{"header": "X-A", "regex": "a(?=b)"}], "duration": "1m"}},
            "abTest.match.0.regex",
            "RE2",
            id="an expression that gateways do not take",
        ),
        pytest.param(
            {"abTest": {"match": [{"cookie": {"name": "c", "regex": "("}}], "duration": "1m"}},
            "abTest.match.0.cookie.regex",
            "RE2",
            id="no expression",
        ),
        pytest.param(
            {"abTest": {"match": [{"header": "x-a", "exact": "b"}, {"header": "X-A", "exact": "c"}], "duration": "1m"}},
            "abTest.match.1",
            "matched twice",
            id="one header twice",
        ),
        pytest.param(
            {"canary": {"steps": [{"setHeaderRoute": {"name": "a"}}]}},
            "canary.steps.0.setHeaderRoute.name",
            "no header route a to take away",
            id="nothing to take away",
        ),
        pytest.param(
            {"canary": {"steps": [{"setMirror": {"percent": 10}}, {"setWeight": 5}]}},
            "canary.steps.1",
            "setMirror: {percent: 0}",
            id="copies beside a weight",
        ),
        pytest.param(
            {"canary": {"steps": [TESTERS, {"setMirror": {"percent": 10}}]}},
            "canary.steps.1",
            "setMirror: {percent: 0}",
            id="copies beside a header route",
        ),
    ],
)
def test_contradiction_is_named(world: World, strategy: dict[str, Any], field: str, said: str) -> None:
    """With its field and what to do; the release is Stalled and does nothing."""
    spec = ModelReleaseSpec.model_validate({"model": {"name": "m", "version": "1"}, "strategy": strategy})
    found = {".".join(map(str, path)): words for path, words in unsound(spec)}
    assert said in found[f"spec.strategy.{field}"]
    world.release(strategy=strategy)
    world.train("1")
    world.settle()
    assert world.reason("Stalled").startswith("InvalidSpec: spec.strategy")
    assert world.cluster.get(HTTPROUTE, NAMESPACE, NAME) is None


def test_gateway_knows_a_revision_before_its_first_request_and_after_its_last(world: World) -> None:
    """A proxy that gets a backend with the rule that needs it, or loses it first, fails some requests."""
    world.release(strategy={"canary": {"steps": [{"pause": {}}, {"setWeight": 50}, {"pause": {}}]}}, analysis={})
    old = world.first()
    world.train("2")
    world.settle()
    new = world.status["canary"]["revision"]
    assert (world.route(), world.idle()) == ({old: 100}, [new])
    world.command("promote")
    world.settle()
    assert (world.route(), world.idle()) == ({old: 50, new: 50}, [])
    world.command("abort")
    world.settle()
    assert (world.route(), world.idle()) == ({old: 100}, [new])
    world.settle(seconds=60)
    assert (world.route(), world.idle()) == ({old: 100}, [])
    assert [call for call in world.cluster.calls if "httproutes" in call or "delete services" in call][-2:] == [
        f"apply httproutes/{NAME}",
        f"delete services/{NAME}-{new}",
    ]


@pytest.mark.parametrize(
    ("step", "known"),
    [
        pytest.param({"setMirror": {"percent": 50}}, True, id="who gets copies gets no requests yet"),
        pytest.param(TESTERS, False, id="who gets testers' requests is known by their rule"),
    ],
)
def test_gateway_knows_a_mirrored_revision_before_its_first_request(
    world: World, step: dict[str, Any], known: bool
) -> None:
    """Copies go to a backend of their own in Envoy Gateway: the first requests met one without endpoints."""
    old, new = begun(world, {"canary": {"steps": [step, ANALYZE, {"pause": {}}]}})
    assert world.route() == {old: 100}
    assert world.idle() == ([new] if known else [])

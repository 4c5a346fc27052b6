"""linear, blueGreen and direct: the steps that they come to, and whole releases by them."""

from typing import Any

import pytest

from modelops.api.kinds import DEPLOYMENT
from modelops.api.v1alpha1.modelrelease import Step, Strategy
from modelops.domain.release.steps import effective_steps
from tests.unit.release.world import NAME, NAMESPACE, SUCCESS, World

PRE, POST = {"prePromotion": {"duration": "30s"}}, {"postPromotion": {"duration": "60s"}}
TRIED, TESTERS = {"duration": "30s"}, [{"header": "X-Load", "exact": "1"}]


@pytest.fixture
def world() -> World:
    return World()


def words(strategy: dict[str, Any]) -> list[str]:
    """Return the effective steps in short."""

    def word(step: Step) -> str:
        if step.set_weight is not None:
            return str(step.set_weight)
        if step.set_header_route is not None:
            return f"route {step.set_header_route.name}"
        if step.set_mirror is not None:
            return f"mirror {step.set_mirror.percent}"
        timed = step.bake or step.analyze
        name = "bake" if step.bake else "analyze" if step.analyze else "approve"
        return f"{name} {timed.duration.total_seconds():g}" if timed else name

    return [word(step) for step in effective_steps(Strategy.model_validate(strategy))]


@pytest.mark.parametrize(
    ("strategy", "want"),
    [
        ({"linear": {"stepWeight": 50, "every": "5m"}}, "50, analyze 300"),
        ({"linear": {"stepWeight": 30, "every": "1s"}}, "30, analyze 1, 60, analyze 1, 90, analyze 1"),
        ({"linear": {"stepWeight": 20, "every": "1s", "maxWeight": 50}}, "20, analyze 1, 40, analyze 1, 50, analyze 1"),
        ({"linear": {"stepWeight": 20, "every": "1s", "maxWeight": 20}}, "20, analyze 1"),
        ({"linear": {"stepWeight": 99, "every": "1s"}}, "99, analyze 1"),
        ({"direct": {}}, ""),
        ({"blueGreen": {}}, "100"),
        ({"blueGreen": {**PRE, **POST}}, "bake 30, 100, analyze 60"),
        ({"blueGreen": {**PRE, **POST, "autoPromote": False}}, "bake 30, approve, 100, analyze 60"),
        ({"blueGreen": {"prePromotion": {**TRIED, "match": TESTERS}}}, "route pre-promotion, analyze 30, 100"),
        (
            {"blueGreen": {"prePromotion": {**TRIED, "mirror": 50}, **POST, "autoPromote": False}},
            "mirror 50, analyze 30, approve, mirror 0, 100, analyze 60",
        ),
        ({"canary": {"steps": [{"setWeight": 5}, {"approve": {}}]}}, "5, approve"),
    ],
)
def test_strategy_comes_to_these_steps(strategy: dict[str, Any], want: str) -> None:
    """Always the same for one spec: the status has an index into them."""
    assert ", ".join(words(strategy)) == want


def begun(world: World, strategy: dict[str, Any], **spec: Any) -> tuple[str, str]:
    """Release version 1, then begin version 2; return both revisions."""
    world.release(strategy=strategy, **spec)
    old = world.first()
    world.train("2")
    world.settle()
    world.answer()
    return old, str((world.status.get("canary") or world.status["stable"])["revision"])


def test_linear_ramp_is_judged_at_every_weight(world: World) -> None:
    """25, 50, 75, 100."""
    old, new = begun(world, {"linear": {"stepWeight": 25, "every": "20s"}})
    world.settle(seconds=120)
    ramp = [{old: 100 - weight, new: weight} for weight in (25, 50, 75)]
    assert world.weights == [{old: 100}, *ramp, {new: 100}]
    assert world.status["phase"] == "Promoted"


def test_bad_linear_canary_is_rolled_back(world: World) -> None:
    """By the same rules as any other."""
    old, _ = begun(world, {"linear": {"stepWeight": 25, "every": "20s"}})
    world.settle(seconds=30)
    world.answer(value=0.2)
    world.settle(seconds=30)
    assert world.route() == {old: 100}
    assert world.status["history"][-1]["outcome"] == "RolledBack"


def test_direct_takes_all_of_the_traffic_once_ready(world: World) -> None:
    """Nothing is asked; the old servers stay until the gateway has confirmed and what was in flight has ended."""
    world.release(strategy={"direct": {}})
    old = world.first()
    world.servers_start = False
    world.train("2")
    world.settle(seconds=30)
    assert world.route() == {old: 100}
    world.servers_start, world.gateway_confirms = True, False
    world.settle(seconds=30)
    new = world.status["canary"]["revision"]
    assert world.route() == {new: 100}
    assert world.status["stable"]["revision"] == old
    assert world.deployments() == {old, new}
    world.gateway_confirms = True
    world.settle()
    assert world.status["stable"]["revision"] == new
    assert world.status["history"][-1]["message"] == "direct: nothing is analyzed"
    assert world.metrics.queries == []
    world.settle(seconds=20)
    assert world.deployments() == {new}


def test_direct_gives_up_servers_that_do_not_start(world: World) -> None:
    """Traffic never moved."""
    world.release(strategy={"direct": {}}, progressDeadline="60s")
    old = world.first()
    world.servers_start = False
    world.train("2")
    world.settle(seconds=70)
    assert world.route() == {old: 100}
    assert world.status["history"][-1]["outcome"] == "RolledBack"


def test_blue_green_tries_servers_switches_judges_and_keeps_the_old_warm(world: World) -> None:
    """0 → 100 at once, judged at 100 with the old revision whole; promoted; the old one goes after its delay."""
    blue_green = {**PRE, **POST, "scaleDownDelay": "5m"}
    old, new = begun(world, {"blueGreen": blue_green}, serving={"runtime": "modelops", "replicas": 3})
    assert world.route() == {old: 100}
    world.settle(seconds=29)
    assert world.route() == {old: 100}
    assert world.metrics.queries == []
    world.settle(seconds=2)
    assert world.route() == {new: 100}
    assert world.status["phase"] == "Analyzing"
    assert world.status["stable"]["revision"] == old
    assert world.deployments() == {old, new}
    world.settle(seconds=70)
    assert world.weights == [{old: 100}, {new: 100}]
    assert world.status["stable"]["revision"] == new
    world.settle(seconds=280)
    assert world.deployments() == {old, new}
    world.settle(seconds=40)
    assert world.deployments() == {new}


BEFORE_USERS = [{"match": TESTERS}, {"mirror": 100}]


@pytest.mark.parametrize("tried", BEFORE_USERS, ids=["a load generator's requests", "copies of users'"])
def test_blue_green_is_judged_before_any_user_is_switched(world: World, tried: dict[str, Any]) -> None:
    """Silence holds the switch, a Pass lets it happen; own queries are asked as well as the gateway's figures."""
    own = {"name": "own", "prometheus": {"query": "load_errors"}, "thresholdRange": {"max": 0}}
    analysis = {"interval": "10s", "warmUp": "5s", "metrics": [SUCCESS, own]}
    old, new = begun(world, {"blueGreen": {"prePromotion": {**TRIED, **tried}}}, analysis=analysis)
    world.metrics.answers = {}
    world.settle(seconds=300)
    assert world.status["routing"]
    assert (world.status["weight"], world.status["stable"]["revision"]) == (0, old)
    assert "load_errors" in world.metrics.queries

    world.answer()
    world.metrics.answers["load_errors"] = 0
    world.settle(seconds=30)
    assert world.weights[-1] == {new: 100}
    assert world.status["history"][-1]["outcome"] == "Promoted"


@pytest.mark.parametrize("tried", BEFORE_USERS, ids=["a load generator's requests", "copies of users'"])
def test_what_fails_before_the_switch_never_meets_a_user(world: World, tried: dict[str, Any]) -> None:
    old, _ = begun(world, {"blueGreen": {"prePromotion": {**TRIED, **tried}, **POST}})
    world.answer(value=0.2)
    world.settle(seconds=60)
    assert world.status["history"][-1]["outcome"] == "RolledBack"
    assert world.weights == [{old: 100}]


def test_blue_green_gives_all_of_the_traffic_back_in_the_pass_that_found_it(world: World) -> None:
    """No server has to start for that; the bad revision's servers go at once, whatever scaleDownDelay says."""
    old, new = begun(world, {"blueGreen": {**POST, "scaleDownDelay": "1h"}})
    assert world.route() == {new: 100}
    world.answer(value=0.5)
    world.settle(seconds=15.1)
    assert world.route() == {old: 100}
    assert world.status["history"][-1]["outcome"] == "RolledBack"
    assert world.registry.aliases[NAME, "champion"] == "1"
    world.settle(seconds=20)
    assert world.deployments() == {old}


def test_blue_green_without_an_answer_is_not_promoted(world: World) -> None:
    """It has the traffic, and it holds; the old revision stays warm."""
    old, new = begun(world, {"blueGreen": POST})
    world.answer(samples=1)
    world.settle(seconds=1800)
    assert world.route() == {new: 100}
    assert world.status["stable"]["revision"] == old
    assert world.deployments() == {old, new}
    world.command("abort")
    world.settle()
    assert world.route() == {old: 100}


def test_blue_green_waits_for_a_word_before_the_switch(world: World) -> None:
    """autoPromote: false."""
    old, new = begun(world, {"blueGreen": {**PRE, **POST, "autoPromote": False}})
    world.settle(seconds=600)
    assert world.route() == {old: 100}
    assert world.reason("Paused").startswith("WaitingForApproval")
    world.command("promote", by="ann")
    world.settle(seconds=90)
    assert world.status["stable"]["revision"] == new
    assert "approved by ann" in world.status["history"][-1]["message"]


def test_blue_green_counts_from_when_the_servers_are_ready_without_a_break(world: World) -> None:
    """Slow to start, then gone for a moment: the time begins anew; the progressDeadline does not."""
    world.release(strategy={"blueGreen": PRE}, progressDeadline="2m")
    old = world.first()
    world.servers_start = False
    world.train("2")
    world.settle(seconds=40)
    world.servers_start = True
    world.settle(seconds=20)
    new = world.status["canary"]["revision"]
    name = f"{NAME}-{new}"
    world.cluster.set_status(DEPLOYMENT, NAMESPACE, name, {"observedGeneration": 1, "readyReplicas": 0})
    world.loop.reconcile((NAMESPACE, NAME))
    assert world.status.get("readySince") is None
    world.settle(seconds=20)
    assert world.route() == {old: 100}
    world.settle(seconds=12)
    assert world.status["stable"]["revision"] == new


def test_servers_that_come_and_go_are_given_up(world: World) -> None:
    """A crash loop does not begin the progressDeadline anew with every start."""
    world.release(strategy={"blueGreen": PRE}, progressDeadline="2m")
    old = world.first()
    world.train("2")
    world.settle()
    name = f"{NAME}-{world.status['canary']['revision']}"
    for _ in range(10):
        if not world.status.get("canary"):
            break
        world.settle(seconds=15)
        world.cluster.set_status(DEPLOYMENT, NAMESPACE, name, {"observedGeneration": 1, "readyReplicas": 0})
        world.loop.reconcile((NAMESPACE, NAME))
    assert world.status["history"][-1]["outcome"] == "RolledBack"
    assert world.route() == {old: 100}


def test_server_that_restarts_after_a_long_wait_is_waited_for(world: World) -> None:
    """A day of waiting for a word is no delay of the servers: they have their progressDeadline anew."""
    world.release(strategy={"blueGreen": {"autoPromote": False}}, progressDeadline="2m")
    old = world.first()
    world.train("2")
    world.settle(seconds=1200)
    new = world.status["canary"]["revision"]
    world.cluster.set_status(DEPLOYMENT, NAMESPACE, f"{NAME}-{new}", {"observedGeneration": 1, "readyReplicas": 0})
    world.servers_start = False
    world.settle(seconds=110)
    assert world.status["canary"]["revision"] == new
    world.settle(seconds=20)
    assert world.status["history"][-1]["outcome"] == "RolledBack"
    assert world.route() == {old: 100}


def test_undo_to_what_blue_green_kept_warm_is_immediate(world: World) -> None:
    """Its servers are there: not one has to start. Those of what was undone go at once."""
    old, new = begun(world, {"blueGreen": {"scaleDownDelay": "1h"}})
    assert world.status["stable"]["revision"] == new
    assert world.status["history"][-1]["message"] == "blue-green: nothing is analyzed"
    world.settle(seconds=600)
    world.servers_start = False
    world.command("undo", revision=old)
    world.settle(seconds=2)
    assert world.route() == {old: 100}
    world.settle(seconds=20)
    assert world.deployments() == {old}


def test_comparison_after_the_switch_is_refused(world: World) -> None:
    """Stable has no traffic then; the field is the one that was written."""
    metric = {**SUCCESS, "compareTo": {"stable": {"maxAbsoluteIncrease": 0.1}}}
    world.release(strategy={"blueGreen": POST}, analysis={"metrics": [metric]})
    world.train("1")
    world.settle()
    assert world.reason("Stalled").startswith("InvalidSpec: spec.strategy.blueGreen.postPromotion: at weight 100")


def test_strategy_without_a_strategy_is_stalled(world: World) -> None:
    """What slipped past the schema does not become a direct release."""
    world.release(strategy={})
    world.train("1")
    world.settle()
    assert world.reason("Stalled").startswith("InvalidSpec: spec.strategy: names no strategy; set canary")


@pytest.mark.parametrize("word", ["undo", "full"])
def test_steps_that_come_while_all_are_skipped_are_skipped_too(world: World, word: str) -> None:
    """A spec that changes then would leave the canary at a step of which nothing is in force."""
    old, _ = begun(world, {"direct": {}})
    world.gateway_confirms = False
    wanted = old
    if word == "full":
        world.train("3")
        world.settle()
        wanted = world.status["canary"]["revision"]
        world.command("promote", full=True)
    else:
        world.command("undo", revision=old)
    world.settle()
    assert world.status["canary"]["revision"] == wanted

    world.release(strategy={"abTest": {"match": [{"header": "X-A", "exact": "a"}], "duration": "20s"}})
    world.gateway_confirms = True
    world.settle(seconds=60)
    assert world.route() == {wanted: 100}
    assert world.status["stable"]["revision"] == wanted

"""A cluster that was built anew from git, or a release whose status is lost: the last good version serves first."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from modelops.api.kinds import METRICTEMPLATE, MODELRELEASE, TRAININGRUN
from modelops.api.labels import APPLIED_COMMIT
from modelops.errors import Transient
from tests.support.fakes import FakeServers
from tests.unit.release.world import NAME, NAMESPACE, World

PINNED = {"name": NAME, "version": "4"}
FIRST = "it serves first, as alias champion names it"


@pytest.fixture
def world() -> World:
    """The registry knows versions 3 and 4, of which 3 was promoted; the cluster knows what git says."""
    world = World()
    for version in ("3", "4"):
        world.registry.add(NAME, version, digest=f"sha256:{version}")
    world.registry.aliases[NAME, "champion"] = "3"
    world.release(model=PINNED)
    return world


def lost(world: World) -> None:
    """Let the release be as it comes from git, with everything else as it was."""
    world.cluster.set_status(MODELRELEASE.resource, NAMESPACE, NAME, {})


def started(world: World) -> list[str]:
    """Return what was said whenever a revision began."""
    return [event.message for event in world.cluster.events if event.reason == "CanaryStarted"]


def ends(world: World) -> list[tuple[str, str]]:
    return [(one["version"], one["outcome"]) for one in world.status["history"]]


def judged(world: World, value: float) -> None:
    """Let the canary have its first look, and all others."""
    world.settle()
    assert world.status["canary"]["version"] == "4"
    assert world.status["weight"] == 20
    world.answer(value=value)
    world.settle(seconds=300)


@pytest.mark.parametrize(("value", "serves"), [(1.0, "4"), (0.2, "3")], ids=["good", "bad"])
def test_last_good_version_serves_until_the_wanted_one_is_judged(world: World, value: float, serves: str) -> None:
    """The one that git asks for may be the one that was rolled back: it is a canary like any other."""
    judged(world, value)
    assert ends(world) == [("3", "Promoted"), ("4", "Promoted" if serves == "4" else "RolledBack")]
    first = next(iter(world.weights[0]))
    assert world.weights[:2] == [{first: 100}, {first: 80, world.status["history"][1]["revision"]: 20}]
    assert world.status["stable"]["version"] == serves
    assert world.registry.aliases[NAME, "champion"] == serves


def test_release_says_which_version_comes_first_and_which_then(world: World) -> None:
    """In the Event, the condition and the history; the version that git asks for is queued."""
    world.servers_start = False
    world.settle()
    assert world.reason("Progressing").endswith(f"; {FIRST}; version 4 is queued")
    assert world.status["queuedVersion"] == "4"
    assert started(world)[0].endswith(f"; {FIRST}")

    world.servers_start = True
    world.settle()
    assert world.status["history"][0]["message"] == f"Initial: {FIRST}"
    assert world.status["canary"]["version"] == "4"
    assert "queuedVersion" not in world.status
    assert FIRST not in world.reason("Progressing")


def test_it_serves_while_the_run_has_yet_to_train_again(world: World) -> None:
    """With `from` nothing is registered before hours have passed."""
    world.release(model={"name": NAME, "from": {"trainingRun": NAME}})
    world.settle()
    assert world.status["stable"]["version"] == "3"
    assert world.status["waitingFor"] == f"there is no TrainingRun {NAME} in namespace {NAMESPACE}"

    world.train("5")
    world.settle()
    assert world.status["canary"]["version"] == "5"
    assert world.status["weight"] == 20


def test_status_that_is_lost_in_a_canary_gives_it_no_traffic(world: World) -> None:
    """Servers and route are still there: stable has all of the traffic at once, and the canary begins anew."""
    world.settle()
    stable, canary = world.status["stable"]["revision"], world.status["canary"]["revision"]
    assert world.route() == {stable: 80, canary: 20}
    world.weights.clear()
    lost(world)
    world.settle()
    assert world.weights == [{stable: 100}, {stable: 80, canary: 20}]
    assert world.status["step"] == 1


def test_servers_of_a_status_that_is_lost_stay_until_something_serves(world: World) -> None:
    """The route still sends requests to both, for as long as the smoke test takes."""
    world.release(smokeTest={"requests": [{"name": "flat", "path": "/"}]})
    world.settle()
    stable, canary = world.status["stable"]["revision"], world.status["canary"]["revision"]
    lost(world)
    world.servers.answer = Transient("ServerUnreachable", "Connection refused")
    world.settle(seconds=120)
    assert world.route() == {stable: 80, canary: 20}
    assert world.deployments() == {stable, canary}

    world.release(model={"name": NAME, "version": "3"})
    world.servers.answer = FakeServers.answer
    world.settle(seconds=60)
    assert world.route() == {stable: 100}
    assert world.deployments() == {stable}


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"strategy": {"direct": {}}}, id="direct"),
        pytest.param({"serving": {"replicas": 4}, "traffic": {"mode": "replicas"}}, id="replicas"),
        pytest.param({"freeze": {"reason": "holidays"}}, id="frozen"),
        pytest.param({"onNewVersion": "Ignore"}, id="ignore"),
    ],
)
def test_it_is_the_first_one_whatever_the_spec_says(world: World, spec: dict[str, Any]) -> None:
    """And the other one comes as it would have come to a release that never lost anything."""
    world.release(**spec)
    world.settle(seconds=60)
    assert ends(world)[0] == ("3", "Promoted")
    if "direct" in spec.get("strategy", {}):
        assert ends(world)[1:] == [("4", "Promoted")]
    elif "freeze" in spec:
        assert world.reason("Progressing").startswith("Frozen: version 4 waits for the end of the freeze")
    else:
        assert world.status["canary"]["version"] == "4"


@pytest.mark.parametrize("asked", ["3", "4"])
def test_last_good_version_serves_without_the_metric_template_that_would_judge(world: World, asked: str) -> None:
    """Git may bring it later, or never: what was promoted is not judged anew, and all else waits for it."""
    metric = {"name": "rate", "template": {"name": "rate"}, "thresholdRange": {"min": 0.9}}
    world.release(model={"name": NAME, "version": asked}, analysis={"metrics": [metric]})
    world.settle()
    assert world.status["stable"]["version"] == "3"
    assert "there is no MetricTemplate rate" in world.reason("Stalled")
    world.settle(seconds=300)
    assert ends(world) == [("3", "Promoted")]
    assert "canary" not in world.status

    template = {"metadata": {"name": "rate", "namespace": NAMESPACE}, "spec": {"prometheus": {"query": "vector(1)"}}}
    world.cluster.put(METRICTEMPLATE.resource, template)
    world.settle(seconds=300)
    assert world.status.get("canary", world.status["stable"])["version"] == asked


def test_first_version_of_all_waits_for_the_metric_template(world: World) -> None:
    """Nothing was promoted before it."""
    world.registry.aliases.clear()
    metric = {"name": "rate", "template": {"name": "rate"}, "thresholdRange": {"min": 0.9}}
    world.release(analysis={"metrics": [metric]})
    world.settle()
    assert "stable" not in world.status
    assert started(world) == []


def test_last_good_version_passes_the_smoke_test_too(world: World) -> None:
    """It was good where it was; whether it starts and answers here is another matter."""
    world.release(smokeTest={"requests": [{"name": "flat", "path": "/", "expect": "status == 201"}]})
    world.settle(seconds=30)
    assert ends(world)[0] == ("3", "RolledBack")
    assert world.rules() == []


def _pending(world: World) -> None:
    found = world.registry.versions[NAME, "3"]
    world.registry.versions[NAME, "3"] = replace(found, status="FAILED_REGISTRATION")


def _aborted(world: World) -> None:
    world.servers_start = False
    world.settle()
    world.command("abort")
    world.settle(seconds=61)
    world.servers_start = True


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        pytest.param(_pending, "is FAILED_REGISTRATION", id="never registered"),
        pytest.param(_aborted, "was given up", id="aborted"),
        pytest.param(lambda world: world.registry.versions.pop((NAME, "3")), "", id="deleted"),
    ],
)
def test_wanted_version_is_first_where_the_last_good_one_cannot_serve(
    world: World, happens: Callable[[World], object], words: str
) -> None:
    """Something has to serve; why it is this one is said."""
    happens(world)
    world.settle()
    assert ends(world)[-1] == ("4", "Promoted")
    told = f"version 3, which alias champion names, {words}"
    assert started(world)[-1].endswith(f"; {told}") == bool(words)
    expected = told if words else "the first version, nothing to compare with"
    assert world.status["history"][-1]["message"] == f"Initial: {expected}"


@pytest.mark.parametrize("run", [False, True], ids=["wanted", "its run is gone"])
def test_what_has_requests_already_keeps_them(world: World, run: bool) -> None:
    """Somebody moves the alias while a first version is being promoted: it stays where its users are."""
    world.registry.aliases.clear()
    if run:
        world.release(model={"name": NAME, "from": {"trainingRun": NAME}})
        world.train("4")
    world.gateway_confirms = False
    world.settle()
    assert world.route() == {world.status["canary"]["revision"]: 100}
    world.registry.aliases[NAME, "champion"] = "3"
    if run:
        world.cluster.delete(TRAININGRUN.resource, NAMESPACE, NAME)
    world.settle()
    world.gateway_confirms = True
    world.settle()
    assert ends(world) == [("4", "Promoted")]


@pytest.mark.parametrize(
    ("alias", "names"), [("champion", "4"), ("other", "3")], ids=["it is wanted", "it is another release's"]
)
def test_no_other_version_comes_first_where_the_alias_names_none(world: World, alias: str, names: str) -> None:
    """As on the day that the release was new."""
    world.registry.aliases = {(NAME, alias): names}
    world.settle()
    assert ends(world) == [("4", "Promoted")]
    assert world.status["history"][0]["message"] == "Initial: the first version, nothing to compare with"


def test_nothing_begins_while_the_registry_is_away(world: World) -> None:
    """Nobody else knows which version was good."""
    world.registry.down = True
    world.settle()
    assert world.deployments() == set()
    assert "MLflow does not answer" in world.reason("Ready")
    world.registry.down = False
    world.settle(seconds=60)
    assert ends(world) == [("3", "Promoted")]


def test_record_of_the_last_good_version_names_no_commit_that_asks_for_another(world: World) -> None:
    """The outcome that goes back to git would else say that this commit asked for version 3."""
    world.cluster.annotate(MODELRELEASE.resource, NAMESPACE, NAME, **{APPLIED_COMMIT: "c" * 40})
    judged(world, 1.0)
    assert [one.get("releaseCommit", "") for one in world.status["history"]] == ["", "c" * 40]

"""A version that would refuse what stable's callers send does not begin; one judged against another says so."""

import json
from typing import Any

import pytest

from modelops.api.v1alpha1.modelrelease_status import RevisionStatus
from modelops.domain.release.inputs import refusal
from tests.unit.release.world import NAME, World

AREA = {"area": "double", "rooms": "double?", "kind": "string"}


def revision(version: str) -> RevisionStatus:
    return RevisionStatus(version=version, revision=f"r{version}", digest=f"sha256:{version}")


def tags(inputs: dict[str, str] | None) -> dict[str, str]:
    return {} if inputs is None else {"modelops.inputs": json.dumps(inputs)}


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        pytest.param(AREA, "", id="the same"),
        pytest.param({**AREA, "floor": "long?"}, "", id="one more that may be left out"),
        pytest.param({**AREA, "area": "long"}, "", id="another number"),
        pytest.param({**AREA, "kind": "string?"}, "", id="one that may be left out now"),
        pytest.param(None, "", id="registered by somebody else"),
        pytest.param(
            {**AREA, "floor": "long"},
            "version 2 needs the input floor, which version 1 does not know",
            id="one more",
        ),
        pytest.param(
            {**AREA, "rooms": "double"},
            "version 2 needs the input rooms, which may be left out for version 1",
            id="one that might be left out",
        ),
        pytest.param(
            {"area": "double", "rooms": "double?"},
            "version 2 does not take the input kind, which version 1 takes",
            id="one less",
        ),
        pytest.param(
            {**AREA, "kind": "boolean"},
            "version 2 takes kind as boolean, and version 1 as string",
            id="another type",
        ),
    ],
)
def test_what_stables_callers_send_must_be_answered(inputs: dict[str, str] | None, said: str) -> None:
    """The first input that differs is named."""
    assert refusal(revision("1"), tags(AREA), revision("2"), tags(inputs)) == said


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"area": 1}'])
def test_tag_that_says_nothing_is_no_reason(text: str) -> None:
    """Nobody is kept out by what cannot be read."""
    assert refusal(revision("1"), tags(AREA), revision("2"), {"modelops.inputs": text}) == ""


@pytest.fixture
def world() -> World:
    """Version 1 serves, and takes three inputs."""
    found = World()
    register(found, "1", AREA)
    found.settle()
    assert found.status["stable"]["version"] == "1"
    return found


def register(world: World, version: str, inputs: dict[str, str] | None, **more: str) -> None:
    """Let the TrainingRun register a version with its inputs."""
    world.train(version)
    world.registry.add(NAME, version, digest=f"sha256:{version}", inputs=json.dumps(inputs), **more)


def events(world: World, reason: str) -> list[str]:
    return [event.message for event in world.cluster.events if event.reason == reason]


def test_version_with_other_inputs_does_not_begin(world: World) -> None:
    """No server, no traffic; the release says why, once, and what to do; the next version that fits goes its way."""
    register(world, "2", {**AREA, "floor": "long"})
    world.settle(seconds=600)
    words = (
        "version 2 needs the input floor, which version 1 does not know; "
        "register one that fits, or set spec.model.inputChanges to Allow"
    )
    assert (world.status.get("canary"), world.status["queuedVersion"], world.status["waitingFor"]) == (None, "2", words)
    assert events(world, "InputsDiffer") == [words]
    register(world, "3", AREA)
    world.settle()
    assert (world.status["canary"]["version"], world.status.get("queuedVersion")) == ("3", None)


def test_inputs_may_be_allowed_to_change(world: World) -> None:
    """Once the callers know."""
    register(world, "2", {"area": "double"})
    world.settle()
    assert world.status.get("canary") is None
    world.release(model={"name": NAME, "from": {"trainingRun": NAME}, "inputChanges": "Allow"})
    world.settle()
    assert world.status["canary"]["version"] == "2"


def test_version_with_other_inputs_ends_no_canary(world: World) -> None:
    """A version that may not begin supersedes nothing."""
    register(world, "2", AREA)
    world.settle()
    assert world.status["canary"]["version"] == "2"
    register(world, "3", {"area": "double"})
    world.settle()
    assert (world.status["canary"]["version"], world.status["queuedVersion"]) == ("2", "3")


def test_servers_of_ones_own_take_what_they_like() -> None:
    """What a custom server asks its model is its own affair; so is what nobody wrote down."""
    container: dict[str, Any] = {"name": "server", "image": "x"}
    found = World()
    found.release(serving={"runtime": "custom", "podTemplate": {"spec": {"containers": [container]}}})
    register(found, "1", AREA)
    found.settle()
    register(found, "2", {"area": "double"})
    found.settle()
    assert found.status["canary"]["version"] == "2"


def test_registry_that_is_away_is_waited_for(world: World) -> None:
    """Nobody knows what the version takes, so it does not begin; what serves goes on."""
    register(world, "2", AREA)
    world.registry.down = True
    world.settle()
    assert (world.status.get("canary"), world.status["stable"]["version"]) == (None, "1")
    world.registry.down = False
    world.settle(seconds=120)
    assert world.status["canary"]["version"] == "2"


def test_version_that_was_judged_against_another_one_says_so(world: World) -> None:
    """The champion changed between the evaluation and the release."""
    register(world, "2", AREA, judgedAgainst="1")
    world.settle()
    register(world, "3", AREA, judgedAgainst="7")
    world.settle()
    before, after = events(world, "CanaryStarted")[-2:]
    assert "judged" not in before
    assert after.endswith("; it was judged against version 7, and version 1 serves now")
    assert world.status["canary"]["lineage"]["judgedAgainst"] == "7"

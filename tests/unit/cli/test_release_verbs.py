"""`modelops release …`: commands that reach the operator, refusals with their reason, exit codes, progress."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from modelops.adapters.cluster import KubeClient
from modelops.api import kinds
from modelops.api.labels import COMMAND, OWNER_KIND, OWNER_NAME
from tests.support.fakes import FakeRegistry
from tests.support.reconciling import reconciling
from tests.unit.cli.conftest import Run
from tests.unit.cli.objects import NOW, RELEASE, RUN, condition, record, revision, serving
from tests.unit.cli.test_get import Terminal

Put = Callable[..., dict[str, Any]]


def alone(namespace: str) -> dict[str, Any]:
    """Return a release whose alias and address no other test's release has."""
    model, traffic = {**RELEASE["model"], "promotedAlias": namespace}, {"hostnames": [f"{namespace}.example.com"]}
    return {**RELEASE, "model": model, "traffic": traffic}


@pytest.fixture
def registry() -> FakeRegistry:
    """Versions 1 to 3 of the model."""
    found = FakeRegistry()
    for version in "123":
        found.add("price", version, digest=f"sha256:{version}")
    return found


@pytest.fixture
def kept(client: KubeClient, namespace: str) -> Callable[[str], None]:
    """Return what records a revision, as the operator does when it makes one."""

    def keep(version: str) -> None:
        labels = {OWNER_KIND: "ModelRelease", OWNER_NAME: "price"}
        meta = {"name": f"price-rev{version}", "namespace": namespace, "labels": labels}
        template = {"spec": {"containers": [{"name": "server", "image": "modelops-server"}]}}
        data = {"version": version, "digest": f"sha256:{version}", "template": template}
        client.apply(kinds.CONTROLLERREVISION, {"metadata": meta, "revision": 1, "data": data})

    return keep


def test_undo_goes_back_to_the_version_promoted_before(
    modelops: Run,
    put: Put,
    client: KubeClient,
    namespace: str,
    registry: FakeRegistry,
    kept: Callable[[str], None],
) -> None:
    """The operator takes the word: what served is held back, the one before is on its way."""
    kept("1")
    kept("2")
    put(kinds.TRAININGRUN, "price", {**RUN, "suspend": True}, {"observedGeneration": 1, "modelVersion": "2"})
    status = serving("2", record("1", "Promoted"), record("2", "Promoted"))
    put(kinds.MODELRELEASE, "price", alone(namespace), status)
    with reconciling(client, namespace, registry, only="ModelRelease"):
        done = modelops("release", "undo", "price")

    assert (done.code, done.err) == (0, "")
    assert done.out == "undo: price goes back to version 1, revision rev1\n"
    found = client.get(kinds.MODELRELEASE.resource, namespace, "price")
    assert found is not None
    assert found["status"]["canary"]["version"] == "1"
    assert found["status"]["undoTo"] == "rev1"
    # The operator's own hash of version 2 is another: if it came first, that canary was given up, too.
    assert "rev2" in found["status"]["aborted"]


@pytest.mark.parametrize(
    ("history", "aborted", "versions", "options", "said"),
    [
        pytest.param(["1", "2"], [], "2", [], "no version of price was promoted before version 2", id="no record kept"),
        pytest.param(["2"], [], "12", [], "no version of price was promoted before version 2", id="the only one"),
        pytest.param(
            ["1", "2"], ["rev1"], "12", [], "no version of price was promoted before version 2", id="held back itself"
        ),
        pytest.param(
            ["1", "2"],
            [],
            "12",
            ["--to-version", "11"],
            "cannot go back to version 11; did you mean '1'?; it can go back to: 1",
            id="a version that is not there",
        ),
    ],
)
def test_undo_to_nowhere_says_so(
    modelops: Run,
    put: Put,
    kept: Callable[[str], None],
    history: list[str],
    aborted: list[str],
    versions: str,
    options: list[str],
    said: str,
) -> None:
    """Before anything is given to the operator."""
    for version in versions:
        kept(version)
    records = [record(version, "Promoted") for version in history]
    made = put(kinds.MODELRELEASE, "price", RELEASE, serving("2", *records, aborted=aborted))

    done = modelops("release", "undo", "price", *options)

    assert (done.code, done.out) == (1, "")
    assert said in done.err
    assert COMMAND not in (made["metadata"].get("annotations") or {})


def test_pause_unpause_and_promote_reach_the_operator(
    modelops: Run, put: Put, client: KubeClient, namespace: str, registry: FakeRegistry, kept: Callable[[str], None]
) -> None:
    """What the operator refuses is an error with its reason, not a success."""
    kept("1")
    kept("2")
    put(kinds.TRAININGRUN, "price", {**RUN, "suspend": True}, {"observedGeneration": 1, "modelVersion": "1"})
    put(kinds.MODELRELEASE, "price", alone(namespace), serving("1", canary=revision("2")))
    with reconciling(client, namespace, registry, only="ModelRelease"):
        # The operator's own hash of version 1 is another than the test's, so it is the canary now.
        found = _until_canary(client, namespace)
        paused = modelops("release", "pause", "price")
        refused = modelops("release", "promote", "price", "--full")
        unpaused = modelops("release", "unpause", "price")

    assert paused.out == f"pause: revision {found} of price\n"
    assert (refused.code, refused.out) == (1, "")
    assert "its servers are not ready yet" in refused.err
    assert unpaused.out == f"unpause: revision {found} of price\n"


def _until_canary(client: KubeClient, namespace: str) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = client.get(kinds.MODELRELEASE.resource, namespace, "price") or {}
        canary = (found.get("status") or {}).get("canary") or {}
        if canary and canary["revision"] != "rev2":
            return str(canary["revision"])
    raise AssertionError("no canary")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["abort", "price"], "has no release in progress", id="nothing to abort"),
        pytest.param(
            ["retry", "price"], "no revision of price was aborted, rolled back or left out", id="nothing to retry"
        ),
        pytest.param(["abort", "prize"], "there is no ModelRelease 'prize'", id="a name that is not there"),
        pytest.param(["abort", "prize"], "did you mean 'price'?", id="the nearest is suggested"),
    ],
)
def test_what_cannot_be_done_is_one_line(modelops: Run, put: Put, arguments: list[str], said: str) -> None:
    """Without waiting for anybody."""
    put(kinds.MODELRELEASE, "price", RELEASE, serving("1"))

    done = modelops("release", *arguments)

    assert (done.code, done.out, len(done.err.splitlines())) == (1, "", 1)
    assert said in done.err


def test_command_without_an_operator_says_who_is_missing(
    modelops: Run, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while, with what to look at."""
    monkeypatch.setattr("modelops.cli.release._TAKEN_WITHIN", 0.2)
    put(kinds.MODELRELEASE, "price", RELEASE, serving("1", canary=revision("2")))

    done = modelops("release", "abort", "price")

    assert done.code == 1
    assert "the operator has not taken the command" in done.err


def test_command_to_a_stalled_release_says_why(modelops: Run, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator is well; the release is not."""
    monkeypatch.setattr("modelops.cli.release._TAKEN_WITHIN", 0.2)
    stalled = [condition("Ready", "False", "AliasConflict"), condition("Stalled", "True", "AliasConflict", "older one")]
    put(kinds.MODELRELEASE, "price", RELEASE, serving("1", canary=revision("2"), conditions=stalled))

    done = modelops("release", "abort", "price")

    assert (done.code, done.err) == (1, "modelops: price is stalled: AliasConflict: older one\n")


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        pytest.param(serving("2"), 0, "version 2: Promoted: because", id="promoted"),
        pytest.param(serving("1", record("2", "RolledBack")), 3, "version 2: RolledBack: because", id="rolled back"),
        pytest.param(serving("1", canary=revision("2"), weight=10), 4, "weight 10 %", id="on its way"),
    ],
)
def test_status_is_an_exit_code(modelops: Run, put: Put, status: dict[str, Any], code: int, said: str) -> None:
    """0 promoted, 3 degraded, 4 not settled in time; JSON prints the object."""
    put(kinds.MODELRELEASE, "price", RELEASE, status)

    done = modelops("release", "status", "price", "--watch", "--timeout", "100ms")
    assert (done.code, said in done.out) == (code, True)
    as_json = modelops("release", "status", "price", "-o", "json")
    assert (as_json.code, json.loads(as_json.out)["metadata"]["name"]) == (code, "price")


def test_watched_status_is_drawn_on_a_terminal(modelops: Run, put: Put) -> None:
    """Steps, weight and the last look at each metric, until it is settled; then one line that stays."""
    look = {"time": NOW, "verdict": "Pass", "value": 0.995, "samples": 812}
    analysis = [{"name": "ok", "bound": "≥ 0.99", "measurements": [look]}]
    on_its_way = serving("1", canary=revision("2"), weight=10, step=1, analysis=analysis)
    put(kinds.MODELRELEASE, "price", RELEASE, on_its_way)
    screen = Terminal("release", "status", "price", "--watch")
    try:
        screen.wait_for("ok: Pass 0.995 against ≥ 0.99")
        assert "● analyze 5m" in screen.text
        assert "███\x1b[0m░" in screen.text
        put(kinds.MODELRELEASE, "price", RELEASE, serving("2"))
        assert screen.end() == 0
        assert "version 2: Promoted: because" in screen.text
    finally:
        screen.kill()


def test_version_of_the_same_artifact_counts_as_promoted(modelops: Run, put: Put) -> None:
    """There is nothing to wait for: it serves already, under another number."""
    put(kinds.MODELRELEASE, "price", RELEASE, {**serving("2"), "equivalentVersion": "3"})

    done = modelops("release", "status", "price", "--version", "3", "--watch", "--timeout", "100ms")

    assert (done.code, done.out) == (0, "version 3: the same artifact as version 2, which serves\n")

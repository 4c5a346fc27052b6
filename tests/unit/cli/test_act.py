"""`modelops reconcile|suspend|resume|train`: verbs that change one object and wait for the operator's answer."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from modelops.adapters.cluster import KubeClient
from modelops.api import kinds
from modelops.api.labels import GITSOURCE as DELIVERED_BY
from modelops.api.labels import REQUESTED_AT
from tests.support.reconciling import reconciling
from tests.unit.cli.conftest import Run
from tests.unit.cli.objects import DATASET, RUN, pinned

Put = Callable[..., dict[str, Any]]


def _settle(client: KubeClient, namespace: str) -> None:
    """Wait for the attempt that the object's creation starts."""
    while not client.list(kinds.WORKFLOW, namespace):
        time.sleep(0.02)


@contextmanager
def _failing(client: KubeClient, namespace: str, message: str) -> Iterator[None]:
    """Play an engine in which every Workflow of an attempt by hand fails."""
    stopped = threading.Event()

    def run() -> None:
        while not stopped.wait(0.05):
            found = client.get(kinds.TRAININGRUN.resource, namespace, "price") or {}
            name = ((found.get("status") or {}).get("workflow") or {}).get("name")
            if name and found["status"]["attempt"]["id"] not in known:
                client.merge_patch(kinds.WORKFLOW, namespace, name, {"status": {"phase": "Failed", "message": message}})

    before = client.get(kinds.TRAININGRUN.resource, namespace, "price") or {}
    known = {before["status"]["attempt"]["id"]}
    thread = threading.Thread(target=run)
    thread.start()
    yield
    stopped.set()
    thread.join(10)


def test_reconcile_waits_for_the_echo(modelops: Run, put: Put, client: KubeClient, namespace: str) -> None:
    """The operator looked at it after the word was given; what it found is said."""
    put(kinds.TRAININGRUN, "price", RUN)
    with reconciling(client, namespace):
        done = modelops("reconcile", "tr", "price")

    assert (done.code, done.err) == (0, "")
    assert "trainingrun/price reconciled: not ready: DependencyNotReady: there is no Dataset listings" in done.out
    found = client.get(kinds.TRAININGRUN.resource, namespace, "price")
    assert found is not None
    assert found["status"]["lastHandledReconcileAt"] == found["metadata"]["annotations"][REQUESTED_AT]


def test_reconcile_without_an_operator_is_a_timeout(modelops: Run, put: Put) -> None:
    """Exit 4, and who to ask; with --no-wait it only asks."""
    put(kinds.TRAININGRUN, "price", RUN)

    done = modelops("reconcile", "tr", "price", "--timeout", "200ms")
    assert done.code == 4
    assert "the operator has not answered; is it running? (modelops doctor)" in done.err
    assert modelops("reconcile", "tr", "price", "--no-wait").out == "trainingrun/price asked to reconcile\n"


def test_suspend_and_resume_set_the_field(modelops: Run, put: Put, client: KubeClient, namespace: str) -> None:
    """Twice is no error; a suspended object says so when it is asked to reconcile."""
    put(kinds.TRAININGRUN, "price", RUN)

    assert modelops("suspend", "tr", "price").out == "trainingrun/price suspended\n"
    assert "suspended already" in modelops("suspend", "tr", "price").out
    with reconciling(client, namespace):
        done = modelops("reconcile", "tr", "price")
    assert "unknown: Suspended" in done.out
    assert "modelops resume trainingrun price" in done.err
    assert modelops("resume", "tr", "price").out == "trainingrun/price resumed\n"
    found = client.get(kinds.TRAININGRUN.resource, namespace, "price")
    assert found is not None
    assert not found["spec"].get("suspend")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param({**RUN, "suspend": False}, "set back within 1m", id="git says suspend: it is set back"),
        pytest.param(RUN, "this stays, unseen in git", id="git does not say suspend: it stays"),
    ],
)
def test_suspending_what_git_delivers_is_warned_of(modelops: Run, put: Put, spec: dict[str, Any], said: str) -> None:
    """Nobody should wonder why an object goes on."""
    put(kinds.GITSOURCE, "pricing", {"url": "https://git.example.com/p.git"})
    put(kinds.TRAININGRUN, "price", spec, labels={DELIVERED_BY: "pricing"})

    done = modelops("suspend", "tr", "price")

    assert done.code == 0
    assert said in done.err
    assert "commit suspend: true" in done.err


def test_train_starts_an_attempt_on_the_same_inputs(
    modelops: Run, put: Put, client: KubeClient, namespace: str
) -> None:
    """A Workflow more, with trigger Command; a second one at once is refused unless --restart is given."""
    put(kinds.DATASET, "listings", DATASET, pinned())
    put(kinds.TRAININGRUN, "price", RUN)
    with reconciling(client, namespace, only="TrainingRun"):
        _settle(client, namespace)
        refused = modelops("train", "price")
        assert refused.code == 1
        assert "is running (0 steps done); wait for it, or end it with --restart" in refused.err

        done = modelops("train", "price", "--restart")

    assert (done.code, done.err) == (0, "")
    found = client.get(kinds.TRAININGRUN.resource, namespace, "price")
    assert found is not None
    assert found["status"]["attempt"]["trigger"] == "Command"
    assert done.out == f"trainingrun/price attempt {found['status']['attempt']['id']} started\n"


def test_train_watch_follows_to_the_end(modelops: Run, put: Put, client: KubeClient, namespace: str) -> None:
    """Exit 3 for an attempt that failed, with the step's own words; 4 for one that goes on too long."""
    put(kinds.DATASET, "listings", DATASET, pinned())
    put(kinds.TRAININGRUN, "price", RUN)
    with reconciling(client, namespace, only="TrainingRun"):
        _settle(client, namespace)
        late = modelops("train", "price", "--restart", "--watch", "--timeout", "500ms")
        assert (late.code, late.err) == (4, "modelops: trainingrun/price has not ended in time; it goes on\n")
        with _failing(client, namespace, "NaN loss in epoch 3"):
            done = modelops("train", "price", "--restart", "--watch")

    assert done.code == 3
    assert done.lines[-1] == "Failed: NaN loss in epoch 3"


def test_train_of_a_run_without_data_says_what_it_waits_for(
    modelops: Run, put: Put, client: KubeClient, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The word stays given; the attempt starts once the data is there."""
    monkeypatch.setattr("modelops.cli.train._TAKEN_WITHIN", 0.5)
    put(kinds.TRAININGRUN, "price", RUN)
    with reconciling(client, namespace):
        done = modelops("train", "price")

    assert done.code == 1
    assert "there is no Dataset listings in namespace" in done.err
    assert "it starts once that is so" in done.err


def test_train_of_a_suspended_run_says_what_to_do(modelops: Run, put: Put) -> None:
    """Instead of waiting for an answer that cannot come."""
    put(kinds.TRAININGRUN, "price", {**RUN, "suspend": True})

    done = modelops("train", "price")

    assert (done.code, "first: modelops resume trainingrun price" in done.err) == (1, True)

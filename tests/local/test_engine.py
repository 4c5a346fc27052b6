"""The workflow engine as a process of its own against our API server: real steps, real signals, kill -9."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import CONFIGMAP, SECRET, WORKFLOW
from modelops.api.labels import ATTEMPT, INPUTS_HASH, MANAGED_BY, MANAGER
from modelops.api.v1alpha1.dataset import Attempt
from modelops.domain.attempts import Progress, progress_of
from modelops.workflows.render import MESSAGE_PATH, RETRY_EXPRESSION
from tests.support.local_apiserver import LocalApiServer

pytestmark = pytest.mark.local
CRDS = Path(__file__).parents[2] / "crds"
ATTEMPT_OF_TEST = Attempt(id="a1", trigger="Created", inputs_hash="sha256:0", started_at=datetime.now(UTC))
Script = str


@dataclass
class Engine:
    """The engine, its API server and its state directory."""

    state: Path
    client: KubeClient
    kubeconfig: Path
    process: subprocess.Popen[bytes] | None = None
    owner: str = ""

    def start(self) -> None:
        argv = [sys.executable, "-m", "modelops.localhome.engine", "--state-dir", str(self.state)]
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "MODELOPS_MARK": "inherited"}
        with (self.state / "engine.log").open("ab") as log:
            self.process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(20)

    def submit(self, name: str, *steps: Script, retries: int = 0, deadline: int | None = None, **spec: Any) -> str:
        """Submit a chain of shell scripts; each finds the output of the one before it in $BEFORE."""
        templates = [_template(index, text, retries, last=index == len(steps) - 1) for index, text in enumerate(steps)]
        tasks = [_task(index) for index in range(len(steps))]
        body = {"entrypoint": "main", "templates": [{"name": "main", "dag": {"tasks": tasks}}, *templates], **spec}
        if deadline is not None:
            body["activeDeadlineSeconds"] = deadline
        meta = {
            "name": name,
            "namespace": "default",
            "labels": {MANAGED_BY: MANAGER, ATTEMPT: "a1"},
            "annotations": {INPUTS_HASH: "sha256:0"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": self.owner}],
        }
        self.client.create(WORKFLOW, {"metadata": meta, "spec": body})
        return name

    def get(self, name: str) -> dict[str, Any]:
        found = self.client.get(WORKFLOW, "default", name)
        assert found is not None
        return found

    def ended(self, name: str) -> Progress:
        """Wait for the end; return what the operator reads of it."""
        until(lambda: (self.get(name).get("status") or {}).get("phase") in ("Succeeded", "Failed", "Error"))
        return progress_of(self.get(name), ATTEMPT_OF_TEST, self.owner)


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def _task(index: int) -> dict[str, Any]:
    task: dict[str, Any] = {"name": f"s{index}", "template": f"s{index}"}
    if index:
        value = f"{{{{tasks.s{index - 1}.outputs.parameters.out}}}}"
        task |= {
            "dependencies": [f"s{index - 1}"],
            "arguments": {"parameters": [{"name": "before", "value": value}]},
        }
    return task


def _template(index: int, script: Script, retries: int, *, last: bool) -> dict[str, Any]:
    env = [{"name": "UID_OF_WORKFLOW", "value": "{{workflow.uid}}"}]
    template: dict[str, Any] = {
        "name": f"s{index}",
        "container": {
            "image": "none",
            "command": ["sh", "-c", script],
            "env": env,
            "terminationMessagePath": MESSAGE_PATH,
        },
        "outputs": {
            "parameters": [{"name": "result" if last else "out", "valueFrom": {"path": "/tmp/modelops/result.json"}}]
        },
        "retryStrategy": {
            "limit": str(retries),
            "expression": RETRY_EXPRESSION,
            "backoff": {"duration": "0.1s", "factor": "1"},
        },
    }
    if index:
        env.append({"name": "BEFORE", "value": "{{inputs.parameters.before}}"})
        template["inputs"] = {"parameters": [{"name": "before"}]}
    return template


OUT = 'cd "$MODELOPS_ROOT/tmp/modelops"; '


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApiServer]:
    found = LocalApiServer(tmp_path_factory.mktemp("api"), CRDS).start()
    yield found
    found.stop()


@pytest.fixture
def engine(server: LocalApiServer, tmp_path: Path) -> Iterator[Engine]:
    client = KubeClient.from_kubeconfig(str(server.kubeconfig), context="local")
    for old in client.list(WORKFLOW, None):
        client.delete(WORKFLOW, "default", old["metadata"]["name"])
    owner = client.apply(CONFIGMAP, {"metadata": {"name": "owner", "namespace": "default"}})
    found = Engine(tmp_path, client, server.kubeconfig, owner=owner["metadata"]["uid"])
    found.start()
    yield found
    if found.process is not None and found.process.poll() is None:
        found.end()


def test_outputs_go_from_step_to_step_and_the_last_is_the_result(engine: Engine) -> None:
    """Parameters are data: what one step writes the next one finds, whatever it looks like."""
    written = '{"a":"{{workflow.uid}} $(x)"}'
    name = engine.submit(
        "chain", f"{OUT}printf %s '{written}' > result.json", f'{OUT}printf %s "$BEFORE" > result.json'
    )
    found = engine.ended(name)
    assert (found.phase, found.result) == ("Succeeded", written)
    assert engine.get(name)["status"]["progress"] == "2/2"
    assert not list((engine.state / "scratch").glob("*"))


def test_bad_input_is_not_tried_again_and_its_line_arrives(engine: Engine) -> None:
    """Exit code 64 ends the Workflow with the step's own line."""
    name = engine.submit("bad", f"{OUT}echo 'row 7: price is negative' > message; exit 64", retries=3)
    found = engine.ended(name)
    assert (found.phase, found.message) == ("Failed", "s0: Error (exit code 64): row 7: price is negative")
    assert len(engine.get(name)["status"]["nodes"]) == 1


def test_what_is_away_is_tried_again(engine: Engine) -> None:
    """Exit code 75 is tried again, up to the limit."""
    mark = engine.state / "mark"
    name = engine.submit(
        "away", f"{OUT}test -e {mark} || {{ touch {mark}; exit 75; }}; echo ok > result.json", retries=2
    )
    assert engine.ended(name).result == "ok"
    assert sorted(node["phase"] for node in engine.get(name)["status"]["nodes"].values()) == ["Failed", "Succeeded"]


def test_deadline_ends_the_step_and_its_children(engine: Engine) -> None:
    """activeDeadlineSeconds holds for everything; a grandchild does not survive."""
    pid = engine.state / "pid"
    name = engine.submit("late", f"sleep 300 & echo $! > {pid}; wait", deadline=1, retries=5)
    found = engine.ended(name)
    assert found.phase == "Failed"
    assert "deadline" in found.message
    until(lambda: not Path(f"/proc/{int(pid.read_text())}").exists())


def test_deleted_workflow_ends_its_processes(engine: Engine) -> None:
    """Nobody trains for an object that is gone."""
    pid = engine.state / "pid"
    name = engine.submit("gone", f"sleep 300 & echo $! > {pid}; wait")
    until(lambda: pid.exists() and bool(pid.read_text()))
    engine.client.delete(WORKFLOW, "default", name)
    until(lambda: not Path(f"/proc/{int(pid.read_text())}").exists())


def test_unsupported_field_is_said(engine: Engine) -> None:
    """A Workflow never runs as less than it says."""
    name = engine.submit("fancy", "true", synchronization={"mutexes": [{"name": "m"}]})
    found = engine.ended(name)
    assert found.phase == "Failed"
    assert engine.get(name)["status"]["message"] == (
        "UnsupportedLocally: spec: synchronization is not done on one machine"
    )


def test_killed_engine_is_succeeded_by_one_that_runs_nothing_twice(engine: Engine) -> None:
    """kill -9: finished steps are not run again, the one under way is ended and tried anew."""
    log = engine.state / "runs"
    wait = f"test $(grep -c second {log}) -gt 1 || sleep 300"
    name = engine.submit(
        "crash",
        f"{OUT}echo first >> {log}; echo 1 > result.json",
        f"{OUT}echo second >> {log}; {wait}; echo 2 > result.json",
    )
    until(lambda: log.exists() and "second" in log.read_text())
    engine.end(signal.SIGKILL)
    engine.start()
    assert engine.ended(name).result == "2"
    assert log.read_text().split() == ["first", "second", "second"]


def test_steps_get_secrets_and_nothing_of_the_engine(engine: Engine) -> None:
    """Credentials come by secretKeyRef only; the engine's own access to the API server is not passed on."""
    engine.client.apply(SECRET, {"metadata": {"name": "git", "namespace": "default"}, "stringData": {"password": "p"}})
    name = engine.submit("env", f'{OUT}printf %s "$KUBECONFIG/$MODELOPS_MARK/$UID_OF_WORKFLOW" > result.json')
    found = engine.ended(name)
    assert found.result == f"//{engine.get(name)['metadata']['uid']}"

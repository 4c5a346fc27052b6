"""The engine as a process of its own: Workflows as modelops renders them, with tiny programs as their steps."""

import json
import signal
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from modelops.adapters.finalizers import take_off
from modelops.api.kinds import CONFIGMAP, SECRET, WORKFLOW
from modelops.api.v1alpha1.dataset import Attempt
from modelops.domain import attempts
from modelops.workflows import render
from tests.localhome.conftest import Machine, gone, until

DONE = {"Succeeded", "Failed", "Error"}
OUT = "$MODELOPS_ROOT/tmp/modelops"
RESULT = f"""printf '{{"version":1}}' > {OUT}/result.json"""
TRAIN = {"train": f"printf r1 > {OUT}/run-id", "evaluate": f"echo good > {OUT}/evaluation.json", "register": RESULT}


class Bench:
    """Makes Workflows, and looks at them as the operator does."""

    def __init__(self, machine: Machine, directory: Path) -> None:
        self.machine, self.client, self.namespace = machine, machine.client, machine.namespace
        self.ran = directory / "ran"
        owner: dict[str, Any] = {"metadata": {"name": "owner", "namespace": self.namespace}}
        self.uid = self.client.apply(CONFIGMAP, owner)["metadata"]["uid"]
        self.attempt: Attempt = attempts.new_attempt(self.uid, "sha256:0", "test", counter=0, now=datetime.now(UTC))

    def note(self, word: str) -> str:
        """Return a shell command that writes down that it ran."""
        return f"echo {word} >> {self.ran}"

    def noted(self) -> list[str]:
        return self.ran.read_text().split() if self.ran.exists() else []

    def workflow(
        self,
        steps: Mapping[str, str],
        *,
        retries: int = 0,
        backoff: str = "0.1s",
        seconds: float = 60,
        secret: str | None = None,
        **spec: Any,
    ) -> None:
        """Create a Workflow as the operator does, but with these scripts as its steps."""
        owner = render.Owner("v1", "ConfigMap", "owner", self.namespace, self.uid)
        runtime = render.Runtime("none", "http://mlflow", timeout=timedelta(seconds=seconds), retries=retries)
        given = (owner, "w", self.attempt.id, self.attempt.inputs_hash, {"text": "{{workflow.name}}"}, runtime)
        if "prepare" in steps:
            made = render.prepare_workflow(*given, secret)
        else:
            made = render.training_workflow(*given, secret, own="code" in steps)
        for template in made["spec"]["templates"]:
            if "container" in template:
                template["container"]["command"] = ["sh", "-c", steps[template["name"]]]
                template["retryStrategy"]["backoff"]["duration"] = backoff
            for container in template.get("initContainers", ()):
                container["command"] = ["sh", "-c", steps[container["name"]]]
        made["spec"] |= spec
        assert self.client.create(WORKFLOW, made) is not None

    def get(self) -> dict[str, Any]:
        return self.client.get(WORKFLOW, self.namespace, "w") or {}

    def delete(self) -> None:
        """Delete it, and let go of it as the operator does."""
        self.client.delete(WORKFLOW, self.namespace, "w")
        if held := self.get():
            take_off(self.client, WORKFLOW, held)

    def phase(self) -> str:
        return str((self.get().get("status") or {}).get("phase", ""))

    def end(self, seconds: float = 15) -> attempts.Progress:
        """Wait for the end and return what the operator makes of it."""
        until(lambda: self.phase() in DONE, seconds)
        return attempts.progress_of(self.get(), self.attempt, self.uid)


@pytest.fixture
def idle(machine: Machine, tmp_path: Path) -> Bench:
    return Bench(machine, tmp_path)


@pytest.fixture
def bench(idle: Bench) -> Bench:
    idle.machine.start("engine")
    return idle


def test_outputs_pass_from_step_to_step(bench: Bench) -> None:
    """Each step finds what those before it left, as data, and the operator finds the result."""
    both = 'json.dumps({"version": 1, "run": e["MODELOPS_RUN_ID"], "evaluation": e["MODELOPS_EVALUATION"]})'
    write = (
        f'import json, os; e = os.environ; open(e["MODELOPS_ROOT"] + "/tmp/modelops/result.json", "w").write({both})'
    )
    steps = {
        "evaluate": f'printf "%s" "of $MODELOPS_RUN_ID" > {OUT}/evaluation.json',
        "register": f"python3 -c '{write}'",
    }
    # A tag in a command is Argo's own; what a step prints may look like one.
    steps["train"] = f"""printf '%s%s' '{{' '{{workflow.uid}} "$(id)"' > {OUT}/run-id; printf '}}' >> {OUT}/run-id"""
    bench.workflow(steps)
    progress = bench.end()

    said = '{{workflow.uid} "$(id)"}'
    assert attempts.parse_result(progress.result) == {"version": 1, "run": said, "evaluation": f"of {said}"}
    assert progress.ref is not None
    assert progress.ref.progress == "3/3"


def test_bad_input_is_not_tried_again_and_its_line_is_told(bench: Bench) -> None:
    """Exit code 64 is final; the message is the step's own line."""
    said = f"echo no column price > $MODELOPS_ROOT{render.MESSAGE_PATH}"
    bench.workflow({"prepare": f"{bench.note('p')}; {said}; exit 64"}, retries=3)
    progress = bench.end()

    assert progress.phase == "Failed"
    assert progress.message == "prepare: Error (exit code 64): no column price"
    assert bench.noted() == ["p"]


def test_transient_failure_is_tried_again(bench: Bench) -> None:
    """Exit code 75 twice, then success; every try is a node."""
    bench.workflow({"prepare": f"{bench.note('p')}; [ $(wc -l < {bench.ran}) = 3 ] || exit 75; {RESULT}"}, retries=2)

    assert attempts.parse_result(bench.end().result) == {"version": 1}
    assert len(bench.noted()) == 3
    phases = sorted(node["phase"] for node in bench.get()["status"]["nodes"].values())
    assert phases == ["Failed", "Failed", "Succeeded"]


def test_retries_are_limited_and_a_signal_is_told_as_kubernetes_does(bench: Bench) -> None:
    bench.workflow({"prepare": f"{bench.note('p')}; kill -9 $$"}, retries=1)

    assert bench.end().message == "prepare: Error (exit code 137)"
    assert bench.noted() == ["p", "p"]


@pytest.mark.parametrize("script", ["sleep 60", "exit 75"])
def test_deadline_ends_a_step_and_a_wait(bench: Bench, script: str) -> None:
    """Also while the engine waits to try again."""
    bench.workflow({"prepare": f"{bench.note('p')}; {script}"}, retries=2, backoff="30s", seconds=4)

    assert bench.end(20).phase == "Failed"
    assert "deadline" in bench.get()["status"]["message"]
    assert bench.noted() == ["p"]


def test_deleting_ends_every_process_of_a_step(bench: Bench) -> None:
    """The grandchild too; and what the step wrote goes."""
    bench.workflow({"prepare": f"sh -c 'echo $$ >> {bench.ran}; sleep 77; true' & echo $$ >> {bench.ran}; wait"})
    until(lambda: len(bench.noted()) == 2)
    bench.delete()

    until(lambda: all(gone(int(pid)) for pid in bench.noted()))
    until(lambda: not list((bench.machine.state / "scratch").iterdir()))


@pytest.mark.parametrize("ending", [RESULT, "exit 64"], ids=["done", "failed"])
def test_step_that_ended_leaves_no_file(bench: Bench, ending: str) -> None:
    """Its disk is given back at once, whatever became of it; its words stay in the log."""
    bench.workflow({"prepare": f"echo words; head -c 9000000 /dev/zero > $TMPDIR/large; {ending}"})
    bench.end()
    scratch = bench.machine.state / "scratch"
    until(lambda: not [path for path in scratch.rglob("*") if path.is_file()])
    assert (bench.machine.state / "logs" / f"{bench.namespace}.w.prepare.log").read_text() == "words\n"


@pytest.mark.parametrize(
    ("ending", "seconds"),
    [
        pytest.param(RESULT, 60, id="that is done"),
        pytest.param("exit 64", 60, id="that failed"),
        pytest.param("sleep 80", 1, id="that is late"),
    ],
)
def test_child_that_left_its_session_does_not_outlive_its_step(bench: Bench, ending: str, seconds: float) -> None:
    """A step is what it started, wherever that went."""
    bench.workflow({"prepare": f"setsid sleep 79 & echo $! > {bench.ran}; {ending}"}, seconds=seconds)
    bench.end()
    assert gone(int(bench.noted()[0]))


def test_child_that_left_its_session_does_not_outlive_its_engine(idle: Bench) -> None:
    """The next engine ends it, before it does anything."""
    engine = idle.machine.start("engine")
    idle.workflow({"prepare": f"setsid sleep 79 & echo $! >> {idle.ran}; sleep 80"}, retries=0)
    until(idle.noted)
    engine.kill()
    engine.wait(15)
    idle.delete()
    idle.machine.start("engine")
    until(lambda: gone(int(idle.noted()[0])))


OWN = {
    "inputs": 'echo "$MLFLOW_TRACKING_URI" > $MODELOPS_ROOT/tmp/given',
    "code": 'read given < $MODELOPS_ROOT/tmp/given; echo "$given/$MLFLOW_TRACKING_URI$MODELOPS_GIT_USERNAME" > '
    "$MODELOPS_ROOT/tmp/made",
    "train": f"read made < $MODELOPS_ROOT/tmp/made; printf %s $made > {OUT}/run-id",
    "rows": f'test "$MODELOPS_RUN_ID" && test ! -e $MODELOPS_ROOT/tmp/made && {RESULT}',
    "predict": 'test -z "$MODELOPS_RUN_ID$MLFLOW_TRACKING_URI"',
    "evaluate": f"echo $MODELOPS_RUN_ID > {OUT}/evaluation.json",
    "register": f"""printf '{{"version":1,"runId":"%s"}}' $MODELOPS_EVALUATION > {OUT}/result.json""",
}


def test_init_containers_share_files_and_no_environment(bench: Bench) -> None:
    """What inputs brought the code finds, without its address and credentials; another step finds nothing of it."""
    bench.client.apply(
        SECRET, {"metadata": {"name": "git", "namespace": bench.namespace}, "stringData": {"username": "u"}}
    )
    bench.workflow(OWN, secret="git")
    assert attempts.parse_result(bench.end().result) == {"version": 1, "runId": "http://mlflow/"}


@pytest.mark.parametrize("name", ["inputs", "code", "rows", "predict"])
def test_init_container_that_dies_fails_its_step(bench: Bench, name: str) -> None:
    """Those after it do not run."""
    bench.workflow(OWN | {name: f"{bench.note(name)}; echo is broken; exit 3"})
    step = "train" if name in ("inputs", "code") else "evaluate"
    assert bench.end().message == f"{step}: Error (exit code 3): is broken"
    assert bench.noted() == [name]


@pytest.mark.parametrize("script", ["sleep 60", "exit 75"])
def test_shutdown_ends_it_and_starts_nothing(bench: Bench, script: str) -> None:
    """Also while the engine waits to try again."""
    bench.workflow({"prepare": f"{bench.note('p')}; {script}"}, retries=2, backoff="20s")
    until(bench.noted)
    bench.client.merge_patch(WORKFLOW, bench.namespace, "w", {"spec": {"shutdown": "Terminate"}})

    assert bench.end().phase == "Failed"
    assert bench.noted() == ["p"]


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        pytest.param({"onExit": "main"}, "UnsupportedLocally: spec: onExit", id="unsupported"),
        pytest.param({"templates": [{"name": "main", "dag": {"tasks": [{}]}}]}, "", id="malformed"),
    ],
)
def test_what_is_not_done_ends_in_error(bench: Bench, spec: dict[str, Any], why: str) -> None:
    """By name, and at once."""
    bench.workflow({"prepare": RESULT}, **spec)

    assert bench.end(5).message.startswith(why)
    assert bench.phase() == "Error"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_another_engine_goes_on_where_one_died(idle: Bench, number: signal.Signals) -> None:
    """What is finished does not run again; what ran, grandchildren too, is ended and tried anew."""
    engine = idle.machine.start("engine")
    pids = idle.ran.with_name("pids")
    first = f"if [ ! -e {pids} ]; then sleep 78 & echo $! $$ > {pids}; wait; exit 1; fi"
    steps = TRAIN | {"train": f"{idle.note('train')}; {TRAIN['train']}"}
    steps["evaluate"] = f"{idle.note('evaluate')}; {first}; echo $MODELOPS_RUN_ID > {OUT}/evaluation.json"
    idle.workflow(steps)
    until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    engine.send_signal(number)
    engine.wait(15)
    idle.machine.start("engine")

    assert attempts.parse_result(idle.end().result) == {"version": 1}
    assert idle.noted() == ["train", "evaluate", "evaluate"]
    assert all(gone(int(pid)) for pid in pids.read_text().split())


def test_environment_is_the_step_s_own(bench: Bench) -> None:
    """Secrets come in by reference; nothing of the engine's own settings does."""
    secret: dict[str, Any] = {
        "metadata": {"name": "git", "namespace": bench.namespace},
        "stringData": {"username": "u"},
    }
    bench.client.apply(SECRET, secret)
    bench.workflow({"prepare": f"env > {bench.ran}; {RESULT}"}, secret="git")
    bench.end()

    found = dict(line.split("=", 1) for line in bench.ran.read_text().splitlines())
    assert found["MODELOPS_GIT_USERNAME"] == "u"
    assert json.loads(found["MODELOPS_STEP"]) == {"step": "prepare", "text": "{{workflow.name}}"}
    assert found["MODELOPS_WORKFLOW_UID"] == bench.get()["metadata"]["uid"]
    assert not found.keys() & {"KUBECONFIG", "MODELOPS_LEAK", "MLFLOW_LEAK", "MODELOPS_GIT_PASSWORD"}
    assert "PATH" in found


def test_api_server_that_is_away_loses_nothing(bench: Bench) -> None:
    """It goes between two tries of a step that reads a Secret."""
    bench.workflow({"prepare": f"{bench.note('p')}; [ $(wc -l < {bench.ran}) = 2 ] || exit 75; {RESULT}"},
                   retries=1, backoff="1s", secret="git")  # fmt: skip
    until(lambda: any(node["phase"] == "Failed" for node in bench.get().get("status", {}).get("nodes", {}).values()))
    bench.machine.server.stop(signal.SIGKILL)
    engine_log = bench.machine.state / "engine.log"
    until(lambda: "tried again" in engine_log.read_text() or "w: " in engine_log.read_text())
    bench.machine.server.start()

    assert bench.end().phase == "Succeeded"


def test_workflow_of_the_same_name_finds_nothing_of_the_old_one(bench: Bench) -> None:
    """An old result is never taken for a new one."""
    bench.workflow({"prepare": f"{RESULT}; exit 64"})
    assert bench.end().phase == "Failed"
    bench.delete()
    bench.workflow({"prepare": "true"})

    assert "left no output result" in bench.end().message

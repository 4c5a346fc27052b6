"""A team's code as a process: what it is given, what bounds it, what is said of its end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from modelops.steps.context import BadInputError, StepFailedError, TrainingInput
from modelops.steps.own import code, process
from modelops.steps.own.inputs import entry
from modelops.steps.own.places import Places
from tests.support import tables

STEP = {
    "apiVersion": "modelops.dev/v1alpha1",
    "step": "code",
    "namespace": "farm",
    "name": "harvest",
    "attempt": "0a",
    "inputsHash": "sha256:0",
    "commit": "c",
    "data": {"runId": "r", "contentDigest": "", "digest": "", "commit": ""},
    "dataset": tables.houses_spec(),
    "run": {**tables.price_run(), "trainer": {"git": {"path": "train.py"}}, "hyperparameters": {}},
    "code": {"url": "", "commit": "c", "path": "train.py", "digest": "sha256:0"},
}


def ran(tmp_path: Path, text: str, environment: dict[str, str] | None = None, **limits: Any) -> tuple[int, str]:
    """Run a train.py and return exit code and message."""
    places = Places(tmp_path / "own")
    bounds = process.Limits(**limits) if limits else None
    for place in (places.code, places.input, places.output):
        place.mkdir(parents=True, exist_ok=True)
    (places.code / "train.py").write_text(text)
    return code.run(TrainingInput.model_validate(STEP), places, environment or dict(os.environ), limits=bounds)


def test_code_is_given_its_places_and_no_secret(tmp_path: Path) -> None:
    """Credentials of registry, git and clouds stay with us."""
    text = (
        "import os\nsecrets = [n for n in os.environ if 'TOKEN' in n or 'SECRET' in n or 'PASSWORD' in n]\n"
        "assert not secrets, secrets\nassert os.path.isdir(os.environ['MODELOPS_INPUT'])\n"
        "open(os.environ['MODELOPS_OUTPUT'] + '/seen', 'w').write(os.environ['WORD'])\n"
    )
    secrets = {
        "MLFLOW_TRACKING_TOKEN": "x",
        "MODELOPS_GIT_PASSWORD": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "HUB_TOKEN": "x",
        "ARGO_TEMPLATE": "x",
        "WAREHOUSE": "postgres://reader:hidden@db.example.com/prices",
    }
    text += "assert 'WAREHOUSE' not in os.environ and 'ARGO_TEMPLATE' not in os.environ\n"
    assert ran(tmp_path, text, {**os.environ, **secrets, "WORD": "kept"}) == (0, "")
    assert (tmp_path / "own/output/seen").read_text() == "kept"


@pytest.mark.parametrize(
    ("text", "code_", "message"),
    [
        pytest.param("raise SystemExit(64)", 64, "train.py: exited with 64: without a word", id="exits silently"),
        pytest.param("1 / 0", 1, "train.py: exited with 1: ZeroDivisionError: division by zero", id="raises"),
        pytest.param(
            "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
            1,
            "train.py: was ended by signal 9 (out of memory?): without a word",
            id="is killed",
        ),
        pytest.param(
            "import sys\nprint('wait')\nsys.exit(75)", 75, "train.py: exited with 75: wait", id="is temporary"
        ),
    ],
)
def test_end_of_the_code_is_told_in_one_line(tmp_path: Path, text: str, code_: int, message: str) -> None:
    """The exit code decides about retries; the last line is what people read."""
    assert ran(tmp_path, text) == (code_, message)


def test_code_that_fills_the_disk_is_ended(tmp_path: Path) -> None:
    """Many files count together, wherever they lie in the scratch; a single one is stopped by the system."""
    many = (
        "import os, time\n"
        "for i in range(10**6):\n    open(f\"{os.environ['TMPDIR']}/../../{i}\", 'wb').write(b'x' * 100_000)\n"
    )
    found, message = ran(tmp_path, many, size=3 << 20)
    assert (found, message) == (64, "train.py: wrote more than 3 MiB and was ended; write less")
    one = "import os\nopen(os.environ['MODELOPS_OUTPUT'] + '/one', 'wb').write(b'x' * 9_000_000)\n"
    found, message = ran(tmp_path / "one", one, size=3 << 20)
    assert found != 0
    assert "File too large" in message or "wrote more than 3 MiB" in message


def test_code_that_makes_too_many_files_is_ended(tmp_path: Path) -> None:
    """A disk can be full of nothing."""
    text = "import os\nfor i in range(10**6):\n    open(f\"{os.environ['MODELOPS_OUTPUT']}/{i}\", 'w').close()\n"
    assert ran(tmp_path, text, files=2000) == (
        64, "train.py: wrote more than 2000 files and was ended; write fewer"
    )  # fmt: skip


DAEMON = """
import os, sys, time
mark = os.environ["MODELOPS_OUTPUT"] + "/pid"
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve(sys.executable, ["forgotten", "-c", "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid()) + '.'); time.sleep(600)", mark], {})
    os._exit(0)
while not os.path.exists(mark) or not open(mark).read().endswith("."):
    time.sleep(0.01)
"""  # noqa: E501


def gone(pid: str) -> bool:
    """Say whether a process has ended; a zombie, which has no words left, has."""
    try:
        return not Path(f"/proc/{pid.rstrip('.')}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize(
    ("ending", "code_", "limits"),
    [
        pytest.param("", 0, {}, id="and ends well"),
        pytest.param("sys.exit(3)", 3, {}, id="and fails"),
        pytest.param("time.sleep(600)", 64, {"seconds": 1.0}, id="and hangs"),
    ],
)
def test_children_do_not_outlive_the_code(tmp_path: Path, ending: str, code_: int, limits: dict[str, Any]) -> None:
    """Not even one that left its session, its parent and its environment behind."""
    assert ran(tmp_path, DAEMON + ending, **limits)[0] == code_
    assert gone((tmp_path / "own/output/pid").read_text())


def test_step_that_is_told_to_end_takes_everything_along(tmp_path: Path) -> None:
    """The engine's and the kubelet's SIGTERM reaches what the code started too."""
    places = Places(tmp_path / "tmp" / "own")
    for place in (places.code, places.input, places.output):
        place.mkdir(parents=True)
    (places.code / "train.py").write_text(DAEMON + "time.sleep(600)")
    environment = {**os.environ, "MODELOPS_ROOT": str(tmp_path), "MODELOPS_STEP": json.dumps(STEP)}
    step = subprocess.Popen([sys.executable, "-m", "modelops.steps.main", "code"], env=environment)
    mark = places.output / "pid"
    deadline = time.monotonic() + 20
    while not mark.exists() or not mark.read_text().endswith("."):
        assert time.monotonic() < deadline
    step.send_signal(signal.SIGTERM)
    assert step.wait(15) == 0
    assert gone(mark.read_text())
    with pytest.raises(StepFailedError, match="was told to end before it was done"):
        places.raise_failure()


def test_words_without_end_are_cut(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The log keeps the beginning, the message the end."""
    text = "import sys\nfor i in range(200_000):\n    print('word ' * 20, i)\nsys.exit('the last word')\n"
    assert ran(tmp_path, text) == (1, "train.py: exited with 1: the last word")
    said = capfd.readouterr().err
    assert process.MAX_WORDS <= len(said) < process.MAX_WORDS + 1000
    assert "is left out" in said[-200:]


@pytest.mark.parametrize(
    ("path", "names", "found"),
    [
        pytest.param("a/train.py", ["train.py"], "train.py", id="a file is run itself"),
        pytest.param("a", ["main.py", "model.py"], "main.py", id="a directory runs its main.py"),
        pytest.param("a", ["train.py"], None, id="a directory without one is refused"),
        pytest.param("run.sh", ["run.sh"], None, id="what is no Python is refused"),
    ],
)
def test_what_is_run_follows_from_the_path(path: str, names: list[str], found: str | None) -> None:
    """No guessing."""
    source = TrainingInput.model_validate({**STEP, "code": {**STEP["code"], "path": path}}).code  # type: ignore[dict-item]
    assert source is not None
    if found is None:
        with pytest.raises(BadInputError, match=r"needs a main\.py"):
            entry(source, names)
    else:
        assert entry(source, names) == found


@pytest.mark.parametrize(
    "left",
    [
        pytest.param("{", id="broken JSON"),
        pytest.param('{"code": "many"}', id="another shape"),
        pytest.param("[" * 100_000, id="too deep"),
        pytest.param(None, id="a link"),
    ],
)
def test_failure_that_a_team_forged_is_no_more_than_a_failure(tmp_path: Path, left: str | None) -> None:
    """What code leaves where ours says that it failed is not believed."""
    places = Places(tmp_path)
    if left is None:
        places.failure.symlink_to("/etc/passwd")
    else:
        places.failure.write_text(left)
    with pytest.raises(StepFailedError, match="was written by somebody else"):
        places.raise_failure()


def test_message_holds_no_control_characters(tmp_path: Path) -> None:
    """Colours and bells of a terminal do not reach a condition."""
    text = "import sys\nsys.exit('\\x1b[31mred\\x1b[0m \\x07bell')\n"
    assert ran(tmp_path, text) == (1, "train.py: exited with 1: red bell")

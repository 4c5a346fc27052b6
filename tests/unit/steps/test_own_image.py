"""A team's command in an image of theirs: what is lent runs it as code from git is run, and tells how it ended."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelops.steps.context import BadInputError, StepFailedError, TrainingInput
from modelops.steps.own import lent, process
from modelops.steps.own.places import Places
from tests.unit.steps.test_own_code import DAEMON, STEP

CONTAINED = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")
IMAGE = "registry.example.com/farm/harvest"


# busybox is what the trainer image lends; a machine without it still has a shell that reads the script.
@pytest.fixture(params=["sh", *(["busybox"] if shutil.which("busybox") else [])])
def tools(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the shell and tools of busybox lent, or those of this machine."""
    if request.param == "sh":
        stand_in(tmp_path, monkeypatch)


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `busybox PROGRAM` be a program of this machine."""
    program = tmp_path / "bin" / "busybox"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nexec "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def step_of(*command: str) -> TrainingInput:
    trainer = {"image": f"{IMAGE}@sha256:{'0' * 64}", "command": list(command)}
    return TrainingInput.model_validate({**STEP, "code": None, "run": {**STEP["run"], "trainer": trainer}})  # type: ignore[dict-item]


def ran(tmp_path: Path, *command: str, contained: bool = False, **limits: Any) -> str:
    """Run a command as the container does, and return what is said of its end; empty if that is good.

    `contained`: with processes of its own, of which it is the first.
    """
    places, step = Places(tmp_path / "scratch/own"), step_of(*command)
    for place in (places.input, places.output):
        place.mkdir(parents=True)
    lent.lend(step, places, limits=process.Limits(**limits) if limits else None)
    words = [str(places.lent / "busybox"), "sh", str(places.lent / "run")]
    entered = CONTAINED if contained else ()
    given = {"PATH": os.environ["PATH"], "WORD": "kept", "KUBERNETES_SERVICE_HOST": "10.0.0.1", "ARGO_TEMPLATE": "{}"}
    done = subprocess.run([*entered, *words], env=given, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 0
    try:
        lent.raise_end(step, places)
    except (BadInputError, StepFailedError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def python(text: str) -> tuple[str, ...]:
    return sys.executable, "-c", text


@pytest.mark.usefixtures("tools")
def test_command_is_given_its_places_and_its_words_as_they_are(tmp_path: Path) -> None:
    """No shell reads the words, the image's environment stays, the cluster's does not."""
    text = (
        "import os, sys\nassert os.path.isdir(os.environ['MODELOPS_INPUT'])\n"
        "assert not [n for n in os.environ if n.startswith(('KUBERNETES_', 'ARGO_', 'MODELOPS_STEP'))]\n"
        "open(os.environ['MODELOPS_OUTPUT'] + '/seen', 'w').write(os.environ['WORD'] + ' ' + ' '.join(sys.argv[1:]))\n"
    )
    assert ran(tmp_path, *python(text), "a 'quoted' $HOME", "{{tag}}", "$(date)", "") == ""
    assert (tmp_path / "scratch/own/output/seen").read_text() == "kept a 'quoted' $HOME {{tag}} $(date) "


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize(
    ("command", "said"),
    [
        pytest.param(
            python("raise SystemExit(64)"), f"BadInputError: {IMAGE}: exited with 64: without a word", id="64"
        ),
        pytest.param(
            python("1 / 0"),
            f"StepFailedError: {IMAGE}: exited with 1: ZeroDivisionError: division by zero",
            id="raises",
        ),
        pytest.param(
            python("import os\nprint('so far')\nos.write(1, b'so far\\n')\nos.kill(os.getpid(), 9)"),
            f"StepFailedError: {IMAGE}: was ended by signal 9 (out of memory?): so far",
            id="is killed",
        ),
        pytest.param(("/no/such/program",), f"StepFailedError: {IMAGE}: exited with 127: ", id="is not there"),
    ],
)
def test_end_of_the_command_is_told_in_one_line(tmp_path: Path, command: tuple[str, ...], said: str) -> None:
    """As of code from git, though the container itself ends well."""
    assert ran(tmp_path, *command).startswith(said)


@pytest.mark.usefixtures("tools")
def test_command_that_fills_the_disk_is_ended(tmp_path: Path) -> None:
    """By size and by number, wherever in the scratch."""
    many = (
        "import os, time\nfor i in range(200):\n"
        "    open(os.environ['TMPDIR'] + f'/../../{i}', 'wb').write(b'x' * 100_000)\ntime.sleep(600)\n"
    )
    assert "wrote more than" in ran(tmp_path / "size", *python(many), size=3 << 20)
    assert "files and was ended; write fewer" in ran(tmp_path / "files", *python(many), files=100)
    one = "import os\nopen(os.environ['MODELOPS_OUTPUT'] + '/one', 'wb').write(b'x' * 9_000_000)\n"
    assert "File too large" in ran(tmp_path / "one", *python(one), size=3 << 20)


@pytest.mark.usefixtures("tools")
def test_words_without_end_are_cut(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The log keeps the beginning, the message the end."""
    text = "import sys\nfor i in range(200_000):\n    print('word ' * 20, i)\nsys.exit('the last word')\n"
    assert ran(tmp_path, *python(text)) == f"StepFailedError: {IMAGE}: exited with 1: the last word"
    said = capfd.readouterr().out
    assert process.MAX_WORDS - 200 <= len(said) < process.MAX_WORDS + 1000
    assert "is left out" in said[-200:]


@pytest.mark.usefixtures("tools")
def test_children_do_not_outlive_the_command(tmp_path: Path) -> None:
    """In a container not even one that left its session, and holds its words open, keeps it from ending."""
    if subprocess.run([*CONTAINED, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no PID namespace may be made here: be root, or allow user namespaces")
    assert ran(tmp_path, *python(DAEMON), contained=True) == ""


@pytest.mark.usefixtures("tools")
def test_command_after_a_failure_is_not_run(tmp_path: Path) -> None:
    """What `inputs` left is told by the main container, not by the image."""
    places = Places(tmp_path / "own")
    places.fail(64, "there is no data")
    lent.lend(step_of("touch", str(tmp_path / "ran")), places)
    subprocess.run([str(places.lent / "busybox"), "sh", str(places.lent / "run")], check=True)
    assert not (tmp_path / "ran").exists()


def test_image_that_did_not_run_is_told(tmp_path: Path) -> None:
    """As one of another processor, or that user 65532 cannot read."""
    with pytest.raises(StepFailedError, match="harvest: did not run"):
        lent.raise_end(step_of("true"), Places(tmp_path))


def test_trainer_image_without_busybox_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform team has to add it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInputError, match="add busybox-static"):
        lent.lend(step_of("true"), Places(tmp_path))

"""A team's code as a process: what it is given, what bounds it, what is said of its end."""

import os
from pathlib import Path
from typing import Any

import pytest

from modelops.steps.context import BadInputError, TrainingInput
from modelops.steps.own import code, directory
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
    for place in (places.code, places.input, places.output):
        place.mkdir(parents=True, exist_ok=True)
    (places.code / "train.py").write_text(text)
    return code.run(TrainingInput.model_validate(STEP), places, environment or dict(os.environ), **limits)


def test_code_is_given_its_places_and_no_secret(tmp_path: Path) -> None:
    """Credentials of registry, git and clouds stay with us."""
    text = (
        "import os\nsecrets = [n for n in os.environ if 'TOKEN' in n or 'SECRET' in n or 'PASSWORD' in n]\n"
        "assert not secrets, secrets\nassert os.path.isdir(os.environ['MODELOPS_INPUT'])\n"
        "open(os.environ['MODELOPS_OUTPUT'] + '/seen', 'w').write(os.environ['WORD'])\n"
    )
    secrets = {"MLFLOW_TRACKING_TOKEN": "x", "MODELOPS_GIT_PASSWORD": "x", "AWS_SECRET_ACCESS_KEY": "x"}
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
            "train.py: was ended by signal 9 (out of memory?): ",
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
    """Many files count together; a single one is stopped by the system."""
    many = (
        "import os, time\n"
        "for i in range(10**6):\n    open(f\"{os.environ['MODELOPS_OUTPUT']}/{i}\", 'wb').write(b'x' * 100_000)\n"
    )
    found, message = ran(tmp_path, many, max_output=3 << 20)
    assert (found, message) == (64, "train.py: wrote more than 3 MiB and was ended; write less")
    one = "import os\nopen(os.environ['MODELOPS_OUTPUT'] + '/one', 'wb').write(b'x' * 9_000_000)\n"
    found, message = ran(tmp_path / "one", one, max_output=3 << 20)
    assert found != 0
    assert "File too large" in message or "wrote more than 3 MiB" in message


def test_words_without_end_are_cut(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The log keeps the beginning, the message the end."""
    text = "import sys\nfor i in range(200_000):\n    print('word ' * 20, i)\nsys.exit('the last word')\n"
    assert ran(tmp_path, text) == (1, "train.py: exited with 1: the last word")
    said = capfd.readouterr().err
    assert code.MAX_WORDS <= len(said) < code.MAX_WORDS + 1000
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


def test_digest_of_a_model_is_what_it_does_not_when_it_was_saved() -> None:
    """Times, ids and MLflow's own additions do not count; every other byte does."""
    mlmodel = (
        "run_id: ID\nutc_time_created: ID\nflavors: {python_function: {artifacts: {w: {path: w, uri: /tmp/ID}}}}\n"
    )
    files = {"MLmodel": mlmodel.replace("ID", "a").encode(), "weights.json": b"[1]"}
    again = {"MLmodel": mlmodel.replace("ID", "b").encode(), "weights.json": b"[1]"}
    assert directory.digest_of(files) == directory.digest_of({**again, "registered_model_meta": b"x"})
    assert directory.digest_of(files) != directory.digest_of({**files, "weights.json": b"[2]"})

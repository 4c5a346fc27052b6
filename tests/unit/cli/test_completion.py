"""Shell completion: the script, and what it offers for kinds, names and contexts."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import BashComplete

from modelops.api import kinds
from modelops.cli.main import cli
from tests.unit.cli.conftest import Run
from tests.unit.cli.objects import RELEASE, RUN

Put = Callable[..., dict[str, Any]]


def offered(*words: str) -> list[str]:
    """Return what is offered for the last word."""
    *before, last = words
    items = BashComplete(cli, {}, "modelops", "_MODELOPS_COMPLETE").get_completions(before, last)
    return [item.value for item in items]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_asks_the_program(modelops: Run, shell: str) -> None:
    """It calls us with the variable that click looks at."""
    done = modelops("completion", shell)

    assert (done.code, done.err) == (0, "")
    assert f"_MODELOPS_COMPLETE={shell}_complete" in done.out


def test_bash_accepts_the_script(modelops: Run, tmp_path: Path) -> None:
    """A real bash reads it, and knows the function."""
    (tmp_path / "script").write_text(modelops("completion", "bash").out)
    command = f"source {tmp_path / 'script'} && complete -p modelops"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=20, check=True)
    assert "_modelops_completion" in done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["rec"], ["reconcile"], id="verbs"),
        pytest.param(["release", "un"], ["undo", "unpause"], id="subcommands"),
        pytest.param(["get", "mod"], ["modelreleases"], id="kinds"),
        pytest.param(["get", "datasets,tr"], ["datasets,trainingruns"], id="the second of several kinds"),
        pytest.param(["get", "--wa"], ["--watch"], id="options"),
        pytest.param(["completion", "z"], ["zsh"], id="choices"),
    ],
)
def test_words_are_offered(words: list[str], expected: list[str]) -> None:
    """Without asking any server."""
    assert offered(*words) == expected


def test_names_come_from_the_server(modelops: Run, put: Put) -> None:
    """Of the kind that was typed, or that the verb is about."""
    put(kinds.TRAININGRUN, "price", RUN)
    put(kinds.TRAININGRUN, "digits", RUN)
    put(kinds.MODELRELEASE, "shop", RELEASE)

    assert offered("get", "tr", "") == ["digits", "price"]
    assert offered("train", "pr") == ["price"]
    assert offered("release", "undo", "") == ["shop"]


def test_contexts_come_from_the_kubeconfig(modelops: Run) -> None:
    """And `local` is always there."""
    assert offered("get", "mr", "--context", "l") == ["local"]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["get", "nothing", ""], id="an unknown kind"),
        pytest.param(["get", "--kubeconfig", "/none", "tr", ""], id="no kubeconfig"),
        pytest.param(["train", "--context", "nowhere", ""], id="an unknown context"),
    ],
)
def test_failure_is_silent(modelops: Run, words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """A shell that completes shows no error."""
    assert offered(*words) == []
    assert capfd.readouterr() == ("", "")

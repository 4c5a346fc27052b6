"""The program itself: quick, one-line errors, exit codes, suggestions."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from modelops.cli import main as program
from modelops.cli.release import judge
from modelops.cli.target import kind_named
from tests.support.local_apiserver import LocalApiServer


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    return subprocess.run(
        [sys.executable, "-c", "from modelops.cli.main import main; main()", *arguments],
        capture_output=True,
        text=True,
        env={**clean, **environment},
        timeout=60,
        check=False,
    )


HEAVY = ("torch", "mlflow", "kopf", "kubernetes", "pandas", "aiohttp", "git")
ALSO = {"--help": ("pydantic", "urllib3", "yaml", "rich"), "completion bash": ("pydantic", "urllib3", "rich")}


@pytest.mark.parametrize(
    "arguments",
    ["--help", "completion bash", "validate examples/digits/v1", "get modelreleases", "plan -f examples/digits/v1"],
)
def test_verb_imports_nothing_heavy(arguments: str, server: LocalApiServer) -> None:
    """Each verb is quick because torch, mlflow, kopf and the Kubernetes package stay out of it."""
    heavy = (*HEAVY, *ALSO.get(arguments, ()))
    code = (
        "import sys, io, contextlib; from modelops.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    try: main(sys.argv[1:])\n"
        "    except SystemExit as end: assert not end.code, end.code\n"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments.split()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "KUBECONFIG": str(server.kubeconfig)},
    )

    assert done.stdout.strip() == "[]"


def test_help_names_every_verb() -> None:
    """What exists is listed."""
    done = CliRunner().invoke(program.cli, ["--help"])

    for verb in (
        *("local", "validate", "plan", "get", "describe", "release", "train", "reconcile", "suspend", "resume"),
        *("lineage", "serve", "doctor", "completion"),
    ):
        assert f"  {verb} " in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["relase"], "did you mean 'release'", id="a misspelt verb"),
        pytest.param(["get"], "Missing argument 'KIND'", id="a missing argument"),
        pytest.param(["release", "promote"], "Missing argument 'NAME'", id="a missing name"),
    ],
)
def test_usage_errors_exit_with_2(arguments: list[str], said: str) -> None:
    """As kubectl and every shell tool do."""
    done = CliRunner().invoke(program.cli, arguments)

    assert done.exit_code == 2
    assert said in done.output


def test_an_error_is_one_line_on_stderr(tmp_path: Path) -> None:
    """No traceback, nothing on stdout, what to do in the line."""
    done = run("get", "modelreleases", "--context", "local", MODELOPS_STATE_DIR=str(tmp_path))

    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "modelops local up" in done.stderr


@pytest.mark.parametrize("word", ["modelrelease", "modelreleases", "mr", "ModelRelease", "modelreleases.modelops.dev"])
def test_a_kind_is_known_by_all_its_names(word: str) -> None:
    """Singular, plural, short name, CamelCase and with the group."""
    assert kind_named(word).resource.kind == "ModelRelease"


def test_a_misspelt_kind_gets_a_suggestion() -> None:
    """The nearest kind is named."""
    with pytest.raises(click.UsageError, match="did you mean 'trainingrun'"):
        kind_named("traningrun")


def a_release(**status: Any) -> dict[str, Any]:
    return {"status": {"conditions": [], **status}}


def a_record(version: str, outcome: str) -> dict[str, str]:
    return {"version": version, "outcome": outcome, "message": "because"}


@pytest.mark.parametrize(
    ("found", "version", "code"),
    [
        pytest.param(a_release(), None, None, id="nothing yet is not settled"),
        pytest.param(a_release(stable={"version": "1"}), None, 0, id="a stable version is promoted"),
        pytest.param(
            a_release(stable={"version": "1"}, canary={"version": "2"}), None, None, id="a canary is not settled"
        ),
        pytest.param(
            a_release(stable={"version": "1"}, canary={"version": "2"}), "1", 0, id="the stable one beside a canary is"
        ),
        pytest.param(
            a_release(stable={"version": "1"}, history=[a_record("2", "RolledBack")]),
            "2",
            3,
            id="rolled back is degraded",
        ),
        pytest.param(
            a_release(stable={"version": "1"}, history=[a_record("1", "Promoted")]), "2", None, id="one not seen yet"
        ),
        pytest.param(
            {"status": {"conditions": [{"type": "Stalled", "reason": "AliasTaken", "message": "m"}]}},
            None,
            3,
            id="a stalled release is degraded",
        ),
    ],
)
def test_the_fate_of_a_release_is_an_exit_code(found: dict[str, Any], version: str | None, code: int | None) -> None:
    """0 promoted, 3 degraded; None while it is not settled."""
    assert judge(found, version)[1] == code

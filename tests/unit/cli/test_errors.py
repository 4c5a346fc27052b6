"""What goes wrong is one line on stderr that says where, what and what to do; never a traceback."""

import json
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelops.api import kinds
from tests.support.local_apiserver import LocalApiServer
from tests.unit.cli.conftest import ROOT, Done, Run, call
from tests.unit.cli.objects import RELEASE, RUN

Put = Callable[..., dict[str, Any]]
Start = Callable[..., "subprocess.Popen[str]"]
VERBS = [
    ["get", "mr"],
    ["get", "mr", "-w"],
    ["get", "all", "-o", "json"],
    ["describe", "mr", "price"],
    ["release", "status", "price"],
    ["release", "promote", "price"],
    ["release", "undo", "price"],
    ["train", "price"],
    ["reconcile", "tr", "price"],
    ["suspend", "tr", "price"],
    ["resume", "tr", "price"],
    ["lineage", "price"],
    ["plan", "-f", str(ROOT / "examples" / "digits" / "v1")],
]


def one_line(done: Done) -> str:
    """Return the one line; nothing is on stdout, and the exit code is not 0."""
    assert done.code == 1, done
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert line.startswith("modelops: ")
    return line


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_unreachable_api_is_one_line(verb: list[str], server: LocalApiServer, tmp_path: Path) -> None:
    """Where it was looked for, and that nobody answered."""
    config = json.loads(server.kubeconfig.read_text())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{taken.getsockname()[1]}"
        (tmp_path / "config").write_text(json.dumps(config))
        line = one_line(call(*verb, "--kubeconfig", str(tmp_path / "config")))
    assert "does not answer" in line
    assert "Connection refused" in line


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_missing_kubeconfig_is_one_line(verb: list[str], tmp_path: Path) -> None:
    """Which file, and what to give instead."""
    line = one_line(call(*verb, "--kubeconfig", str(tmp_path / "none")))
    assert f"kubeconfig {tmp_path / 'none'}: there is no such file; give --kubeconfig or --context" in line


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_wrong_token_is_one_line(verb: list[str], server: LocalApiServer, tmp_path: Path) -> None:
    """What the server says of it."""
    config = json.loads(server.kubeconfig.read_text())
    config["users"][0]["user"]["token"] = "wrong"
    (tmp_path / "config").write_text(json.dumps(config))
    line = one_line(call(*verb, "--kubeconfig", str(tmp_path / "config")))
    assert "Unauthorized" in line


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApiServer]:
    """An API server without our CRDs."""
    (empty := tmp_path_factory.mktemp("crds")).joinpath("none").touch()
    started = LocalApiServer(tmp_path_factory.mktemp("bare"), empty).start()
    yield started
    started.stop()


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_missing_definitions_are_one_line(verb: list[str], bare: LocalApiServer) -> None:
    """Not "not found": the kind itself is not there."""
    line = one_line(call(*verb, "--kubeconfig", str(bare.kubeconfig)))
    assert "this API server has no " in line
    assert "CRDs" in line


def test_wrong_context_names_the_nearest(server: LocalApiServer) -> None:
    """And what there is."""
    line = one_line(call("get", "mr", "--kubeconfig", str(server.kubeconfig), "--context", "lokal"))
    assert "it has no context 'lokal'; did you mean 'local'?" in line


def test_no_configuration_at_all_says_both_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubeconfig, or a local home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MODELOPS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    line = one_line(call("get", "mr"))
    assert "give --kubeconfig, or start one: modelops local up" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["gett"], "there is no verb 'gett'; did you mean 'get'?; see: modelops --help", id="verb"),
        pytest.param(
            ["release", "promot"],
            "there is no release command 'promot'; did you mean 'promote'?; see: modelops release --help",
            id="subcommand",
        ),
        pytest.param(["local", "stats"], "did you mean 'status'?", id="subcommand of local"),
        pytest.param(["get", "datset"], "there is no kind 'datset'; did you mean 'dataset'?", id="kind"),
        pytest.param(["get", "mr", "--wach"], "--watch", id="option"),
        pytest.param(["train", "x", "--timeout", "soon"], "write it as 30s, 5m or 1h30m", id="duration"),
        pytest.param(["get", "mr,tr", "x"], "a NAME goes with one kind", id="a name with two kinds"),
        pytest.param(["get", "mr", "-w", "-o", "json"], "does not go with -o json", id="watching as JSON"),
        pytest.param(["plan"], "Missing option '-f' / '--filename'; see: modelops plan --help", id="missing option"),
    ],
)
def test_misuse_is_one_line_and_exit_2(modelops: Run, arguments: list[str], said: str) -> None:
    """With what was probably meant, and where to read."""
    done = modelops(*arguments)

    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert said in done.err


def test_closed_pipe_is_silent(modelops: Run, put: Put, program: Start) -> None:
    """`modelops get … | head -1` prints one line and no complaint."""
    for index in range(40):
        # More than fits into a pipe.
        put(kinds.TRAININGRUN, f"run-{index}", RUN, annotations={"note": "x" * 5000})
    running = program("get", "tr", "-o", "json")
    assert running.stdout is not None
    assert running.stdout.read(1) == "{"
    running.stdout.close()
    assert running.stderr is not None
    assert running.wait(30) == 141
    assert running.stderr.read() == ""
    running.stderr.close()


def test_interrupt_while_waiting_is_silent(modelops: Run, put: Put, program: Start) -> None:
    """Ctrl-C is 130, as a shell expects it."""
    put(kinds.MODELRELEASE, "price", RELEASE)
    running = program("release", "status", "price", "--watch")
    assert running.stdout is not None
    assert "not seen yet" in running.stdout.readline()
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=20)
    assert (running.returncode, out, err) == (130, "", "")

"""`modelops local logs`: the last lines of each part, and what is written after."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.conftest import call

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory with two logs."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "engine.log").write_text("".join(f"engine {n}\n" for n in range(50)))
    (tmp_path / "logs" / "operator.log").write_text("operator 0\nno end")
    return tmp_path


def test_last_lines_of_each_part(state: Path) -> None:
    """A line without an end is shown too: the last words of a part that died."""
    done = call("local", "logs", "-n", "2", "--state-dir", str(state))

    assert done.lines == [
        f"== {state}/logs/engine.log",
        "engine 48",
        "engine 49",
        f"== {state}/logs/operator.log",
        "operator 0",
        "no end",
    ]


def test_unknown_part_gets_a_suggestion(state: Path) -> None:
    """Exit 1, one line."""
    done = call("local", "logs", "operatr", "--state-dir", str(state))

    assert (done.code, "did you mean 'operator'?" in done.err) == (1, True)


def test_follow_goes_on_with_what_is_written(state: Path, program: Start) -> None:
    """Also after a log was replaced, and with a part that came later; Ctrl-C ends it."""
    running = program("local", "logs", "-f", "-n", "1", "--state-dir", str(state))
    assert running.stdout is not None
    assert [running.stdout.readline().strip() for _ in range(4)][1::2] == ["engine 49", "operator 0"]

    with (state / "logs" / "operator.log").open("a") as log:
        log.write(" yet\n")
    assert running.stdout.readline() == "operator: no end yet\n"
    (state / "logs" / "new").write_text("engine anew\n")
    (state / "logs" / "new").replace(state / "logs" / "engine.log")
    assert running.stdout.readline() == "engine: engine anew\n"
    (state / "logs" / "gateway.log").write_text("gateway 0\n")
    assert running.stdout.readline() == "gateway: gateway 0\n"

    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=20)
    assert (running.returncode, err) == (130, "")

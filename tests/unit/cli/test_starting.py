"""What `local up` shows while parts start."""

import pytest

from modelops.cli.starting import Starting
from tests.unit.cli.test_get import Terminal


def test_piped_there_are_the_lines_only(capsys: pytest.CaptureFixture[str]) -> None:
    """In the order they came, nothing drawn."""
    with Starting() as screen:
        screen.say("mlflow  1.0 s")
        screen.awaiting({"operator": {"ready": False}})
        screen.say("ready after 2.0 s; state in /x")

    assert capsys.readouterr().out == "mlflow  1.0 s\nready after 2.0 s; state in /x\n"


DRAWING = """
from modelops.cli.starting import Starting
with Starting() as screen:
    screen.awaiting({"operator": {"ready": False}, "mlflow": {"ready": True}})
    screen.say("a line that stays")
    screen.say("ready after 2.0 s; state in /x")
"""


def test_terminal_draws_what_is_awaited() -> None:
    """On a real pseudo-terminal: parts that are ready are not named, and the drawing goes when all is ready."""
    screen = Terminal(program=DRAWING)
    try:
        assert screen.end() == 0
        assert "waiting for operator" in screen.text
        assert "mlflow" not in screen.text
        assert "a line that stays" in screen.text
        assert screen.text.rstrip().endswith("\x1b[32mready after 2.0 s; state in /x\x1b[0m")
    finally:
        screen.kill()

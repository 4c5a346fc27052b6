"""The whole chain on the second example: prices, missing values, a regression with its own business criterion."""

from pathlib import Path

import pytest
from examples.demo.program import Program
from examples.demo.story import Story

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]


def test_real_estate_is_promoted_twice_and_rolled_back_once(tmp_path: Path) -> None:
    """Three commits, three fates, and the goal met: 90 % of the test prices within 10 %."""
    program = Program(tmp_path / "state")
    story = Story("real-estate", tmp_path / "real-estate", program, print)
    try:
        story.tell()
        run = program.object("trainingrun", story.name)
    finally:
        program.run("local", "down", timeout=60)

    assert [chapter.outcome for chapter in story.chapters] == ["Promoted", "Promoted", "RolledBack"]
    assert run["status"]["metrics"]["within_percent_10"] >= 0.9, run["status"]["metrics"]

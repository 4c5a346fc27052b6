"""Each step imports by itself: what one test process imported before it must not hide a circle."""

import subprocess
import sys

import pytest

STEPS = (
    *("prepare", "train", "evaluate", "register", "fetch"),
    *("own.inputs", "own.code", "own.lent", "own.collect", "own.rows", "own.predict"),
)


@pytest.mark.parametrize("name", STEPS)
def test_step_can_be_imported_first(name: str) -> None:
    """As in its container."""
    subprocess.run([sys.executable, "-c", f"import modelops.steps.{name}"], check=True, timeout=120)

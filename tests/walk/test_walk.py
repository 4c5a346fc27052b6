"""A hundred thousand steps of the walk, the same in every run; `make walk` takes others."""

import re
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_walk_keeps_the_promises() -> None:
    """What hypothesis finds, it also makes short."""
    walk = [sys.executable, "-m", "tests.walk", "--steps", "100000", "--seed", "0", "--processes", "2"]
    found = subprocess.run(walk, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    taken = re.search(r"(\d+) steps in", found.stdout)
    assert taken is not None, found.stdout
    assert int(taken[1]) >= 100_000

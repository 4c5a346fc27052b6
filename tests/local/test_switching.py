"""Promotions and rollbacks under load: no request of a stable revision fails. `bench/switching.py` does more rounds."""

from pathlib import Path

import pytest
from bench.switching import Switching

pytestmark = [pytest.mark.slow, pytest.mark.local, pytest.mark.timeout(240)]


def test_switching_fails_no_request_of_the_stable_revision(tmp_path: Path) -> None:
    """20 connections, 20 ms a request, two promotions and two rollbacks, old servers stopping meanwhile."""
    found = Switching(tmp_path / "state", rounds=2).run()

    assert found["failedOtherwise"] == 0, found
    assert found["failedByBadCanaries"] > 0
    assert found["answeredByGoodVersions"] > 2000

"""Disk space comes back, and whatever was removed is made again when it is asked for."""

import json
from pathlib import Path

import pytest

from modelops.api.kinds import WORKFLOW
from tests.chaos.house import House, until
from tests.chaos.killing import first, phase_of

pytestmark = [pytest.mark.slow, pytest.mark.local, pytest.mark.timeout(300)]


def trained(house: House, change: int) -> bool:
    """Whether data of a change is pinned and trained."""
    seen = house.look()
    if not seen or (seen["dataset"]["status"].get("revision") or {}).get("rows") != 300 + change:
        return False
    ready = {c["type"]: c["status"] for c in seen["trainingrun"]["status"]["conditions"]}["Ready"]
    lineage = seen["trainingrun"]["status"].get("lineage") or {}
    return ready == "True" and lineage.get("contentDigest") == seen["dataset"]["status"]["revision"]["contentDigest"]


def test_old_parts_go_and_come_back_when_their_data_does(tmp_path: Path) -> None:
    """Data in use and results of Workflows stay; a revert prepares anew under the same run and trains nothing."""
    house = House(tmp_path)
    try:
        first(house)
        house.commit(2)
        until(lambda: trained(house, 2), 120, "the second data")
        nothing = json.loads(house.program.must("local", "prune", "--keep", "1", "-o", "json"))
        assert nothing["found"] == []

        for workflow in house.client.list(WORKFLOW, None):
            house.client.delete(WORKFLOW, "default", workflow["metadata"]["name"])
        leftover = house.state / "scratch" / "default.gone.0123"
        leftover.mkdir()
        would = json.loads(house.program.must("local", "prune", "--keep", "1", "--dry-run", "-o", "json"))
        assert leftover.exists()
        assert would["removed"] == []
        said = house.program.must("local", "prune", "--keep", "1")
        assert "data of default/price, prepared long ago" in said
        assert not leftover.exists()
        assert all(not Path(entry["path"]).exists() for entry in would["found"])

        house.commit(1)
        until(lambda: phase_of(house.look(), 301, 1) not in ("away", "committed", "preparing"), 60, "the first data")
        until(lambda: house.look()["trainingrun"]["status"]["history"][-1]["trigger"] == "Reused", 30, "reuse")
        assert all(Path(entry["path"]).exists() for entry in would["found"] if entry["path"].endswith("parts"))
    finally:
        house.down()

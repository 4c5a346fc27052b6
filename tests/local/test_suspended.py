"""A Dataset and a TrainingRun suspended in a local home: their steps end, and resume begins them anew."""

from pathlib import Path

import pytest

from modelops.api.kinds import DATASET, TRAININGRUN, WORKFLOW
from tests.chaos.house import House, until
from tests.chaos.killing import phase_of

RESOURCES = {"dataset": DATASET.resource, "trainingrun": TRAININGRUN.resource}
pytestmark = [pytest.mark.slow, pytest.mark.local, pytest.mark.timeout(300)]


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.build()
    house.commit(1)
    return house


def test_steps_end_and_begin_anew_on_resume(house: House) -> None:
    """Neither a Workflow nor a process of it is left while the object is suspended; one version is registered."""
    try:
        house.up()
        for kind, phase in (("dataset", "preparing"), ("trainingrun", "training")):
            until(
                lambda phase=phase: phase_of(house.look(), 301, 1) == phase and house.recorded(steps=True), 120, phase
            )
            # By a patch: the step may end before a program has started.
            house.client.merge_patch(RESOURCES[kind], "default", "price", {"spec": {"suspend": True}})
            until(lambda kind=kind: workflows(house, kind) == [], 30, f"no Workflow of the {kind}")
            until(lambda: not house.recorded(steps=True), 30, f"no step of the {kind}")
            assert ready(house, kind) == ("Unknown", "Suspended")
            house.program.must("resume", kind, "price")

        until(lambda: ready(house, "trainingrun") == ("True", "Registered"), 120, "the run is registered")
        status = house.look()["trainingrun"]["status"]
        assert [record["outcome"] for record in status["history"]] == ["Suspended", "Registered"]
        assert (status["modelVersion"], status["attempt"]["trigger"]) == ("1", "Resumed")
        assert house.look()["dataset"]["status"]["attempt"]["trigger"] == "Resumed"
    finally:
        house.down()


def workflows(house: House, kind: str) -> list[str]:
    """Return the names of a kind's Workflows."""
    names = (workflow["metadata"]["name"] for workflow in house.client.list(WORKFLOW, None))
    return [name for name in names if name.startswith("ds-" if kind == "dataset" else "tr-")]


def ready(house: House, kind: str) -> tuple[str, str]:
    """Return status and reason of the condition Ready."""
    conditions = house.look()[kind]["status"]["conditions"]
    return next((c["status"], c["reason"]) for c in conditions if c["type"] == "Ready")

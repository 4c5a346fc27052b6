"""Ten seeds of the sweep: something is killed with -9 in some phase of a whole loop, and the loop completes.

`make chaos` runs as many as one likes; the seeds here are spread over phases and targets.
"""

from collections.abc import Iterator

import pytest

from tests.chaos.house import House
from tests.chaos.killing import Blow, blows, first, strike
from tests.chaos.traffic import customers

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(500)]
SEEDS = blows(100)[3::10]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One home for all seeds, with its first version released and customers at the door."""
    found = House(tmp_path_factory.mktemp("chaos"))
    try:
        first(found)
        with customers(found):
            yield found
    finally:
        found.down()
    assert list(found.processes()) == []


@pytest.mark.parametrize("blow", SEEDS, ids=lambda blow: f"{blow.target}-in-{blow.phase}")
def test_loop_completes_and_nothing_is_done_twice(house: House, blow: Blow) -> None:
    """One Workflow, one run and one version for each set of inputs, whatever was killed; checked by `once_only`."""
    strike(house, blow)

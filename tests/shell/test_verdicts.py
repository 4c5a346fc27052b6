"""The operator as a process judges canaries on a real API server (more of them, beside its peers: `bench.verdicts`)."""

from pathlib import Path

import pytest
from bench.verdicts.arena import run
from bench.verdicts.ours import MODELOPS
from bench.verdicts.scenarios import SCENARIOS

from tests.support import kube_apiserver

pytestmark = [pytest.mark.real_apiserver, pytest.mark.slow]
STORIES = {"healthy", "failing", "mild", "both-bad", "nan", "away-twice", "afterwards"}


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_every_verdict_is_right(tmp_path: Path) -> None:
    """Promotions, rollbacks, a canary that is held, and one that is taken back: at a look a second, all at once."""
    if lacking := kube_apiserver.missing():
        pytest.skip(lacking)
    found = run(tmp_path, [MODELOPS], [one for one in SCENARIOS if one.name in STORIES], interval=1.0)
    wrong = {story: one.outcome for (_, story), one in found.items() if one.outcome not in one.scenario.right}
    assert not wrong

"""A weight that the requests do not show, on a real Envoy and a real Prometheus: somebody else's route to stable."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from examples.demo.traffic import Customers

from modelops.api.kinds import HTTPROUTE
from tests.local.test_strategies import House

pytestmark = [pytest.mark.slow, pytest.mark.local, pytest.mark.timeout(360)]
NAME: Final = "split"
STEPS: Final = [{"setWeight": 50}, {"analyze": {"duration": "3s"}}]
ANALYSIS: Final = {
    "interval": "2s",
    "warmUp": "2s",
    # An alarm takes eight looks then, so that there is time to see what comes before it.
    "falseAlarmBudget": 0.000001,
    "metrics": [{"name": "own", "prometheus": {"query": "vector(1)"}, "thresholdRange": {"min": 1}}],
}


def until(
    status: Callable[[], dict[str, Any]], holds: Callable[[dict[str, Any]], Any], seconds: float
) -> dict[str, Any]:
    """Wait until something holds of a status, and return it."""
    deadline = time.monotonic() + seconds
    while not holds(found := status()):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


@contextmanager
def only_stable(house: House) -> Iterator[None]:
    """Have customers at a route that somebody made by hand: all of its requests go to stable."""
    service = f"{NAME}-{house.status(NAME)['stable']['revision']}"
    own = house.client.get(HTTPROUTE, "default", NAME)
    assert own is not None
    spec = {
        "parentRefs": own["spec"]["parentRefs"],
        "hostnames": ["byhand.example.com"],
        "rules": [{"backendRefs": [{"name": service, "port": 80}]}],
    }
    house.client.apply(HTTPROUTE, {"metadata": {"name": "by-hand", "namespace": "default"}, "spec": spec})
    url = f"{house.program.endpoints()['gateway']}/infer"
    with Customers(url, "byhand.example.com", [{}], rate=60):
        yield


def test_weight_that_the_requests_do_not_show_holds_and_says_so(tmp_path: Path) -> None:
    """It goes on by itself when they come as weighted; where they never do, a human is asked."""
    with House(tmp_path) as house:
        strategy = {"canary": {"steps": STEPS}}
        customers = house.release(NAME, strategy, analysis=ANALYSIS)
        with only_stable(house):
            house.want(NAME, "2")
            held = until(lambda: house.status(NAME), lambda status: status.get("heldBy"), 60)
            assert held["heldBy"] == "SampleRatioMismatch"
            told = re.fullmatch(
                r"requests as weighted: 0 of (\d+) came to the canary, where weight 50 asks for \d+", held["waitingFor"]
            )
            assert told is not None, held["waitingFor"]
            assert int(told[1]) >= 43
            [progressing] = [one for one in held["conditions"] if one["type"] == "Progressing"]
            assert progressing["reason"] == "SampleRatioMismatch"
            assert (held["weight"], held["phase"]) == (50, "Analyzing")
        with customers:
            assert house.until(NAME, "2")["outcome"] == "Promoted"
        with only_stable(house):
            house.want(NAME, "3")
            paused = until(lambda: house.status(NAME), lambda status: status.get("phase") == "Paused", 90)
            assert paused["pausedReason"].startswith(
                "SampleRatioMismatch: 0.0% of the requests came to the canary (0 of "
            )
        described = house.program.must("describe", "modelrelease", NAME)
        assert re.search(r"  0 of \d+ requests came to the canary, at weight 50", described), json.dumps(paused)

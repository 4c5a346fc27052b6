"""Golden requests to real servers before any user's, with customers at the door all the while."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from modelops.api.kinds import HTTPROUTE
from tests.local.test_strategies import House

CANARY = {"canary": {"steps": [{"setWeight": 50}, {"analyze": {"duration": "2s"}}]}}
pytestmark = [pytest.mark.slow, pytest.mark.local, pytest.mark.timeout(240)]


def smoke_test(expect: str) -> dict[str, Any]:
    """Return a smoke test whose servers should answer so."""
    golden = {"name": "version", "path": "/infer", "body": {}, "expect": expect}
    return {"requests": [golden], "repeat": 5, "maxLatency": "2s", "failureLimit": 1}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("smoke")) as found:
        yield found


def test_good_model_is_promoted_and_a_failing_one_gets_no_request(house: House) -> None:
    """Version 2 answers its golden requests and goes its way; version 3 fails, twice, and no customer sees it."""
    with house.release("canary", CANARY, smokeTest=smoke_test("status == 200")) as customers:
        assert house.status("canary")["smokeTest"]["outcome"] == "Passed"
        house.want("canary", "2")
        assert house.until("canary", "2")["outcome"] == "Promoted"
        test = house.status("canary")["smokeTest"]
        assert (test["outcome"], test["requests"][0]["ok"]) == ("Passed", True)
        assert 0.02 <= test["requests"][0]["latency"] < 2

        house.want("canary", "3")
        record = house.until("canary", "3")
        words = 'SmokeTestFailed: version: expected status == 200, got status 500: {"model_version": "3"}'
        assert (record["outcome"], record["message"]) == ("RolledBack", words)
        assert house.status("canary")["smokeTest"]["failures"] == 2
        time.sleep(1)
    assert set(customers.answers) == {(200, "1"), (200, "2")}
    described = house.program.must("describe", "modelrelease", "canary")
    assert "SmokeTestRepeated" in described
    assert words in described


def test_model_with_a_wrong_golden_answer_gets_no_request(house: House) -> None:
    """Version 2 answers with 200, and not what is expected; one answer is enough, whatever the strategy."""
    with house.release("direct", {"direct": {}}, smokeTest=smoke_test("body.model_version != '2'")) as customers:
        house.want("direct", "2")
        record = house.until("direct", "2")
        assert record["outcome"] == "RolledBack"
        assert 'expected body.model_version != \'2\', got status 200: {"model_version": "2"}' in record["message"]
        assert house.status("direct")["smokeTest"]["failures"] == 1
        time.sleep(1)
    assert set(customers.answers) == {(200, "1")}


def test_first_version_that_fails_never_gets_the_route(house: House) -> None:
    """Nothing serves, and the history says why; the next version is again first."""
    test = smoke_test("body.model_version != '2'")
    with house.release("first", {"direct": {}}, version="2", smokeTest=test) as customers:
        status = house.status("first")
        assert (status["history"][-1]["outcome"], status.get("stable")) == ("RolledBack", None)
        assert status["history"][-1]["message"].startswith("SmokeTestFailed: version: expected")
        assert house.client.get(HTTPROUTE, "default", "first") is None
        house.want("first", "1")
        assert house.until("first", "1")["message"].startswith("Initial")
        deadline = time.monotonic() + 20
        while not customers.answers[200, "1"] and time.monotonic() < deadline:
            time.sleep(0.1)
    assert customers.answers[200, "1"] > 0
    assert (200, "2") not in customers.answers

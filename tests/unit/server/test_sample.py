"""The sample of answers that a server keeps: which requests, how much of them, and who gets to see it."""

import json
import random
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from aiohttp.test_utils import TestClient

from modelops.domain.analysis.paired import heard, paired
from modelops.domain.release.revision import answers_key
from modelops.server.http import ModelServer
from modelops.server.predictor import Outputs
from modelops.server.sample import MOST, AnswerSample
from tests.unit.server.test_http import PATH, Doubler, infer, serve

KEY = answers_key("9f0e")
NUMBERS = Outputs(np.array([1.5]))
Arrival = tuple[float, str]
"""When a request came, and its id."""


def told(sample: AnswerSample) -> dict[str, list[Any]]:
    """Return what a sample says, by the hash of the request."""
    return dict(json.loads(sample.render())["answers"])


def arrivals(rate: float, seconds: float) -> list[Arrival]:
    """Return requests that come at random times."""
    dice = random.Random(7)
    return sorted(
        (dice.uniform(0, seconds), uuid.UUID(int=dice.getrandbits(128)).hex) for _ in range(int(rate * seconds))
    )


def kept(requests: Sequence[Arrival], *, late: float = 0.0, ahead: float = 0.0, key: str = KEY) -> AnswerSample:
    """Return the sample of a server that answers each request with the time at which it came.

    Args:
        requests: that came to it.
        late: the longest that an answer takes; they come in the order in which they are ready.
        ahead: of its clock. Seconds.
        key: of its release.
    """
    dice = random.Random(8)
    ready = sorted((at + dice.uniform(0, late), at, name) for at, name in requests)
    sample = AnswerSample(key)
    for _, at, name in ready:
        sample.take(name, b"{}", at + ahead, Outputs(np.array([at])))
    return sample


def pairs(canary: AnswerSample, *stable: AnswerSample) -> int:
    """Return how many requests both sides keep."""
    return paired([heard(canary.render())], [heard(one.render()) for one in stable], 0.0).number


def test_little_traffic_is_kept_whole_and_much_to_a_bound() -> None:
    """As many as fit into what is read of an answer, however long the numbers are."""
    assert len(told(kept(arrivals(0.1, 3600)))) == 360
    sample = AnswerSample(KEY)
    longest = Outputs(np.array([-1.2345678901234567e-308] * 9))
    for at, name in arrivals(20, 600):
        sample.take(name, b"{}", at, longest)
    found = told(sample)
    assert MOST - 64 <= len(found) <= MOST
    assert {len(values) for values in found.values()} == {4}
    assert len(sample.render()) <= 64 * 1024


@pytest.mark.parametrize("rate", [1, 20, 500])
@pytest.mark.parametrize("late", [0.0, 20.0], ids=["as fast", "slow canary"])
def test_both_sides_keep_the_same_requests(rate: int, late: float) -> None:
    """Whatever the traffic is, in whatever order the canary answers, and if clocks are half a second apart."""
    requests = arrivals(rate, 100)
    stable = kept(requests)
    assert pairs(kept(requests, late=late, ahead=0.5), stable) >= 0.8 * len(told(stable))


def test_replicas_keep_what_their_counterparts_keep() -> None:
    """Three servers of stable share the requests; one canary gets copies of them all."""
    requests = arrivals(100, 200)
    stable = [kept(requests[number::3]) for number in range(3)]
    canary = kept(requests)
    assert pairs(canary, *stable) >= 0.9 * len(told(canary))
    # Whoever is asked alone has its third of them.
    assert 0.2 < pairs(canary, stable[0]) / len(told(canary)) < 0.5


def test_copies_of_a_part_are_found() -> None:
    """A tenth of the requests is copied: so is about a tenth of what stable keeps."""
    requests = arrivals(100, 200)
    copied = [one for one in requests if random.Random(one[1]).random() < 0.1]
    stable = kept(requests)
    assert 0.05 < pairs(kept(copied), stable) / len(told(stable)) < 0.2


def test_nobody_chooses_what_is_kept() -> None:
    """With another key it is others, so that no client finds ids that displace all the rest."""
    requests = arrivals(100, 10)
    mine, others = ({at for (at,) in told(kept(requests, key=key)).values()} for key in (KEY, answers_key("other")))
    assert len(mine) == len(others) == 64
    assert len(mine & others) < 32


def test_what_comes_twice_is_not_told() -> None:
    """An id with the same body again is a client's; the same id with another body is another request."""
    sample = kept([(1.0, "a"), (2.0, "b"), (3.0, "a"), (4.0, "a")])
    assert len(told(sample)) == 1
    sample.take("b", b'{"other": 1}', 5.0, NUMBERS)
    assert len(told(sample)) == 2
    assert json.loads(sample.render())["unnamed"] == 0


def test_requests_without_an_id_are_counted_only() -> None:
    """So that somebody can be told why there is nothing to compare."""
    sample = AnswerSample(KEY)
    sample.take(None, b"{}", 0, NUMBERS)
    sample.take("", b"{}", 0, NUMBERS)
    assert (json.loads(sample.render())["unnamed"], told(sample)) == (2, {})


@pytest.mark.parametrize(
    ("outputs", "values"),
    [
        (Outputs(np.array([1.5, 2, 3, 4, 5])), [1.5, 2.0, 3.0, 4.0]),
        (Outputs(np.array([7, 2**62])), [7, 2**62]),
        (Outputs(np.array([True])), [1.0]),
        (Outputs(np.array([0.25], dtype=np.float32)), [0.25]),
        (Outputs(np.array([0.25], dtype=np.longdouble)), [0.25]),
    ],
)
def test_numbers_are_told_as_they_are(outputs: Outputs, values: list[float]) -> None:
    """Of the first four rows."""
    sample = AnswerSample(KEY)
    sample.take("a", b"{}", 0, outputs)
    assert list(told(sample).values()) == [values]


def test_texts_are_told_apart_and_never_shown() -> None:
    """Of a class and of a foreign model's text there is a hash, by the release's key."""
    words = Outputs(np.array(["Ada", "Bob", "Ada"], dtype=object))
    classes = Outputs(np.array([0.0, 1.0, 0.0]), np.array(["Ada", "Bob", "Ada"]))
    for outputs in (words, classes):
        sample, other = AnswerSample(KEY), AnswerSample(answers_key("other"))
        sample.take("a", b"{}", 0, outputs)
        other.take("a", b"{}", 0, outputs)
        ((first, second, third),) = told(sample).values()
        assert first == third != second
        assert b"Ada" not in sample.render()
        assert first not in next(iter(told(other).values()))


def test_only_who_has_the_key_sees_it() -> None:
    """Anybody else is told that there is no such page, as a server without a key tells everybody."""

    async def talk(client: TestClient[Any, Any], server: ModelServer) -> None:
        headers = {"X-Request-Id": "4711"}
        for path, body in ((PATH, infer(2)), ("/invocations", {"inputs": {"x": [3]}}), (PATH, infer(13))):
            await client.post(path, json=body, headers=headers)
        await client.post(PATH, json=infer(4))
        for wrong in ("", "Bearer", f"Bearer {KEY[:-1]}", f"Basic {KEY}", KEY, "Bearer ü"):
            answer = await client.get("/answers", headers={"Authorization": wrong} if wrong else {})
            assert (answer.status, "4711" in await answer.text()) == (404, False)
        answer = await client.get("/answers", headers={"Authorization": f"Bearer {KEY}"})
        found = await answer.json()
        assert (answer.status, found["unnamed"]) == (200, 1)
        assert sorted(values for _, values in found["answers"]) == [[4.0], [6.0]]

    serve(Doubler(), talk, answers_key=KEY)


def test_server_without_a_key_has_no_such_page() -> None:
    """Whatever is brought."""

    async def talk(client: TestClient[Any, Any], server: ModelServer) -> None:
        for bearer in ("Bearer ", "Bearer", f"Bearer {KEY}"):
            assert (await client.get("/answers", headers={"Authorization": bearer})).status == 404

    serve(Doubler(), talk)

"""Answers to the same requests, side by side: what a pair is, what differs, and servers that say nonsense."""

import json
from typing import Any

import pytest

from modelops.domain.analysis.paired import Pairs, Sample, heard, paired

_NAMES = iter(range(10**6))


def sample(server: str = "", **answers: Any) -> Sample:
    """Return what a server keeps, by request: a list of values, or one."""
    entries = [(name, values if isinstance(values, list) else [values]) for name, values in answers.items()]
    return said(entries, server)


def said(entries: Any, server: str = "", unnamed: int = 0) -> Sample:
    """Return what is heard of a server."""
    told = {"server": server or f"server-{next(_NAMES)}", "unnamed": unnamed, "answers": entries}
    return heard(json.dumps(told).encode())


@pytest.mark.parametrize(
    ("mine", "other", "tolerance", "differ"),
    [
        pytest.param(1.5, 1.5, 0, False, id="equal"),
        pytest.param(1.5, 1.50001, 0, True, id="no tolerance"),
        pytest.param(1.5, 1.5 + 1e-7, 0, False, id="rounded otherwise in another batch"),
        pytest.param(1.5, 2.0, 0.5, False, id="just tolerated"),
        pytest.param(2.0, 1.5, 0.49, True, id="just not"),
        pytest.param(0.0, 1e-9, 0, True, id="next to nothing is not nothing"),
        pytest.param(2, 2.0, 0, False, id="whole number"),
        pytest.param("a", "a", 9, False, id="class"),
        pytest.param("a", "b", 9, True, id="another class, whatever is tolerated"),
        pytest.param("1", 1, 9, True, id="a class and a number"),
        pytest.param([1, 2, 3], [1, 2, 3.5], 0.1, True, id="any of the rows"),
        pytest.param([1, 2, 3], [1, 2], 0, True, id="another number of rows"),
    ],
)
def test_what_differs(mine: Any, other: Any, tolerance: float, differ: bool) -> None:
    """A class that is another one; a number beyond the tolerance, in either direction."""
    assert paired([sample(a=mine)], [sample(a=other)], tolerance).different == differ


def test_differences_are_told_on_average() -> None:
    """Over all numbers, those that are tolerated included; classes have none."""
    found = paired([sample(a=1, b=[2, 5], c="x")], [sample(a=1, b=[3, 3], c="y")], 9)
    assert found == Pairs(3, 1, 1.0, 1 / 3)
    told = "of 3 requests that both answered; numbers are 1 apart on average (canary - stable: +0.333)"
    assert found.words == told
    assert paired([sample(c="x")], [sample(c="y")], 0).words == "of 1 requests that both answered"


def test_only_what_both_answered_counts() -> None:
    """Requests that one side did not keep, did not get, or failed are no pairs."""
    assert paired([sample(a=1, b=2)], [sample(b=2, c=3)], 0) == Pairs(1, 0, 0.0, 0.0)
    assert paired([sample(a=1)], [sample(b=1)], 0) == Pairs(0, 0)
    assert paired([], [sample(b=1)], 0) == Pairs(0, 0)


def test_servers_of_one_side_are_joined() -> None:
    """Each has requests of its own; one that was asked twice counts once, with what it said last."""
    mine = [sample("one", a=1), sample("two", b=2), sample("one", a=1, c=3)]
    assert paired(mine, [sample(a=1, b=2, c=4)], 0) == Pairs(3, 1, 1 / 3, -1 / 3)


def test_what_came_twice_to_one_side_is_no_pair() -> None:
    """A client's own id: to one server in two spans of time, or to two servers. Nobody knows whose copy it is."""
    assert paired([said([["a", [1]], ["a", [2]], ["b", [1]]])], [sample(a=1, b=1)], 0).number == 1
    assert paired([sample(a=1, b=1)], [sample(a=1), sample(a=2, b=1)], 0).number == 1


def test_server_that_begins_anew_has_what_came_since() -> None:
    """After a restart it is another server."""
    assert paired([sample(b=1)], [sample(a=1, b=1)], 0).number == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "EOF"),
        (b"[]", "object"),
        (b"{}", "server"),
        (b"\xff\xfe", "JSON"),
        (b"[" * 60_000, "recursion"),
        (b'{"server": "s", "unnamed": 0, "answers": {}}', "answers"),
        (b'{"server": "s", "unnamed": "0", "answers": []}', "unnamed"),
        (b'{"server": 7, "unnamed": 0, "answers": []}', "server"),
        (b'{"server": "s", "unnamed": 0, "answers": [["a"]]}', "answers.0"),
        (b'{"server": "s", "unnamed": 0, "answers": [["a", 1]]}', "answers.0"),
        (b'{"server": "s", "unnamed": 0, "answers": [[1, [1]]]}', "answers.0"),
        (b'{"server": "s", "unnamed": 0, "answers": [["a", [true]]]}', "answers.0"),
        (b'{"server": "s", "unnamed": 0, "answers": [["a", [null]]]}', "answers.0"),
        (b'{"server": "s", "unnamed": 0, "answers": [["a", [NaN]]]}', "answers.0"),
        (b'{"server": "s", "unnamed": 0, "answers": [["a", [1e999]]]}', "answers.0"),
        (b'{"server": "s", "unnamed": 0, "answers": [["a", [' + b"9" * 400 + b"]]]}", "answers.0"),
        (b'{"server": "s", "unnamed": 0, "answers": [["' + b"a" * 65 + b'", [1]]]}', "answers.0"),
        (b'{"server": "s", "unnamed": 0, "answers": [["a", ["' + b"a" * 65 + b'"]]]}', "answers.0"),
    ],
)
def test_nonsense_is_refused_in_one_line(body: bytes, words: str) -> None:
    """What a tenant's server says is never taken for an answer, and never ends more than the look."""
    with pytest.raises(ValueError, match=r"^.{1,400}$") as found:
        heard(body)
    assert words.lower() in str(found.value).lower()


def test_greatest_numbers_are_compared() -> None:
    """What overflows is infinite, which no tolerance covers; nothing raises."""
    found = paired([sample(a=1.7e308, b=-1.7e308, c=1e308)], [sample(a=-1.7e308, b=1.7e308, c=1e308)], 1)
    assert (found.number, found.different) == (3, 2)
    assert "inf apart" in found.words

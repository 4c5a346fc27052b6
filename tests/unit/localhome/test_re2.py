"""Which expressions are passed on to a gateway."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.domain import re2


@pytest.mark.parametrize(
    "pattern",
    [
        "b",
        "[a-z0-9]+",
        r"v\d{1,3}(\.\d+)*",
        "(?i)beta",
        "(?:a|b)+?",
        r"[][\]{}()*+?]+",
        r"a\.b\+",
        "^x$",
        r"(?P<n>a)",
        r"(?:.*;\s*)?my\-cookie=(?:a|b)(?:;.*)?",
    ],
)
def test_what_both_know_is_taken(pattern: str) -> None:
    """Classes, groups, flags at the start, lazy repeats, escapes."""
    assert re2.refused(pattern) == ""


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("(", id="no expression at all"),
        pytest.param("a(?=b)", id="look ahead"),
        pytest.param("a(?!b)", id="negative look ahead"),
        pytest.param("(?<=a)b", id="look behind"),
        pytest.param(r"(a)\1", id="backreference"),
        pytest.param("(?P<a>b)(?P=a)", id="named backreference"),
        pytest.param("(a)?(?(1)b|c)", id="condition"),
        pytest.param("a++", id="possessive"),
        pytest.param("(?>a)", id="atomic"),
        pytest.param("(?#note)a", id="comment"),
        pytest.param("(?x)a", id="flag of Python's"),
        pytest.param("(a{100}){100}", id="too many repeats"),
        pytest.param(r"\Z", id="escape of Python's"),
        pytest.param(r"[\1]", id="octal in a class"),
        pytest.param(r"a[b(?=c]d(?=e)", id="look ahead behind a class"),
        pytest.param("a\nb", id="a line break"),
    ],
)
def test_what_only_one_knows_is_refused(pattern: str) -> None:
    """With a reason."""
    assert re2.refused(pattern)


@given(st.text("ab()[]{}*+?|\\^$.,:=!<>P1dZ-", max_size=12))
def test_every_pattern_has_an_answer(pattern: str) -> None:
    """No pattern raises, and what is taken compiles."""
    if not re2.refused(pattern):
        re.compile(pattern)

"""Expectations over an HTTP answer: the part of CEL that is let through, and what it costs at most."""

import json
from typing import Any

import pytest

from modelops.domain.analysis.expressions import ExpressionError, compile_expectation
from modelops.errors import Stalled

BODY = {"outputs": [{"name": "price", "data": [1, 2.5], "label": "cat"}], "in": {"x-y": 3}, "none": None, "flag": True}


def evaluated(text: str, body: Any = BODY, status: int = 200) -> bool | str:
    """Return what an expectation says of an answer, or why it says nothing."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        return compile_expectation(text)(status, raw)
    except ExpressionError as error:
        return str(error)


@pytest.mark.parametrize(
    "text",
    [
        "status == 200",
        "status in [200, 201] && status >= 2e2",
        "body.outputs[0].data[0] == 1 && body.outputs[0].data[1] > 2.4",
        "body.outputs[0].data == [1, 2.5]",
        "2.5 in body.outputs[0].data && 1 in body.outputs[0].data",
        "body.outputs[0].label == 'cat' || body.outputs[0].label == \"dog\"",
        'body["in"]["x-y"] == 3',
        "has(body.outputs) && !has(body.inputs)",
        "size(body.outputs[0].data) == 2",
        "body.none == null && isNil(body.none) && body.flag",
        "body.outputs[0].data[1] - 2.4 < 0.2 && body.outputs[0].data[1] - 2.4 > -0.2",
        "size(body.outputs[0].label) == 3",
    ],
)
def test_holds(text: str) -> None:
    """JSON's whole numbers and an expression's are as good as others."""
    assert evaluated(text) is True


@pytest.mark.parametrize(
    "text", ["status == 201", "body.outputs[0].data[0] > 1", "has(body.other)", "body.flag == false"]
)
def test_does_not_hold(text: str) -> None:
    """A plain no."""
    assert evaluated(text) is False


@pytest.mark.parametrize(
    "text",
    ["body.other == 1", "body.outputs[5].name == 'x'", "body.outputs > 1", "status", "body.outputs[0].data[0]"],
)
def test_what_the_answer_lacks_is_said(text: str) -> None:
    """Neither true nor false."""
    assert evaluated(text) in (f"{text!r} cannot be evaluated on this answer", f"{text!r} is not true or false")


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b'{"a": NaN}', b"[" * 60_000])
def test_what_is_no_json_is_null(body: bytes) -> None:
    """Nor can nesting bring the operator down."""
    assert evaluated("body == null", body) is True


@pytest.mark.parametrize("body", [b"[" * 500 + b"]" * 500, b'{"a":' * 900 + b"1" + b"}" * 900, b"9" * 60_000])
def test_odd_json_ends_in_words(body: bytes) -> None:
    """Whatever it is, there is an answer."""
    assert isinstance(evaluated("body == body", body), bool | str)


@pytest.mark.parametrize(
    "text",
    [
        "body.outputs.all(x, x > 1)",
        "body.outputs.exists (x, true)",
        "body.outputs.map(x, x)",
        "body.name.matches('(a+)+b')",
        "body.name.size() == 1",
        "'a\\n' == body",
        "other == 1",
        "result[0] > 1",
        "status ==",
        "timestamp(body)",
        "{'a': 1} == body",
        "(" * 40 + "status" + ")" * 40 + " == 200",
    ],
)
def test_what_could_cost_is_refused(text: str) -> None:
    """Macros, methods, regular expressions, and what is no expression at all."""
    with pytest.raises(Stalled, match="write it as: status == 200") as refused:
        compile_expectation(text)
    assert refused.value.reason == "InvalidSpec"

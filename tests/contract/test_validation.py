# ruff: noqa: E501 - tables read better in one line a case
"""Contract: pruning, defaults, validation by schema and by CEL rules."""

from typing import Any

import pytest

from tests.contract.client import Api


def refused(api: Api, **spec: Any) -> Any:
    answer = api.call("POST", api.path("widgets"), api.widget("w", **spec))
    assert answer.code == 422, answer.body
    assert answer.body["reason"] == "Invalid"
    assert answer.message.startswith('Widget.test.modelops.dev "w" is invalid: ')
    return answer


@pytest.mark.parametrize(
    ("spec", "reason", "field", "told"),
    [
        pytest.param({"size": 0}, "FieldValueInvalid", "spec.size", "Invalid value: 0: spec.size in body should be greater than or equal to 1", id="below the minimum"),
        pytest.param({"size": 101}, "FieldValueInvalid", "spec.size", "Invalid value: 101: spec.size in body should be less than or equal to 100", id="above the maximum"),
        pytest.param({"size": "x"}, "FieldValueTypeInvalid", "spec.size", 'Invalid value: "string": spec.size in body must be of type integer: "string"', id="a string for an integer"),
        pytest.param({"size": 1.5}, "FieldValueTypeInvalid", "spec.size", 'Invalid value: "number": spec.size in body must be of type integer: "number"', id="a fraction for an integer"),
        pytest.param({"mode": "q"}, "FieldValueNotSupported", "spec.mode", 'Unsupported value: "q": supported values: "fixed", "free"', id="not in the enum"),
        pytest.param({"name": "ABC"}, "FieldValueInvalid", "spec.name", "Invalid value: \"ABC\": spec.name in body should match '^[a-z]+$'", id="against the pattern"),
        pytest.param({"name": "a"}, "FieldValueInvalid", "spec.name", 'Invalid value: "a": spec.name in body should be at least 2 chars long', id="too short"),
        pytest.param({"name": "abcdefghi"}, "FieldValueTooLong", "spec.name", "Too long: may not be more than 8 bytes", id="too long"),
        pytest.param({"when": "noon"}, "FieldValueTypeInvalid", "spec.when", 'Invalid value: "noon": spec.when in body must be of type date-time: "noon"', id="not a date-time"),
        pytest.param({"port": [1]}, "FieldValueTypeInvalid", "spec.port", 'Invalid value: "array": spec.port in body must be of type integer,string: "array"', id="a list for int-or-string"),
        pytest.param({"labels": {"a": 1}}, "FieldValueTypeInvalid", "spec.labels.a", 'Invalid value: "integer": spec.labels.a in body must be of type string: "integer"', id="a wrong map value"),
        pytest.param({"labels": dict.fromkeys("abcd", "")}, "FieldValueTooMany", "spec.labels", "Too many: 4: must have at most 3 items", id="too many map entries"),
        pytest.param({"steps": []}, "FieldValueInvalid", "spec.steps", "Invalid value: 0: spec.steps in body should have at least 1 items", id="too few items"),
        pytest.param({"steps": [{}] * 4}, "FieldValueTooMany", "spec.steps", "Too many: 4: must have at most 3 items", id="too many items"),
        pytest.param({"tags": ["a", "a"]}, "FieldValueDuplicate", "spec.tags[1]", 'Duplicate value: "a"', id="a set with an item twice"),
        pytest.param({"parts": [{"name": "a"}, {"name": "a"}]}, "FieldValueDuplicate", "spec.parts[1]", 'Duplicate value: {"name":"a"}', id="a map list with a key twice"),
        pytest.param({"parts": [{"kind": "k"}]}, "FieldValueRequired", "spec.parts[0].name", "Required value", id="a required field missing"),
    ],
)  # fmt: skip
def test_schema_refuses(api: Api, spec: dict[str, Any], reason: str, field: str, told: str) -> None:
    """A value outside its schema is a 422 whose message and causes name field, value and bound."""
    answer = refused(api, **spec)
    assert (reason, field) in answer.causes
    assert f"{field}: {told}" in answer.message


def test_several_errors(api: Api) -> None:
    """Several errors are all told in one answer, and rules are not evaluated after an error of type or presence."""
    answer = refused(api, size=200, mode="q", low=2, high=1)
    assert {field for _, field in answer.causes} == {"spec.size", "spec.mode", "<nil>"}
    assert "some validation rules were not checked" in answer.message


@pytest.mark.parametrize(
    ("spec", "field", "told"),
    [
        pytest.param({"low": 2, "high": 1}, "spec", "low must not exceed high", id="numbers are doubles, whole ones too"),
        pytest.param({"from": "a", "to": "b"}, "spec", "set at most one of from and to", id="has, list, filter, size"),
        pytest.param({"in": -1}, "spec", "in must be positive", id="a field named by a reserved word"),
        pytest.param({"parts": [{"name": "a", "kind": "big"}]}, "spec.parts[0]", "part a is too small to be big", id="in list items, with messageExpression"),
    ],
)  # fmt: skip
def test_rules_refuse(api: Api, spec: dict[str, Any], field: str, told: str) -> None:
    """A broken CEL rule is a 422 with the rule's message at the rule's place."""
    answer = refused(api, **spec)
    assert answer.causes == [("FieldValueInvalid", field)]
    assert answer.message.endswith(f'{field}: Invalid value: "object": {told}')


def test_rules_accept(api: Api) -> None:
    """Rules that hold let the object in: bounds compare across integers and doubles, absent fields by has()."""
    api.create("w", low=1, high=1.5, parts=[{"name": "a", "kind": "big", "count": 10}], **{"from": "a", "in": 1})


def test_transition_rule(api: Api) -> None:
    """A rule with oldSelf is evaluated on updates only."""
    api.create("w", mode="fixed")
    answer = api.patch("w", {"spec": {"size": 6}})
    assert answer.code == 422
    assert "a fixed widget keeps its size" in answer.message


def test_unknown_fields_are_pruned(api: Api) -> None:
    """Unknown fields are dropped, and the client is warned of each in a header of its own."""
    body = api.widget("w", bogus=1) | {"other": 2}
    answer = api.call("POST", api.path("widgets"), body, fieldValidation="Warn")
    assert answer.code == 201
    assert "bogus" not in answer.body["spec"]
    assert "other" not in answer.body
    assert answer.headers.get_all("Warning") == [
        '299 - "unknown field \\"other\\""',
        '299 - "unknown field \\"spec.bogus\\""',
    ] or sorted(answer.headers.get_all("Warning") or []) == [
        '299 - "unknown field \\"other\\""',
        '299 - "unknown field \\"spec.bogus\\""',
    ]


def test_unknown_fields_strict(api: Api) -> None:
    """With fieldValidation=Strict unknown fields are a 400 that names them."""
    answer = api.call("POST", api.path("widgets"), api.widget("w", bogus=1), fieldValidation="Strict")
    assert answer.code == 400
    assert 'strict decoding error: unknown field "spec.bogus"' in answer.message


def test_duplicate_fields_strict(api: Api) -> None:
    """With fieldValidation=Strict a field that stands twice is a 400."""
    body = b'{"apiVersion": "test.modelops.dev/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1, "size": 2}}'
    answer = api.call("POST", api.path("widgets"), body, fieldValidation="Strict")
    assert answer.code == 400
    assert "duplicate field" in answer.message


def test_preserved_fields(api: Api) -> None:
    """Below x-kubernetes-preserve-unknown-fields everything is kept."""
    made = api.create("w", free={"x": {"y": [1, None, {"z": 1.5}]}})
    assert made["spec"]["free"] == {"x": {"y": [1, None, {"z": 1.5}]}}


def test_defaults(api: Api) -> None:
    """Defaults are filled in at every depth, in list items too; a null where none may stand counts as absent."""
    made = api.create("w", parts=[{"name": "a"}], nested={"note": None, "depth": None}, mode=None)
    assert made["spec"] == {
        "size": 5,
        "mode": "free",
        "parts": [{"name": "a", "kind": "small", "count": 1}],
        "nested": {"note": None, "depth": 3},
    }


def test_int_or_string(api: Api) -> None:
    """int-or-string takes both and keeps which it was."""
    assert api.create("a", port=80)["spec"]["port"] == 80
    assert api.create("b", port="http")["spec"]["port"] == "http"


def test_ratcheting(api: Api) -> None:
    """The status of an object can be written whatever its spec's rules say of unchanged parts."""
    api.create("w", low=1, high=2)
    assert api.patch("w", {"status": {"phase": "Done"}}, "status").code == 200


@pytest.mark.parametrize("name", ["Bad", "a_b", "-a", "a" * 254])
def test_names(api: Api, name: str) -> None:
    """A name that is no DNS subdomain is a 422 at metadata.name."""
    answer = api.call("POST", api.path("widgets"), api.widget(name))
    assert answer.code == 422
    assert ("FieldValueInvalid", "metadata.name") in answer.causes

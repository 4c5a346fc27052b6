"""Smoke tests that make no sense are refused before anything moves, in one line that says where and what."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from modelops.cli.main import cli

ANY = {"name": "any", "path": "/"}
ROUTE = {"setHeaderRoute": {"name": "a", "match": [{"header": "X-A", "exact": "a"}]}}


def said(tmp_path: Path, smoke_test: Any, *steps: dict[str, Any]) -> str:
    """Return what `validate` says of a release; nothing if it is valid."""
    strategy = {"canary": {"steps": list(steps)}} if steps else {"direct": {}}
    spec = {"model": {"name": "price", "version": "1"}, "strategy": strategy}
    if smoke_test is not None:
        spec["smokeTest"] = smoke_test
    meta = {"apiVersion": "modelops.dev/v1alpha1", "kind": "ModelRelease", "metadata": {"name": "price"}}
    (tmp_path / "release.yaml").write_text(yaml.safe_dump({**meta, "spec": spec}))
    found = CliRunner().invoke(cli, ["validate", str(tmp_path)])
    return found.output if found.exit_code else ""


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"requests": []}, "requests", id="no requests"),
        pytest.param({"requests": [{**ANY, "name": f"n{n}"} for n in range(11)]}, "requests", id="too many"),
        pytest.param({"requests": [ANY, ANY]}, "requests[1]", id="one name twice"),
        pytest.param({"requests": [{"name": "any"}]}, "a golden request needs body or path", id="nothing to send"),
        pytest.param({"requests": [{**ANY, "path": "http://elsewhere/"}]}, "path", id="another host"),
        pytest.param({"requests": [{**ANY, "path": "/a b"}]}, "path", id="a blank"),
        pytest.param({"requests": [{**ANY, "path": "/a\r\nHost: b"}]}, "path", id="another header"),
        pytest.param({"requests": [{**ANY, "body": [1]}]}, "body", id="a body that is no object"),
        pytest.param({"requests": [{**ANY, "body": {"a": "x" * 70_000}}]}, "at most 64 are sent", id="a large body"),
        pytest.param({"requests": [{**ANY, "method": "PUT"}]}, "method", id="a method"),
        pytest.param({"requests": [{**ANY, "expect": "code == 200"}]}, "uses 'code'; allowed are", id="unknown name"),
        pytest.param({"requests": [{**ANY, "expect": "status = 200"}]}, "requests[0].expect: 'status = 200'", id="CEL"),
        pytest.param({"repeat": 0}, "repeat", id="never"),
        pytest.param({"repeat": 101}, "repeat", id="a load test"),
        pytest.param({"timeout": "31s"}, "timeout", id="too patient"),
        pytest.param(
            {"timeout": "1s", "maxLatency": "2s"}, "maxLatency must not exceed timeout", id="too late to tell"
        ),
        pytest.param({"maxLatency": "11s"}, "maxLatency must not exceed timeout", id="than the default, too"),
        pytest.param(
            {"repeat": 100, "maxLatency": "1s"},
            "spec.smokeTest.maxLatency: 100 answers that take so long do not fit in 1m, which is all they have",
            id="allowed, and too late",
        ),
        pytest.param({"maxMemory": "much"}, "maxMemory", id="no quantity"),
        pytest.param({"failureLimit": 11}, "failureLimit", id="for ever"),
    ],
)
def test_contradiction_is_refused(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    """The field and the remedy."""
    assert words in said(tmp_path, {"requests": [ANY], **fields})


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        pytest.param(
            [{"setWeight": 5}, {"smokeTest": {}}], "steps[1].smokeTest: users' requests come before", id="late"
        ),
        pytest.param([ROUTE, {"smokeTest": {}}, {"setWeight": 5}], "users' requests come before", id="after a route"),
        pytest.param(
            [{"setMirror": {"percent": 5}}, {"setMirror": {"percent": 0}}, {"smokeTest": {}}],
            "users' requests come before",
            id="after a mirror that has ended",
        ),
        pytest.param([{"smokeTest": {}}, {"smokeTest": {}}], "steps[1].smokeTest: there is one already", id="twice"),
        pytest.param([{"smokeTest": {"requests": [ANY]}}], "requests", id="requests in the step"),
        pytest.param([{"smokeTest": {}, "setWeight": 5}], "a step is exactly one of", id="two in one step"),
    ],
)
def test_step_has_its_place(tmp_path: Path, steps: list[dict[str, Any]], words: str) -> None:
    """Before any of the users' requests."""
    assert words in said(tmp_path, {"requests": [ANY]}, *steps)


def test_step_without_requests_is_refused(tmp_path: Path) -> None:
    """They stand in the spec, for every strategy and the first version."""
    assert "a smokeTest step says where spec.smokeTest is run; set it" in said(tmp_path, None, {"smokeTest": {}})


@pytest.mark.parametrize(
    "smoke_test",
    [
        {"requests": [ANY]},
        {"requests": [{"name": "any", "body": {}}], "maxMemory": "512Mi"},
        {"requests": [{"name": f"n{n}", "body": {"a": n}} for n in range(10)], "repeat": 100, "failureLimit": 0},
        {"requests": [ANY], "timeout": "200ms", "maxLatency": "200ms", "maxMemory": "1000000000"},
        {"requests": [{**ANY, "path": "/v1/a?b=c%20d", "expect": "status in [200, 204] && body.a[0] == 'x'"}]},
    ],
)
def test_what_makes_sense_is_accepted(tmp_path: Path, smoke_test: dict[str, Any]) -> None:
    """With and without a step that says where."""
    assert said(tmp_path, smoke_test) == ""
    assert said(tmp_path, smoke_test, {"setCanaryScale": {"replicas": 1}}, {"smokeTest": {}}, {"setWeight": 5}) == ""

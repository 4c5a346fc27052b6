"""What numbers of servers cannot do, as weights or as surge, is refused before anything moves."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from modelops.cli.main import cli

METRIC = {"name": "m", "prometheus": {"query": "q"}, "thresholdRange": {"min": 0.9}}
BUILTIN = {"name": "m", "builtin": "success-rate", "thresholdRange": {"min": 0.9}}
MATCH = [{"header": "X-A", "exact": "a"}]
LENT: dict[str, Any] = {"serving": {"surge": "none", "replicas": 2}, "traffic": {}}
TEMPLATE = {"spec": {"containers": [{"name": "server", "image": "theirs"}]}}


def said(tmp_path: Path, metric: dict[str, Any] = METRIC, **spec: Any) -> str:
    """Return what `validate` says of a release without a gateway; nothing if it is valid."""
    base = {"model": {"name": "price", "version": "1"}, "strategy": {"direct": {}}, "traffic": {"mode": "replicas"}}
    meta = {"apiVersion": "modelops.dev/v1alpha1", "kind": "ModelRelease", "metadata": {"name": "price"}}
    release = {**meta, "spec": {**base, "analysis": {"metrics": [metric]}, **spec}}
    (tmp_path / "release.yaml").write_text(yaml.safe_dump(release))
    found = CliRunner().invoke(cli, ["validate", str(tmp_path)])
    return found.output if found.exit_code else ""


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param({"traffic": {"mode": "service"}}, "mode", id="an unknown mode"),
        pytest.param({"traffic": {"mode": "replicas", "hostnames": ["a.example.com"]}}, "has no gateway", id="hosts"),
        pytest.param(
            {"traffic": {"mode": "replicas", "gateway": {"name": "a", "namespace": "b"}}},
            "has no gateway",
            id="gateway",
        ),
        pytest.param(
            {"strategy": {"abTest": {"match": MATCH, "duration": "1m"}}}, "take out abTest, shadow", id="abTest"
        ),
        pytest.param({"strategy": {"shadow": {"duration": "1m"}}}, "take out abTest, shadow", id="shadow"),
        pytest.param({"strategy": {"canary": {"steps": [{"setMirror": {"percent": 5}}]}}}, "setMirror", id="mirror"),
        pytest.param(
            {"strategy": {"blueGreen": {"prePromotion": {"duration": "1m", "mirror": 5}}}},
            "match and mirror of prePromotion",
            id="copies before the switch",
        ),
        pytest.param(
            {"strategy": {"canary": {"steps": [{"setHeaderRoute": {"name": "a", "match": MATCH}}]}}},
            "setHeaderRoute",
            id="header route",
        ),
        pytest.param(
            {"strategy": {"canary": {"steps": [{"setCanaryScale": {"replicas": 1}}, {"setWeight": 5}]}}},
            "setCanaryScale",
            id="a scale beside the weight",
        ),
        pytest.param(
            {"metric": BUILTIN, "serving": {"runtime": "custom", "podTemplate": TEMPLATE}},
            "only runtime modelops has builtin metrics",
            id="figures that nobody has",
        ),
    ],
)
def test_what_needs_a_gateway_is_refused(tmp_path: Path, spec: dict[str, Any], words: str) -> None:
    """19, kserve#4074: what would have no effect in this mode is not ignored; the reason, and what to do."""
    assert words in said(tmp_path, **spec)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"metric": BUILTIN}, id="our server's figures"),
        pytest.param({"serving": {"runtime": "custom", "podTemplate": TEMPLATE}}, id="another server by a query"),
        pytest.param({"serving": {"runtime": "mlflow"}}, id="mlflow without hostnames"),
        pytest.param({"strategy": {"blueGreen": {"postPromotion": {"duration": "5m"}}}}, id="blueGreen"),
        pytest.param({"strategy": {"linear": {"stepWeight": 10, "every": "5m"}}}, id="linear"),
    ],
)
def test_what_servers_can_do_is_accepted(tmp_path: Path, spec: dict[str, Any]) -> None:
    """No rule is stricter than its reason."""
    assert said(tmp_path, **spec) == ""


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param({"serving": {"surge": "none"}}, "set replicas to 2 or more", id="nobody would serve"),
        pytest.param({"traffic": {"mode": "replicas"}}, "has none to spare", id="without a gateway"),
        pytest.param({"rollbackWindow": {"duration": "1h"}}, "has none to spare", id="servers that are kept"),
        pytest.param({"strategy": {"blueGreen": {}}}, "has none to spare", id="two whole sides"),
        pytest.param(
            {"strategy": {"canary": {"steps": [{"setCanaryScale": {"replicas": 1}}, {"setWeight": 5}]}}},
            "has none to spare",
            id="a scale beside the weight",
        ),
    ],
)
def test_what_needs_more_servers_is_refused(tmp_path: Path, spec: dict[str, Any], words: str) -> None:
    """Surge none."""
    assert words in said(tmp_path, **LENT | spec)


def test_surge_none_is_accepted(tmp_path: Path) -> None:
    """With steps, a ramp, or at once."""
    for strategy in ({"direct": {}}, {"linear": {"stepWeight": 10, "every": "5m"}}):
        assert said(tmp_path, **LENT | {"strategy": strategy}) == ""

"""Strategies and steps that make no sense are refused before anything moves, in one line that says where and what."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from modelops.cli.main import cli

METRIC = {"name": "m", "prometheus": {"query": "q"}, "thresholdRange": {"min": 0.9}}
COMPARED = {"name": "m", "prometheus": {"query": "q"}, "compareTo": {"stable": {"maxRelativeIncrease": 0.1}}}
POST = {"postPromotion": {"duration": "5m"}}
LINEAR = {"stepWeight": 10, "every": "5m"}


def said(tmp_path: Path, strategy: Any, *metrics: dict[str, Any]) -> str:
    """Return what `validate` says of a release; nothing if it is valid."""
    spec = {"model": {"name": "price", "version": "1"}, "strategy": strategy, "analysis": {"metrics": list(metrics)}}
    meta = {"apiVersion": "modelops.dev/v1alpha1", "kind": "ModelRelease", "metadata": {"name": "price"}}
    (tmp_path / "release.yaml").write_text(yaml.safe_dump({**meta, "spec": spec}))
    found = CliRunner().invoke(cli, ["validate", str(tmp_path)])
    return found.output if found.exit_code else ""


def canary(*steps: dict[str, Any]) -> dict[str, Any]:
    """Return a canary with these steps."""
    return {"canary": {"steps": list(steps)}}


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        pytest.param({}, "set exactly one of canary, linear, blueGreen, direct, abTest and shadow", id="none"),
        pytest.param({"direct": {}, "blueGreen": {}}, "set exactly one of canary, linear", id="two"),
        pytest.param({"rolling": {}}, "rolling", id="an unknown one"),
        pytest.param({"direct": {"fast": True}}, "fast", id="direct has no fields"),
        pytest.param(
            canary({"approve": {}, "setWeight": 5}), "a step is exactly one of setWeight", id="two in one step"
        ),
        pytest.param(canary({}), "a step is exactly one of setWeight, setCanaryScale", id="an empty step"),
        pytest.param(canary({"approve": {"by": "ann"}}), "by", id="approve has no fields"),
        pytest.param(canary({"bake": {}}), "duration", id="a bake without an end"),
        pytest.param(canary({"bake": {"duration": "48"}}), "duration", id="a bake without a unit"),
        pytest.param(canary({"bake": {"duration": "0s"}}), "duration", id="a bake of no time"),
        pytest.param(canary({"setCanaryScale": {}}), "exactly one of replicas, percent and match", id="no scale"),
        pytest.param(
            canary({"setCanaryScale": {"replicas": 1, "percent": 5}}),
            "exactly one of replicas, percent",
            id="two scales",
        ),
        pytest.param(canary({"setCanaryScale": {"replicas": 0}}), "replicas", id="no servers"),
        pytest.param(canary({"setCanaryScale": {"percent": 101}}), "percent", id="more than all"),
        pytest.param(canary({"setCanaryScale": {"matchTrafficWeight": False}}), "matchTrafficWeight", id="not matched"),
        pytest.param({"linear": {"every": "5m"}}, "stepWeight", id="linear by nothing"),
        pytest.param({"linear": {"stepWeight": 10}}, "every", id="linear without a pace"),
        pytest.param({"linear": {**LINEAR, "stepWeight": 0}}, "stepWeight", id="linear that stands still"),
        pytest.param({"linear": {**LINEAR, "stepWeight": 100}}, "stepWeight", id="linear at once"),
        pytest.param({"linear": {**LINEAR, "maxWeight": 5}}, "maxWeight must be at least stepWeight", id="below"),
        pytest.param({"linear": LINEAR}, "linear and blueGreen.postPromotion need analysis.metrics", id="blind ramp"),
        pytest.param({"blueGreen": POST}, "linear and blueGreen.postPromotion need analysis.metrics", id="blind green"),
        pytest.param(
            {"blueGreen": {"prePromotion": {"duration": "1m", "mirror": 10}}}, "so do match and mirror", id="unseen"
        ),
        pytest.param(
            {"blueGreen": {"prePromotion": {"duration": "1m", "mirror": 10, "match": [{"header": "a", "exact": "b"}]}}},
            "set match or mirror; together their figures are one",
            id="copies and requests",
        ),
        pytest.param({"blueGreen": {"prePromotion": {"duration": "1m", "match": []}}}, "match", id="no match"),
        pytest.param({"blueGreen": {"scaleDownDelay": "8760h"}}, "scaleDownDelay", id="a year"),
        pytest.param({"blueGreen": {"prePromotion": {}}}, "duration", id="prePromotion without an end"),
        pytest.param(
            {"blueGreen": {"prePromotion": {"duration": "1m", "metrics": []}}}, "metrics", id="no figures yet"
        ),
    ],
)
def test_contradiction_is_refused(tmp_path: Path, strategy: Any, words: str) -> None:
    """The field and the remedy."""
    assert words in said(tmp_path, strategy)


@pytest.mark.parametrize(
    ("strategy", "metrics"),
    [
        pytest.param({"direct": {}}, [], id="direct"),
        pytest.param({"direct": {}}, [METRIC], id="direct with metrics that nobody asks before the promotion"),
        pytest.param({"blueGreen": {}}, [], id="blueGreen without analysis"),
        pytest.param({"blueGreen": {}}, [COMPARED], id="no analysis, nothing compared"),
        pytest.param({"blueGreen": {**POST, "prePromotion": {"duration": "1m"}}}, [METRIC], id="blueGreen"),
        pytest.param({"blueGreen": {"prePromotion": {"duration": "1m", "mirror": 10}}}, [COMPARED], id="before users"),
        pytest.param({"linear": {**LINEAR, "maxWeight": 10}}, [COMPARED], id="linear"),
        pytest.param(canary({"bake": {"duration": "48h"}}, {"approve": {}}), [], id="no weight, no metrics"),
        pytest.param(canary({"setCanaryScale": {"matchTrafficWeight": True}}, {"setWeight": 5}), [METRIC], id="scaled"),
    ],
)
def test_what_makes_sense_is_accepted(tmp_path: Path, strategy: Any, metrics: list[dict[str, Any]]) -> None:
    """No rule is stricter than its reason."""
    assert said(tmp_path, strategy, *metrics) == ""


def test_comparison_after_the_switch_is_refused_where_it_was_written(tmp_path: Path) -> None:
    """Stable has no traffic then."""
    where = (
        "spec.strategy.blueGreen.postPromotion: at weight 100 stable has no traffic, so m cannot be compared with it"
    )
    assert where in said(tmp_path, {"blueGreen": POST}, COMPARED)


def test_what_is_compared_needs_its_share_before_all_is_given(tmp_path: Path) -> None:
    """A weight that comes after 100 never comes."""
    late = canary({"pause": {"duration": "40s"}}, {"setWeight": 100}, {"setWeight": 32})
    assert "they give it all of the traffic at once, so m is never compared" in said(tmp_path, late, COMPARED)
    assert said(tmp_path, canary({"setWeight": 32}, {"setWeight": 100}), COMPARED) == ""


MIRROR = {"setMirror": {"percent": 50}}
OVER = {"setMirror": {"percent": 0}}
ANALYZE = {"analyze": {"duration": "5m"}}
PAIRED = {"name": "m", "builtin": "answer-difference", "thresholdRange": {"max": 0.1}}


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        pytest.param({"shadow": {"duration": "5m"}}, "", id="shadow"),
        pytest.param(canary(MIRROR, ANALYZE, OVER, {"setWeight": 20}, ANALYZE), "", id="mirror, then weights"),
        pytest.param(canary(MIRROR, {"pause": {}}, OVER, {"setWeight": 20}), "", id="a human looks"),
        pytest.param(canary(MIRROR), "", id="until it passes"),
        pytest.param(canary(MIRROR, ANALYZE, OVER, {"setWeight": 100}, ANALYZE), "", id="others at weight 100"),
        pytest.param(
            canary(MIRROR, OVER, {"setWeight": 20}, ANALYZE), "copies end before anybody looks", id="too short"
        ),
        pytest.param({"blueGreen": {"prePromotion": {"duration": "5m", "mirror": 50}}}, "", id="before the switch"),
        pytest.param(
            {"blueGreen": {"prePromotion": {"duration": "5m"}}}, "take strategy shadow, a step", id="no copies"
        ),
        pytest.param(canary(OVER, {"setWeight": 20}), "take strategy shadow, a step setMirror, or", id="none"),
        pytest.param({"linear": LINEAR}, "take strategy shadow, a step setMirror, or", id="linear"),
    ],
)
def test_answers_are_compared_while_there_are_copies(tmp_path: Path, strategy: dict[str, Any], words: str) -> None:
    """What could never pass is refused; what other metrics judge afterwards is not."""
    found = said(tmp_path, strategy, PAIRED, METRIC | {"name": "other"})
    assert words in found
    assert bool(words) == bool(found)

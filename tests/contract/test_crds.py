"""The definitions that we ship are ones that a kube-apiserver takes whole."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.client import MERGE, Api, eventually
from tests.support.kube_apiserver import KubeApiServer

CRDS = sorted((Path(__file__).parents[2] / "crds").glob("*.yaml"))
_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


_OURS = "/apis/modelops.dev/v1alpha1"


@pytest.fixture(scope="module")
def admin(kube_server: KubeApiServer) -> Iterator[Api]:
    """Return a client of a kube-apiserver that serves our kinds, created under strict field validation."""
    client = Api(kube_server.url, kube_server.token, "default", real=True)
    definitions = [yaml.safe_load(path.read_text()) for path in CRDS]
    try:
        for definition in definitions:
            answer = client.call("POST", f"{_PATH}?fieldValidation=Strict", definition)
            assert answer.code == 201, (definition["metadata"]["name"], answer.body)
        for definition in definitions:
            plural = definition["spec"]["names"]["plural"]
            eventually(lambda plural=plural: client.call("GET", f"{_OURS}/{plural}").code == 200)
        yield client
    finally:
        for definition in definitions:
            client.call("DELETE", f"{_PATH}/{definition['metadata']['name']}")


@pytest.mark.real_apiserver
def test_every_definition_of_ours_is_structural_and_served(admin: Api) -> None:
    """Established, without a complaint about its schema."""
    assert len(CRDS) == 6
    for path in CRDS:
        name = yaml.safe_load(path.read_text())["metadata"]["name"]
        conditions = admin.call("GET", f"{_PATH}/{name}").body["status"]["conditions"]
        told = {condition["type"]: condition["status"] for condition in conditions}
        assert told == {"NamesAccepted": "True", "Established": "True"}, name


@pytest.mark.real_apiserver
@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ("chf", True),
        ("5m", True),
        ("/v1/.*|/v2", True),
        ('a"} or up{b="', False),
        ("a\n", False),
        ("{{ .window }}", False),
    ],
)
def test_value_that_could_end_a_string_of_promql_is_refused(admin: Api, value: str, taken: bool) -> None:
    """An argument of a MetricTemplate, in a template and in a release, by the pattern in the definition."""
    arguments = [{"name": "a", "default": value}]
    metric = {"name": "m", "template": {"name": "t", "args": {"a": value}}}
    specs = {
        "metrictemplates": {"args": arguments, "prometheus": {"query": "q"}},
        "modelreleases": {
            "model": {"name": "price", "version": "1"},
            "strategy": {"canary": {"steps": [{"setWeight": 50}]}},
            "analysis": {"metrics": [metric]},
        },
    }
    for plural, spec in specs.items():
        kind = {"metrictemplates": "MetricTemplate", "modelreleases": "ModelRelease"}[plural]
        obj = {"apiVersion": "modelops.dev/v1alpha1", "kind": kind, "metadata": {"generateName": "x-"}, "spec": spec}
        answer = admin.call("POST", f"{_OURS}/namespaces/default/{plural}?fieldValidation=Strict", obj)
        assert answer.code == (201 if taken else 422), answer.body
        if taken and plural == "modelreleases":
            assert answer.body["spec"]["analysis"]["metrics"][0]["template"] == metric["template"]


@pytest.mark.real_apiserver
def test_mode_of_a_release_stays(admin: Api) -> None:
    """A release without a gateway knows no hostnames, and keeps its mode."""
    releases = f"{_OURS}/namespaces/default/modelreleases"
    spec = {"model": {"name": "m", "version": "1"}, "strategy": {"direct": {}}, "traffic": {"mode": "replicas"}}
    release = {"apiVersion": "modelops.dev/v1alpha1", "kind": "ModelRelease", "metadata": {"name": "m"}, "spec": spec}
    hosts = {"spec": {"traffic": {"hostnames": ["m.example.com"]}}}
    assert admin.call("POST", releases, release).code == 201
    try:
        for change, words in (
            (hosts, "mode replicas has no gateway"),
            ({"spec": {"traffic": {"mode": "gateway"}}}, "the mode of a release stays"),
            ({"spec": {"traffic": None}}, "the mode of a release stays"),
        ):
            answer = admin.call("PATCH", f"{releases}/m", change, kind=MERGE)
            assert answer.code == 422, (change, answer.body)
            assert words in answer.body["message"]
    finally:
        admin.call("DELETE", f"{releases}/m")


@pytest.mark.real_apiserver
def test_outcomes_never_go_to_the_branch_that_is_synced(admin: Api) -> None:
    """Outcomes of a GitSource never go to the branch that is synced, whichever of the two is left to its default."""
    sources = f"{_OURS}/namespaces/default/gitsources?fieldValidation=Strict"
    same = "outcomes.branch is the branch that is synced"
    for spec, words in (
        ({"outcomes": {}}, ""),
        ({"outcomes": {"branch": "main"}, "ref": {"tag": "v1"}}, ""),
        ({"outcomes": {"branch": "main"}}, same),
        ({"outcomes": {}, "ref": {"branch": "modelops/outcomes"}}, same),
        ({"outcomes": {"branch": "refs/heads/main"}}, "write its name without refs/heads/"),
        ({"outcomes": {"author": {"name": "a\u0007"}}}, "spec.outcomes.author.name"),
        ({"outcomes": {"path": "../x"}}, "spec.outcomes.path"),
    ):
        source = {"apiVersion": "modelops.dev/v1alpha1", "kind": "GitSource", "metadata": {"generateName": "x-"}}
        answer = admin.call("POST", sources, {**source, "spec": {"url": "https://git.example.com/a.git", **spec}})
        assert (answer.code, words in str(answer.body)) == (422 if words else 201, True), answer.body
        if not words:
            assert answer.body["spec"]["outcomes"]["branch"] == (spec["outcomes"].get("branch") or "modelops/outcomes")


@pytest.mark.real_apiserver
@pytest.mark.parametrize(
    ("metric", "refused"),
    [
        ({"builtin": "class-share", "class": 'a "cat"', "thresholdRange": {"max": 1}}, ""),
        ({"builtin": "class-share", "thresholdRange": {"max": 1}}, "class is for builtin class-share, which needs it"),
        ({"builtin": "saturation", "class": "cat", "thresholdRange": {"max": 1}}, "class is for builtin class-share"),
        ({"builtin": "prediction-drift", "thresholdRange": {"max": 0.1}}, ""),
        (
            {"builtin": "prediction-drift", "compareTo": {"stable": {"maxAbsoluteDecrease": 0}}},
            "is itself a comparison with stable",
        ),
    ],
)
def test_what_is_asked_of_answers_is_checked_at_admission(admin: Api, metric: dict[str, Any], refused: str) -> None:
    """By the rules in the definition, as the API server reads them."""
    spec = {
        "model": {"name": "price", "version": "1"},
        "strategy": {"canary": {"steps": [{"setWeight": 50}]}},
        "analysis": {"metrics": [{"name": "m", **metric}]},
    }
    obj = {"apiVersion": "modelops.dev/v1alpha1", "kind": "ModelRelease", "metadata": {"name": "answers"}, "spec": spec}
    answer = admin.call("POST", f"{_OURS}/namespaces/default/modelreleases?dryRun=All", obj)
    assert answer.code == (422 if refused else 201)
    assert refused in str(answer.body)


@pytest.mark.real_apiserver
@pytest.mark.parametrize(
    ("strategy", "runtime", "refused"),
    [
        ({"shadow": {"duration": "1m"}}, "modelops", ""),
        ({"canary": {"steps": [{"setMirror": {"percent": 5}}, {"analyze": {"duration": "1m"}}]}}, "modelops", ""),
        (
            {"canary": {"steps": [{"setMirror": {"percent": 0}}]}},
            "modelops",
            "take strategy shadow, a step",
        ),
        ({"canary": {"steps": [{"setWeight": 5}]}}, "modelops", "take strategy shadow, a step"),
        ({"direct": {}}, "modelops", "take strategy shadow, a step"),
        ({"shadow": {"duration": "1m"}}, "mlserver", "only runtime modelops keeps that"),
    ],
)
def test_answers_are_compared_where_there_are_copies(
    admin: Api, strategy: dict[str, Any], runtime: str, refused: str
) -> None:
    """And where our server keeps them; else the definition refuses it."""
    metric = {"name": "m", "builtin": "answer-difference", "tolerance": 0.5, "thresholdRange": {"max": 0.1}}
    spec = {
        "model": {"name": "price", "version": "1"},
        "serving": {"runtime": runtime},
        "strategy": strategy,
        "analysis": {"metrics": [metric]},
    }
    obj = {"apiVersion": "modelops.dev/v1alpha1", "kind": "ModelRelease", "metadata": {"name": "pairs"}, "spec": spec}
    answer = admin.call("POST", f"{_OURS}/namespaces/default/modelreleases?dryRun=All", obj)
    assert answer.code == (422 if refused else 201), answer.body
    assert refused in str(answer.body)

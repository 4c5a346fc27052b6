"""The definitions that we ship are ones that a kube-apiserver takes whole."""

from pathlib import Path

import pytest
import yaml

from tests.contract.client import MERGE, Api, eventually
from tests.support.kube_apiserver import KubeApiServer

CRDS = sorted((Path(__file__).parents[2] / "crds").glob("*.yaml"))
_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.mark.real_apiserver
def test_every_definition_of_ours_is_structural_and_served(kube_server: KubeApiServer) -> None:
    """Created under strict field validation, established, without a complaint about its schema."""
    admin = Api(kube_server.url, kube_server.token, "default", real=True)
    assert len(CRDS) == 6
    try:
        for path in CRDS:
            definition = yaml.safe_load(path.read_text())
            answer = admin.call("POST", f"{_PATH}?fieldValidation=Strict", definition)
            assert answer.code == 201, (path.name, answer.body)
        for path in CRDS:
            definition = yaml.safe_load(path.read_text())
            name, plural = definition["metadata"]["name"], definition["spec"]["names"]["plural"]
            eventually(lambda plural=plural: admin.call("GET", f"/apis/modelops.dev/v1alpha1/{plural}").code == 200)
            conditions = admin.call("GET", f"{_PATH}/{name}").body["status"]["conditions"]
            told = {condition["type"]: condition["status"] for condition in conditions}
            assert told == {"NamesAccepted": "True", "Established": "True"}, name
        _mode_of_a_release_stays(admin)
    finally:
        for path in CRDS:
            admin.call("DELETE", f"{_PATH}/{yaml.safe_load(path.read_text())['metadata']['name']}")


def _mode_of_a_release_stays(admin: Api) -> None:
    """A release without a gateway knows no hostnames, and keeps its mode."""
    releases = "/apis/modelops.dev/v1alpha1/namespaces/default/modelreleases"
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

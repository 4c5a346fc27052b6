"""The chart makes what is committed, takes no value that it does not know, and gives the rights that we document."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelops.config import Config
from tests.golden.chart import CHART, ROOT, SETS, text_of
from tests.support.helm import helm, missing

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _with_helm() -> None:
    lacking = missing()
    if lacking:
        pytest.skip(lacking)


@pytest.mark.parametrize("name", SETS)
def test_golden(name: str) -> None:
    """A change of what is installed shows in review; `make generate` writes it anew."""
    assert (ROOT / f"{name}.yaml").read_text(encoding="utf-8") == text_of(name)


@pytest.mark.parametrize("name", SETS)
def test_operator_is_not_ended_while_it_starts(name: str) -> None:
    """On a busy node it took a minute to answer; liveness ended it after half of one, again and again."""
    objects = yaml.safe_load_all((ROOT / f"{name}.yaml").read_text(encoding="utf-8"))
    deployment = next(obj for obj in objects if obj and obj["kind"] == "Deployment")
    probe = deployment["spec"]["template"]["spec"]["containers"][0]["startupProbe"]

    assert probe["periodSeconds"] * probe["failureThreshold"] >= 120


def test_every_golden_has_its_values() -> None:
    """A file that nothing makes any more is removed."""
    assert sorted(path.stem for path in ROOT.glob("*.yaml") if not path.name.endswith(".values.yaml")) == SETS


@pytest.mark.parametrize("name", SETS)
def test_lint(name: str) -> None:
    """`helm lint --strict` has nothing to say."""
    helm("lint", "--strict", str(CHART), f"--values={ROOT / f'{name}.values.yaml'}")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("replica=3", "replica"),
        ("replicas=none", "replicas"),
        ("mlflow.uri=http://x", "uri"),
        ("tenants[0].name=x", "name"),
        ("tenants[0].namespace=x,tenants[0].mlflow.username=x", "password"),
        ("tenants[0].namespace=x,tenants[0].mlflow.token=x", "tenants: mlflow needs mlflow.tenantSecret"),
        ("leaderElection.enabled=false", "replicas: more than one needs leaderElection.enabled"),
    ],
)
def test_wrong_value_is_refused(value: str, said: str) -> None:
    """A misspelt or impossible value is named before anything is installed."""
    with pytest.raises(RuntimeError, match=said.replace(".", r"\.")):
        helm("template", "modelops", str(CHART), f"--set={value}")


def test_crds_are_those_of_the_repository() -> None:
    """They are templates, so that an upgrade changes them, and are kept at an uninstall."""
    made = list(yaml.safe_load_all(helm("template", "modelops", str(CHART), "--show-only=templates/crds.yaml")))
    ours = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((REPOSITORY / "crds").glob("*.yaml"))]
    assert made == ours
    assert all(one["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for one in made)


def _golden(name: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all((ROOT / f"{name}.yaml").read_text(encoding="utf-8")) if one]


@pytest.mark.parametrize("role", ["modelops", "modelops-pools", "modelops-tenant", "modelops-impersonator"])
def test_rights_are_those_of_the_plain_manifests(role: str) -> None:
    """operator/rbac.yaml and the chart say the same of every ClusterRole, in whatever order."""
    plain = yaml.safe_load_all((REPOSITORY / "operator" / "rbac.yaml").read_text(encoding="utf-8"))
    assert _rights(list(plain), role) == _rights(_golden("default"), role)


def _rights(objects: list[dict[str, Any]], role: str) -> set[tuple[str, str, str]]:
    found = next(one for one in objects if one["kind"] == "ClusterRole" and one["metadata"]["name"] == role)
    return {
        (group, resource, verb)
        for rule in found["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize("name", SETS)
def test_operator_knows_every_variable(name: str) -> None:
    """One that it does not know would keep it from starting."""
    deployment = next(one for one in _golden(name) if one["kind"] == "Deployment")
    names = [entry["name"] for entry in deployment["spec"]["template"]["spec"]["containers"][0]["env"]]
    known = {f"MODELOPS_{field.upper()}" for field in Config.model_fields}
    assert {one for one in names if one.startswith("MODELOPS_")} <= known
    assert len(names) == len(set(names))


def test_dashboards_come_through_the_chart_whole() -> None:
    """Grafana's own braces are no templates of Helm's."""
    objects = yaml.safe_load_all((ROOT / "everything.yaml").read_text(encoding="utf-8"))
    found = {}
    for obj in objects:
        if obj and obj["kind"] == "ConfigMap" and "grafana_dashboard" in obj["metadata"]["labels"]:
            found |= {name.removeprefix("modelops-"): json.loads(text) for name, text in obj["data"].items()}

    written = (CHART / "files" / "dashboards").glob("*.json")
    assert found == {path.name: json.loads(path.read_text(encoding="utf-8")) for path in written}
    assert found

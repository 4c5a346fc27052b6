"""Every set of values of tests/golden/chart, really installed: the API server takes every object as it is."""

from typing import Any

import pytest
import yaml

from modelops.api.kinds import NAMESPACE, POD, WORKFLOW
from modelops.errors import Stalled
from tests.chart.cluster import CHART, SYSTEM, Cluster
from tests.golden.chart import ROOT, SETS
from tests.golden.workflows import rendered
from tests.support.operators import until

pytestmark = pytest.mark.real_apiserver
_OF_PODS = ("securityContext", "nodeSelector", "tolerations")


@pytest.fixture(scope="module")
def prepared(cluster: Cluster) -> Cluster:
    """The namespaces of tenants and of Grafana, and one for the release that enforces the restricted standard."""
    standard = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.admin.apply(NAMESPACE, {"metadata": {"name": SYSTEM, "labels": standard}})
    for name in ("pricing", "vision", "monitoring"):
        cluster.admin.apply(NAMESPACE, {"metadata": {"name": name}})
    return cluster


@pytest.mark.parametrize("name", SETS)
def test_is_accepted(prepared: Cluster, name: str) -> None:
    """Installed and removed again; hooks are another test's."""
    # Of ServiceMonitor and PrometheusRule only the kinds are known here, not their schemas.
    prepared.helm("install", name, str(CHART), f"--values={ROOT / f'{name}.values.yaml'}", "--set=crds.install=false")
    prepared.helm("uninstall", name, "--no-hooks")


@pytest.mark.parametrize("name", SETS)
def test_pods_keep_the_restricted_standard(prepared: Cluster, name: str) -> None:
    """The API server's own PodSecurity admission takes the operator's pod and that of the uninstall Job."""
    objects = [one for one in yaml.safe_load_all((ROOT / f"{name}.yaml").read_text(encoding="utf-8")) if one]
    templates = [one["spec"]["template"] for one in objects if one["kind"] in {"Deployment", "Job"}]
    assert templates
    for number, template in enumerate(templates):
        meta = {"name": f"pod-{number}", "namespace": SYSTEM}
        assert prepared.admin.dry_run(POD, {"metadata": meta, "spec": template["spec"]}) is not None


@pytest.mark.parametrize("name", sorted(rendered()))
def test_workflows_and_their_pods_are_accepted(prepared: Cluster, name: str) -> None:
    """Each step as a pod: the API server takes it whole, under the restricted standard."""
    workflow = rendered()[name]
    workflow["metadata"]["namespace"] = SYSTEM
    until(lambda: _is_taken(prepared, workflow), 30, "no policy of a chart that was removed holds any more")
    spec = workflow["spec"]
    # Argo makes the claims, and mounts them by the names of their templates.
    names = [claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", ())]
    claims = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in names]
    templates = [template for template in spec["templates"] if "container" in template]
    assert templates
    for template in templates:
        pod = {
            **{field: value for field, value in spec.items() if field in _OF_PODS},
            "volumes": [*spec["volumes"], *claims],
            "containers": [{"name": "main", **template["container"]}],
            "initContainers": template.get("initContainers", []),
            "restartPolicy": "Never",
        }
        meta = {"name": f"{workflow['metadata']['name']}-{template['name']}", "namespace": SYSTEM}
        assert prepared.admin.dry_run(POD, {"metadata": meta, "spec": pod}) is not None


def _is_taken(prepared: Cluster, workflow: dict[str, Any]) -> bool:
    """Return whether the API server takes a Workflow; not yet is what a policy says that helm has just removed."""
    try:
        return prepared.admin.dry_run(WORKFLOW, workflow) is not None
    except Stalled as error:
        if "ValidatingAdmissionPolicy" in error.message:
            return False
        raise

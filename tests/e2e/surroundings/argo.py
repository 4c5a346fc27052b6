"""The real Argo Workflows: its controller as a process of this machine, its executor in an image made here.

Nothing of Argo is kept in this repository: its programs are found, or the stories that need them are skipped.
"""

import copy
import io
import tarfile
from typing import Any, Final

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import CONFIGMAP, NAMESPACE, WORKFLOW, Resource
from tests.e2e.cluster import images, processes
from tests.e2e.cluster.choice import Cluster
from tests.support import go_programs
from tests.support.operators import CRD, open_crd, served, until

_NAMESPACE: Final = "argo"
_EXECUTOR: Final = "modelops.test/argoexec:1"
_GROUP: Final = ("argoproj.io", "v1alpha1")
_KINDS: Final = (
    WORKFLOW,
    Resource(*_GROUP, "WorkflowTemplate", "workflowtemplates"),
    Resource(*_GROUP, "ClusterWorkflowTemplate", "clusterworkflowtemplates", namespaced=False),
    Resource(*_GROUP, "CronWorkflow", "cronworkflows"),
    Resource(*_GROUP, "WorkflowEventBinding", "workfloweventbindings"),
    Resource(*_GROUP, "WorkflowTaskResult", "workflowtaskresults"),
    Resource(*_GROUP, "WorkflowTaskSet", "workflowtasksets"),
    Resource(*_GROUP, "WorkflowArtifactGCTask", "workflowartifactgctasks"),
)
_WITH_STATUS: Final = {"WorkflowTaskSet", "WorkflowArtifactGCTask"}


def start(cluster: Cluster) -> None:
    """Bring its kinds and its executor, and start its controller unless it runs."""
    client = cluster.client()
    define(client)
    client.apply(NAMESPACE, {"metadata": {"name": _NAMESPACE}})
    # Retries here are of our Workflows' own, and short.
    settings = {"metricsConfig": "enabled: false\n"}
    name = {"name": "workflow-controller-configmap", "namespace": _NAMESPACE}
    client.apply(CONFIGMAP, {"metadata": name, "data": settings})
    if "workflow-controll" in " ".join(processes.marked(cluster.place.root).values()):
        return
    _load_executor(cluster)
    program = go_programs.find("workflow-controller")
    assert program is not None
    config = cluster.place.root / "argo.kubeconfig"
    config.write_text(cluster.kubeconfig.read_text().replace("namespace: default", f"namespace: {_NAMESPACE}"))
    command = [program, f"--kubeconfig={config}", f"--executor-image={_EXECUTOR}"]
    alone = {"LEADER_ELECTION_DISABLE": "true"}
    processes.start(cluster.place.root, command, cluster.place.logs / "workflow-controller.log", alone)


def define(client: KubeClient) -> None:
    """Bring the kinds of Argo, each taking everything, as its own minimal definitions do."""
    for kind in _KINDS:
        definition: dict[str, Any] = copy.deepcopy(open_crd(kind))
        definition["spec"]["scope"] = "Namespaced" if kind.namespaced else "Cluster"
        if kind.kind in _WITH_STATUS:
            definition["spec"]["versions"][0]["subresources"] = {"status": {}}
        client.apply(CRD, definition)
    until(lambda: all(served(client, kind) for kind in _KINDS), 60, "Argo's kinds are served", 0.1)


def _load_executor(cluster: Cluster) -> None:
    """Make its executor's image as it is released: one static program, started as root unless a pod says otherwise."""
    program = go_programs.find("argoexec")
    assert program is not None
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as files:
        files.add(program, "bin/argoexec", filter=images.by_nobody_in_particular)
    archive = cluster.place.root / "argoexec.tar"
    images.write(archive, _EXECUTOR, layer.getvalue(), {"Entrypoint": ["argoexec"], "Env": ["PATH=/bin"]})
    cluster.load(archive)

"""The real Argo Workflows: one that is there; else its controller as a process of this machine and its executor in an
image made here; else, on kind, its release.

Nothing of Argo is kept in this repository: its programs are found, or the stories that need them are skipped.
"""

import copy
import io
import tarfile
from typing import Any, Final

import yaml

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import CONFIGMAP, DEPLOYMENT, NAMESPACE, WORKFLOW, Resource
from tests.e2e.cluster import images, processes, programs
from tests.e2e.cluster.choice import Cluster
from tests.e2e.surroundings import released
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


def missing(cluster: Cluster) -> str | None:
    """Return why nothing can train with the real Argo Workflows in a cluster, or None."""
    if _is_there(cluster.client()):
        return None
    if cluster.load is None:
        return f"Argo Workflows is not in this cluster; install it: {released.ARGO.command}"
    lacking = programs.missing_argo()
    if lacking is None or cluster.apply is None:
        return lacking
    unreleased = released.missing(released.ARGO)
    return unreleased and f"{lacking}; {unreleased}"


def start(cluster: Cluster) -> None:
    """Have Argo, unless it is there; where it is `missing`, its kinds at least, which our operator watches."""
    client = cluster.client()
    if _is_there(client):
        return
    if missing(cluster) is not None:
        _define(client)
    elif programs.missing_argo() is None:
        _define(client)
        _start(cluster, client)
    else:
        released.install(cluster, released.ARGO)


def _is_there(client: KubeClient) -> bool:
    """Return whether a cluster has a controller of its own, whatever its release is called."""
    return any(one["metadata"]["name"].endswith("workflow-controller") for one in client.list(DEPLOYMENT, None))


def _start(cluster: Cluster, client: KubeClient) -> None:
    """Bring its executor, and start its controller unless it runs."""
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
    config.write_text(_in_its_namespace(cluster.kubeconfig.read_text()))
    command = [program, f"--kubeconfig={config}", f"--executor-image={_EXECUTOR}"]
    alone = {"LEADER_ELECTION_DISABLE": "true"}
    processes.start(cluster.place.root, command, cluster.place.logs / "workflow-controller.log", alone)


def _in_its_namespace(kubeconfig: str) -> str:
    """Return a kubeconfig whose contexts are of Argo's namespace, where its controller looks for its settings."""
    read = yaml.safe_load(kubeconfig)
    for context in read["contexts"]:
        context["context"]["namespace"] = _NAMESPACE
    return yaml.safe_dump(read)


def _define(client: KubeClient) -> None:
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
    assert cluster.load is not None
    archive = cluster.place.root / "argoexec.tar"
    images.write(archive, _EXECUTOR, layer.getvalue(), {"Entrypoint": ["argoexec"], "Env": ["PATH=/bin"]})
    cluster.load(archive)

"""Which kinds there are: ours with their types, and those of Kubernetes, Argo and the Gateway API that we touch."""

from dataclasses import dataclass

from modelops.api.v1alpha1 import (
    common,
    computepool,
    dataset,
    gitsource,
    metrictemplate,
    modelrelease,
    modelrelease_status,
    trainingrun,
)


@dataclass(frozen=True, slots=True)
class Resource:
    """A REST resource of the Kubernetes API."""

    group: str
    """Empty for the core group."""
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`group/version`, or the bare version for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True, slots=True)
class ColumnDef:
    """A printer column."""

    name: str
    type: str
    json_path: str
    priority: int = 0
    """0 always, 1 with -o wide."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Where the scale subresource finds its figures, for `kubectl scale` and autoscalers."""

    replicas: str
    """JSON path of the wanted number."""
    found: str
    """JSON path of the number there is."""
    selector: str
    """JSON path of the label selector of the pods that an autoscaler measures, as text."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One of our kinds: its resource, its types and how kubectl shows it."""

    resource: Resource
    singular: str
    short_names: tuple[str, ...]
    spec: type[common.Spec]
    status: type[common.Status]
    columns: tuple[ColumnDef, ...]
    scale: Scale | None = None
    launches: bool = False
    """Whether its work is done by Workflows, which are ended while it is suspended."""


def _ours(kind: str, plural: str, *, namespaced: bool = True) -> Resource:
    return Resource("modelops.dev", "v1alpha1", kind, plural, namespaced)


_READY = ColumnDef("Ready", "string", '.status.conditions[?(@.type=="Ready")].status')
_REASON = ColumnDef("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason')
_MESSAGE = ColumnDef("Status", "string", '.status.conditions[?(@.type=="Ready")].message', 1)
_AGE = ColumnDef("Age", "date", ".metadata.creationTimestamp")

GITSOURCE = Kind(
    _ours("GitSource", "gitsources"),
    "gitsource",
    ("gs",),
    gitsource.GitSourceSpec,
    gitsource.GitSourceStatus,
    (_READY, _REASON, ColumnDef("Revision", "string", ".status.lastAppliedRevision"), _AGE, _MESSAGE),
)
DATASET = Kind(
    _ours("Dataset", "datasets"),
    "dataset",
    ("ds",),
    dataset.DatasetSpec,
    dataset.DatasetStatus,
    (
        _READY,
        _REASON,
        ColumnDef("Revision", "string", ".status.revision.digest"),
        ColumnDef("Rows", "integer", ".status.revision.rows"),
        _AGE,
        _MESSAGE,
    ),
    launches=True,
)
TRAININGRUN = Kind(
    _ours("TrainingRun", "trainingruns"),
    "trainingrun",
    ("tr",),
    trainingrun.TrainingRunSpec,
    trainingrun.TrainingRunStatus,
    (
        _READY,
        _REASON,
        ColumnDef("Workflow", "string", ".status.workflow.phase"),
        ColumnDef("Progress", "string", ".status.workflow.progress"),
        ColumnDef("Model", "string", ".spec.model.name"),
        ColumnDef("Version", "string", ".status.modelVersion"),
        _AGE,
        _MESSAGE,
    ),
    launches=True,
)
MODELRELEASE = Kind(
    _ours("ModelRelease", "modelreleases"),
    "modelrelease",
    ("mr",),
    modelrelease.ModelReleaseSpec,
    modelrelease_status.ModelReleaseStatus,
    (
        _READY,
        ColumnDef("Phase", "string", ".status.phase"),
        ColumnDef("Model", "string", ".spec.model.name"),
        ColumnDef("Stable", "string", ".status.stable.version"),
        ColumnDef("Canary", "string", ".status.canary.version"),
        ColumnDef("Step", "string", ".status.stepTotal"),
        ColumnDef("Weight", "integer", ".status.weight"),
        _AGE,
        ColumnDef("Waiting-For", "string", ".status.waitingFor", 1),
        _MESSAGE,
    ),
    Scale(".spec.serving.replicas", ".status.replicas", ".status.selector"),
)
COMPUTEPOOL = Kind(
    _ours("ComputePool", "computepools", namespaced=False),
    "computepool",
    ("cpool",),
    computepool.ComputePoolSpec,
    computepool.ComputePoolStatus,
    (_READY, _REASON, ColumnDef("Resource", "string", ".spec.resourceName"), _AGE, _MESSAGE),
)
METRICTEMPLATE = Kind(
    _ours("MetricTemplate", "metrictemplates"),
    "metrictemplate",
    ("mt",),
    metrictemplate.MetricTemplateSpec,
    metrictemplate.MetricTemplateStatus,
    (_READY, _REASON, _AGE, _MESSAGE),
)

KINDS: tuple[Kind, ...] = (GITSOURCE, DATASET, TRAININGRUN, MODELRELEASE, COMPUTEPOOL, METRICTEMPLATE)

WORKFLOW = Resource("argoproj.io", "v1alpha1", "Workflow", "workflows")
WORKFLOWTEMPLATE = Resource("argoproj.io", "v1alpha1", "WorkflowTemplate", "workflowtemplates")
WORKFLOWTASKRESULT = Resource("argoproj.io", "v1alpha1", "WorkflowTaskResult", "workflowtaskresults")
DEPLOYMENT = Resource("apps", "v1", "Deployment", "deployments")
CONTROLLERREVISION = Resource("apps", "v1", "ControllerRevision", "controllerrevisions")
SERVICE = Resource("", "v1", "Service", "services")
DISRUPTIONBUDGET = Resource("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
POD = Resource("", "v1", "Pod", "pods")
SECRET = Resource("", "v1", "Secret", "secrets")
SERVICEACCOUNT = Resource("", "v1", "ServiceAccount", "serviceaccounts")
RESOURCEQUOTA = Resource("", "v1", "ResourceQuota", "resourcequotas")
LOCALACCESSREVIEW = Resource("authorization.k8s.io", "v1", "LocalSubjectAccessReview", "localsubjectaccessreviews")
CONFIGMAP = Resource("", "v1", "ConfigMap", "configmaps")
NAMESPACE = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
EVENT = Resource("", "v1", "Event", "events")
LEASE = Resource("coordination.k8s.io", "v1", "Lease", "leases")
HTTPROUTE = Resource("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")

FOREIGN: tuple[Resource, ...] = (
    WORKFLOW,
    DEPLOYMENT,
    CONTROLLERREVISION,
    DISRUPTIONBUDGET,
    SERVICE,
    SECRET,
    CONFIGMAP,
    NAMESPACE,
    EVENT,
    LEASE,
    HTTPROUTE,
)

"""Argo Workflows for Datasets and TrainingRuns, from typed fields. Pure.

User text enters a Workflow in exactly one place, the MODELOPS_STEP environment variable, as JSON in which `{{` cannot
occur; so nothing a user writes is ever expanded by Argo as a template.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from modelops.api.kinds import WORKFLOW
from modelops.api.labels import ATTEMPT, INPUTS_HASH, MANAGED_BY, MANAGER, OWNER_KIND, OWNER_NAME, RESULT
from modelops.api.secrets import GIT_LOGIN, REGISTRY_LOGIN, from_secret
from modelops.api.v1alpha1.computepool import ComputePoolSpec
from modelops.workflows import own as own_training

RESULT_PATH: Final = "/tmp/modelops/result.json"  # noqa: S108 - inside the step's own container
EVALUATION_PATH: Final = "/tmp/modelops/evaluation.json"  # noqa: S108
MESSAGE_PATH: Final = "/tmp/modelops-message"  # noqa: S108
"""A file that the kubelet mounts: a directory made for it would be root's, so it lies beside the outputs' one."""
_KEPT: Final = 24 * 3600
_USER: Final = 65532
"""Of our images. Named, because Argo's executor runs in the same pod, and its released image starts as root."""
RETRY_EXPRESSION: Final = "lastRetry.status == 'Error' or (lastRetry.exitCode != '64' and lastRetry.exitCode != '0')"
"""Bad input (64) is not tried again; a lost or evicted pod (Error, or killed) is."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The object a Workflow belongs to."""

    api_version: str
    kind: str
    name: str
    namespace: str
    uid: str


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the operator's configuration and the run's compute say."""

    image: str
    mlflow_tracking_uri: str
    service_account: str | None = None
    timeout: timedelta = timedelta(hours=2)
    retries: int = 2
    gpus: int = 0
    pool: ComputePoolSpec | None = None
    registry_secret: str | None = None
    """The Secret with MLflow's login in the owner's namespace. Steps that run a team's code do not get it."""
    code_image: str | None = None
    """The image that a team's code runs in; None for `image`."""
    code_template: tuple[str, str] | None = None
    """Name of a WorkflowTemplate and of the template in it that trains instead of a container of ours."""


@dataclass(frozen=True, slots=True)
class _Task:
    """One step: its inputs come from earlier steps' outputs."""

    name: str
    outputs: Mapping[str, str]
    """Output parameter → path in the container."""
    inputs: Mapping[str, tuple[str, str]]
    """Input parameter → (earlier step, its output parameter)."""
    init: tuple[str, ...] = ()
    """Steps that run before it in the same pod, as init containers, and share its scratch."""
    shares: bool = False
    """Whether it shares the volume by which files come to a WorkflowTemplate and back."""
    theirs: bool = False
    """Whether it is a template of a team's WorkflowTemplate."""


_PREPARE: Final = (_Task("prepare", {"result": RESULT_PATH}, {}),)
_TRAIN: Final = (
    _Task("train", {"run-id": "/tmp/modelops/run-id"}, {}),  # noqa: S108
    _Task("evaluate", {"evaluation": EVALUATION_PATH}, {"run-id": ("train", "run-id")}),
    _Task(
        "register",
        {"result": RESULT_PATH},
        {"run-id": ("train", "run-id"), "evaluation": ("evaluate", "evaluation")},
    ),
)
_OWN: Final = (
    replace(_TRAIN[0], init=("inputs", "code")),
    replace(_TRAIN[1], init=("rows", "predict")),
    _TRAIN[2],
)
_SHARED: Final = (
    _Task("bring", {}, {}, shares=True),
    _Task("code", {}, {}, theirs=True),
    replace(_TRAIN[0], shares=True),
    replace(_TRAIN[1], init=("rows", "predict")),
    _TRAIN[2],
)
_NEEDS_GIT: Final = frozenset({"prepare", "inputs"})


def prepare_workflow(
    owner: Owner,
    name: str,
    attempt: str,
    inputs_hash: str,
    step: Mapping[str, Any],
    runtime: Runtime,
    secret: str | None,
) -> dict[str, Any]:
    """Return the Workflow that checks, splits and pins a Dataset.

    Args:
        owner: the Dataset.
        name: of the Workflow, derived from the attempt.
        attempt: id of the attempt.
        inputs_hash: of the attempt's inputs.
        step: content of MODELOPS_STEP without `step`.
        runtime: image, addresses, limits.
        secret: the Secret with git credentials, if any.
    """
    return _workflow(owner, name, attempt, inputs_hash, step, runtime, _PREPARE, secret)


def training_workflow(
    owner: Owner,
    name: str,
    attempt: str,
    inputs_hash: str,
    step: Mapping[str, Any],
    runtime: Runtime,
    secret: str | None = None,
    *,
    own: bool = False,
) -> dict[str, Any]:
    """Return the Workflow train → evaluate → register of a TrainingRun; arguments as in `prepare_workflow`.

    Args:
        owner: the TrainingRun.
        name: of the Workflow.
        attempt: id of the attempt.
        inputs_hash: of the attempt's inputs.
        step: content of MODELOPS_STEP without `step`.
        runtime: image, addresses, limits.
        secret: the Secret with git credentials for one's own code, if any.
        own: whether a team's own code trains: it runs in init containers that hold no credentials.
    """
    tasks = _SHARED if runtime.code_template is not None else _OWN if own else _TRAIN
    return _workflow(owner, name, attempt, inputs_hash, step, runtime, tasks, secret)


def _workflow(
    owner: Owner,
    name: str,
    attempt: str,
    inputs_hash: str,
    step: Mapping[str, Any],
    runtime: Runtime,
    tasks: Sequence[_Task],
    secret: str | None,
) -> dict[str, Any]:
    labels = {MANAGED_BY: MANAGER, OWNER_KIND: owner.kind, OWNER_NAME: owner.name, ATTEMPT: attempt}
    pool = runtime.pool or ComputePoolSpec()
    volumes = ("scratch", "nothing") if any(task.init for task in tasks) else ("scratch",)
    pod_labels = labels | ({"kueue.x-k8s.io/queue-name": pool.queue_name} if pool.queue_name else {})
    spec: dict[str, Any] = {
        "entrypoint": "main",
        "activeDeadlineSeconds": int(runtime.timeout.total_seconds()),
        "ttlStrategy": {"secondsAfterCompletion": _KEPT},
        "podGC": {"strategy": "OnWorkflowSuccess"},
        "podMetadata": {"labels": pod_labels},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [{"name": name, "emptyDir": {}} for name in volumes],
        "templates": [
            {
                "name": "main",
                "dag": {"tasks": [_dag_task(task, tasks, index, runtime) for index, task in enumerate(tasks)]},
            },
            *(_template(task, step, runtime, secret) for task in tasks if not task.theirs),
        ],
    }
    if any(task.shares for task in tasks):
        spec |= own_training.claim()
        spec["securityContext"]["fsGroup"] = _USER
    if runtime.service_account:
        spec["serviceAccountName"] = runtime.service_account
    if pool.priority_class_name:
        spec["podPriorityClassName"] = pool.priority_class_name
    if pool.node_selector:
        spec["nodeSelector"] = dict(pool.node_selector)
    if pool.tolerations:
        spec["tolerations"] = [
            toleration.model_dump(mode="json", by_alias=True, exclude_none=True) for toleration in pool.tolerations
        ]
    if pool.runtime_class_name:
        # Argo's templates have no field for it; the patch holds nothing but this DNS label from the pool.
        spec["podSpecPatch"] = json.dumps({"runtimeClassName": pool.runtime_class_name})
    return {
        "apiVersion": WORKFLOW.api_version,
        "kind": WORKFLOW.kind,
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": labels,
            "annotations": {INPUTS_HASH: inputs_hash},
            # Whoever deletes it, its result is read first.
            "finalizers": [RESULT],
            "ownerReferences": [
                {
                    "apiVersion": owner.api_version,
                    "kind": owner.kind,
                    "name": owner.name,
                    "uid": owner.uid,
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": spec,
    }


def _dag_task(task: _Task, tasks: Sequence[_Task], index: int, runtime: Runtime) -> dict[str, Any]:
    rendered: dict[str, Any] = {"name": task.name, "template": task.name}
    if task.theirs and runtime.code_template is not None:
        rendered = {"name": task.name, **own_training.reference(*runtime.code_template)}
    if index:
        rendered["dependencies"] = [tasks[index - 1].name]
    if task.inputs:
        rendered["arguments"] = {
            "parameters": [
                {"name": name, "value": f"{{{{tasks.{source}.outputs.parameters.{output}}}}}"}
                for name, (source, output) in task.inputs.items()
            ]
        }
    return rendered


def _template(task: _Task, step: Mapping[str, Any], runtime: Runtime, secret: str | None) -> dict[str, Any]:
    container = _container(task.name, step, runtime, secret)
    if not task.init and not task.shares and task.name == "train":
        container |= _gpus(runtime)
    container["env"] += [
        {"name": f"MODELOPS_{name.upper().replace('-', '_')}", "value": f"{{{{inputs.parameters.{name}}}}}"}
        for name in task.inputs
    ]
    container["terminationMessagePath"] = MESSAGE_PATH
    if task.shares:
        container["volumeMounts"].append({"name": own_training.VOLUME, "mountPath": own_training.PLACE})
    template: dict[str, Any] = {
        "name": task.name,
        "container": container,
        "outputs": {"parameters": [{"name": name, "valueFrom": {"path": path}} for name, path in task.outputs.items()]},
        "retryStrategy": {
            "limit": str(runtime.retries),
            "retryPolicy": "Always",
            "expression": RETRY_EXPRESSION,
            "backoff": {"duration": "5s", "factor": "2", "maxDuration": "5m"},
        },
    }
    if task.init:
        template["podSpecPatch"] = own_training.walls(task.init)
        template["initContainers"] = []
        for name in task.init:
            init = {"name": name, **_container(name, step, runtime, secret)}
            if name == "code":
                init |= _gpus(runtime)
                if runtime.code_image is not None:
                    init |= own_training.in_image(runtime.code_image)
            if name == "rows":  # which has to know whose model it fetches
                init["env"] += [env for env in container["env"] if env["name"] == "MODELOPS_RUN_ID"]
            template["initContainers"].append(init)
    if task.inputs:
        template["inputs"] = {"parameters": [{"name": name} for name in task.inputs]}
    return template


def _container(name: str, step: Mapping[str, Any], runtime: Runtime, secret: str | None) -> dict[str, Any]:
    env: list[dict[str, Any]] = [{"name": "MODELOPS_STEP", "value": step_json({**step, "step": name})}]
    if name not in own_training.UNTRUSTED:
        env += [
            {"name": "MLFLOW_TRACKING_URI", "value": runtime.mlflow_tracking_uri},
            {"name": "MODELOPS_WORKFLOW_UID", "value": "{{workflow.uid}}"},
            *from_secret(runtime.registry_secret, REGISTRY_LOGIN),
        ]
    if name in _NEEDS_GIT:
        env += from_secret(secret, GIT_LOGIN)
    container: dict[str, Any] = {
        "image": runtime.image,
        "command": ["modelops-step", name],
        "env": env,
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    if name in own_training.UNTRUSTED:
        container["volumeMounts"].append(own_training.no_token())
    return container


def _gpus(runtime: Runtime) -> dict[str, Any]:
    pool = runtime.pool or ComputePoolSpec()
    return {"resources": {"limits": {pool.resource_name: runtime.gpus}}} if runtime.gpus else {}


def step_json(step: Mapping[str, Any]) -> str:
    """Return a step's input as JSON in which Argo finds no template tag, and the kubelet no variable.

    `{{` and `$(` can occur in JSON only inside strings, where the escape means the same character.
    """
    text = json.dumps(step, separators=(",", ":"), sort_keys=True)
    return text.replace("{{", "\\u007b\\u007b").replace("$(", "\\u0024(")

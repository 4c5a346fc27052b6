"""Observes TrainingRuns: the Dataset's pinned revision, the pool, the Workflow of the attempt."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from modelops.api.kinds import COMPUTEPOOL, DATASET, TRAININGRUN, WORKFLOWTEMPLATE, Kind
from modelops.api.labels import APPLIED_COMMIT
from modelops.api.v1alpha1.computepool import ComputePoolSpec
from modelops.api.v1alpha1.dataset import DatasetSpec, DatasetStatus
from modelops.api.v1alpha1.trainer import Trainer, TrainerGit
from modelops.api.v1alpha1.trainingrun import Compute, TrainingRunSpec, TrainingRunStatus
from modelops.domain.plan import Plan
from modelops.domain.preflight import launched
from modelops.domain.training.admit import admit, noted
from modelops.domain.training.decide import decide_training
from modelops.domain.training.inputs import Code, Data
from modelops.domain.training.observed import Observed
from modelops.domain.training.template import Template, template_of
from modelops.errors import Stalled
from modelops.ports import code_digest
from modelops.reconcile import workflows
from modelops.reconcile.bundle import Ports
from modelops.reconcile.dependents import delivered_by
from modelops.reconcile.places import Places
from modelops.reconcile.wiring import owner_of_object, retry_command, runtime_of, source_at

_UNWATCHED: Final = timedelta(minutes=1)
"""Until what is missing or wrong is looked at again, where no watch tells that it was mended."""


class TrainingRunReconciler:
    """The TrainingRun's part of the loop."""

    def __init__(self) -> None:
        self._places = Places()

    @property
    def kind(self) -> Kind:
        """TrainingRun."""
        return TRAININGRUN

    def observe(self, obj: dict[str, Any], ports: Ports) -> Observed:
        """Read the Dataset, the pools that matter, and the current Workflow."""
        spec = TrainingRunSpec.model_validate(obj["spec"])
        current = TrainingRunStatus.model_validate(obj.get("status") or {})
        owner = owner_of_object(obj)
        workflow = workflows.current(owner, "tr", current.attempt, ports)
        idle = workflows.may_only_end(spec, workflow)
        dataset = ports.cluster.get(DATASET.resource, owner.namespace, spec.dataset_ref.name)
        data, waiting = _data(dataset, spec.dataset_ref.name, owner.namespace)
        code = None
        if spec.trainer.git is not None and data is not None and not idle:
            code, unknown = _code(obj, spec.trainer.git, ports)
            if code is None:
                data, waiting = None, unknown
        template = None if idle else _template(owner.namespace, spec.trainer, ports)
        pools, fallback = _pools(spec.compute, ports), ports.settings.pool_fallback
        admission = noted(admit(spec.compute, pools, owner.namespace, fallback=fallback), spec.trainer)
        seen = Observed(
            owner=owner,
            spec=spec,
            status=current,
            data=data,
            waiting=waiting,
            gone=dataset is None,
            code=code,
            template=template,
            admission=admission,
            workflow=workflow,
            strays=workflows.strays(owner, "tr", current.attempt, ports),
            runtime=replace(
                runtime_of(ports.settings),
                timeout=admission.timeout,
                retries=admission.retries,
                gpus=admission.gpus,
                pool=admission.pool,
                code_image=spec.trainer.image,
                code_template=(template.name, template.entrypoint) if template else None,
            ),
            commit=(obj["metadata"].get("annotations") or {}).get(APPLIED_COMMIT, ""),
            command=retry_command(obj, current),
            mlflow_url=ports.settings.mlflow_public_url or ports.settings.mlflow_tracking_uri,
            now=ports.clock.now(),
        )
        if launched(decide_training(seen)) is None:
            return seen
        return replace(seen, place=self._places.of(owner.namespace, ports))

    def decide(self, observed: Observed) -> Plan:
        """Decide."""
        return decide_training(observed)


def _data(found: dict[str, Any] | None, name: str, namespace: str) -> tuple[Data | None, str]:
    if found is None:
        return None, f"there is no Dataset {name} in namespace {namespace}"
    status = DatasetStatus.model_validate(found.get("status") or {})
    ready = next((condition for condition in status.conditions if condition.type == "Ready"), None)
    generation = found["metadata"].get("generation", 0)
    if ready is None or ready.observed_generation != generation or status.revision is None:
        return None, f"Dataset {name} is not pinned yet"
    if ready.status != "True":
        return None, f"Dataset {name} is not ready: {ready.reason}: {ready.message}"
    return Data(DatasetSpec.model_validate(found["spec"]), status.revision), ""


def _code(obj: dict[str, Any], trainer: TrainerGit, ports: Ports) -> tuple[Code | None, str]:
    """Return the code as the GitSource has it now, or None and why it is not known yet."""
    name = trainer.source_ref.name if trainer.source_ref else delivered_by(obj)
    if name is None:
        return None, "no GitSource delivered this TrainingRun; name one in spec.trainer.git.sourceRef"
    source, waiting = source_at(obj["metadata"]["namespace"], name, ports)
    if source is None:
        return None, waiting
    blob = ports.git.blob(source.remote, source.commit, trainer.path)
    try:
        files = [blob] if blob else list(ports.git.tree(source.remote, source.commit, trainer.path))
    except Stalled as error:
        if error.reason != "PathNotFound":
            raise
        raise Stalled(
            "CodeNotFound",
            f"{trainer.path}: neither a file nor a directory at commit {source.commit[:10]}; "
            "correct spec.trainer.git.path or commit it",
        ) from error
    return Code(source.url, source.commit, trainer.path, code_digest(files), source.secret), ""


def _template(namespace: str, trainer: Trainer, ports: Ports) -> Template | None:
    """Return the WorkflowTemplate that trains, if one does; it is read live, because nothing watches it."""
    if trainer.workflow_template is None:
        return None
    name = trainer.workflow_template.name
    try:
        found = ports.cluster.get(WORKFLOWTEMPLATE, namespace, name)
        if found is not None:
            return template_of(found)
    except Stalled as error:
        raise Stalled(error.reason, error.message, retry_after=_UNWATCHED) from error
    raise Stalled(
        "WorkflowTemplateNotFound",
        f"there is no WorkflowTemplate {name} in namespace {namespace}; make it there. One machine has none: train "
        "from git there (trainer.git)",
        retry_after=_UNWATCHED,
    )


def _pools(compute: Compute, ports: Ports) -> dict[str, ComputePoolSpec]:
    if compute.pool is None:
        return {}
    pools = ports.cluster.list(COMPUTEPOOL.resource, None)
    return {pool["metadata"]["name"]: ComputePoolSpec.model_validate(pool["spec"]) for pool in pools}

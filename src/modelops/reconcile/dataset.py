"""Observes Datasets: the GitSource, the file's blob, the Workflow of the attempt."""

from dataclasses import replace
from typing import Any

from modelops.api.kinds import DATASET, Kind
from modelops.api.v1alpha1.dataset import DatasetSpec, DatasetStatus
from modelops.domain.dataset.decide import DataSource, Observed, decide_dataset
from modelops.domain.plan import Plan
from modelops.domain.preflight import launched
from modelops.reconcile import workflows
from modelops.reconcile.bundle import Ports
from modelops.reconcile.dependents import source_of
from modelops.reconcile.places import Places
from modelops.reconcile.wiring import owner_of_object, retry_command, runtime_of, source_at


class DatasetReconciler:
    """The Dataset's part of the loop."""

    def __init__(self) -> None:
        self._places = Places()

    @property
    def kind(self) -> Kind:
        """Dataset."""
        return DATASET

    def observe(self, obj: dict[str, Any], ports: Ports) -> Observed:
        """Read the GitSource's last applied commit, the file's object id there, and the current Workflow."""
        spec = DatasetSpec.model_validate(obj["spec"])
        current = DatasetStatus.model_validate(obj.get("status") or {})
        owner = owner_of_object(obj)
        workflow = workflows.current(owner, "ds", current.attempt, ports)
        idle = workflows.may_only_end(spec, workflow)
        source, waiting = (None, "") if idle else _source(obj, spec, ports)
        settings = ports.settings
        seen = Observed(
            owner=owner,
            spec=spec,
            status=current,
            source=source,
            waiting=waiting,
            workflow=workflow,
            strays=workflows.strays(owner, "ds", current.attempt, ports),
            runtime=runtime_of(settings),
            command=retry_command(obj, current),
            artifact_url=f"{settings.mlflow_public_url or settings.mlflow_tracking_uri}/#/runs/",
            now=ports.clock.now(),
        )
        if launched(decide_dataset(seen)) is None:
            return seen
        return replace(seen, place=self._places.of(owner.namespace, ports))

    def decide(self, observed: Observed) -> Plan:
        """Decide."""
        return decide_dataset(observed)


def _source(obj: dict[str, Any], spec: DatasetSpec, ports: Ports) -> tuple[DataSource | None, str]:
    namespace = obj["metadata"]["namespace"]
    name = source_of(obj)
    if name is None:
        return None, "no GitSource delivered this Dataset; name one in spec.source.git.sourceRef"
    source, waiting = source_at(namespace, name, ports)
    if source is None:
        return None, waiting
    path = spec.source.git.path
    blob = ports.git.blob(source.remote, source.commit, path)
    return DataSource(source.url, source.commit, blob.oid if blob else None, path, source.secret), ""

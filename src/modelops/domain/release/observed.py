"""Everything a decision about a ModelRelease depends on. Filled by reconcile/modelrelease.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelops.api.v1alpha1.control import Freeze
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus, RevisionStatus
from modelops.domain.analysis.split import Requests
from modelops.domain.analysis.verdicts import Reading
from modelops.domain.release.golden import Answers
from modelops.domain.release.objects import Gateway
from modelops.domain.release.pods import Obstacle, obstacle
from modelops.domain.release.revision import ServingDefaults, child_name
from modelops.domain.release.steps import Path
from modelops.workflows.render import Owner

Obj = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Observed:
    """One look at a release and its surroundings."""

    owner: Owner
    spec: ModelReleaseSpec
    """Metrics that name a MetricTemplate that they can use ask for themselves here."""
    status: ModelReleaseStatus
    target: RevisionStatus | None
    """The revision that is to come next: the one that the spec asks for, but see `then`; None while there is none."""
    waiting: str
    """Why there is no target, or why it may be stale."""
    rival: str
    """The older release that writes the same alias of the same model, or nothing."""
    route: Obj | None
    """The HTTPRoute; in mode replicas the Service of the release's name, whoever made it."""
    deployments: Mapping[str, Obj]
    """By name: all of this release's."""
    pods: Mapping[str, Sequence[Obj]]
    """By Deployment: those of each one that is not ready."""
    services: Mapping[str, Obj]
    budgets: Mapping[str, Obj]
    """PodDisruptionBudgets by name."""
    records: Mapping[str, Obj]
    """ControllerRevisions by name."""
    readings: Mapping[str, Reading]
    """By metric; empty when it is not time to ask."""
    command: Mapping[str, Any] | None
    """The command that was not handled yet."""
    gateway: Gateway
    defaults: ServingDefaults
    now: datetime
    problems: tuple[str, ...] = field(default=())
    """What could not be read; nothing that a rollback needs."""
    freeze: Freeze | None = None
    """The operator's, for all releases."""
    unfit: tuple[tuple[Path, str], ...] = ()
    """Why metrics cannot use the MetricTemplates that they name, as (field, what is wrong and what to do)."""
    ahead: str = ""
    """Which older HTTPRoute takes the requests of this release, or nothing."""
    unlike: str = ""
    """Why the target would refuse requests that stable answers, or nothing."""
    last_good: str = ""
    """What is to be said of the version that promotedAlias names, where nothing serves and another is asked for."""
    then: str | None = None
    """The version that the spec asks for, where the target is the one that promotedAlias names."""
    proven: bool = False
    """Nothing serves, and the target is the version that promotedAlias names."""
    golden: Answers | None = None
    """Of the canary to the golden requests; None when it is not time to send them, or not all of them have come."""
    requests: Requests | None = None
    """As the gateway counted them of canary and stable; None when it is not time to ask."""

    def name_of(self, revision: str) -> str:
        """Return the name of a revision's objects."""
        return child_name(self.owner.name, revision)

    def deployment(self, revision: RevisionStatus | None) -> Obj | None:
        """Return a revision's Deployment."""
        return None if revision is None else self.deployments.get(self.name_of(revision.revision))

    def obstacle(self, revision: RevisionStatus) -> Obstacle | None:
        """Return what keeps a revision's servers from becoming ready, as far as the cluster says."""
        return obstacle(self.deployment(revision), self.pods.get(self.name_of(revision.revision), ()))

"""Servers that belong to no revision of a status any more. Pure.

A status remembers ten revisions that drain. Should more be superseded before one is gone, those left out still have
servers, and GPUs; they are taken up again as room comes.
"""

from collections.abc import Sequence

from modelops.api.labels import REVISION
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.domain.release.leaving import staying
from modelops.domain.release.observed import Observed
from modelops.domain.release.settle import RETIRING


def taken_up(seen: Observed, status: ModelReleaseStatus, going: Sequence[str] = ()) -> ModelReleaseStatus:
    """Return the status with the revisions retiring that have servers and are nothing else.

    Args:
        seen: the release.
        status: as it is now.
        going: revisions whose servers end in this pass.
    """
    if not status.history:
        # Nothing has come to an end here: servers are left of a status that was lost, and may have requests.
        return status
    known = {one.revision for one in staying(status)} | {*status.retiring, *going}
    found = {str((one["metadata"].get("labels") or {}).get(REVISION, "")) for one in seen.deployments.values()}
    room = RETIRING - len(status.retiring)
    strays = sorted(found - known - {""})[:room]
    return status.model_copy(update={"retiring": (*status.retiring, *strays)}) if strays else status

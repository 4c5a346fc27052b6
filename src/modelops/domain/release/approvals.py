"""A human's word that let a canary go on: when, and by whom as far as it is known. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from modelops.api.v1alpha1.modelrelease import Approval, ModelReleaseStatus

_KEPT: Final = 10


def approved(status: ModelReleaseStatus, command: Mapping[str, Any], now: datetime) -> tuple[Approval, ...]:
    """Return the canary's approvals with the command that leaves the current step; the last ten."""
    by = " ".join(str(command.get("by") or "").split())
    one = Approval(step=status.step, at=now.replace(microsecond=0), by=by[:128], command=str(command["id"])[:128])
    return (*status.approvals, one)[-_KEPT:]


def approval_words(approval: Approval) -> str:
    """Return an approval as the history tells it."""
    who = f" by {approval.by}" if approval.by else ""
    return f"step {approval.step + 1} approved{who} at {approval.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

"""Whose word it was: what let a canary go on is kept, when and by whom as far as it is known. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from modelops.api.v1alpha1.modelrelease_status import Approval, ModelReleaseStatus

_KEPT: Final = 10


def approved(status: ModelReleaseStatus, command: Mapping[str, Any], now: datetime) -> tuple[Approval, ...]:
    """Return the canary's approvals with the command that ends its pause, or leaves the current step; the last ten."""
    one = Approval(
        step=status.step,
        at=now.replace(microsecond=0),
        by=_giver(command),
        command=str(command["id"])[:128],
        paused_reason=status.paused_reason,
    )
    return (*status.approvals, one)[-_KEPT:]


def by_whom(command: Mapping[str, Any]) -> str:
    """Return who gave a command: `by ann@example.com`, or `by hand` where it does not say."""
    return f"by {_giver(command) or 'hand'}"


def approval_words(approval: Approval) -> str:
    """Return an approval as the history tells it."""
    who = f" by {approval.by}" if approval.by else ""
    when = f"{who} at {approval.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if approval.paused_reason:
        return f"pause at step {approval.step + 1} ({approval.paused_reason}) ended{when}"
    return f"step {approval.step + 1} approved{when}"


def _giver(command: Mapping[str, Any]) -> str:
    return " ".join(str(command.get("by") or "").split())[:128]

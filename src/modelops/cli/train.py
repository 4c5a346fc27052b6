"""`modelops train NAME`: start an attempt of a TrainingRun now, on the same inputs, and follow it when asked.

The word goes through the command annotation, which no GitOps applier reverts.
"""

from typing import Any, Final

import click

from modelops.api.kinds import TRAININGRUN
from modelops.cli.command import send
from modelops.cli.target import Target, name_argument, object_named, target_options
from modelops.cli.waiting import TIMED_OUT, Duration, poll
from modelops.errors import Stalled

FAILED: Final = 3
_TAKEN_WITHIN: Final = 10.0


@click.command()
@name_argument(kind="trainingruns")
@click.option("--restart", is_flag=True, help="End the attempt that is running and start another.")
@click.option("--watch", is_flag=True, help="Wait until it has ended, saying what happens.")
@click.option("--timeout", type=Duration(), default="2h", show_default=True, help="How long to wait with --watch.")
@target_options
def train(target: Target, name: str, timeout: float, *, restart: bool, watch: bool) -> None:
    """Start an attempt of the TrainingRun NAME now.

    With --watch: exit 0 registered, 3 failed or criteria not met, 4 timeout.
    """
    found = object_named(target, TRAININGRUN, name)
    before = _attempt(found)
    if found["spec"].get("suspend"):
        raise Stalled("Suspended", f"TrainingRun {name} is suspended; first: modelops resume trainingrun {name}")
    if before and _outcome(found) is None and not restart:
        progress = ((found.get("status") or {}).get("workflow") or {}).get("progress") or "0"
        raise Stalled(
            "Running",
            f"attempt {before} of {name} is running ({progress} steps done); wait for it, or end it with --restart",
        )
    if not send(target, TRAININGRUN, name, {"verb": "retry"}, seconds=_TAKEN_WITHIN):
        raise Stalled(
            "NotStarted", f"no attempt of {name} was started within {_TAKEN_WITHIN:.0f} s: {_why(target, name)}"
        )
    started = object_named(target, TRAININGRUN, name)
    click.echo(f"trainingrun/{name} attempt {_attempt(started)} started")
    if watch:
        raise click.exceptions.Exit(_follow(target, name, timeout))


def _follow(target: Target, name: str, timeout: float) -> int:
    said = ""

    def ended() -> tuple[str, str] | None:
        nonlocal said
        found = object_named(target, TRAININGRUN, name)
        outcome = _outcome(found)
        line = _condition(found, "Reconciling")
        if outcome is None and line and line != said:
            click.echo(line)
            said = line
        return outcome

    outcome = poll(ended, timeout, every=0.5)
    if outcome is None:
        click.echo(f"modelops: trainingrun/{name} has not ended in time; it goes on", err=True)
        return TIMED_OUT
    click.echo(f"{outcome[0]}: {outcome[1]}")
    return 0 if outcome[0] == "Registered" else FAILED


def _attempt(found: dict[str, Any]) -> str:
    return str(((found.get("status") or {}).get("attempt") or {}).get("id") or "")


def _outcome(found: dict[str, Any]) -> tuple[str, str] | None:
    """Return outcome and message of the current attempt once it has ended."""
    current = _attempt(found)
    for record in reversed((found.get("status") or {}).get("history") or ()):
        if record["id"] == current and record["outcome"] != "Superseded":
            return record["outcome"], record.get("message", "")
    return None


def _condition(found: dict[str, Any], kind: str) -> str:
    for condition in (found.get("status") or {}).get("conditions") or ():
        if condition["type"] == kind:
            return str(condition["message"])
    return ""


def _why(target: Target, name: str) -> str:
    found = object_named(target, TRAININGRUN, name)
    said = _condition(found, "Stalled") or _condition(found, "Reconciling")
    return f"{said}; it starts once that is so" if said else "is the operator running? (modelops doctor)"

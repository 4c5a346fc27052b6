"""`modelops release status|promote|abort|retry|pause|unpause`: watch and steer a release.

Verbs act through one annotation, bound to a revision and a step, so that a verb given twice, or too late, does
nothing to a revision that the user did not mean.
"""

import json
import time
import uuid
from typing import Any, Final

import click

from modelops.api.kinds import MODELRELEASE
from modelops.api.labels import COMMAND
from modelops.api.v1alpha1.common import parse_duration
from modelops.cli.target import Target, object_named, target_options
from modelops.errors import Stalled

PROMOTED, DEGRADED, TIMED_OUT = 0, 3, 4
_STARTED_WAIT: Final = 10.0


@click.group()
def release() -> None:
    """Watch and steer a release."""


@release.command()
@click.argument("name")
@click.option("--version", default=None, help="The version whose fate is asked for; by default the newest seen.")
@click.option("--watch", is_flag=True, help="Wait until its fate is settled, saying what happens.")
@click.option("--timeout", default="10m", show_default=True, help="How long to wait, such as 10m.")
@target_options
def status(target: Target, name: str, version: str | None, watch: bool, timeout: str) -> None:
    """Say how a release stands: exit 0 promoted, 3 degraded, 4 timeout."""
    try:
        seconds = parse_duration(timeout).total_seconds()
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--timeout") from error
    deadline = time.monotonic() + seconds
    said = ""
    while True:
        found = object_named(target, MODELRELEASE, name)
        line, code = judge(found, version)
        if line != said:
            click.echo(line)
            said = line
        if code is not None:
            raise click.exceptions.Exit(code)
        if not watch or time.monotonic() >= deadline:
            click.echo(f"not settled within {timeout}" if watch else "not settled", err=True)
            raise click.exceptions.Exit(TIMED_OUT)
        time.sleep(0.5)


def judge(found: dict[str, Any], version: str | None) -> tuple[str, int | None]:
    """Return what to say of a release, and its exit code once the version's fate is settled."""
    status = found.get("status", {})
    conditions = {condition["type"]: condition for condition in status.get("conditions", ())}
    canary, stable = status.get("canary"), status.get("stable")
    # The newest seen is the one in progress, else the last whose fate was settled: a rollback is not a success.
    newest = canary or next(reversed(status.get("history", ())), None) or stable or {}
    wanted = version or newest.get("version")
    if stalled := conditions.get("Stalled"):
        return f"stalled: {stalled['reason']}: {stalled['message']}", DEGRADED
    if canary and canary["version"] == wanted:
        waiting = f", waiting for {status['waitingFor']}" if status.get("waitingFor") else ""
        return (
            f"version {wanted}: {status.get('phase', '')}, step {status.get('stepTotal', '')}, "
            f"weight {status.get('weight', 0)} %{waiting}"
        ), None
    for record in reversed(status.get("history", ())):
        if record["version"] == wanted:
            promoted = record["outcome"] == "Promoted"
            return f"version {wanted}: {record['outcome']}: {record.get('message', '')}", (
                PROMOTED if promoted else DEGRADED
            )
    if stable and stable["version"] == wanted:
        return f"version {wanted}: Promoted", PROMOTED
    ready = conditions.get("Ready", {})
    return (
        f"version {wanted or '?'}: not seen yet ({ready.get('reason', 'no status')}: {ready.get('message', '')})",
        None,
    )


def _command(verb: str, text: str, *, full: bool = False) -> click.Command:
    @click.argument("name")
    @target_options
    def act(target: Target, name: str, **options: Any) -> None:
        found = object_named(target, MODELRELEASE, name)
        status = found.get("status", {})
        revision = _revision(found, verb)
        command = {
            "verb": verb,
            "full": bool(options.get("full")),
            "revision": revision,
            "step": status.get("step", 0),
            "id": uuid.uuid4().hex[:12],
        }
        patch = {"metadata": {"annotations": {COMMAND: json.dumps(command, separators=(",", ":"))}}}
        target.client.merge_patch(MODELRELEASE.resource, target.namespace, name, patch)
        _await_answer(target, name, command["id"])
        click.echo(f"{verb}: revision {revision} of {name}")

    act.__doc__ = text
    wrapped = click.option("--full", is_flag=True, help="Skip the steps that are left.")(act) if full else act
    return click.command(verb)(wrapped)


def _revision(found: dict[str, Any], verb: str) -> str:
    status = found.get("status", {})
    name = found["metadata"]["name"]
    if verb == "retry":
        aborted = status.get("aborted") or ()
        if not aborted:
            raise Stalled("NothingToRetry", f"no revision of {name} was aborted or rolled back")
        return str(aborted[-1])
    if canary := status.get("canary"):
        return str(canary["revision"])
    raise Stalled("NoCanary", f"{name} has no release in progress; see: modelops release status {name}")


def _await_answer(target: Target, name: str, identifier: str) -> None:
    deadline = time.monotonic() + _STARTED_WAIT
    while time.monotonic() < deadline:
        found = target.client.get(MODELRELEASE.resource, target.namespace, name) or {}
        if found.get("status", {}).get("lastHandledCommand") == identifier:
            return
        time.sleep(0.1)
    raise Stalled("NotHandled", f"the operator has not taken the command within {_STARTED_WAIT:.0f} s; is it running?")


release.add_command(_command("promote", "Leave the pause a release is in; with --full skip what is left.", full=True))
release.add_command(_command("abort", "Give a release up: all traffic back to the stable version."))
release.add_command(_command("retry", "Try a revision again that was aborted or rolled back."))
release.add_command(_command("pause", "Hold a release where it is."))
release.add_command(_command("unpause", "Let a held release go on."))

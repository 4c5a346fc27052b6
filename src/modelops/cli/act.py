"""`modelops reconcile|suspend|resume KIND NAME`: have an object looked at, left alone, or looked at again.

reconcile asks through an annotation and waits for its echo in the status; suspend and resume set spec.suspend.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from modelops.api.kinds import GITSOURCE, Kind
from modelops.api.labels import GITSOURCE as GITSOURCE_LABEL
from modelops.api.labels import MANAGER, REQUESTED_AT
from modelops.cli.describe import verdict
from modelops.cli.target import Target, kind_argument, kind_named, name_argument, object_named, target_options
from modelops.cli.waiting import TIMED_OUT, Duration, poll


@click.command()
@kind_argument
@name_argument()
@click.option("--timeout", type=Duration(), default="1m", show_default=True, help="How long to wait for the operator.")
@click.option("--no-wait", is_flag=True, help="Ask, and do not wait.")
@target_options
def reconcile(target: Target, kind: str, name: str, timeout: float, *, no_wait: bool) -> None:
    """Have the object NAME of KIND looked at now; exit 4 if the operator does not answer in time."""
    found = kind_named(kind)
    obj = object_named(target, found, name)
    asked = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    patch = {"metadata": {"annotations": {REQUESTED_AT: asked}}}
    target.client.merge_patch(found.resource, obj["metadata"].get("namespace"), name, patch)
    about = f"{found.singular}/{name}"
    if no_wait:
        click.echo(f"{about} asked to reconcile")
        return

    def answered() -> dict[str, Any] | None:
        latest = object_named(target, found, name)
        status = latest.get("status") or {}
        return latest if status.get("lastHandledReconcileAt") == asked else None

    latest = poll(answered, timeout)
    if latest is None:
        click.echo(f"modelops: {about}: the operator has not answered; is it running? (modelops doctor)", err=True)
        raise click.exceptions.Exit(TIMED_OUT)
    click.echo(f"{about} reconciled: {verdict(latest)}")
    if (latest.get("spec") or {}).get("suspend"):
        click.echo(
            f"it is suspended, so nothing was done; go on with: modelops resume {found.singular} {name}", err=True
        )


@click.command()
@kind_argument
@name_argument()
@target_options
def suspend(target: Target, kind: str, name: str) -> None:
    """Stop reconciling the object NAME of KIND.

    A Workflow that runs for a Dataset or a TrainingRun is ended; all else that runs keeps running.
    """
    _set(target, kind_named(kind), name, wanted=True)


@click.command()
@kind_argument
@name_argument()
@target_options
def resume(target: Target, kind: str, name: str) -> None:
    """Reconcile the object NAME of KIND again after suspend."""
    _set(target, kind_named(kind), name, wanted=False)


def _set(target: Target, kind: Kind, name: str, *, wanted: bool) -> None:
    obj = object_named(target, kind, name)
    about, word = f"{kind.singular}/{name}", "suspended" if wanted else "resumed"
    if bool(obj["spec"].get("suspend", False)) is wanted:
        click.echo(f"{about} is {'suspended already' if wanted else 'not suspended'}")
        return
    patch = {"spec": {"suspend": wanted}}
    target.client.merge_patch(kind.resource, obj["metadata"].get("namespace"), name, patch)
    click.echo(f"{about} {word}")
    if told := _reverted(target, obj, wanted=wanted):
        click.echo(f"modelops: {told}", err=True)


def _reverted(target: Target, obj: Mapping[str, Any], *, wanted: bool) -> str:
    """Return who would set it back and what to do instead, or nothing."""
    meta = obj["metadata"]
    source = (meta.get("labels") or {}).get(GITSOURCE_LABEL)
    if not source:
        return ""
    delivered = target.client.get(GITSOURCE.resource, meta.get("namespace"), source)
    if delivered is None or (delivered["spec"].get("suspend") and wanted):
        return ""
    value = str(wanted).lower()
    if _git_says_suspend(meta):
        return (
            f"GitSource {source} delivers this object and its manifest says spec.suspend, so this is set back within "
            f"{delivered['spec'].get('interval', '1m')}: commit suspend: {value}, "
            f"or first run: modelops suspend gitsource {source}"
        )
    if not wanted:
        return ""
    return (
        f"GitSource {source} delivers this object; its manifest does not say spec.suspend, so this stays, "
        f"unseen in git: commit suspend: {value} if it is meant to last"
    )


def _git_says_suspend(meta: Mapping[str, Any]) -> bool:
    for entry in meta.get("managedFields") or ():
        if entry.get("manager") == MANAGER and entry.get("operation") == "Apply":
            return "f:suspend" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    return False

"""`modelops release status|promote|abort|retry|pause|unpause|undo`: watch and steer a release.

Verbs act through one annotation, bound to a revision and a step, so that a verb given twice, or too late, does
nothing to a revision that the user did not mean.
"""

import time
from typing import Any, Final

import click

from modelops.api.kinds import CONTROLLERREVISION, EVENT, MODELRELEASE
from modelops.api.labels import OWNER_KIND, OWNER_NAME
from modelops.cli import show
from modelops.cli.command import send
from modelops.cli.control import standing
from modelops.cli.progress import Progress
from modelops.cli.suggest import Group, hint
from modelops.cli.target import Target, name_argument, object_named, target_options
from modelops.cli.waiting import TIMED_OUT, Duration, poll
from modelops.cli.whoami import user_of
from modelops.errors import ModelopsError, Stalled

PROMOTED, DEGRADED = 0, 3
_TAKEN_WITHIN: Final = 10.0
_EVERY: Final = 0.5


@click.group(cls=Group)
def release() -> None:
    """Watch and steer a release."""


@release.command()
@name_argument(kind="modelreleases")
@click.option("--version", default=None, help="The version whose fate is asked for; by default the newest seen.")
@click.option("--watch", is_flag=True, help="Wait until its fate is settled, saying what happens.")
@click.option("--timeout", type=Duration(), default="10m", show_default=True, help="How long to wait, such as 10m.")
@click.option("-o", "--output", type=click.Choice(["json"]), default=None, help="Print the object once settled.")
@target_options
def status(target: Target, name: str, version: str | None, timeout: float, output: str | None, *, watch: bool) -> None:
    """Say how a release stands: exit 0 promoted, 3 degraded, 4 timeout."""
    deadline = time.monotonic() + timeout
    with Progress(quiet=output is not None) as progress:
        while True:
            found = object_named(target, MODELRELEASE, name)
            line, code = judge(found, version)
            line += standing(found.get("status") or {})
            progress.tell(found, line, settled=code is not None or not watch)
            if code is not None or not watch or time.monotonic() >= deadline:
                break
            time.sleep(min(_EVERY, max(0.0, deadline - time.monotonic())))
    if output:
        show.dump(found, output)
    if code is None:
        click.echo(f"modelops: {name} is not settled{' in time; it goes on' if watch else ''}", err=True)
        raise click.exceptions.Exit(TIMED_OUT)
    raise click.exceptions.Exit(code)


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
    if stable and wanted is not None and status.get("equivalentVersion") == wanted:
        return f"version {wanted}: the same artifact as version {stable['version']}, which serves", PROMOTED
    ready = conditions.get("Ready", {})
    return (
        f"version {wanted or '?'}: not seen yet ({ready.get('reason', 'no status')}: {ready.get('message', '')})",
        None,
    )


def _verb(verb: str, text: str, *, full: bool = False) -> click.Command:
    @name_argument(kind="modelreleases")
    @target_options
    def act(target: Target, name: str, *, full: bool = False) -> None:
        found = object_named(target, MODELRELEASE, name)
        revision = _revision(found, verb)
        _give(target, found, verb, revision, full=full)
        click.echo(f"{verb}: revision {revision} of {name}")

    act.__doc__ = text
    wrapped = click.option("--full", is_flag=True, help="Skip the steps that are left.")(act) if full else act
    return click.command(verb)(wrapped)


@release.command()
@name_argument(kind="modelreleases")
@click.option("--to-version", default=None, help="The version to go back to; by default the one promoted before.")
@target_options
def undo(target: Target, name: str, to_version: str | None) -> None:
    """Go back to a version that was promoted before, without its steps.

    The version that serves now is held back, like one that was aborted, until: modelops release retry NAME.
    """
    found = object_named(target, MODELRELEASE, name)
    version, revision = _earlier(target, found, to_version)
    _give(target, found, "undo", revision)
    click.echo(f"undo: {name} goes back to version {version}, revision {revision}")


def _give(target: Target, found: dict[str, Any], verb: str, revision: str, *, full: bool = False) -> None:
    """Send the command; a refusal by the operator is an error with its reason."""
    name = found["metadata"]["name"]
    words = {"verb": verb, "full": full, "revision": revision, "step": (found.get("status") or {}).get("step", 0)}
    if user := user_of(target.client):
        words["by"] = user
    known = {event["metadata"]["name"] for event in _events(target, found)}
    if send(target, MODELRELEASE, name, words, seconds=_TAKEN_WITHIN) is None:
        if found["spec"].get("suspend"):
            raise Stalled("Suspended", f"{name} is suspended; first: modelops resume modelrelease {name}")
        for condition in (found.get("status") or {}).get("conditions") or ():
            if condition["type"] == "Stalled":
                raise Stalled("Stalled", f"{name} is stalled: {condition['reason']}: {condition['message']}")
        raise Stalled(
            "NotHandled",
            f"the operator has not taken the command within {_TAKEN_WITHIN:.0f} s; is it running? (modelops doctor)",
        )
    # The Event follows the status; every command that was handled leaves one.
    fresh = poll(lambda: [one for one in _events(target, found) if one["metadata"]["name"] not in known] or None, 1.0)
    for event in fresh or ():
        if event.get("reason") == "CommandIgnored":
            raise Stalled("CommandIgnored", f"{name}: {event.get('message', '')}")


def _events(target: Target, found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the Events about an object; none for who may not read them."""
    try:
        events = target.client.list(EVENT, target.namespace)
    except ModelopsError:
        return []
    uid = found["metadata"].get("uid")
    return [event for event in events if (event.get("involvedObject") or {}).get("uid") == uid]


def _revision(found: dict[str, Any], verb: str) -> str:
    status = found.get("status") or {}
    name = found["metadata"]["name"]
    if verb == "retry":
        aborted = [*(status.get("aborted") or ()), *(status.get("ignored") or ())]
        if not aborted:
            raise Stalled("NothingToRetry", f"no revision of {name} was aborted, rolled back or left out")
        return str(aborted[-1])
    if canary := status.get("canary"):
        return str(canary["revision"])
    if verb == "abort" and status.get("rollbackWindow"):
        version = status["stable"]["version"]
        raise Stalled("NoCanary", f"version {version} is promoted; to take it back: modelops release undo {name}")
    raise Stalled("NoCanary", f"{name} has no release in progress; see: modelops release status {name}")


def _earlier(target: Target, found: dict[str, Any], version: str | None) -> tuple[str, str]:
    """Return version and revision to go back to: promoted before, not held back, its template still on record."""
    status, name = found.get("status") or {}, found["metadata"]["name"]
    stable = status.get("stable")
    if not stable:
        raise Stalled("NothingServes", f"{name} serves nothing yet, so there is nothing to undo")
    labels = {OWNER_KIND: "ModelRelease", OWNER_NAME: name}
    kept = {
        one["metadata"]["name"].rpartition("-")[2]
        for one in target.client.list(CONTROLLERREVISION, target.namespace, labels)
    }
    promoted = {
        record["revision"]: str(record["version"])
        for record in status.get("history") or ()
        if record["outcome"] == "Promoted" and record["revision"] in kept and record["revision"] != stable["revision"]
    }
    if version is not None:
        for revision, one in reversed(promoted.items()):
            if one == version:
                return one, revision
        there = ", ".join(dict.fromkeys(promoted.values())) or "none"
        raise Stalled(
            "NoSuchVersion",
            f"{name} cannot go back to version {version}{hint(version, promoted.values())}; it can go back to: {there}",
        )
    held = set(status.get("aborted") or ())
    for record in reversed(status.get("history") or ()):
        if record["outcome"] == "Promoted" and record["revision"] in promoted and record["revision"] not in held:
            return str(record["version"]), str(record["revision"])
    raise Stalled("NothingToUndo", f"no version of {name} was promoted before version {stable['version']}")


for _name, _text in (
    ("promote", "Leave the pause or approval a release waits in; with --full skip what is left."),
    ("abort", "Give a release up: all traffic back to the stable version."),
    ("retry", "Try a revision again that was aborted, rolled back or undone."),
    ("pause", "Hold a release where it is."),
    ("unpause", "Let a held release go on."),
):
    release.add_command(_verb(_name, _text, full=_name == "promote"))

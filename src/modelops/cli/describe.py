"""`modelops describe KIND NAME`: how an object stands, why, what it waits for, and what happened to it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click
from tabulate import tabulate

from modelops.api.kinds import EVENT, MODELRELEASE, Kind
from modelops.cli import show
from modelops.cli.control import standing
from modelops.cli.target import Target, kind_argument, kind_named, name_argument, object_named, target_options

_SAID_ELSEWHERE: Final = {
    "conditions",
    "observedGeneration",
    "lastHandledReconcileAt",
    "lastHandledCommand",
    "waitingFor",
    "analysis",
    "split",
    "smokeTest",
    "history",
    "inventory",
}
_EVENTS: Final = 20


@click.command()
@kind_argument
@name_argument()
@click.option("-o", "--output", type=click.Choice(["json"]), default=None, help="Verdict, object and Events.")
@target_options
def describe(target: Target, kind: str, name: str, output: str | None) -> None:
    """Say how the object NAME of KIND stands, and why."""
    found = kind_named(kind)
    obj = object_named(target, found, name)
    events = _about(obj, target.client.list(EVENT, obj["metadata"].get("namespace") or "default"))
    if output:
        show.dump({"verdict": verdict(obj), "object": obj, "events": events}, output)
        return
    for line in describe_lines(found, obj, events, datetime.now(UTC)):
        click.echo(line)


def describe_lines(
    kind: Kind, obj: Mapping[str, Any], events: Sequence[Mapping[str, Any]], now: datetime
) -> Iterator[str]:
    """Yield the description, line by line.

    Args:
        kind: the object's kind.
        obj: the object as the API has it.
        events: the Events about it, oldest first.
        now: ages are told relative to this.
    """
    meta, status = obj["metadata"], obj.get("status") or {}
    yield f"Name:       {meta['name']}"
    if kind.resource.namespaced:
        yield f"Namespace:  {meta.get('namespace', '')}"
    yield f"Kind:       {kind.resource.kind} ({kind.resource.api_version})"
    yield f"Created:    {_age(meta.get('creationTimestamp'), now)} ago"
    yield f"Verdict:    {verdict(obj)}"
    if waiting := status.get("waitingFor"):
        yield f"Waits for:  {waiting}"
    yield from _section("Conditions", _conditions(status.get("conditions") or (), now))
    if kind is MODELRELEASE and (words := standing(status)):
        yield f"Moreover:   {words.removeprefix('; ')}"
    own = {name: value for name, value in status.items() if name not in _SAID_ELSEWHERE}
    yield from _section("Status", _lines(own))
    if kind is MODELRELEASE:
        yield from _section("Smoke test", _smoke_test(status.get("smokeTest") or {}, now))
        yield from _section("Analysis", [*_analysis(status.get("analysis") or (), now), *_split(status)])
    yield from _section("Inventory", [f"{e['kind']} {e['name']}" for e in status.get("inventory") or ()])
    yield from _section("History", _history(status.get("history") or (), now))
    yield from _section("Spec", _lines(obj.get("spec") or {}))
    yield from _section("Events", _events(events, now))


def verdict(obj: Mapping[str, Any]) -> str:
    """Return in one line how an object stands and why."""
    conditions = {c["type"]: c for c in (obj.get("status") or {}).get("conditions") or ()}
    if obj["metadata"].get("deletionTimestamp"):
        held = ", ".join(obj["metadata"].get("finalizers") or ()) or "its children"
        return f"is being deleted; held by {held}"
    ready = conditions.get("Ready")
    if ready is None:
        return "the operator has not looked at it yet; is it running? (modelops doctor)"
    if int((obj.get("status") or {}).get("observedGeneration", 0)) < int(obj["metadata"].get("generation", 0)):
        return "the status speaks of an older spec; the operator has not seen the newest yet"
    if stalled := conditions.get("Stalled"):
        return f"stuck until something is changed: {stalled['reason']}: {stalled['message']}"
    words = {"True": "ready", "False": "not ready", "Unknown": "unknown"}[ready["status"]]
    said = f"{words}: {ready['reason']}: {ready['message']}"
    doing = conditions.get("Reconciling")
    if doing and doing["message"] != ready["message"]:
        return f"{said}; under way: {doing['reason']}: {doing['message']}"
    return said


def _about(obj: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    uid = obj["metadata"].get("uid")
    mine = [event for event in events if (event.get("involvedObject") or {}).get("uid") == uid]
    return sorted(mine, key=_when)


def _when(event: Mapping[str, Any]) -> str:
    return event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or ""


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"{title}:"
        yield from (f"  {line}" for line in lines)


def _conditions(conditions: Sequence[Mapping[str, Any]], now: datetime) -> list[str]:
    rows = [
        (c["type"], c["status"], c["reason"], _age(c["lastTransitionTime"], now), c.get("message", ""))
        for c in conditions
    ]
    return _table(("TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"), rows)


def _analysis(metrics: Sequence[Mapping[str, Any]], now: datetime) -> list[str]:
    rows = []
    for metric in metrics:
        for look in metric.get("measurements") or ():
            value = "" if look.get("value") is None else f"{look['value']:.6g}"
            samples = "" if look.get("samples") is None else f"{look['samples']:.0f}"
            age = _age(look["time"], now)
            bound = metric.get("bound", "")
            rows.append((metric["name"], look["verdict"], value, bound, samples, age, look.get("message", "")))
    return _table(("METRIC", "VERDICT", "VALUE", "BOUND", "SAMPLES", "AGO", "MESSAGE"), rows)


def _split(status: Mapping[str, Any]) -> list[str]:
    split = status.get("split") or {}
    canary, stable = split.get("canary", 0), split.get("stable", 0)
    weight = f"{canary:.0f} of {canary + stable:.0f} requests came to the canary, at weight {status.get('weight', 0)}"
    return [weight] if split.get("measuredAt") else []


def _smoke_test(found: Mapping[str, Any], now: datetime) -> list[str]:
    if not found:
        return []
    tested = f", {_age(found['testedAt'], now)} ago" if found.get("testedAt") else ""
    memory = f", {found['memory'] / 2**20:.0f} MiB of memory" if found.get("memory") is not None else ""
    why = f": {found['message']}" if found.get("message") else ""
    rows = [
        (
            one["name"],
            "yes" if one["ok"] else "no",
            "" if one.get("latency") is None else f"{one['latency'] * 1000:.0f} ms",
            one.get("message", ""),
        )
        for one in found.get("requests") or ()
    ]
    return [f"{found['outcome']}{tested}{memory}{why}", *_table(("REQUEST", "OK", "SLOWEST", "MESSAGE"), rows)]


def _history(records: Sequence[Mapping[str, Any]], now: datetime) -> list[str]:
    rows = [
        (
            record.get("version") or record.get("modelVersion") or record.get("id", ""),
            record.get("outcome", ""),
            _age(record.get("finishedAt"), now),
            record.get("message", ""),
        )
        for record in records
    ]
    return _table(("VERSION", "OUTCOME", "AGO", "MESSAGE"), rows)


def _events(events: Sequence[Mapping[str, Any]], now: datetime) -> list[str]:
    rows = [(_age(_when(e), now), e.get("type", ""), e.get("reason", ""), e.get("message", "")) for e in events]
    return _table(("AGO", "TYPE", "REASON", "MESSAGE"), rows[-_EVENTS:])


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    return tabulate(rows, headers=headers, tablefmt="plain", disable_numparse=True).splitlines()


def _lines(value: Any, indent: str = "") -> list[str]:
    """Return nested values as indented lines; what is empty says nothing and is left out."""
    if isinstance(value, Mapping):
        lines = []
        for name, inner in value.items():
            if inner in (None, "", [], {}):
                continue
            if isinstance(inner, Mapping | list):
                lines += [f"{indent}{name}:", *_lines(inner, indent + "  ")]
            else:
                lines.append(f"{indent}{name}: {inner}")
        return lines
    if isinstance(value, list):
        lines = []
        for inner in value:
            first, *rest = _lines(inner, indent + "  ") or [f"{indent}  {{}}"]
            lines += [f"{indent}- {first.strip()}", *rest]
        return lines
    return [f"{indent}{value}"]


def _age(text: str | None, now: datetime) -> str:
    if not text:
        return "?"
    seconds = max(0, int((now - datetime.fromisoformat(text)).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"

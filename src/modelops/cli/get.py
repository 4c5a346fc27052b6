"""`modelops get KIND [NAME]`: the server's own table, or the object as the API has it."""

import json
from typing import Any

import click
import yaml
from tabulate import tabulate

from modelops.cli.target import Target, kind_named, object_named, target_options


@click.command()
@click.argument("kind")
@click.argument("name", required=False)
@click.option("-o", "--output", type=click.Choice(["wide", "json", "yaml"]), default=None, help="Output format.")
@target_options
def get(target: Target, kind: str, name: str | None, output: str | None) -> None:
    """Show objects of KIND, or the one called NAME."""
    found = kind_named(kind)
    namespace = target.namespace if found.resource.namespaced else None
    if output in ("json", "yaml"):
        shown: dict[str, Any] = (
            object_named(target, found, name)
            if name
            else {"apiVersion": "v1", "kind": "List", "items": list(target.client.list(found.resource, namespace))}
        )
        click.echo(json.dumps(shown, indent=2) if output == "json" else yaml.safe_dump(shown, sort_keys=False).rstrip())
        return
    if name:
        object_named(target, found, name)
    table = target.client.table(found.resource, namespace, name)
    columns = table["columnDefinitions"]
    shown_columns = [index for index, column in enumerate(columns) if output == "wide" or not column.get("priority")]
    rows = [["" if row["cells"][i] is None else row["cells"][i] for i in shown_columns] for row in table["rows"]]
    if not rows:
        where = f" in namespace {namespace}" if namespace else ""
        click.echo(f"No {found.resource.plural} found{where}.", err=True)
        return
    headers = [columns[index]["name"].upper() for index in shown_columns]
    click.echo(tabulate(rows, headers=headers, tablefmt="plain", disable_numparse=True))

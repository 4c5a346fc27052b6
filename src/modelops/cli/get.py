"""`modelops get KIND[,KIND…] [NAME]`: the server's own table, or the objects as the API has them; -w follows them."""

from typing import Any

import click

from modelops.api.kinds import KINDS, Kind
from modelops.cli import show
from modelops.cli.rows import Columns, headers_of, rows_of
from modelops.cli.target import (
    Target,
    kind_argument,
    kind_named,
    name_argument,
    object_named,
    page_of,
    target_options,
)


@click.command()
@kind_argument
@name_argument(required=False)
@click.option("-o", "--output", type=click.Choice(["wide", "json", "yaml", "name"]), default=None, help="Format.")
@click.option("-A", "--all-namespaces", is_flag=True, help="In all namespaces.")
@click.option("-l", "--selector", default="", help="Only objects with these labels: key=value,key2!=value.")
@click.option("-w", "--watch", is_flag=True, help="Go on with what changes, until Ctrl-C.")
@target_options
def get(
    target: Target,
    kind: str,
    name: str | None,
    output: str | None,
    selector: str,
    *,
    all_namespaces: bool,
    watch: bool,
) -> None:
    """Show objects of KIND, or the one called NAME.

    KIND is a kind by any of its names, several with commas between, or `all`.
    """
    kinds = _kinds(kind)
    if name and (len(kinds) > 1 or all_namespaces or selector):
        raise click.UsageError("a NAME goes with one kind, without -A and -l")
    namespace = None if all_namespaces else target.namespace
    if name:
        object_named(target, kinds[0], name)
    if watch:
        if output not in (None, "wide"):
            raise click.UsageError(f"-w shows a table; it does not go with -o {output}")
        from modelops.cli.follow import follow  # noqa: PLC0415 - threads and rich, for -w only

        follow(target, kinds, namespace, Columns(wide=output == "wide", everywhere=all_namespaces), name, selector)
        return
    if output in ("json", "yaml", "name"):
        _dump(target, kinds, namespace, name, selector, output)
        return
    _tables(target, kinds, namespace, name, selector, wide=output == "wide")


def _kinds(words: str) -> list[Kind]:
    if words == "all":
        return list(KINDS)
    found: list[Kind] = []
    for word in words.split(","):
        kind = kind_named(word)
        if kind not in found:
            found.append(kind)
    return found


def _dump(
    target: Target, kinds: list[Kind], namespace: str | None, name: str | None, selector: str, output: str
) -> None:
    if name:
        items = [object_named(target, kinds[0], name)]
    else:
        items = [item for kind in kinds for item in page_of(target, kind, namespace, selector)["items"]]
    if output == "name":
        for item in items:
            click.echo(f"{item['kind'].lower()}.{item['apiVersion'].partition('/')[0]}/{item['metadata']['name']}")
        return
    shown: dict[str, Any] = items[0] if name else {"apiVersion": "v1", "kind": "List", "items": items}
    show.dump(shown, output)


def _tables(
    target: Target, kinds: list[Kind], namespace: str | None, name: str | None, selector: str, *, wide: bool
) -> None:
    columns = Columns(wide=wide, everywhere=namespace is None)
    printed = 0
    for kind in kinds:
        where = namespace if kind.resource.namespaced else None
        answer = target.client.table(kind.resource, where, name, selector=selector)
        about = Columns(wide=wide, everywhere=columns.everywhere and kind.resource.namespaced, several=len(kinds) > 1)
        rows = rows_of(answer, kind, about)
        if not rows:
            continue
        if printed:
            click.echo()
        for line in show.table(headers_of(answer, about), rows):
            click.echo(line)
        printed += 1
    if not printed:
        what = ", ".join(kind.resource.plural for kind in kinds)
        click.echo(f"No {what} found{f' in namespace {namespace}' if namespace else ''}.", err=True)

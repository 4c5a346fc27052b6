"""`modelops plan -f PATH`: what would happen, and why, without doing it.

Reads manifests as `validate` does, asks the API server what each would become (a dry run), and the domain what would
follow. Nothing is written.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from modelops.cli import show
from modelops.cli.planning import Planned, make
from modelops.cli.target import Target, target_options
from modelops.cli.validate import examine

CHANGES: Final = 5
"""With --exit-code: something would change. Not 1 (invalid) and not 2 (usage)."""
_MARKS: Final = {"create": "+", "change": "~", "unchanged": "=", "prune": "-", "invalid": "!"}


@click.command()
@click.option(
    "-f",
    "--filename",
    "paths",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="A manifest or a directory of them; may be given again.",
)
@click.option("-o", "--output", type=click.Choice(["json"]), default=None, help="Output format.")
@click.option("--exit-code", is_flag=True, help=f"Exit {CHANGES} if something would change.")
@target_options
def plan(target: Target, paths: tuple[Path, ...], output: str | None, *, exit_code: bool) -> None:
    """Say what applying manifests would do, and why, without doing it.

    Exit 0, 1 if a manifest is invalid; with --exit-code 5 if something would change.
    """
    manifests, problems = examine(paths)
    if problems:
        for problem in problems:
            click.echo(str(problem), err=True)
        click.echo(f"modelops: {len(problems)} problem{'s' * (len(problems) > 1)}; nothing was planned", err=True)
        raise click.exceptions.Exit(1)
    planned = make(target, manifests, _whole_directory(paths))
    if output:
        show.dump(_wire(planned), output)
    else:
        _print(planned)
    invalid = [one for one in planned if one.action == "invalid"]
    for one in invalid:
        click.echo(f"modelops: {one.where}: {one.resource.kind}/{one.name}: {one.error}", err=True)
    if invalid:
        raise click.exceptions.Exit(1)
    if exit_code and any(one.action != "unchanged" for one in planned):
        raise click.exceptions.Exit(CHANGES)


def _whole_directory(paths: Sequence[Path]) -> Path | None:
    return paths[0].resolve() if len(paths) == 1 and paths[0].is_dir() else None


def _print(planned: Sequence[Planned]) -> None:
    for one in planned:
        where = f"  ({one.where})" if one.where and one.action != "unchanged" else ""
        about = (
            f"{one.resource.kind} {one.namespace}/{one.name}" if one.namespace else f"{one.resource.kind} {one.name}"
        )
        click.echo(show.styled(f"{_MARKS[one.action]} {one.action.ljust(9)} {about}", one.action) + where)
        for field in one.fields:
            click.echo(f"    {field.words()}")
        for words in one.consequences:
            click.echo(f"    → {words}")
    counts = _counts(planned)
    said = ", ".join(f"{count} to {action}" for action, count in counts.items() if count and action != "unchanged")
    click.echo(f"{said or 'nothing would change'}; {counts['unchanged']} unchanged")


def _counts(planned: Sequence[Planned]) -> dict[str, int]:
    return {action: sum(one.action == action for one in planned) for action in _MARKS}


def _wire(planned: Sequence[Planned]) -> dict[str, Any]:
    objects = []
    for one in planned:
        found: dict[str, Any] = {
            "apiVersion": one.resource.api_version,
            "kind": one.resource.kind,
            "namespace": one.namespace or None,
            "name": one.name,
            "where": one.where or None,
            "action": one.action,
            "fields": [field.wire() for field in one.fields],
            "consequences": list(one.consequences),
            "error": one.error or None,
        }
        objects.append({name: value for name, value in found.items() if value is not None})
    return {"objects": objects, "summary": _counts(planned)}

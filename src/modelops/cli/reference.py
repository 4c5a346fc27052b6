"""Writes usage and options of every verb into docs/cli.md, between its marks; prose and examples there are by hand.

Run by `make generate`; a test holds the page to what the program says. It touches nothing else.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from modelops.cli.main import cli

PAGE: Final = Path("docs") / "cli.md"
_BLOCK: Final = re.compile(r"<!-- begin (?P<verb>[a-z ]+) -->\n.*?<!-- end -->", re.DOTALL)
_SHARED: Final = frozenset({"namespace", "context", "kubeconfig", "state_dir"})


def verbs() -> Iterator[tuple[str, click.Command]]:
    """Yield every verb and subcommand with its words."""
    top = click.Context(cli, info_name="modelops")
    for name in cli.list_commands(top):
        command = cli.get_command(top, name)
        if isinstance(command, click.Group):
            inner = click.Context(command, info_name=name, parent=top)
            for sub in command.list_commands(inner):
                found = command.get_command(inner, sub)
                if found is not None:
                    yield f"{name} {sub}", found
        elif command is not None:
            yield name, command


def rendered(page: str) -> str:
    """Return the page with every block between marks written anew."""
    known = dict(verbs())
    return _BLOCK.sub(lambda found: _block(found["verb"], known[found["verb"]]), page)


def _block(words: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"modelops {words}")
    usage = " ".join([context.info_name or "", *command.collect_usage_pieces(context)])
    lines = [f"<!-- begin {words} -->", "```text", usage, "```"]
    rows = []
    shared = False
    for parameter in command.get_params(context):
        if not isinstance(parameter, click.Option) or "--help" in parameter.opts:
            continue
        if parameter.name in _SHARED and words.partition(" ")[0] not in ("local", "serve"):
            shared = True
            continue
        record = parameter.get_help_record(context)
        if record is not None:
            rows.append(f"| `{record[0]}` | {' '.join(record[1].split()).replace('|', chr(92) + '|')} |")
    if rows:
        lines += ["", "| option | says |", "|---|---|", *rows]
    if shared:
        lines += [
            "",
            "Where: `-n`, `--context`, `--kubeconfig`, `--state-dir`, see [where a verb acts](#where-a-verb-acts).",
        ]
    return "\n".join([*lines, "<!-- end -->"])


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

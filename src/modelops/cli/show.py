"""How verbs print: tables and colours on a terminal, plain stable lines when piped, JSON and YAML when asked.

A terminal that says so (NO_COLOR, TERM=dumb) gets what a pipe gets. Programs read JSON; people read the rest.
"""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

GREEN, YELLOW, RED, DIM = "green", "yellow", "red", "bright_black"
_COLOURS: Final = {
    "True": GREEN,
    "False": RED,
    "Unknown": DIM,
    "Promoted": GREEN,
    "Degraded": RED,
    "RolledBack": RED,
    "Aborted": RED,
    "Failed": RED,
    "Error": RED,
    "Succeeded": GREEN,
    "Suspended": DIM,
    "Paused": YELLOW,
    "Analyzing": YELLOW,
    "Baking": YELLOW,
    "Progressing": YELLOW,
    "Promoting": YELLOW,
    "Initial": YELLOW,
    "Pending": YELLOW,
    "Running": YELLOW,
    "create": GREEN,
    "change": YELLOW,
    "prune": RED,
    "invalid": RED,
    "unchanged": DIM,
    "ok": GREEN,
    "warn": YELLOW,
    "missing": RED,
}
_GAP: Final = "   "


def fancy() -> bool:
    """Return whether stdout is a terminal that wants more than plain lines."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def dump(obj: Any, output: str) -> None:
    """Print an object or a list as `json` or `yaml`."""
    if output == "json":
        click.echo(json.dumps(obj, indent=2, ensure_ascii=False))
        return
    import yaml  # noqa: PLC0415 - only who prints YAML pays

    click.echo(yaml.safe_dump(obj, sort_keys=False, allow_unicode=True).rstrip())


def colour_of(word: str) -> str | None:
    """Return the colour of a condition, a phase or an outcome."""
    return _COLOURS.get(word)


def styled(text: str, word: str | None = None) -> str:
    """Return a text in the colour of a word (by default itself) on a terminal, else as it is."""
    colour = colour_of(text.strip() if word is None else word)
    return click.style(text, fg=colour) if colour and fancy() else text


def widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the width of each column."""
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def line(cells: Sequence[str], width: Sequence[int]) -> str:
    """Return a row, its cells padded and coloured."""
    padded = [cell.ljust(size) for cell, size in zip(cells[:-1], width, strict=False)] + [cells[-1]]
    return _GAP.join(styled(text, cell) for text, cell in zip(padded, cells, strict=True)).rstrip()


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as lines."""
    size = widths([headers, *rows])
    head = _GAP.join(name.ljust(one) for name, one in zip(headers, size, strict=True)).rstrip()
    return [click.style(head, bold=True) if fancy() else head, *(line(row, size) for row in rows)]

"""The documentation is true: its commands exist, its links lead somewhere, its manifests are valid."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from modelops.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += sorted((ROOT / "examples").glob("*/README.md"))
_BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def commands(program: str) -> list[tuple[str, str]]:
    """Return (page, command line) of every call of a program in a shell block."""
    found = []
    for page in PAGES:
        for language, block in _BLOCK.findall(page.read_text(encoding="utf-8")):
            if language in {"sh", "shell", "bash", "console"}:
                lines = [line.removeprefix("$ ").strip() for line in block.splitlines()]
                found += [(page.name, line) for line in lines if line.startswith(program + " ")]
    return found


def leaf(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that words name, and its arguments."""
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"there is no verb {name}"
        command = found
    return command, words


@pytest.mark.parametrize(("page", "line"), commands("modelops"))
def test_verb_takes_what_the_docs_give_it(page: str, line: str) -> None:
    """The verb and every option exist; nothing is run."""
    words = shlex.split(line, comments=True)[1:]
    words = ["." if word == "deploy/" else word for word in words]
    command, arguments = leaf(words)
    command.make_context(command.name, arguments, resilient_parsing=False)


@pytest.mark.parametrize(("page", "line"), commands("make"))
def test_target_exists(page: str, line: str) -> None:
    """Every target is in the Makefile, with its line of help."""
    target = shlex.split(line, comments=True)[1]
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE), f"{page}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link and picture exists."""
    links = [link for link in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


def test_every_verb_explains_itself() -> None:
    """`--help` of every verb works without anything running."""
    for name in cli.list_commands(click.Context(cli)):
        found = CliRunner().invoke(cli, [name, "--help"])
        assert found.exit_code == 0, name
        assert "Usage:" in found.output

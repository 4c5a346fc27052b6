"""`modelops completion bash|zsh|fish`: the script that teaches a shell our verbs, options, kinds and names."""

from typing import Final

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

_SHELLS: Final[dict[str, type[ShellComplete]]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command()
@click.argument("shell", type=click.Choice(list(_SHELLS)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script for SHELL, such as: source <(modelops completion bash)."""
    root = ctx.find_root()
    name = root.info_name or "modelops"
    script = _SHELLS[shell](root.command, {}, name, f"_{name.replace('-', '_').upper()}_COMPLETE")
    # Not `source()`: for bash that would start one to ask for its version.
    click.echo(script.source_template % script.source_vars())

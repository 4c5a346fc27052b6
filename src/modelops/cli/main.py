"""The program: `modelops VERB …`, also installed as `kubectl-modelops`.

Every verb lives in a module of its own that is imported only when it is called, so that `--help` is quick and a
missing extra harms only the verb that needs it.
"""

import difflib
import importlib
import sys
from typing import Final

import click
from typing_extensions import override

from modelops.errors import ModelopsError

_VERBS: Final[dict[str, tuple[str, str, str]]] = {
    "local": ("modelops.cli.local", "local", "Bring the local home up or down, or say how it is."),
    "validate": ("modelops.cli.validate", "validate", "Find every problem in manifests before git does."),
    "get": ("modelops.cli.get", "get", "Show objects as a table, YAML or JSON."),
    "describe": ("modelops.cli.describe", "describe", "Say all there is to know about one object, and why."),
    "release": ("modelops.cli.release", "release", "Watch and steer a release."),
    "lineage": ("modelops.cli.lineage", "lineage", "Trace what serves back to its commit."),
    "serve": ("modelops.server.main", "serve", "Serve one model by itself."),
    "doctor": ("modelops.cli.doctor", "doctor", "Say what is missing here, and how to get it."),
}


class _Verbs(click.Group):
    """Loads a verb's module when it is asked for."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        module, attribute, _ = _VERBS[cmd_name]
        try:
            loaded = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("modelops"):
                raise
            raise click.ClickException(
                f"{cmd_name} needs the Python package {error.name}; install modelops with the extra that brings it "
                "(pip install 'modelops[local]' brings all)"
            ) from error
        command: click.Command = getattr(loaded, attribute)
        return command

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _VERBS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], _VERBS, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"there is no verb {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _VERBS.items()])


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="modelops", prog_name="modelops")
def cli() -> None:
    """GitOps for machine-learning models: from a commit to a judged model in production."""


def main() -> None:
    """Run the program; errors are one line on stderr, never a traceback."""
    try:
        cli()
    except ModelopsError as error:
        click.echo(f"modelops: {error.message}", err=True)
        sys.exit(1)

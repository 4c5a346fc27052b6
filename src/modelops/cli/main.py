"""The program: `modelops VERB …`, also installed as `kubectl-modelops`.

Every verb lives in a module of its own that is imported only when it is called, so that `--help` is quick and a
missing extra harms only the verb that needs it.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

import click
from typing_extensions import override

from modelops.cli.suggest import Group
from modelops.errors import ModelopsError

_VERBS: Final[dict[str, tuple[str, str, str]]] = {
    "local": ("modelops.cli.local", "local", "Bring the local home up or down, or say how it is."),
    "validate": ("modelops.cli.validate", "validate", "Find every problem in manifests before git does."),
    "plan": ("modelops.cli.plan", "plan", "Say what would happen, and why, without doing it."),
    "analyze": ("modelops.cli.analyze", "analyze", "Play a release offline over written-down metrics."),
    "get": ("modelops.cli.get", "get", "Show objects as a table, YAML or JSON."),
    "describe": ("modelops.cli.describe", "describe", "Say all there is to know about one object, and why."),
    "release": ("modelops.cli.release", "release", "Watch and steer a release."),
    "train": ("modelops.cli.train", "train", "Start an attempt of a TrainingRun now."),
    "reconcile": ("modelops.cli.act", "reconcile", "Have an object looked at now."),
    "suspend": ("modelops.cli.act", "suspend", "Stop reconciling an object."),
    "resume": ("modelops.cli.act", "resume", "Reconcile a suspended object again."),
    "lineage": ("modelops.cli.lineage", "lineage", "Trace what serves back to its commit."),
    "serve": ("modelops.server.main", "serve", "Serve one model by itself."),
    "doctor": ("modelops.cli.doctor", "doctor", "Say what is missing here, and how to get it."),
    "completion": ("modelops.cli.completion", "completion", "Print a script that completes words in a shell."),
}
_HIDDEN: Final[dict[str, tuple[str, str]]] = {
    "strip-finalizers": ("modelops.cli.strip_finalizers", "strip_finalizers"),
}
"""Called by the chart, not by people."""
_NAMES: Final = ("modelops", "kubectl-modelops")
_INTERRUPTED: Final = 130
_CLOSED_PIPE: Final = 141
"""What a shell reports of a program that SIGPIPE ended."""


class _Verbs(Group):
    """Loads a verb's module when it is asked for."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _HIDDEN:
            module, attribute = _HIDDEN[cmd_name]
        elif cmd_name in _VERBS:
            module, attribute, _ = _VERBS[cmd_name]
        else:
            return None
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
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _VERBS.items()])

    @override
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            # Before click says "Aborted!": whoever pressed Ctrl-C knows.
            sys.exit(_INTERRUPTED)
        except BrokenPipeError:
            _give_up_stdout()


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="modelops", prog_name="modelops")
def cli() -> None:
    """GitOps for machine-learning models: from a commit to a judged model in production."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program; errors are one line on stderr, never a traceback.

    Args:
        arguments: by default those of the process.
    """
    try:
        code = cli.main(arguments, prog_name=_name(), standalone_mode=False)
        sys.stdout.flush()
    except ModelopsError as error:
        _fail(error.message, 1)
    except click.UsageError as error:
        verb = error.ctx.command_path if error.ctx is not None else "modelops"
        _fail(f"{error.format_message().rstrip('.')}; see: {verb} --help", error.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        _give_up_stdout()
    sys.exit(code if isinstance(code, int) else 0)


def _name() -> str:
    """Return the name that we were called by; `modelops` for whoever runs us as a module."""
    name = Path(sys.argv[0]).name
    return name if name in _NAMES else _NAMES[0]


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"modelops: {' '.join(message.split())}", err=True)
    sys.exit(code)


def _give_up_stdout() -> NoReturn:
    """End as a program does whose reader went away, without Python's own complaint at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(_CLOSED_PIPE)

"""`modelops local up|status|down|logs`: the local home from the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import click

from modelops.cli.local_prune import prune_
from modelops.cli.logs import show_logs
from modelops.cli.starting import Starting
from modelops.cli.suggest import Group
from modelops.cli.target import default_state_dir
from modelops.errors import Stalled
from modelops.localhome import children, first, layout, supervisor
from modelops.localhome.home import Home, status

_UP_LIMIT: Final = 150.0
_DOWN_LIMIT: Final = 90.0

_STATE = click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Where everything lies; MODELOPS_STATE_DIR, else ~/.local/state/modelops.",
)


@click.group(cls=Group)
def local() -> None:
    """Bring the local home up or down, or say how it is."""


@local.command()
@click.option("--repo", default=None, help="Repository to sync: an address, or a directory here.")
@click.option("--branch", default="main", show_default=True, help="Branch to follow.")
@click.option("--path", default="deploy", show_default=True, help="Directory of the manifests in the repository.")
@_STATE
@click.option("--detach", is_flag=True, help="Return once everything is ready; `modelops local down` ends it.")
def up(repo: str | None, branch: str, path: str, state_dir: Path | None, *, detach: bool) -> None:
    """Start everything; Ctrl-C stops everything."""
    home = Home((state_dir or default_state_dir()).expanduser().resolve())
    if home.supervisor() is not None:
        raise supervisor.already_up(home)
    source = first.source(repo, branch, path) if repo else None
    if not detach:
        with Starting() as screen:

            def say(line: str) -> None:
                screen.say(line)
                screen.awaiting(status(home)["parts"])

            code = supervisor.run(home, source, say)
        raise click.exceptions.Exit(code)
    argv = [sys.executable, "-m", "modelops.localhome.supervisor", "--state-dir", str(home.state)]
    if source is not None:
        argv += ["--repo", source.url, "--branch", branch, "--path", path]
    log = home.logs / "supervisor.log"
    try:
        log.unlink(missing_ok=True)
        process = children.spawn(argv, env=os.environ, log=log, dies_with_us=False)
    except OSError as error:
        raise layout.unwritable(home.state, error) from error
    with Starting() as screen:
        _follow(home, process, log, screen)


def _follow(home: Home, process: "subprocess.Popen[bytes]", log: Path, screen: Starting) -> None:
    shown = 0
    deadline = time.monotonic() + _UP_LIMIT
    while True:
        found = status(home)
        ready = bool(found["ready"])
        ended = process.poll()
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        for line in lines[shown:]:
            if not line.endswith("\n"):
                break
            screen.say(line.rstrip("\n"))
            shown += 1
        if ready:
            return
        screen.awaiting(found["parts"])
        if ended is not None:
            raise Stalled("NotUp", f"the local home did not come up; see {log}")
        if time.monotonic() > deadline:
            os.kill(process.pid, signal.SIGTERM)
            process.wait()
            raise Stalled("NotUp", f"the local home was not ready after {_UP_LIMIT:.0f} s; logs are in {home.logs}")
        time.sleep(0.1)


@local.command("status")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@_STATE
def status_(output: str, state_dir: Path | None) -> None:
    """Say whether it is up and where its parts answer; exits 1 unless it is ready."""
    found = status(Home((state_dir or default_state_dir()).expanduser().resolve()))
    if output == "json":
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(f"{'ready' if found['ready'] else 'not ready' if found['parts'] else 'down'}: {found['stateDir']}")
        for name, part in found["parts"].items():
            state = "ready" if part["ready"] else "starting"
            again = f", restarted {part['restarts']} times" if part["restarts"] else ""
            click.echo(f"  {name:<11} {state}{again}  {part['url']}".rstrip())
    if not found["ready"]:
        raise click.exceptions.Exit(1)


@local.command()
@_STATE
def down(state_dir: Path | None) -> None:
    """Stop everything that `up` started."""
    home = Home((state_dir or default_state_dir()).expanduser().resolve())
    pid = home.supervisor()
    if pid is None:
        for record in (home.state / "parts").glob("*.json"):
            children.end_recorded(record)
        for record in (home.state / "processes").glob("*.json"):
            children.end_recorded(record)
        click.echo(f"nothing is up in {home.state}")
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_LIMIT
    while children.start_time(pid) is not None:
        if time.monotonic() > deadline:
            raise Stalled("StillUp", f"pid {pid} did not stop within {_DOWN_LIMIT:.0f} s; see {home.logs}")
        time.sleep(0.05)
    click.echo("stopped")


@local.command()
@click.argument("part", required=False)
@click.option("-n", "--lines", default=20, show_default=True, help="How many of the last lines of each.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written, until Ctrl-C.")
@_STATE
def logs(part: str | None, lines: int, state_dir: Path | None, *, follow: bool) -> None:
    """Show the last lines of every part's log, or of one."""
    home = Home((state_dir or default_state_dir()).expanduser().resolve())
    show_logs(home.logs, part, lines, follow=follow)


local.add_command(prune_)

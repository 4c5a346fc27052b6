"""`modelops doctor`: what is missing on this machine and in this cluster, and how to get it.

Each check is one line: what, how it stands, and, where something is missing, what to do. Exits 1 if something that is
needed is missing. It changes nothing.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from modelops.cli import show
from modelops.cli.checks import Finding
from modelops.cli.checks.cluster import cluster
from modelops.cli.checks.machine import endpoints, machine
from modelops.cli.target import LOCAL, default_state_dir, resolve
from modelops.errors import ModelopsError


@click.command()
@click.option("-n", "--namespace", default=None, help="Namespace; by default the context's.")
@click.option("--context", default=None, help="Context of the kubeconfig; `local` is the local home.")
@click.option("--kubeconfig", type=click.Path(dir_okay=False), default=None, help="Path of a kubeconfig.")
@click.option("--state-dir", type=click.Path(file_okay=False, path_type=Path), default=None, help="Local home.")
@click.option("-o", "--output", type=click.Choice(["json"]), default=None, help="Output format.")
def doctor(
    namespace: str | None, context: str | None, kubeconfig: str | None, state_dir: Path | None, output: str | None
) -> None:
    """Say what is missing on this machine and in this cluster, and how to get it; exit 1 if something is."""
    directory = state_dir or default_state_dir()
    sections = {
        "This machine": machine(directory),
        "The API server": _cluster(namespace, context, kubeconfig, directory),
    }
    if context in (None, LOCAL):
        sections["The local home"] = endpoints(directory)
    found = {title: _told(title, findings, quiet=output is not None) for title, findings in sections.items()}
    missing = sum(finding.state == "missing" for findings in found.values() for finding in findings)
    if output:
        wire = {title: [finding.wire() for finding in findings] for title, findings in found.items()}
        show.dump({"ok": not missing, "missing": missing, "checks": wire}, output)
    if missing:
        click.echo(f"modelops: {missing} missing", err=True)
        raise click.exceptions.Exit(1)


def _cluster(namespace: str | None, context: str | None, kubeconfig: str | None, state_dir: Path) -> Iterator[Finding]:
    named = context or kubeconfig or os.environ.get("KUBECONFIG") or (state_dir / "kubeconfig").exists()
    try:
        target = resolve(namespace, context, kubeconfig, state_dir)
    except ModelopsError as error:
        advice = "start a local home (modelops local up), or give --kubeconfig or --context"
        yield Finding("api", "missing" if named else "warn", error.message, advice)
        return
    yield from cluster(target.client, target.namespace, local=target.local)


def _told(title: str, findings: Iterable[Finding], *, quiet: bool) -> list[Finding]:
    """Print findings as they come, for some take a while; return them."""
    found: list[Finding] = []
    for finding in findings:
        if not quiet:
            if not found:
                click.echo(click.style(title, bold=True) if show.fancy() else title)
            mark = show.styled(finding.state.ljust(8), finding.state)
            click.echo(f"  {mark}{finding.subject:<14} {finding.detail}")
            if finding.advice and finding.state != "ok":
                click.echo(f"          {'':<14} → {finding.advice}")
        found.append(finding)
    return found

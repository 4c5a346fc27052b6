"""`modelops local prune`: give disk space of the local home back, and say what went."""

import json
from pathlib import Path

import click

from modelops.cli.target import default_state_dir
from modelops.localhome import logfiles, prune
from modelops.localhome.home import Home


@click.command("prune")
@click.option("--keep", default=prune.KEPT_REVISIONS, show_default=True, help="Prepared revisions kept per Dataset.")
@click.option("--idle-days", default=prune.IDLE_DAYS, show_default=True, help="Mirrors not fetched for this long go.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Where everything lies; MODELOPS_STATE_DIR, else ~/.local/state/modelops.",
)
def prune_(keep: int, idle_days: int, *, dry_run: bool, output: str, state_dir: Path | None) -> None:
    """Remove what can be made again: data prepared long ago, idle mirrors, scratch, old logs.

    Models, metadata and the data in use stay. The home does the same by itself every hour, with the defaults.
    """
    home = Home((state_dir or default_state_dir()).expanduser().resolve())
    found = prune.find(home, kept=keep, idle_days=idle_days)
    total = sum(removal.bytes for removal in found)
    if not dry_run:
        total = prune.remove(found)
        logfiles.retire(home.logs)
    if output == "json":
        shown = [{"path": str(item.path), "bytes": item.bytes, "why": item.why} for item in found]
        click.echo(json.dumps({"removed": [] if dry_run else shown, "found": shown, "bytes": total}, indent=2))
        return
    for item in found:
        click.echo(f"{item.bytes / 1e6:8.1f} MB  {item.path.relative_to(home.state)}  {item.why}")
    click.echo(f"{total / 1e6:.1f} MB {'would be' if dry_run else 'were'} freed in {home.state}")

"""`modelops analyze -f release.yaml --replay metrics.json`: what a release would do with these answers, offline."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from modelops.api.manifest import Problem
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.cli import show
from modelops.cli.replay_file import read_ticks
from modelops.cli.validate import examine, namespace_of, templates_in
from modelops.domain.release.replay import ASSUMED, Replay, play
from modelops.domain.release.templates import with_templates
from modelops.errors import Stalled

_CODES: Final = {"Promoted": 0, "RolledBack": 3, "Paused": 4, "Holding": 4}


@click.command()
@click.option(
    "-f", "--filename", "path", required=True, type=click.Path(path_type=Path), help="The manifest of a ModelRelease."
)
@click.option(
    "--replay", "answers", required=True, type=click.Path(path_type=Path), help="What Prometheus answered, as JSON."
)
@click.option("-o", "--output", type=click.Choice(["json"]), default=None, help="Output format.")
def analyze(path: Path, answers: Path, output: str | None) -> None:
    """Play a release over written-down metrics: every tick, every verdict, the outcome.

    Exit 0 if it is promoted, 3 if it is rolled back, 4 if it is still held or paused after the last tick.
    """
    name, spec = _release(path)
    ticks = read_ticks(answers, [metric.name for metric in spec.analysis.metrics])
    replay = play(name, spec, ticks)
    if output:
        show.dump(_wire(replay), output)
    else:
        _print(replay)
    raise click.exceptions.Exit(_CODES[replay.outcome])


def _release(path: Path) -> tuple[str, ModelReleaseSpec]:
    """Return name and spec of the one ModelRelease in a file; what is wrong with it is said as by `validate`."""
    manifests, problems = examine((path,))
    _refuse(problems)
    found = [manifest for manifest in manifests if manifest.obj["kind"] == "ModelRelease"]
    if len(found) != 1:
        raise Stalled("NoRelease", f"{path}: holds {len(found) or 'no'} ModelReleases; give a file with exactly one")
    release = found[0]
    written = ModelReleaseSpec.model_validate(release.obj["spec"])
    beside = templates_in(manifests).get(namespace_of(release), {})
    spec, unfit = with_templates(written, beside, f"in {path}")
    _refuse([release.problem(where, words) for where, words in unfit])
    return str(release.obj["metadata"]["name"]), spec


def _refuse(problems: Sequence[Problem]) -> None:
    for problem in problems:
        click.echo(str(problem), err=True)
    if problems:
        click.echo(f"modelops: {len(problems)} problem{'s' * (len(problems) > 1)}; nothing was played", err=True)
        raise click.exceptions.Exit(1)


def _print(replay: Replay) -> None:
    click.echo(f"assumed: {ASSUMED}")
    rows = [
        (f"{tick.at:g}s", f"{tick.weight}%", name, seen.verdict, _shown(seen.value), seen.reason)
        for tick in replay.ticks
        for name, seen in tick.metrics.items()
    ]
    for line in show.table(("TIME", "WEIGHT", "METRIC", "VERDICT", "VALUE", "REASON"), rows):
        click.echo(line)
    click.echo(f"{show.styled(replay.outcome, replay.outcome)} at {replay.at:g}s: {replay.reason}")


def _shown(value: float | None) -> str:
    return "" if value is None else str(_number(value)) if math.isinf(value) else f"{value:.6g}"


def _wire(replay: Replay) -> dict[str, Any]:
    return {
        "outcome": replay.outcome,
        "at": _number(replay.at),
        "reason": replay.reason,
        "ticks": [
            {
                "t": _number(tick.at),
                "weight": tick.weight,
                "metrics": {
                    name: {"verdict": seen.verdict, "value": _number(seen.value), "reason": seen.reason}
                    for name, seen in tick.metrics.items()
                },
            }
            for tick in replay.ticks
        ],
    }


def _number(value: float | None) -> float | int | str | None:
    """Return a number as JSON may have it: whole ones without a fraction, infinite ones as Prometheus writes them."""
    if value is None or math.isfinite(value):
        return int(value) if value is not None and value == int(value) and abs(value) < 2**53 else value
    return "+Inf" if value > 0 else "-Inf"

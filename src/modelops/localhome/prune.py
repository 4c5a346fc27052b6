"""Gives disk space of a local home back: parts of old data, mirrors nobody asks for, logs, scratch of gone Workflows.

Run by `modelops local prune`, and by the supervisor every hour as `python -m modelops.localhome.prune`. What it
removes can be made again from git: metadata, models and the parts in use stay. It must never remove what an object
names, and never touch anything outside of the state directory.
"""

import argparse
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelops.adapters.cluster import KubeClient
from modelops.adapters.mlflow_runs import MlflowRuns, Run
from modelops.api.kinds import DATASET, WORKFLOW
from modelops.errors import ModelopsError, Stalled
from modelops.localhome import logfiles
from modelops.localhome.home import Home

KEPT_REVISIONS: Final = 10
"""Prepared revisions of one Dataset whose parts are kept, the newest; the one in use always is."""
IDLE_DAYS: Final = 30
"""A mirror that nobody fetched into for so long is removed; the next sync clones it again."""
_EXPERIMENTS: Final = "modelops-datasets/"
_ID: Final = re.compile(r"^[0-9a-f]{1,64}$")
_LARGE: Final = ("parts", "quarantine.parquet", "result.json")
"""Without result.json a preparation that is asked for again is done again, under the same run."""


@dataclass(frozen=True, slots=True)
class Removal:
    """Something that can go."""

    path: Path
    bytes: int
    why: str


def find(home: Home, *, kept: int = KEPT_REVISIONS, idle_days: int = IDLE_DAYS) -> list[Removal]:
    """Return what can be removed of a home that is up.

    Raises:
        Stalled: it is not up. Transient: its API server or MLflow does not answer.
    """
    if home.supervisor() is None:
        raise Stalled("NotUp", f"no local home is up in {home.state}; start it first: modelops local up")
    client = KubeClient.from_kubeconfig(str(home.kubeconfig), context="local")
    # Before the Workflows: one that begins in between has no scratch here, rather than scratch and no Workflow.
    scratch = list((home.state / "scratch").iterdir())
    workflows = {workflow["metadata"]["uid"]: workflow["metadata"]["name"] for workflow in client.list(WORKFLOW, None)}
    used = {
        str(((dataset.get("status") or {}).get("revision") or {}).get("runId", ""))
        for dataset in client.list(DATASET.resource, None)
    }
    runs = MlflowRuns(home.read()["endpoints"]["mlflow"])
    found = [
        *_parts(home, runs, used, {name.rpartition("-")[2] for name in workflows.values()}, kept),
        *_scratch(scratch, set(workflows)),
        *_mirrors(home, idle_days),
        *_copies(home),
    ]
    return [removal for removal in found if removal.path.resolve().is_relative_to(home.state.resolve())]


def remove(removals: list[Removal]) -> int:
    """Remove what was found; return how many bytes that gave back."""
    freed = 0
    for removal in removals:
        if removal.path.is_dir() and not removal.path.is_symlink():
            shutil.rmtree(removal.path, ignore_errors=True)
        else:
            removal.path.unlink(missing_ok=True)
        freed += 0 if removal.path.exists() else removal.bytes
    return freed


def _parts(home: Home, runs: MlflowRuns, used: set[str], running: set[str], kept: int) -> Iterator[Removal]:
    """Yield the large files of preparations that are neither in use, nor new, nor the result of a Workflow."""
    for experiment, name in runs.experiments(_EXPERIMENTS):
        prepared = sorted(runs.find_runs(experiment, {}, limit=5000), key=lambda run: -run.start_time)
        for run in prepared[kept:]:
            if run.run_id in used or run.tags.get("modelops.attempt", "") in running or run.status == "RUNNING":
                continue
            for file in _LARGE:
                path = _artifacts(home, run) / file
                if path.exists():
                    yield Removal(path, _size(path), f"data of {name.removeprefix(_EXPERIMENTS)}, prepared long ago")


def _artifacts(home: Home, run: Run) -> Path:
    if not (_ID.match(run.run_id) and _ID.match(run.experiment_id)):
        raise Stalled("OddRun", f"MLflow names a run {run.run_id!r}, which is no id; nothing is removed")
    return home.state / "mlflow" / "artifacts" / run.experiment_id / run.run_id / "artifacts"


def _scratch(directories: list[Path], workflows: set[str]) -> Iterator[Removal]:
    for path in directories:
        if path.name.rpartition(".")[2] not in workflows:
            yield Removal(path, _size(path), "scratch of a Workflow that is gone")


def _mirrors(home: Home, idle_days: int) -> Iterator[Removal]:
    limit = time.time() - idle_days * 86400
    for path in (home.state / "git").iterdir():
        if path.is_dir() and max((entry.stat().st_mtime for entry in path.iterdir()), default=0.0) < limit:
            yield Removal(path, _size(path), f"mirror that nobody fetched into for {idle_days} days")


def _copies(home: Home) -> Iterator[Removal]:
    copies = sorted((home.state / "mlflow").glob("mlflow.db.before-*"), key=lambda path: path.stat().st_mtime)
    for path in copies[:-1]:
        yield Removal(path, _size(path), "copy of MLflow's database from before an older upgrade")


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file() and not entry.is_symlink())


def main() -> int:
    """Prune once, as the supervisor asks for; one line of what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True)
    home = Home(parser.parse_args().state_dir)
    try:
        found = find(home)
        freed = remove(found)
        logs = logfiles.retire(home.logs)
    except (ModelopsError, OSError) as error:
        sys.stderr.write(f"prune: {getattr(error, 'message', error)}\n")
        return 1
    sys.stdout.write(f"prune: {len(found)} things and {len(logs)} logs removed, {freed / 1e6:.1f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

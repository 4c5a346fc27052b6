"""One seed of the sweep: a commit, something killed in a phase of its loop, and what must hold afterwards."""

import itertools
import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from mlflow import MlflowClient

from tests.chaos.house import NAME, House, until

PHASES = (
    "committed", "preparing", "prepared", "training", "evaluating", "registering", "canary", "analyzing", "promoted",
)  # fmt: skip
PARTS = ("operator", "apiserver", "engine", "envoy", "mlflow", "processes", "gateway", "prometheus", "supervisor")
TARGETS = (*PARTS, "step", "server", "everything")
_IN_STEPS = ("preparing", "training", "evaluating", "registering")
LIMIT = 240.0
"""Seconds from a commit to its version's promotion, with whatever was killed in between."""


@dataclass(frozen=True)
class Blow:
    """What to kill, when."""

    seed: int
    phase: str
    target: str
    delay: float
    """Seconds after the phase began."""


@dataclass(frozen=True)
class Report:
    """How one seed went."""

    blow: Blow
    hit: bool
    """Whether there was something to kill."""
    seconds: float
    """From commit to promotion."""


def blows(count: int, first: int = 0) -> list[Blow]:
    """Return the blows of so many seeds: every target in every phase before any a second time, in a fixed disorder."""
    pairs = [
        (phase, target)
        for phase, target in itertools.product(PHASES, TARGETS)
        if target != "step" or phase in _IN_STEPS
    ]
    random.Random(20).shuffle(pairs)
    found = []
    for seed in range(first, first + count):
        phase, target = pairs[seed % len(pairs)]
        found.append(Blow(seed, phase, target, random.Random(seed).uniform(0, 1.0)))
    return found


def phase_of(seen: dict[str, Any], rows: int, version: int) -> str:
    """Return in which phase a loop is that is to end with `version` promoted, from data with `rows` rows."""
    if not seen:
        return "away"
    data, run, release = (seen[kind].get("status") or {} for kind in ("dataset", "trainingrun", "modelrelease"))
    if str((release.get("stable") or {}).get("version")) == str(version):
        return "promoted"
    if str((release.get("canary") or {}).get("version")) == str(version):
        return "analyzing" if release.get("weight") else "canary"
    if (data.get("revision") or {}).get("rows") != rows:
        return "preparing" if (data.get("workflow") or {}).get("phase") == "Running" else "committed"
    if str(run.get("modelVersion")) == str(version):
        return "canary"
    workflow = run.get("workflow") or {}
    if workflow.get("phase") != "Running":
        return "prepared"
    done = str(workflow.get("progress") or "0/3").partition("/")[0]
    return {"0": "training", "1": "evaluating", "2": "registering"}.get(done, "registering")


def first(house: House) -> None:
    """Bring the home up and have its first version released, undisturbed.

    Raises:
        TimeoutError: it was not.
    """
    house.build()
    house.commit(1)
    house.up()
    until(lambda: phase_of(house.look(), 301, 1) == "promoted", LIMIT, "the first release")


def strike(house: House, blow: Blow) -> Report:
    """Make one commit, kill what is to be killed in its loop, and follow the loop to its end.

    Raises:
        TimeoutError: the loop did not complete.
        AssertionError: something was done twice.
    """
    version = newest(house) + 1
    rows = 300 + version
    house.commit(version)
    begun = time.monotonic()
    hit = False

    def reached() -> bool:
        now = phase_of(house.look(), rows, version)
        # A phase may be over between two looks; the next one is then as good.
        return now in PHASES and PHASES.index(now) >= PHASES.index(blow.phase)

    until(reached, LIMIT, f"{blow}: the phase")
    time.sleep(blow.delay)
    hit = bool(house.kill(blow.target))
    if blow.target in ("supervisor", "everything"):
        house.up()
    until(lambda: phase_of(house.look(), rows, version) == "promoted", LIMIT, f"{blow}: promotion of {version}")
    took = time.monotonic() - begun
    until(lambda: settled(house, version), 60, f"{blow}: settling")
    once_only(house, version)
    return Report(blow, hit, took)


def newest(house: House) -> int:
    """Return the version that the release serves; 0 before the first."""
    release = house.look().get("modelrelease") or {}
    return int(((release.get("status") or {}).get("stable") or {}).get("version") or 0)


def settled(house: House, version: int) -> bool:
    """Return whether the home is at rest: every part ready, one server, the alias moved."""
    release = house.look().get("modelrelease") or {}
    conditions = {c["type"]: c["status"] for c in (release.get("status") or {}).get("conditions") or ()}
    if conditions.get("Ready") != "True" or len(house.recorded(steps=False)) != 1 or house.recorded(steps=True):
        return False
    champion = registry(house).get_model_version_by_alias(NAME, "champion")
    return str(champion.version) == str(version)


def once_only(house: House, version: int) -> None:
    """Hold what exists against what was asked for: one Workflow, run and version for each set of inputs."""
    client = registry(house)
    versions = client.search_model_versions(f"name='{NAME}'")
    assert sorted(int(found.version) for found in versions) == list(range(1, version + 1))
    assert len({found.run_id for found in versions}) == version, "two versions of one run"
    for experiment in (f"modelops/default/{NAME}", f"modelops-datasets/default/{NAME}"):
        held = client.get_experiment_by_name(experiment)
        runs = client.search_runs([held.experiment_id], max_results=1000)
        counts = Counter(run.data.tags["modelops.inputsHash"] for run in runs)
        assert set(counts.values()) == {1}, f"{experiment}: several runs of the same inputs: {counts}"
        assert len(counts) == version, f"{experiment}: {len(counts)} runs for {version} commits"
    twice = {name: uids for name, uids in house.workflows.items() if len(uids) > 1}
    assert not twice, f"Workflows made twice: {twice}"
    assert len(house.workflows) == 2 * version, sorted(house.workflows)


def registry(house: House) -> MlflowClient:
    """Return MLflow's own client of this home."""
    return MlflowClient(tracking_uri=house.program.endpoints()["mlflow"])

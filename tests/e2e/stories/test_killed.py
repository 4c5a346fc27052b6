"""The operator is killed in every phase of a release and of a training: nothing is lost, doubled or misjudged."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modelops.adapters.mlflow_runs import MlflowRuns
from modelops.api.kinds import COMPUTEPOOL, DATASET, POD, TRAININGRUN, WORKFLOW
from tests.e2e.stories.estate import Estate
from tests.e2e.stories.shop import Shop
from tests.e2e.stories.test_trained import GPU_POOL, TRAINING, manifest
from tests.e2e.surroundings.chart import SYSTEM
from tests.support.git_server import Repository
from tests.support.operators import until
from tests.support.tables import houses, houses_spec

RELEASED, TRAINED, ROLLED = "story-killed", "story-killed-run", "story-handed-over"
STEPS: list[dict[str, Any]] = [
    {"setWeight": 30},
    {"analyze": {"duration": "8s"}},
    {"bake": {"duration": "8s"}},
    {"approve": {}},
    {"setWeight": 60},
    {"analyze": {"duration": "3s"}},
]


def test_leader_is_killed_in_every_phase_of_a_release(routes: Estate) -> None:
    """Given a kill -9 in each phase, when the other goes on, then good is promoted, bad rolled back, once each."""
    shop = Shop(routes, RELEASED)
    first, second, third = shop.register(3)
    shop.faults["BAD"] = third
    strategy = {"canary": {"steps": STEPS}}

    shop.release(first, strategy)
    shop.until("Initial", first)
    routes.kill_leader()
    shop.settled(first, "Promoted")
    with shop.customers() as customers:
        shop.release(second, strategy)
        for phase in ("Progressing", "Analyzing", "Baking", "Paused"):
            shop.until(phase, second)
            routes.kill_leader()
        shop.until("Paused", second)
        shop.say("promote")
        shop.until("Analyzing", second, weight=60)
        routes.kill_leader()
        shop.settled(second, "Promoted")
        shop.release(third, strategy)
        shop.until("Analyzing", third)
        routes.kill_leader()
        shop.settled(third, "RolledBack")
        assert customers.failed(bad=[third]) == []

    told = [(one["version"], one["outcome"]) for one in shop.status()["history"]]
    assert told == [(first, "Promoted"), (second, "Promoted"), (third, "RolledBack")]


def test_rollout_is_handed_over(routes: Estate) -> None:
    """Given a rollout on its way, when the leader's pod is drained, then the other promotes, and nobody notices."""
    shop = Shop(routes, ROLLED)
    _, second = shop.register(2)
    strategy = {"canary": {"steps": [{"setWeight": 30}, {"analyze": {"duration": "4s"}}, {"setWeight": 60}]}}
    shop.open(strategy)

    with shop.customers() as customers:
        shop.release(second, strategy)
        shop.until("Analyzing", second, weight=30)
        led = until(routes.leader, 60, "one leads", 0.1)
        routes.client.delete(POD, SYSTEM, led)
        shop.settled(second, "Promoted")
        assert customers.failed() == []

    assert until(routes.leader, 20, "one leads", 0.1) != led


def test_leader_is_killed_in_every_phase_of_a_training(trains: Estate, tmp_path: Path) -> None:
    """Given a kill -9 at each step, when the other goes on, then there is one Workflow, one run and one version."""
    trains.client.apply(COMPUTEPOOL.resource, {"metadata": {"name": "gpu"}, "spec": GPU_POOL})
    repository = Repository.make(tmp_path / "houses", **{"data/houses.csv": houses(400).decode()})
    run = {**TRAINING, "model": {"name": "killed-price"}}
    commit = repository.commit(
        {
            "deploy/dataset.yaml": manifest("Dataset", "houses", houses_spec()),
            "deploy/run.yaml": manifest("TrainingRun", "price", run),
        }
    )
    seen: set[str] = set()

    with trains.repository(tmp_path, "houses", TRAINED), _noting(trains, seen):
        for part in ("-prepare-", *(f"-{step}-" for step in TRAINING_STEPS)):
            until(lambda part=part: any(part in name for name in tuple(seen)), 240, lambda: sorted(seen), 0.05)
            trains.kill_leader()
        trains.until_ready(DATASET, TRAINED, "houses", 120)
        status = trains.until_ready(TRAININGRUN, TRAINED, "price", 240)

    runs = MlflowRuns(trains.mlflow)
    version = runs.version_of_run("killed-price", status["mlflow"]["runId"])
    assert version is not None
    assert version.tags["modelops.commit"] == commit
    experiment = runs.experiment(f"modelops/{TRAINED}/price")
    assert [one.run_id for one in runs.find_runs(experiment, {"modelops.commit": commit})] == [
        status["mlflow"]["runId"]
    ]
    workflows = {name for name in seen if name.startswith("workflow ")}
    assert len(workflows) == 2, workflows  # of the Dataset, and of the run


TRAINING_STEPS = ("train", "evaluate", "register")


@contextmanager
def _noting(estate: Estate, seen: set[str]) -> Iterator[None]:
    """Note the Workflows and pods that there are until the block ends: a step may be over before another leads."""
    over = threading.Event()

    def note() -> None:
        while not over.wait(0.1):
            seen.update(f"workflow {one['metadata']['uid']}" for one in estate.client.list(WORKFLOW, TRAINED))
            seen.update(f"pod {pod['metadata']['name']}" for pod in estate.pods(TRAINED))

    with ThreadPoolExecutor(1) as aside:
        noted = aside.submit(note)
        try:
            yield
        finally:
            over.set()
            noted.result()

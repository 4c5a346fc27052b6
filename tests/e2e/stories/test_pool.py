"""A pool of GPUs that is full: a run waits for it, and is trained once there is room."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from modelops.api.kinds import COMPUTEPOOL, POD, TRAININGRUN
from modelops.api.labels import OWNER_KIND
from tests.e2e.cluster.gpus import GPU
from tests.e2e.cluster.layout import MEMBERS
from tests.e2e.stories.estate import Estate, is_ready
from tests.e2e.stories.test_trained import GPU_POOL, TRAINING, manifest
from tests.e2e.surroundings import built
from tests.support.git_server import Repository
from tests.support.operators import until
from tests.support.tables import houses, houses_spec

NAMESPACE = "story-pool"
GPUS = next(member.gpus for member in MEMBERS if member.gpus)


def test_run_waits_for_a_full_pool(trains: Estate, tmp_path: Path) -> None:
    """Given a pod that has every GPU, when a run is committed, then its pod waits; once they are free, it trains."""
    trains.client.apply(COMPUTEPOOL.resource, {"metadata": {"name": "gpu"}, "spec": GPU_POOL})
    repository = Repository.make(tmp_path / "houses", **{"data/houses.csv": houses(400).decode()})
    repository.commit(
        {
            "deploy/dataset.yaml": manifest("Dataset", "houses", houses_spec()),
            "deploy/run.yaml": manifest("TrainingRun", "price", TRAINING),
        }
    )

    with ExitStack() as delivered:
        with occupied(trains, NAMESPACE, GPUS):
            delivered.enter_context(trains.repository(tmp_path, "houses", NAMESPACE))
            refused = until(lambda: _refused(trains), 240, lambda: trains.pods(NAMESPACE), 0.2)
            until(
                lambda: trains.ready(TRAININGRUN, NAMESPACE, "price")[1] == "WaitingForCapacity",
                30,
                lambda: trains.status(TRAININGRUN, NAMESPACE, "price"),
                0.2,
            )
        trains.until_ready(TRAININGRUN, NAMESPACE, "price", 300)

    assert GPU in refused


def _refused(estate: Estate) -> str:
    """Return why the scheduler finds no node for the run's pod; empty if it has one, or there is none yet."""
    for pod in estate.pods(NAMESPACE, {OWNER_KIND: "TrainingRun"}):
        for condition in pod["status"].get("conditions") or ():
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                return str(condition["message"])
    return ""


@contextmanager
def occupied(estate: Estate, namespace: str, gpus: int) -> Iterator[None]:
    """Have a pod named hog that takes so many of the pool's GPUs until the block ends."""
    estate.client.apply(POD, _hog(namespace, gpus))
    try:
        until(lambda: is_ready(estate.client.get(POD, namespace, "hog") or {}), 60, lambda: estate.pods(namespace), 0.2)
        yield
    finally:
        estate.client.delete(POD, namespace, "hog")


def _hog(namespace: str, gpus: int) -> dict[str, Any]:
    container = {
        "name": "hog",
        # Of an image that every node has; it only has to stay.
        "image": built.name_of("server"),
        "command": ["python", "-c", "import signal; signal.pause()"],
        "resources": {"limits": {GPU: str(gpus)}},
    }
    spec = {
        "containers": [container],
        "tolerations": GPU_POOL["tolerations"],
        "nodeSelector": GPU_POOL["nodeSelector"],
        "terminationGracePeriodSeconds": 0,
    }
    return {"metadata": {"name": "hog", "namespace": namespace}, "spec": spec}

"""Two operators under the chart's own rights: one leads, objects get their status, and the other takes over."""

from pathlib import Path

from modelops.api.kinds import COMPUTEPOOL, DATASET, GITSOURCE, MODELRELEASE, POD, TRAININGRUN
from tests.e2e.stories.estate import Estate
from tests.e2e.surroundings.chart import SYSTEM
from tests.support.git_server import Repository
from tests.support.operators import until
from tests.support.tables import houses_spec

APPLIED, SYNCED, FAILOVER, KILLED = "story-applied", "story-synced", "story-failover", "story-operator-killed"
DATASET_FILE = """\
apiVersion: modelops.dev/v1alpha1
kind: Dataset
metadata: {name: houses}
spec:
  suspend: true
  source: {git: {path: data/houses.csv}}
  format: csv
  task: regression
  target: price
  schema: {columns: [{name: id, type: string}, {name: price, type: float}]}
  split: {by: hash, key: id}
"""


def test_one_of_two_operators_leads(estate: Estate) -> None:
    """Given the chart installed, then two pods are ready and one of them holds the Lease."""
    until(lambda: len(estate.operators()) == 2, 60, lambda: estate.pods(SYSTEM), 0.2)

    assert until(estate.leader, 20, "one leads", 0.2) in estate.operators()


def test_applied_objects_tell_where_they_stand(estate: Estate) -> None:
    """Given objects applied by hand, when what they need is missing, then each says so, and a pool is ready."""
    client = estate.client

    client.apply(COMPUTEPOOL.resource, {"metadata": {"name": "story-pool"}, "spec": {}})
    client.apply(DATASET.resource, {"metadata": {"name": "houses", "namespace": APPLIED}, "spec": houses_spec()})
    run = {"datasetRef": {"name": "nowhere"}, "model": {"name": "price"}, "trainer": {"builtin": "torch-mlp"}}
    client.apply(TRAININGRUN.resource, {"metadata": {"name": "price", "namespace": APPLIED}, "spec": run})
    release = {
        "model": {"name": "nobody-has-it", "version": "1"},
        "strategy": {"canary": {"steps": [{"setWeight": 50}]}},
    }
    client.apply(MODELRELEASE.resource, {"metadata": {"name": "price", "namespace": APPLIED}, "spec": release})

    estate.until_ready(COMPUTEPOOL, None, "story-pool", 30)
    for kind, name in ((DATASET, "houses"), (TRAININGRUN, "price"), (MODELRELEASE, "price")):
        estate.until(kind, APPLIED, name, lambda status: status.get("conditions"), 30)
        assert estate.ready(kind, APPLIED, name)[0] != "True"


def test_commit_reaches_the_cluster(estate: Estate, tmp_path: Path) -> None:
    """Given a GitSource, when a commit comes, then its object is there and the source names the commit."""
    repository = Repository.make(tmp_path / "team", **{"deploy/dataset.yaml": DATASET_FILE})

    with estate.repository(tmp_path, "team", SYNCED):
        first = repository.commit({"deploy/dataset.yaml": DATASET_FILE.replace("{name: houses}", "{name: homes}")})
        status = estate.until(
            GITSOURCE, SYNCED, "team", lambda status: first in str(status.get("lastAppliedRevision")), 60
        )

        assert first in status["lastAppliedRevision"]
        assert estate.client.get(DATASET.resource, SYNCED, "homes") is not None
        until(lambda: estate.client.get(DATASET.resource, SYNCED, "houses") is None, 30, "the old one is pruned", 0.2)


def test_when_the_leader_goes_the_other_goes_on(estate: Estate, tmp_path: Path) -> None:
    """Given two operators, when the leader's pod is deleted, then the other leads and delivers the next commit."""
    repository = Repository.make(tmp_path / "team", **{"deploy/dataset.yaml": DATASET_FILE})
    until(lambda: len(estate.operators()) == 2, 60, lambda: estate.pods(SYSTEM), 0.2)
    led = until(estate.leader, 20, "one leads", 0.2)
    other = next(name for name in estate.operators() if name != led)

    with estate.repository(tmp_path, "team", FAILOVER):
        estate.until_ready(GITSOURCE, FAILOVER, "team", 60)
        estate.client.delete(POD, SYSTEM, led)
        until(lambda: estate.leader() == other, 30, lambda: f"{estate.leader()} leads, not {other}", 0.1)
        commit = repository.commit({"deploy/dataset.yaml": DATASET_FILE + "  checks: {minRows: 5}\n"})
        estate.until(GITSOURCE, FAILOVER, "team", lambda status: commit in str(status.get("lastAppliedRevision")), 60)

    until(lambda: len(estate.operators()) == 2, 60, lambda: estate.pods(SYSTEM), 0.2)


def test_when_the_leader_is_killed_another_goes_on(estate: Estate, tmp_path: Path) -> None:
    """Given two operators, when the leader's process is killed, then somebody leads and delivers the next commit."""
    repository = Repository.make(tmp_path / "team", **{"deploy/dataset.yaml": DATASET_FILE})

    with estate.repository(tmp_path, "team", KILLED):
        estate.until_ready(GITSOURCE, KILLED, "team", 60)
        estate.kill_leader()
        commit = repository.commit({"deploy/dataset.yaml": DATASET_FILE + "  checks: {minRows: 5}\n"})
        estate.until(GITSOURCE, KILLED, "team", lambda status: commit in str(status.get("lastAppliedRevision")), 60)

    until(lambda: len(estate.operators()) == 2, 60, lambda: estate.pods(SYSTEM), 0.2)

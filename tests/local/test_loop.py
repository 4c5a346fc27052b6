"""The whole chain on one machine: real git, MLflow, Prometheus, Envoy, torch; three commits, three fates."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from examples.demo.program import Program
from examples.demo.story import Story

pytestmark = [pytest.mark.slow, pytest.mark.local, pytest.mark.timeout(420)]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Tell the tour once, leave the home up for the tests, and take it down after them."""
    home = tmp_path_factory.mktemp("tour")
    program = Program(home / "state")
    told = Story("digits", home / "digits", program, print)
    try:
        told.tell()
        yield told
    finally:
        program.run("local", "down", timeout=60)


def test_good_commits_are_promoted_and_the_bad_one_is_rolled_back(story: Story) -> None:
    """Versions 1 and 2 take the traffic, version 3 gives it back."""
    assert [(chapter.version, chapter.outcome) for chapter in story.chapters] == [
        (1, "Promoted"),
        (2, "Promoted"),
        (3, "RolledBack"),
    ]
    assert "success-rate" in story.chapters[2].why


def test_after_the_roll_back_the_good_version_serves_and_is_champion(story: Story) -> None:
    """The stable revision is version 2, Ready, with all of the traffic; the alias agrees."""
    release = story.program.object("modelrelease", "digits")
    status = release["status"]
    ready = {c["type"]: c["status"] for c in status["conditions"]}

    assert status["stable"]["version"] == "2"
    assert status["weight"] == 0
    assert ready["Ready"] == "True"
    assert _registry(story).get_model_version_by_alias("digits", "champion").version == "2"


def test_lineage_is_true_at_every_link(story: Story) -> None:
    """Each hash in the lineage is what git, sha256 and MLflow's own client say."""
    lineage = story.program.object("modelrelease", "digits")["status"]["lineage"]
    version = _registry(story).get_model_version("digits", lineage["version"])
    data = _git(story, "show", f"{lineage['datasetCommit']}:data/digits.csv")

    assert lineage["commit"] == story.chapters[1].commit
    assert _git(story, "cat-file", "-t", lineage["commit"]).strip() == b"commit"
    assert lineage["contentDigest"] == "sha256:" + hashlib.sha256(data).hexdigest()
    assert version.run_id == lineage["runId"]
    assert version.tags["modelops.artifactDigest"] == lineage["artifactDigest"]
    assert version.tags["modelops.workflowUid"] == lineage["workflowUid"]


def test_what_the_program_prints_of_the_lineage_is_what_the_object_says(story: Story) -> None:
    """`modelops lineage` shows commit, data digest, run and version of the version that serves."""
    lineage = story.program.object("modelrelease", "digits")["status"]["lineage"]
    printed = story.program.must("lineage", "digits")

    for key in ("commit", "contentDigest", "runId", "workflowUid", "artifactDigest"):
        assert lineage[key] in printed


def test_nothing_was_trained_or_registered_twice(story: Story) -> None:
    """Three commits, three runs, three versions, three Workflows at most."""
    client = _registry(story)
    versions = client.search_model_versions("name='digits'")
    experiment = client.get_experiment_by_name("modelops/default/digits")
    runs = client.search_runs([experiment.experiment_id])

    assert sorted(version.version for version in versions) == ["1", "2", "3"]
    assert len({run.data.tags["modelops.attempt"] for run in runs}) == len(runs) == 3


def test_customers_of_the_stable_version_saw_no_failure(story: Story) -> None:
    """Only the bad version failed requests; nobody was left without an answer."""
    assert "got no answer" not in story.answers
    failures = sum(count for words, count in story.answers.items() if words.startswith("answered 5"))
    answered = sum(story.answers.values())
    assert failures < answered * 0.02, json.dumps(story.answers)


def _registry(story: Story) -> Any:
    from mlflow import MlflowClient  # noqa: PLC0415

    return MlflowClient(tracking_uri=story.program.endpoints()["mlflow"])


def _git(story: Story, *words: str) -> bytes:
    return subprocess.run(["git", "-C", str(Path(story.repo)), *words], check=True, capture_output=True).stdout

"""What became of two commits, written back to a real repository from a local home, across a killed operator."""

import base64
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from examples.demo.program import Program
from examples.demo.traffic import Customers
from mlflow import MlflowClient

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import GITSOURCE, MODELRELEASE, SECRET
from tests.support import tiny
from tests.support.git_server import Repository, git, serving

BRANCH = "modelops/outcomes"
PASSWORD = "hunter2-very-secret"
pytestmark = [pytest.mark.slow, pytest.mark.local, pytest.mark.timeout(240)]


def _release(version: str) -> str:
    kind = {"apiVersion": "modelops.dev/v1alpha1", "kind": "ModelRelease", "metadata": {"name": "tiny"}}
    return yaml.safe_dump({**kind, "spec": tiny.release(version, bad="2")})


def _until(true: Callable[[], Any], seconds: float, said: Callable[[], Any]) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, said()
        time.sleep(0.1)


def _operator(state: Path) -> int:
    return int(json.loads((state / "home.json").read_text())["parts"]["operator"]["pid"] or 0)


def test_what_became_of_two_commits_stands_in_git_once(tmp_path: Path) -> None:
    """One promoted, one rolled back: two files by two commits, what is synced untouched, and no third after a kill."""
    state = tmp_path / "state"
    program = Program(state)
    repository = Repository.make(tmp_path / "served" / "models.git")
    repository.let_push()
    program.must("local", "up", "--detach", timeout=200)
    try:
        client = KubeClient.from_kubeconfig(str(state / "kubeconfig"), context="local")
        tiny.register(MlflowClient(tracking_uri=program.endpoints()["mlflow"]), 2)

        def status() -> dict[str, Any]:
            return (client.get(MODELRELEASE.resource, "default", "tiny") or {}).get("status") or {}

        def written() -> list[str]:
            if not git(repository.path, "for-each-ref", f"refs/heads/{BRANCH}"):
                return []
            return git(repository.path, "log", "--reverse", "--format=%s", BRANCH).splitlines()

        with serving(repository.path.parent, user="robot", password=PASSWORD) as server:
            data = {"username": "robot", "password": PASSWORD}
            encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
            client.apply(SECRET, {"metadata": {"name": "git", "namespace": "default"}, "data": encoded})
            good = repository.commit({"deploy/release.yaml": _release("1")})
            spec = {
                "url": server.url("models.git"),
                "path": "deploy",
                "interval": "1s",
                "secretRef": {"name": "git"},
                "outcomes": {"path": "laptop"},
            }
            client.apply(GITSOURCE.resource, {"metadata": {"name": "models", "namespace": "default"}, "spec": spec})
            _until(lambda: written() == ["tiny: version 1 promoted"], 60, status)

            bad = repository.commit({"deploy/release.yaml": _release("2")})
            with Customers(f"{program.endpoints()['gateway']}/infer", tiny.HOST, [{}], rate=30):
                _until(lambda: len(written()) == 2, 60, status)
            ended = status()["history"]
            assert [(one["version"], one["outcome"]) for one in ended] == [("1", "Promoted"), ("2", "RolledBack")]
            assert written() == ["tiny: version 1 promoted", "tiny: version 2 rolled back"]
            files = git(repository.path, "ls-tree", "-r", "--name-only", BRANCH).splitlines()
            told = [yaml.safe_load(git(repository.path, "show", f"{BRANCH}:{name}")) for name in files]
            assert [name.rpartition("/")[0] for name in files] == ["laptop/default/tiny"] * 2
            assert [one["outcome"] for one in told] == ["Promoted", "RolledBack"]
            assert [one["commits"]["release"] for one in told] == [good, bad]
            (metric,) = told[1]["metrics"]
            assert (metric["name"], metric["verdict"], metric["bound"]) == ("success-rate", "Fail", "≥ 0.95")
            assert metric["value"] < 0.95
            assert told[1]["reason"] == ended[1]["message"]
            assert git(repository.path, "log", "-1", "--format=%H", "main") == bad

            refs = git(repository.path, "for-each-ref")
            _until(lambda: client.get(GITSOURCE.resource, "default", "models")["status"]["outcomes"], 10, status)
            killed = _operator(state)
            os.kill(killed, signal.SIGKILL)
            _until(lambda: _operator(state) not in (0, killed), 60, lambda: "the operator did not come back")
            server.requests.clear()
            _until(lambda: sum("upload-pack" in one for one in server.requests) >= 6, 60, lambda: server.requests)
            assert git(repository.path, "for-each-ref") == refs
            assert not [one for one in server.requests if "receive-pack" in one]
        described = program.must("describe", "gitsource", "models")
        assert "branch modelops/outcomes has all that has ended" in described
        logs = b"".join(path.read_bytes() for path in (state / "logs").rglob("*") if path.is_file())
        assert PASSWORD not in described
        assert PASSWORD.encode() not in logs
    finally:
        program.run("local", "down", timeout=90)

"""Calls that hang: they hold up neither others nor the end of the process. Over a real API server."""

import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import GITSOURCE
from tests.support import kube_apiserver
from tests.support.operators import TEAM, Replicas, a_cluster, until

pytestmark = pytest.mark.real_apiserver


def test_a_fetch_that_hangs_holds_up_no_other_and_not_the_end(tmp_path: Path) -> None:
    """Another GitSource is applied meanwhile; SIGTERM ends the process within its bound, and the fetch with it."""
    if lacking := kube_apiserver.missing():
        pytest.skip(lacking)
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "map.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map}\n")
    identity = ["-c", "user.name=Team", "-c", "user.email=team@example.com"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
        subprocess.run(["git", "-C", str(repository), *identity, *words], check=True)
    server, config = a_cluster(tmp_path)
    settings = {
        "MODELOPS_ALLOWED_GIT_SCHEMES": "file,http",
        "MODELOPS_LEADER_ELECTION": "false",
        "MODELOPS_STOP_SECONDS": "5",
    }
    replicas = Replicas(tmp_path, config, settings)
    silent = socket.create_server(("127.0.0.1", 0), backlog=64)
    url = f"http://127.0.0.1:{silent.getsockname()[1]}/hung.git"
    try:
        client = KubeClient.from_kubeconfig(str(config), agent="test")
        operator = replicas.start()
        for name, where in (("hung", url), ("brisk", repository.as_uri())):
            spec = {"url": where, "ref": {"branch": "main"}, "path": ".", "interval": "1s"}
            client.apply(GITSOURCE.resource, {"metadata": {"name": name, "namespace": TEAM}, "spec": spec})
        silent.settimeout(20)
        connection, _ = silent.accept()

        def applied() -> bool:
            status = (client.get(GITSOURCE.resource, TEAM, "brisk") or {}).get("status") or {}
            return bool(status.get("lastAppliedRevision"))

        until(applied, 20, "the other source is applied")
        begun = time.monotonic()
        operator.signal(signal.SIGTERM)

        assert operator.ended(8) == 0, operator.log
        assert time.monotonic() - begun < 6
        connection.settimeout(5)
        while connection.recv(65536):
            pass
    finally:
        silent.close()
        replicas.stop()
        server.stop()

"""The harness itself, where no cluster is needed: what it starts it finds again, and nothing else."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.e2e.cluster import choice, images, processes
from tests.e2e.cluster.layout import MEMBERS, Layout
from tests.support.operators import until

START = """
import sys, time
from pathlib import Path
from tests.e2e.cluster import processes
root = Path(sys.argv[1])
processes.start(root, ["sleep", "300"], root / "logs" / "sleep.log")
print("started", flush=True)
time.sleep(300)
"""


def test_what_a_killed_start_left_is_found_and_ended(tmp_path: Path) -> None:
    """Processes outlive a starter that is killed, are known by their mark, and end; others stay."""
    other = subprocess.Popen(["sleep", "300"])
    starter = subprocess.Popen([sys.executable, "-c", START, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path.cwd())
    assert starter.stdout is not None
    assert starter.stdout.readline() == b"started\n"
    starter.send_signal(signal.SIGKILL)
    starter.wait()

    left = until(lambda: processes.marked(tmp_path), 5, "it is found")
    processes.end(left)

    assert list(left.values()) == ["sleep"]
    assert processes.marked(tmp_path) == {}
    assert other.poll() is None
    other.kill()
    other.wait()


def test_a_process_that_will_not_end_is_killed(tmp_path: Path) -> None:
    """SIGTERM first; then SIGKILL."""
    stubborn = processes.start(tmp_path, ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"], tmp_path / "log")

    processes.end([stubborn.pid], patience=0.5)

    assert stubborn.poll() is not None


def test_archive_is_an_image_of_one_layer(tmp_path: Path) -> None:
    """Docker's format: the layer's digest stands in the configuration, the name in the manifest."""
    archive = tmp_path / "image.tar"

    images.write(archive, "example.com/a:1", b"layer", {"Entrypoint": ["/a"]})

    with tarfile.open(archive) as files:
        read = {name: files.extractfile(name).read() for name in files.getnames()}  # type: ignore[union-attr]
    manifest = json.loads(read["manifest.json"])[0]
    config = json.loads(read[manifest["Config"]])
    assert manifest["RepoTags"] == ["example.com/a:1"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(read[manifest['Layers'][0]]).hexdigest()}"]
    assert config["config"] == {"Entrypoint": ["/a"]}


def test_a_given_cluster_lacks_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With KUBECONFIG nothing has to be installed, and the cluster is that one."""
    config = tmp_path / "kubeconfig"
    config.write_text("")
    monkeypatch.setenv("KUBECONFIG", str(config))
    monkeypatch.setenv("MODELOPS_TEST_HOST", "192.0.2.7")

    cluster = choice.start(Layout(tmp_path / "state"))

    assert choice.missing() == []
    assert (cluster.kubeconfig, cluster.host) == (config, "192.0.2.7")


def test_without_any_cluster_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each way to one, with what to install or to run."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    monkeypatch.delenv("MODELOPS_TEST_BIN", raising=False)

    told = "\n".join(choice.missing())

    assert "KUBECONFIG" in told
    assert "kind" in told
    assert "python -m tests.e2e.cluster build" in told or "needs Linux and root" in told


def test_addresses_of_nodes_and_of_their_pods_do_not_meet() -> None:
    """Each node has an address and a range of its own."""
    assert len({member.address for member in MEMBERS} | {member.pods for member in MEMBERS}) == 2 * len(MEMBERS)

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
import yaml

from modelops.adapters.cluster import KubeClient
from tests.e2e.cluster import choice, images, kind, own, processes
from tests.e2e.cluster.layout import MEMBERS, POOL, Layout
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


def test_an_image_that_would_fill_the_disk_is_refused(tmp_path: Path) -> None:
    """With how much is needed and how much is free, before any node has read it."""
    archive = tmp_path / "trainer.tar"
    archive.touch()
    os.truncate(archive, 4 << 40)

    with pytest.raises(RuntimeError, match=r"trainer.tar takes 17592.2 GB on 2 nodes, and [\d.]+ GB are free: make"):
        own.load(Layout(tmp_path), archive)


def test_a_given_cluster_lacks_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With KUBECONFIG nothing has to be installed, and the cluster is that one."""
    config = tmp_path / "kubeconfig"
    config.write_text("")
    monkeypatch.setenv("KUBECONFIG", str(config))
    monkeypatch.setenv("MODELOPS_TEST_HOST", "192.0.2.7")

    place = Layout(tmp_path / "state")

    cluster = choice.start(place)

    assert choice.missing(place) == []
    assert (cluster.kubeconfig, cluster.host) == (config, "192.0.2.7")
    assert (cluster.load, cluster.apply, cluster.routed) == (None, None, False)


def test_what_was_started_beside_a_given_cluster_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is somebody's: only what the stories started on this machine goes."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("MODELOPS_TEST_HOST", "192.0.2.7")
    cluster = choice.start(Layout(tmp_path / "state"))
    process = processes.start(cluster.place.root, ["sleep", "300"], cluster.place.logs / "sleep.log")

    cluster.end()

    assert process.poll() is not None
    assert not cluster.place.root.exists()


def test_kubeconfig_of_a_cluster_made_here_is_no_other_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`make cluster-up` and `make kind-up` print it, and whoever exported it loses nothing."""
    place = Layout(tmp_path / "state")
    for config in (place.kubeconfig, place.beside("kind").kubeconfig):
        monkeypatch.setenv("KUBECONFIG", str(config))
        assert choice.given(place) is None
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "another"))
    assert choice.given(place) == tmp_path / "another"


PROGRAM = """#!/bin/sh
echo "$(basename "$0") $*" >> {log}
case "$*" in
"get clusters") cat {clusters} ;;
"create cluster"*) echo modelops > {clusters} ;;
"delete cluster"*) : > {clusters} ;;
"get kubeconfig"*) echo 'a: kubeconfig' ;;
"network inspect"*) echo '[{{"IPAM": {{"Config": [{{"Subnet": "fc00::/64"}}, {{"Gateway": "127.0.0.1"}}]}}}}]' ;;
esac
"""


@pytest.mark.parametrize("was_up", [True, False])
def test_kind_cluster_that_was_up_stays_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, was_up: bool) -> None:
    """What `make kind-up` made is whoever's; what the stories made goes, with what ran beside it."""
    log, clusters = tmp_path / "log", tmp_path / "clusters"
    clusters.write_text("modelops\n" if was_up else "")
    for name in ("kind", "docker"):
        (tmp_path / name).write_text(PROGRAM.format(log=log, clusters=clusters))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(kind, "pretend", lambda *_: None)
    monkeypatch.setattr(KubeClient, "from_kubeconfig", lambda *_, **__: None)

    cluster = choice.start(Layout(tmp_path / "state"))
    said = log.read_text()
    cluster.end()

    assert cluster.host == "127.0.0.1"
    assert ("create cluster" in said) is not was_up
    assert ("delete cluster" in log.read_text()) is not was_up
    assert cluster.kubeconfig.exists() is was_up


@pytest.mark.parametrize(
    ("told", "dead", "used"),
    [("", "", "docker"), ("", "docker", "podman"), ("podman", "", "podman"), ("docker", "docker", None)],
)
def test_kind_gets_the_engine_that_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: str, dead: str, used: str | None
) -> None:
    """Docker's program may be there without its engine, and Podman beside; whoever chose gets that or a reason."""
    log = tmp_path / "log"
    for name in ("kind", "docker", "podman"):
        (tmp_path / name).write_text(
            f"#!/bin/sh\necho {name} $KIND_EXPERIMENTAL_PROVIDER >> {log}\n[ {name} != '{dead}' ]\n"
        )
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("KIND_EXPERIMENTAL_PROVIDER", told)

    if used is None:
        assert kind.missing() == f"{dead}: it does not answer ({dead} info says why)"
        return
    assert kind.missing() is None
    kind.down(Layout(tmp_path / "state"))
    assert log.read_text().splitlines()[-1] == f"kind {used}"


def test_kind_has_a_node_for_everything_and_the_gpus_where_they_are_pretended() -> None:
    """Where there are workers, kind's control plane takes no pods but the cluster's own."""
    nodes = yaml.safe_load((Path(__file__).parent / "kind.yaml").read_text())["nodes"]
    workers = [node for node in nodes if node["role"] == "worker"]
    names = [f"{kind.NAME}-worker{number if number > 1 else ''}" for number in range(1, len(workers) + 1)]
    pools = {name: (node.get("labels") or {}).get(POOL) for name, node in zip(names, workers, strict=True)}
    assert pools == {f"{kind.NAME}-worker": None, kind.GPU_NODE: "gpu"}


def test_without_any_cluster_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A line for each way to one, with what to install or to run."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    monkeypatch.delenv("MODELOPS_TEST_BIN", raising=False)

    told = "\n".join(choice.missing(Layout(tmp_path)))

    assert "KUBECONFIG" in told
    assert "kind" in told
    assert "python -m tests.e2e.cluster build" in told or "needs Linux and root" in told


def test_addresses_of_nodes_and_of_their_pods_do_not_meet() -> None:
    """Each node has an address and a range of its own."""
    assert len({member.address for member in MEMBERS} | {member.pods for member in MEMBERS}) == 2 * len(MEMBERS)

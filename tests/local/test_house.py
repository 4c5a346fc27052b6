"""A local home where the machine does not help: directories of others, full and vanished disks, taken ports."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from examples.demo.program import Program

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import CONFIGMAP
from modelops.errors import ModelopsError

pytestmark = [pytest.mark.local, pytest.mark.timeout(240)]


def refused(state: Path) -> str:
    """Return the one line with which `local up` refuses a state directory."""
    done = Program(state).run("local", "up", "--detach", timeout=60)
    assert done.returncode == 1, done
    lines = (done.stdout + done.stderr).strip().splitlines()
    assert "Traceback" not in done.stdout + done.stderr
    return next(line for line in lines if line.startswith("modelops: ") and "did not come up" not in line)


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)


def processes(state: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if str(state).encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_directory_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """Nothing is touched; the line says whose it is and what to do."""
    (tmp_path / "layout.json").write_text('{"layout": 99, "modelops": "9.0"}')
    (tmp_path / "api.db").write_bytes(b"whatever")
    line = refused(tmp_path)
    assert "is of modelops 9.0 (layout 99, this is " in line
    assert "another --state-dir" in line
    assert (tmp_path / "api.db").read_bytes() == b"whatever"


def test_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """A home is never made among other files."""
    (tmp_path / "thesis.tex").write_text("precious")
    assert "holds files that are not a local home's" in refused(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_damaged_layout_is_refused(tmp_path: Path) -> None:
    """The line names the file."""
    (tmp_path / "layout.json").write_text("{")
    assert f"{tmp_path / 'layout.json'} is damaged" in refused(tmp_path)


def test_place_that_cannot_be_a_directory_is_refused(tmp_path: Path) -> None:
    """A file in the way."""
    (tmp_path / "file").write_text("")
    line = refused(tmp_path / "file" / "state")
    assert "Not a directory" in line
    assert "another --state-dir" in line


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 60 MiB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=60m", "modelops-test", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted; run as root")
    yield place
    until(lambda: subprocess.run(["umount", str(place)], capture_output=True, check=False).returncode == 0)


def test_read_only_directory_is_refused(disk: Path) -> None:
    """The line names the directory and the reason."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    line = refused(disk / "state")
    assert "Read-only file system" in line
    assert "correct the permissions or give another" in line


@pytest.mark.slow
def test_full_disk_loses_nothing_and_is_survived(disk: Path) -> None:
    """Writes are refused with one line while the disk is full; afterwards everything goes on, with all that was."""
    program = Program(disk / "state")
    program.must("local", "up", "--detach", timeout=200)
    try:
        client = KubeClient.from_kubeconfig(str(disk / "state" / "kubeconfig"), context="local")
        client.apply(CONFIGMAP, _config("before"))
        filler = disk / "filler"
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], capture_output=True, check=False)
        said = ""
        for number in range(2000):
            try:
                client.apply(CONFIGMAP, _config(f"during-{number}", size=20000))
            except ModelopsError as error:
                said = error.message
                break
        assert "the disk is full; free some space" in said, said
        assert client.get(CONFIGMAP, "default", "before") is not None
        filler.unlink()
        until(lambda: _applies(client, "after"))
        assert client.get(CONFIGMAP, "default", "before") is not None
        until(lambda: json.loads(program.run("local", "status", "-o", "json").stdout)["ready"], 90)
    finally:
        program.run("local", "down", timeout=90)
    assert processes(disk / "state") == []


def _config(name: str, size: int = 10) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "data": {"text": "x" * size}}


def _applies(client: KubeClient, name: str) -> bool:
    try:
        client.apply(CONFIGMAP, _config(name))
    except ModelopsError:
        return False
    return True


@pytest.mark.slow
def test_home_lives_through_a_taken_port_a_second_start_and_the_loss_of_its_directory(tmp_path: Path) -> None:
    """Ports are kept where they can be; a second home is refused; a deleted directory ends all, and says so."""
    state = tmp_path / "state"
    program = Program(state)
    program.must("local", "up", "--detach", timeout=200)
    ports = json.loads((state / "home.json").read_text())["ports"]
    assert "a local home is up in" in refused(state)
    program.must("local", "down", timeout=90)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports["gateway"]))
        taken.listen()
        program.must("local", "up", "--detach", timeout=200)
    again = json.loads((state / "home.json").read_text())["ports"]
    assert again["gateway"] != ports["gateway"]
    assert {name: port for name, port in again.items() if name != "gateway"} == {
        name: port for name, port in ports.items() if name != "gateway"
    }
    shutil.rmtree(state, ignore_errors=True)
    until(lambda: processes(state) == [], 60)
    done = program.run("local", "status", timeout=20)
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, f"down: {state}")
